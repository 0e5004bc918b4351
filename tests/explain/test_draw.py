"""Pictures of networks: everything is there, nothing overlaps, and the paths' products add up to the gradient."""

import itertools
import re

import numpy as np
import pytest

import retroprop as rp
from retroprop.explain import style
from retroprop.explain.network_numbers import on_host
from retroprop.explain.path_highlights import MOST_COLORS, find_paths
from retroprop.explain.sheet import digits
from retroprop.functions.activations import GroupedSoftmax
from retroprop.functions.losses import GroupedCrossEntropy

pytest.importorskip("matplotlib", reason="a picture needs matplotlib")

RNG = np.random.default_rng(3)
CLASSES = {"output": "softmax", "loss": "cross_entropy"}
SIZES = {
    (1, 1, 1): {"output": "sigmoid", "bias": False},
    (2, 2, 2): {"output": "sigmoid"},
    (4, 8, 8, 3): CLASSES | {"hidden": "tanh"},
    (64, 100, 10): CLASSES,
}


def made(sizes, m=1, **options):
    net = rp.Network(sizes, **({"hidden": "sigmoid", "seed": 1} | SIZES.get(sizes, {}) | options))
    return net, RNG.normal(size=(m, sizes[0])), np.eye(sizes[-1])[np.arange(m) % sizes[-1]]


def named(figure, pattern=""):
    """Return the artists with a gid, by gid."""
    found = {}
    for artist in figure.findobj(lambda one: one.get_gid() and re.search(pattern, one.get_gid())):
        assert artist.get_gid() not in found, f"two artists are called {artist.get_gid()}"
        found[artist.get_gid()] = artist
    return found


def texts_that_overlap(figure):
    renderer = figure.canvas.get_renderer()
    width, height = figure.bbox.size
    boxes = {}
    for text in figure.findobj(lambda one: hasattr(one, "get_text") and one.get_text() and one.get_visible()):
        boxes[text.get_gid()] = box = text.get_window_extent(renderer)
        assert min(box.x0, box.y0, width - box.x1, height - box.y1) >= 0.0, f"{text.get_gid()} is cut off"
    patches = {gid: patch.get_window_extent(renderer) for gid, patch in named(figure, "-neuron-").items()}
    for gid, box in boxes.items():
        way, _, name = gid.partition("-value-" if "-value-" in gid else "-label-")
        around = patches.get(f"{way}-neuron-{name}", patches.get(f"{way}-neuron-{name[:-2]}"))
        assert around is None or (around.x0 < box.x0 and box.x1 < around.x1), f"{gid} is wider than its neuron"
    # Half a pixel: letters of two lines may touch, not cover each other.
    return [
        (one, other)
        for (one, a), (other, b) in itertools.combinations(boxes.items(), 2)
        if min(a.x1, b.x1) - max(a.x0, b.x0) > 0.5 and min(a.y1, b.y1) - max(a.y0, b.y0) > 0.5
    ]


FAST = [((2, 2, 2), True), ((64, 100, 10), False)]
REST = [case for case in itertools.product(SIZES, (False, True)) if case not in FAST]


@pytest.mark.parametrize(
    ("sizes", "dark"), [*FAST, *(pytest.param(*case, marks=pytest.mark.long) for case in REST)], ids=str
)
def test_no_words_overlap_or_are_cut_off(sizes, dark):
    net, x, y = made(sizes)
    theta = (1, 1, 1) if max(sizes) < 11 else None
    assert texts_that_overlap(rp.explain.draw(net, x, y, theta=theta, dark=dark)) == []


@pytest.mark.parametrize("sizes", SIZES, ids=str)
@pytest.mark.long
def test_no_names_overlap_where_there_are_no_numbers(sizes):
    net, x, _ = made(sizes)
    theta = (1, 1, 1) if max(sizes) < 3 else None
    assert texts_that_overlap(rp.explain.draw(net, theta=theta, backward=True)) == []
    assert texts_that_overlap(rp.explain.draw(net, x, theta=theta, backward=True)) == []


@pytest.mark.parametrize(
    "sizes", [(3, 5, 4, 6, 2), (10, 10, 10, 10, 10), (3, 3, 3), (1, 4, 1), (2, 9), (2, 2, 2)], ids=str
)
@pytest.mark.long
def test_no_words_overlap_at_other_sizes(sizes):
    for options in ({}, CLASSES | {"hidden": "relu"}) if sizes[-1] > 1 else ({"output": "tanh"},):
        net, x, y = made(sizes, m=2, **({"output": "identity", "loss": "squared_error"} | options))
        net.thetas = [-1e-5 * theta for theta in net.thetas]  # long numbers
        assert texts_that_overlap(rp.explain.draw(net, x, y, theta=(1, 1, 1), row=2)) == []


def test_every_part_has_its_name():
    net, x, y = made((2, 3, 2), output="tanh")
    figure = rp.explain.draw(net, x, y, theta=(1, 3, 2))
    for way, left, right in (("forward", "z", "a"), ("backward", "z", "a")):
        # 8 neurons with the cost; 12 weights, and 2 connections with J; z and a of 5 neurons, x of 2 and J
        assert len(named(figure, f"^{way}-neuron-")) == 7
        assert len(named(figure, f"^{way}-edge-")) == 14
        assert len(named(figure, rf"^{way}-label-(\d-\d(-[{left}{right}])?|cost)$")) == 13
        assert len(named(figure, f"^{way}-label-theta-")) == 12
        assert len(named(figure, f"^{way}-bias-")) == 5
    paths = named(figure, "^path-")
    assert sorted(paths) == [f"path-{i}-part-{part}" for i in (1, 2) for part in (1, 2, 3)]
    assert len({line.get_color() for line in paths.values()}) == 2
    assert named(figure, "^product-1$")["product-1"].get_text().startswith(r"$\partial J/\partial a_{1}^{(3)}")
    value = float(net.gradient(x, y).thetas[0][2, 1])
    assert named(figure, "^product-sum")["product-sum"].get_text().endswith(f"the sum of the 2 paths = {digits(value)}")
    label = named(figure, "backward-label-theta-1-3-2")["backward-label-theta-1-3-2"].get_text()
    assert label.endswith(digits(value))


def test_the_values_are_the_networks():
    net, x, y = made((2, 2, 2), m=3, loss="squared_error", dtype="float64")
    g, trace = net.gradient(x, y), net.forward(x)
    figure = rp.explain.draw(net, x, y, row=2)
    words = {gid: text.get_text() for gid, text in named(figure, "value|bias").items()}
    assert words["forward-value-3-1-a"] == digits(trace.a[2][1, 0], most=7)
    assert words["forward-value-2-2-z"] == digits((x @ net.thetas[0].T)[1, 1], most=7)
    assert words["backward-value-2-1-z"] == digits(g.deltas[1][1, 0], most=7)
    assert words["backward-value-3-2-a"] == digits((trace.a[2] * (1 - trace.a[2]))[1, 1], most=7)
    assert words["backward-bias-2-2"].endswith(f"= {digits(g.biases[0][1])}")
    assert words["forward-value-cost"] == digits(float(g.cost), most=7)
    (title,) = (text.get_text() for text in named(figure, "^title$").values())
    assert title.endswith("z, a and δ of observation 2 of 3")


@pytest.mark.parametrize(
    "options",
    [
        {"output": "tanh", "l2": 0.3, "l1": 0.1},
        {"output": "sigmoid", "loss": "binary_cross_entropy"},
        CLASSES,
        {"output": GroupedSoftmax((2, 2)), "loss": GroupedCrossEntropy((2, 2))},
    ],
)
def test_the_products_add_up_to_the_partial_derivative(options):
    net, x, y = made((3, 4, 3, 4), m=3, hidden=["tanh", "softplus"], dtype="float64", **options)
    if isinstance(options["output"], GroupedSoftmax):
        y = np.hstack([np.eye(2)[[0, 1, 1]], np.eye(2)[[1, 1, 0]]])
    gradient, (host, numbers) = net.gradient(x, y), on_host(net, x, y)
    for layer, array in enumerate(gradient.thetas, start=1):
        for (j, k), value in np.ndenumerate(array):
            found = find_paths(host, numbers, (layer, j + 1, k + 1))
            assert found.total == pytest.approx(value, rel=1e-12, abs=1e-15)
            shown = sum(path.product for path in found.shown) + (found.others or (0, 0.0))[1]
            assert shown + found.penalty == pytest.approx(value, rel=1e-12, abs=1e-15)
            assert len(found.shown) <= MOST_COLORS


def test_a_saturated_softmax_has_exact_deltas_and_no_wrong_sum():
    net = rp.Network.from_parameters([[[1e4], [-1e4]]], **CLASSES)
    words = named(rp.explain.draw(net, [[1.0]], [1]), "^backward-value-2-")
    assert [words[f"backward-value-2-{j}-z"].get_text() for j in (1, 2)] == ["1", "−1"]
    with pytest.raises(ValueError, match=r"the paths of θ\^\(1\)_11 add up to 0 and ∂J/∂θ is 1: "):
        rp.explain.draw(net, [[1.0]], [1], theta=(1, 1, 1))


def test_of_many_paths_the_largest_are_shown():
    net, x, y = made((4, 8, 8, 3))
    host, numbers = on_host(net, x, y)
    found = find_paths(host, numbers, (1, 1, 1))
    sizes = [abs(path.product) for path in found.shown]
    assert sizes == sorted(sizes, reverse=True)
    assert found.others[0] == 8 * 3 * 3 - 8


def test_the_key_names_what_there_is_no_room_for():
    def key(sizes, *data, **options):
        net, x, y = made(sizes, **options)
        (words,) = named(rp.explain.draw(net, *(x, y)[: len(data)]), "^key-width").values()
        return words.get_text().partition("; ")[2]

    assert key((2, 7), "x", "y") == "biases and targets not shown"
    assert key((2, 7), "x", "y", bias=False) == "targets not shown"
    assert key((2, 7), "x") == "biases not shown"
    assert key((2, 7), bias=False) == key((2, 2), "x", "y") == ""


def test_the_edges_of_softmax_cross():
    net, x, y = made((2, 2, 3), **CLASSES)
    figure = rp.explain.draw(net, x, y, theta=(2, 1, 1))
    assert len(named(figure, "^forward-crossing-")) == 9
    assert len(named(figure, "^path-")) == 3 * 3
    net, x, y = made((2, 2, 4), output=GroupedSoftmax((2, 2)), loss=GroupedCrossEntropy((2, 2)))
    assert len(named(rp.explain.draw(net), "^forward-crossing-")) == 8


def test_weights_have_the_colour_of_their_sign_and_the_width_of_their_size():
    net = rp.Network.from_parameters([[[0.5, -2.0]]], dtype="float64")
    for dark, theme in ((False, style.LIGHT), (True, style.DARK)):
        edges = named(rp.explain.draw(net, [[1.0, 1.0]], dark=dark), "^forward-edge-1-")
        small, large = edges["forward-edge-1-1-1"], edges["forward-edge-1-1-2"]
        assert (small.get_color(), large.get_color()) == (theme.positive, theme.negative)
        assert small.get_linewidth() < large.get_linewidth()
        assert rp.explain.draw(net, dark=dark).get_facecolor() == pytest.approx(
            [int(theme.surface[i : i + 2], 16) / 255 for i in (1, 3, 5)] + [1]
        )


def test_a_picture_is_written(tmp_path):
    net, x, y = made((1, 1, 1))
    path = tmp_path / "net.svg"
    rp.explain.draw(net, x, y, theta=(1, 1, 1), path=path)
    first = path.read_bytes()
    figure = rp.explain.draw(net, x, y, theta=(1, 1, 1), path=path)
    assert path.read_bytes() == first
    svg = first.decode()
    assert "<title>1-1-1 network, loss squared_error</title>" in svg
    assert "<desc>A network of 3 layers with 1, 1, 1 neurons" in svg
    assert set(named(figure)) <= set(re.findall(r'id="([^"]+)"', svg))


@pytest.mark.needs("array_api_strict:device1")
def test_data_on_the_networks_backend():
    net, x, y = made((1, 1, 1), backend="array_api_strict:device1")
    there = (net.backend.asarray(array, "float32") for array in (x, y))
    assert named(rp.explain.draw(net, *there), "^forward-value-cost")


X, Y = [[0.5, 0.1]], [[1.0, 0.0]]
SEVERAL = rp.Network.from_parameters([np.ones((3, 2, 2))])


@pytest.mark.parametrize(
    ("sizes", "arguments", "options", "line"),
    [
        ((2, 2, 2), ([[1.0]], Y), {}, r"x has 1 columns and the network 2 inputs"),
        ((2, 2, 2), (X, [[1.0]]), {}, r"y must have the shape \(1, 2\)"),
        ((2, 2, 2), (X, [[1.0, 0.0]] * 2), {}, r"y must have the shape \(1, 2\)"),
        ((2, 2, 2), (None, Y), {}, r"y is given and x is not"),
        ((2, 2, 2), ([[np.nan, 1.0]], Y), {}, r"x must be finite"),
        ((2, 2, 2), (X, Y), {"theta": (3, 1, 1)}, r"theta=\(3, 1, 1\) has layer 3: .* layers 1 to 2"),
        ((2, 2, 3), (X, None), {"theta": (2, 4, 1)}, r"theta=\(2, 4, 1\) does not exist: .* neurons 1 to 3, .* 1 to 2"),
        ((2, 2, 2), (X, Y), {"theta": (1, 0, 1)}, r"does not exist"),
        ((2, 2, 2), (X, Y), {"theta": 3}, r"theta must be \(layer, to, from\)"),
        ((2, 2, 2), (X, Y), {"theta": (1, 1.0, 1)}, r"theta must be \(layer, to, from\)"),
        ((2, 2, 2), (X, Y), {"row": 2}, r"row must be a whole number from 1 to 1"),
        ((2, 2, 2), (X, Y), {"path": "net.gif"}, r"path must end in \.png, \.svg or \.pdf, not 'net\.gif'"),
        ((2, 9, 9, 2), (X, None), {"theta": (1, 1, 1)}, r"θ\^\(1\)_11 has 18 paths to J, and 8 colours"),
        ((2, 11, 12, 2), (X, Y), {"theta": (1, 1, 1)}, r"has 24 paths to J, and single paths are drawn up to 5 layers"),
        ((2,) * 9, (), {}, r"net has 9 layers, and a picture has room for 8"),
        (None, (X,), {}, r"net must be a Network, not list"),
        (SEVERAL, (X,), {}, r"net holds several: its first theta has the shape \(3, 2, 2\)"),
    ],
)
def test_bad_input_is_one_line(sizes, arguments, options, line):
    net = [1] if sizes is None else rp.Network(sizes, seed=0) if isinstance(sizes, tuple) else sizes
    with pytest.raises((TypeError, ValueError), match=line) as error:
        rp.explain.draw(net, *arguments, **options)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("value", "most", "words"),
    [(-0.0, 9, "0"), (0.12345, 9, "0.123"), (-0.00543, 7, "−0.0054"), (-1.26e-5, 9, "−1.3e−5"), (123456.0, 9, "1.2e5")],
)
def test_few_digits(value, most, words):
    assert digits(value, most=most) == words
