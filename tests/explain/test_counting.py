"""Counts of terms against an enumeration of every path, and against operations counted while the recursion runs."""

from itertools import product

import numpy as np
import pytest

import retroprop as rp
from retroprop.core.operations import Operations

SHAPES = [shape for n_layers in (2, 3, 4) for shape in product((1, 2, 3, 4), repeat=n_layers)]


def enumerated(sizes, groups):
    """Return the factors of all partial derivatives by writing every path out: (to, ..., output's z, output's a)."""
    group_of = [g for g, size in enumerate(groups) for _ in range(size)]
    n_layers, paths, factors = len(sizes), 0, 0
    for l in range(1, n_layers):
        neurons = [range(n) for n in sizes[l:]]
        for path in product(*neurons, range(sizes[-1])):
            if group_of[path[-2]] != group_of[path[-1]]:
                continue
            names = ["dz/dtheta", *("da/dz", "dz/da") * (len(path) - 2), "da/dz", "dJ/da"]
            paths, factors = paths + sizes[l - 1], factors + sizes[l - 1] * len(names)
    return paths, factors


@pytest.mark.parametrize("output", ["elementwise", "softmax"])
def test_every_shape_up_to_4_4_4_4_by_enumeration(output):
    for sizes in SHAPES:
        counts = rp.explain.count_terms(sizes, output)
        groups = (1,) * sizes[-1] if output == "elementwise" else (sizes[-1],)
        assert (counts.paths, counts.without_sharing) == enumerated(sizes, groups), sizes


def test_groups_of_a_softmax_by_enumeration():
    for sizes, groups in (((2, 3, 4), (1, 3)), ((2, 2, 4), (2, 2)), ((1, 2, 5), (2, 3))):
        counts = rp.explain.count_terms(sizes, groups)
        assert (counts.paths, counts.without_sharing) == enumerated(sizes, groups)


def test_the_source_texts_counts():
    assert rp.explain.count_terms([1, 1, 1]).without_sharing == 8
    assert rp.explain.count_terms([2, 2, 2]).without_sharing == 52
    assert [one.without_sharing for one in rp.explain.count_terms([2, 2, 2]).by_layer] == [40, 12]
    assert rp.explain.count_terms([1, 1, 1]).with_sharing == 5
    assert rp.explain.count_terms([2, 2, 2]).with_sharing == 18


class Counted:
    """A number that counts the products and sums that it takes part in."""

    made = 0

    def __mul__(self, other):
        Counted.made += 1
        return Counted()

    __add__ = __mul__


class Given:
    """An activation whose derivative is a factor at hand."""

    def value(self, z, xp):
        return z

    def derivative(self, z, a, xp):
        return objects(a.shape)

    needs_z = False


def objects(shape):
    return np.array([Counted() for _ in range(int(np.prod(shape)))], dtype=object).reshape(shape)


def made_by_the_recursion(sizes, output):
    """Return the operations of the library's own steps, run on numbers that count them."""
    operations, f = Operations(np), rp.activations.get(Given())
    thetas = [objects(shape) for shape in zip(sizes[1:], sizes[:-1], strict=True)]
    a = [objects((1, n)) for n in sizes]
    Counted.made = 0
    if output == "softmax":
        delta = objects((1, sizes[-1])) @ objects((sizes[-1], sizes[-1]))
    else:
        delta = f.pull_back(objects((1, sizes[-1])), None, a[-1], np)
    for l in range(len(thetas), 0, -1):
        operations.gradient(l, delta, a[l - 1], has_bias=False)
        if l > 1:
            delta = operations.delta(l - 1, delta, thetas[l - 1], None, a[l - 1], f, None)
    return Counted.made


@pytest.mark.parametrize("output", ["elementwise", "softmax"])
def test_with_sharing_is_counted_while_the_recursion_runs(output):
    for sizes in SHAPES[::7] + [(1, 1, 1), (2, 2, 2), (4, 4, 4, 4)]:
        assert rp.explain.count_terms(sizes, output).with_sharing == made_by_the_recursion(sizes, output), sizes


def test_large_networks_are_exact():
    sizes = [1000] * 30
    assert rp.explain.count_terms(sizes).without_sharing == sum((3 + 2 * k) * 1000 ** (k + 2) for k in range(29))


@pytest.mark.parametrize(
    ("sizes", "output", "words"),
    [
        ("2-2-2", "elementwise", "must be a list of whole numbers"),
        ([2, 2.5], "elementwise", "must be whole numbers"),
        ([2], "elementwise", "two sizes or more"),
        ([2, 0], "elementwise", "1 or above"),
        ([2, 2], "sigmoid", 'must be "elementwise", "softmax"'),
        ([2, 3], [1, 1], "must add up to 3"),
    ],
)
def test_bad_input(sizes, output, words):
    with pytest.raises((TypeError, ValueError), match=words):
        rp.explain.count_terms(sizes, output)


def test_the_plot_draws_the_counts(tmp_path):
    pytest.importorskip("matplotlib", reason="a plot is matplotlib's")
    axes = rp.explain.plot_terms([2], most_layers=4, dark=True, path=tmp_path / "counts.svg").axes[0]
    assert "<desc>" in (tmp_path / "counts.svg").read_text()
    without, shared = (line.get_ydata().tolist() for line in axes.lines)
    assert without == [12, 52, 164]
    assert shared == [rp.explain.count_terms([2] * n).with_sharing for n in (2, 3, 4)]
    with pytest.raises(ValueError, match="most_layers must be 3"):
        rp.explain.plot_terms(most_layers=2)
    with pytest.raises(ValueError, match="path must end in"):
        rp.explain.plot_terms(path="counts.gif")
    with pytest.raises(ValueError, match="widths must be 1 to 5"):
        rp.explain.plot_terms([])
