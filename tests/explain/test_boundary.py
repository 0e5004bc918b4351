"""Snapshots of a training, and the decision boundary of two inputs drawn from them."""

import numpy as np
import pytest

import retroprop as rp
from retroprop.explain import Snapshots, style

pytest.importorskip("matplotlib", reason="a picture needs matplotlib")

RNG = np.random.default_rng(0)
X = RNG.normal(size=(12, 2))
BINARY = {"output": "sigmoid", "loss": "binary_cross_entropy"}
CLASSES = {"output": "softmax", "loss": "cross_entropy"}


def named(figure):
    return {one.get_gid(): one for one in figure.findobj(lambda one: one.get_gid())}


def lines_of(axes):
    """Return the vertices of the contour lines: those sets of paths that are not filled."""
    sets = [one for one in axes.collections if type(one).__name__ == "QuadContourSet" and not one.filled]
    return np.concatenate([path.vertices for one in sets for path in one.get_paths()])


def test_snapshots_are_the_networks_of_those_epochs():
    def net():
        return rp.Network([2, 3, 1], hidden="tanh", seed=0, **BINARY)

    snapshots, y = Snapshots([3, 0, 50, 1]), (X[:, 0] > 0).astype(float)
    rp.fit(net(), X, y, epochs=4, batch_size=5, seed=7, callbacks=[snapshots])
    assert [snapshot.epoch for snapshot in snapshots.kept] == [0, 1, 3]
    np.testing.assert_array_equal(snapshots.kept[0].network.thetas[0], net().thetas[0])
    stopped = net()
    rp.fit(stopped, X, y, epochs=3, batch_size=5, seed=7, callbacks=[Snapshots(1)])
    for one, other in zip(snapshots.kept[2].network.thetas, stopped.thetas, strict=True):
        np.testing.assert_array_equal(one, other)
    rp.fit(net(), X, y, epochs=1, callbacks=[snapshots])
    assert [snapshot.epoch for snapshot in snapshots.kept] == [0, 1]  # of the latest training


@pytest.mark.parametrize("dark", [False, True])
def test_one_sigmoid_output_has_its_boundary_at_one_half(dark):
    # p = 1/2 where 2 x_1 − 1 = 0
    net = rp.Network.from_parameters([[[2.0, 0.0]]], [[-1.0]], **BINARY)
    y = X[:, 0] > 0.5
    figure = rp.explain.boundary(net, X, y.astype(float), dark=dark)
    (panel,) = (axes for axes in figure.axes if axes.get_gid() == "panel-1")
    line = lines_of(panel)
    np.testing.assert_allclose(line[:, 0], 0.5, atol=1e-4)
    parts = named(figure)
    np.testing.assert_allclose(parts["points-1"].get_offsets(), X[y])
    np.testing.assert_allclose(parts["points-0"].get_offsets(), X[~y])
    assert parts["title-1"].get_text() == f"J = {float(net.cost(X, y.astype(float))):.3g}"
    assert panel.get_facecolor()[:3] == figure.get_facecolor()[:3]


def test_softmax_divides_the_plane_where_two_classes_are_equal():
    # Classes 0 and 1 meet at x_1 = 0 where class 2, whose z is x_2 − 100, is far below both.
    net = rp.Network.from_parameters([[[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0]]], [[0.0, 0.0, -100.0]], **CLASSES)
    figure = rp.explain.boundary(net, X, np.arange(12) % 3)
    np.testing.assert_allclose(lines_of(figure.axes[0])[:, 0], 0.0, atol=0.02)
    colors = [named(figure)[f"points-{k}"].get_facecolor()[0] for k in range(3)]
    assert len({tuple(color) for color in colors}) == 3
    rows = rp.explain.boundary(net, X, np.eye(3)[np.arange(12) % 3])
    np.testing.assert_array_equal(named(rows)["points-2"].get_offsets(), named(figure)["points-2"].get_offsets())


def test_a_regression_has_one_scale_in_all_panels(tmp_path):
    snapshots, y = Snapshots((0, 1, 2, 3)), 5.0 * X[:, 0]
    rp.fit(rp.Network([2, 4, 1], hidden="tanh", seed=1), X, y, epochs=3, callbacks=[snapshots])
    path = tmp_path / "regression.svg"
    figure = rp.explain.boundary(snapshots, X, y, columns=2, path=path)
    panels = [axes for axes in figure.axes if axes.get_gid()]
    filled = [one for axes in panels for one in axes.collections if type(one).__name__ == "QuadContourSet"]
    assert len(panels) == len(filled) == 4
    assert {tuple(one.levels) for one in filled} == {tuple(filled[0].levels)}
    assert filled[0].levels[0] <= y.min() and filled[0].levels[-1] >= y.max()  # noqa: PT018
    titles = [axes.get_title(loc="left") for axes in panels]
    assert [title.partition(",")[0] for title in titles] == [f"epoch {epoch}" for epoch in range(4)]
    assert "at 4 epochs" in path.read_text()
    renderer = figure.canvas.get_renderer()
    boxes = [axes.get_tightbbox(renderer) for axes in figure.axes]
    assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])


@pytest.mark.parametrize(
    ("what", "line"),
    [
        (lambda: Snapshots(()), "epochs of Snapshots is empty"),
        (lambda: Snapshots([1, -1]), "must be 0 or above, not -1"),
        (lambda: Snapshots("all"), "must be whole numbers; 'all' is not one"),
        (lambda: rp.explain.boundary(Snapshots([7]), X, X[:, 0]), r"snapshots is empty: .* epochs \[7\]"),
        (lambda: rp.explain.boundary([], X, X[:, 0]), "must be a Network"),
        (lambda: rp.explain.boundary(rp.Network([3, 1]), X, X[:, 0]), "needs a network with 2 inputs; this one has 3"),
        (lambda: rp.explain.boundary(rp.Network([2, 2]), X, X), "this network has 2 outputs without it"),
        (
            lambda: rp.explain.boundary(rp.Network([2, 10], **CLASSES), X, [1] * 12),
            "for 8 classes; this network has 10",
        ),
        (lambda: rp.explain.boundary(rp.Network([2, 1]), X[:, :1], X[:, 0]), "x has 1 columns"),
        (lambda: rp.explain.boundary(rp.Network([2, 1]), X, X[:3, 0]), "y must have the shape"),
        (lambda: rp.explain.boundary(rp.Network([2, 1]), X, X[:, 0], columns=0), "columns must be"),
        (lambda: rp.explain.boundary(rp.Network([2, 1]), X, X[:, 0], path="a.jpg"), "path must end in"),
    ],
)
def test_bad_input_is_one_line(what, line):
    with pytest.raises((TypeError, ValueError), match=line) as error:
        what()
    assert "\n" not in str(error.value)


def test_there_are_markers_and_colours_for_as_many_classes():
    from retroprop.explain.boundary import _MARKERS

    assert len(set(_MARKERS)) == len(_MARKERS) == len(style.LIGHT.colors) == len(style.DARK.colors)
