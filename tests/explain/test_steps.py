"""The seven steps and the three products: every formula printed is computed anew, from its symbols and its numbers."""

import numpy as np
import pytest
from networks import KINDS, network
from written_out import check_formulas

import retroprop as rp


@pytest.mark.parametrize("kind", KINDS)
def test_every_formula_of_the_seven_steps(kind):
    net, x, y, weight = network(kind)
    steps = rp.explain.steps(net, x, y, weight)
    about = check_formulas(steps, steps.trace)
    shown = min(len(x), 2)
    softmax = not net.architecture.output.activation.elementwise
    z_and_a = 2 * shown * sum(net.layer_sizes[1:]) - softmax * shown * net.layer_sizes[-1]
    deltas = shown * sum(net.layer_sizes[1:])
    weights = sum(min(theta.size, 8) for theta in net.thetas)
    assert len(about) == len(set(about)) == z_and_a + deltas + weights + sum(b.size for b in net.biases)


def test_the_steps_stand_in_the_source_texts_order():
    heads = [line for line in str(rp.explain.steps(*network("classes"))).splitlines() if line[:2].strip(".").isdigit()]
    assert [line[:2] for line in heads] == ["1.", "2.", "3.", "4.", "5.", "6.", "7.", "5.", "6.", "7."]
    assert heads[3] == "4. Go back one layer, l = 3"
    assert heads[6] == "7. Repeat 4 to 6: go back one layer, l = 2"
    linear = str(rp.explain.steps(*network("linear")))
    assert "There is no hidden layer" in linear
    assert "4. Go back" not in linear


def test_the_output_says_where_its_error_term_comes_from():
    said = {kind: str(rp.explain.steps(*network(kind))) for kind in KINDS}
    assert "identity with squared_error the factors simplify to a − y, times 1/m." in said["identity"]
    assert "softmax with cross_entropy the factors simplify to a − y, times w/Σw." in said["classes"]
    assert "every z of its layer: a Jacobian, no elementwise f′" in said["softmax"]
    assert "every z of its group: a Jacobian, no elementwise f′" in said["grouped"]
    assert "every output depends on every z of its group" in str(rp.explain.trace(*network("grouped")))
    assert "∂J/∂a includes the factor w/Σw of its observation." in said["weighted"]
    assert "simplify" not in said["general"]
    assert "1/m" not in said["general"]
    assert "penalties included" in said["softmax"]
    assert "+ b^(1)" not in said["weighted"]


def test_a_large_network_says_how_much_is_left_out():
    net = rp.Network([64, 100, 10], seed=0, backend="numpy")
    text = str(rp.explain.steps(net, np.ones((3, 64)), np.zeros((3, 10))))
    assert "(59 more)" in text, "of 64 products and a bias, six are written"
    assert f"… and {300 - 8} more: values of layer 2" in text
    assert "… and 6,392 more: weights of Θ^(1)" in text
    assert "… and 96 more: biases of b^(1)" in text
    assert text.count("\n") < 120


@pytest.mark.parametrize(("kind", "layer"), [(kind, 1) for kind in KINDS] + [("classes", 2), ("classes", 3)])
def test_every_formula_of_the_three_products(kind, layer):
    net, x, y, weight = network(kind)
    explained = rp.explain.transpose(net, x, y, layer=layer, sample_weight=weight)
    n_to, n_from = net.thetas[layer - 1].shape
    about = check_formulas(explained, explained.numbers)
    assert len(about) == n_to + n_from + min(n_to, 2) * min(n_from, 2)
    text, m = str(explained), len(x)
    assert f"z^({layer + 1}) = {'x' if layer == 1 else f'a^({layer})'} Θ^({layer})ᵀ" in text
    for shapes in (
        f"({m} × {n_from}) ({n_from} × {n_to}) = ({m} × {n_to})",
        f"({m} × {n_to}) ({n_to} × {n_from}) = ({m} × {n_from})",
        f"({n_to} × {m}) ({m} × {n_from}) = ({n_to} × {n_from})",
    ):
        assert f"Shapes: {shapes}" in text
    assert ("at layer 1 that is ∂J/∂x" in text) == (layer == 1)
    assert ("The penalties then add" in text) == (kind == "softmax")


def matrices(explanation):
    """Return the numbers of the matrices of every equation, in order."""
    from retroprop.explain.document import Grid, MatrixEquation

    parts = [part for block in explanation.blocks if isinstance(block, MatrixEquation) for part in block.parts]
    grids = [[["".join(s.text for s in run) for run in row] for row in p.rows] for p in parts if isinstance(p, Grid)]
    return [np.array(grid, dtype=float) for grid in grids if grid[0][0].strip("-")[0].isdigit()]


def test_the_matrices_are_those_of_the_network():
    net, x, y, _ = network("identity")
    g, a = net.gradient(x, y), net.forward(x, keep_z=True)
    found = matrices(rp.explain.transpose(net, x, y, layer=2))
    theta, back = net.thetas[1], g.deltas[2][:1] @ net.thetas[1]
    forward = [theta, a.a[1][:1], theta.T, net.biases[1][None], a.z[2][:1]]
    backward = [g.deltas[2][:1], theta, back, back, 1.0 - a.a[1][:1] ** 2, g.deltas[1][:1]]
    expected = [*forward, *backward, g.deltas[2].T, a.a[1], g.thetas[1]]
    assert len(found) == len(expected)
    for shown, true in zip(found, expected, strict=True):
        np.testing.assert_allclose(shown, true, rtol=1e-5)


@pytest.mark.parametrize("layer", [0, 3, True, "1", None])
def test_a_layer_that_does_not_exist(layer):
    net, x, y, _ = network("general")
    with pytest.raises(ValueError, match="layers of Θ go from 1 to 2"):
        rp.explain.transpose(net, x, y, layer=layer)
    net, x, y, _ = network("linear")
    with pytest.raises(ValueError, match="it has one, layer=1"):
        rp.explain.transpose(net, x, y, layer=2)
