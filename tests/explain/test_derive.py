"""The sum over all paths is the gradient of the recursion, for every parameter of random networks."""

import itertools
from math import fsum

import numpy as np
import pytest
from harness import ON_A_CPU, needing, open_backend

import retroprop as rp
from retroprop.core.backward import backward
from retroprop.core.forward import forward
from retroprop.explain.chain import Target, all_paths, count
from retroprop.explain.derivation_input import factor_values
from retroprop.explain.factor_values import measured_paths
from retroprop.explain.largest_paths import largest_paths
from retroprop.functions import activations, losses

ELEMENTWISE = activations.elementwise_names()
N_NETWORKS = 200


def random_network(seed):
    """Return a network, and x, y and weights: every activation, loss and output in turn, the rest drawn."""
    rng = np.random.default_rng(seed)
    loss = list(losses.LOSSES)[seed % len(losses.LOSSES)]
    low, high = losses.LOSSES[loss].output_range
    fits = [name for name, f in activations.ACTIVATIONS.items() if low <= f.range[0] and f.range[1] <= high]
    output = fits[seed // len(losses.LOSSES) % len(fits)]
    n_layers = int(rng.integers(2, 6))
    sizes = [int(n) for n in rng.integers(1, 4, n_layers)]
    sizes[-1] = max(sizes[-1], 2) if output == "softmax" or loss == "cross_entropy" else sizes[-1]
    hidden = [ELEMENTWISE[(seed + l) % len(ELEMENTWISE)] for l in range(n_layers - 2)]
    net = rp.Network(
        sizes,
        hidden=hidden,
        output=output,
        loss=loss,
        initializer=rp.initializers.Normal(std=0.8),
        bias=bool(seed % 2),
        l2=float(rng.choice([0.0, 0.3])),
        l1=float(rng.choice([0.0, 0.2])),
        dropout=0.25,
        seed=seed,
        dtype="float64",
    )
    m = int(rng.integers(1, 4))
    y = rng.uniform(0.1, 0.9, (m, sizes[-1]))
    y = y / y.sum(axis=1, keepdims=True) if loss == "cross_entropy" else y
    weight = rng.uniform(0.5, 2.0, m) if seed % 3 == 0 else None
    return net, rng.normal(size=(m, sizes[0])), y, weight


def every_target(net, m):
    """Yield the target of every parameter, and of every input."""
    for layer, (n_in, n_out) in enumerate(itertools.pairwise(net.layer_sizes), start=1):
        for to in range(1, n_out + 1):
            yield from (Target("theta", layer, to, from_) for from_ in range(1, n_in + 1))
            if net.architecture.bias:
                yield Target("bias", layer, to, 0)
    for row, from_ in itertools.product(range(1, m + 1), range(1, net.layer_sizes[0] + 1)):
        yield Target("x", 0, 0, from_, row)


def entry(gradient, target):
    """Return the partial derivative of a target in a `Gradient`."""
    if target.kind == "x":
        return gradient.x[target.row - 1, target.from_ - 1]
    if target.kind == "theta":
        return gradient.thetas[target.layer - 1][target.to - 1, target.from_ - 1]
    return gradient.biases[target.layer - 1][target.to - 1]


@pytest.mark.parametrize("tenth", [0, 1, *(pytest.param(tenth, marks=pytest.mark.long) for tenth in range(2, 10))])
def test_the_paths_sum_to_the_gradient_of_every_parameter(tenth):
    for seed in range(tenth, N_NETWORKS, 10):
        net, x, y, weight = random_network(seed)
        values = factor_values(net, x, y, weight, None)
        gradient = net.gradient(x, y, weight, wrt_input=True)
        for target in every_target(net, len(x)):
            rows = [target.row] if target.kind == "x" else range(1, len(x) + 1)
            every = itertools.product(rows, all_paths(net.architecture, target))
            products = [path.product for path in measured_paths(values, target, every)]
            assert len(products) == len(rows) * count(net.architecture, target)
            penalty = values.penalty(target)
            # Terms that cancel leave the rounding of the terms.
            scale = max(abs(entry(gradient, target)), fsum(map(abs, products)) + abs(penalty))
            assert abs(fsum([*products, penalty]) - entry(gradient, target)) <= 1e-12 * scale, (seed, target)


def test_the_random_networks_have_everything():
    nets = [random_network(seed) for seed in range(N_NETWORKS)]
    architectures = [net.architecture for net, *_ in nets]
    assert {f.name for a in architectures for f in a.hidden} == set(ELEMENTWISE)
    assert {a.output.activation.name for a in architectures} == set(activations.ACTIVATIONS)
    assert {a.output.loss.name for a in architectures} == set(losses.LOSSES)
    assert {len(a.layer_sizes) for a in architectures} == {2, 3, 4, 5}
    assert {(bool(a.bias), bool(a.l1), bool(a.l2)) for a in architectures} == set(
        itertools.product([False, True], repeat=3)
    )
    assert {(len(x) > 1, weight is None) for _, x, _, weight in nets} == set(itertools.product([False, True], repeat=2))


ARGUMENTS = {"theta": ("layer", "to", "from_"), "bias": ("layer", "to"), "x": ("from_", "row")}


def derived(net, target, **data):
    return rp.explain.derive(
        net, target.kind, **{name: getattr(target, name) for name in ARGUMENTS[target.kind]}, **data
    )


@pytest.mark.parametrize("seed", range(0, N_NETWORKS, 23))
def test_derive_says_value_recursion_and_difference(seed):
    net, x, y, weight = random_network(seed)
    gradient = net.gradient(x, y, weight, wrt_input=True)
    targets = list(every_target(net, len(x)))
    for target in (targets[0], targets[-1]):
        d = derived(net, target, x=x, y=y, sample_weight=weight, limit=1000)
        scale = fsum(abs(path.product) for path in d.paths) + abs(d.penalty_value)
        assert d.value == pytest.approx(entry(gradient, target), rel=1e-12, abs=1e-12 * scale)
        assert d.recursion == entry(gradient, target)
        assert d.difference == pytest.approx(d.value, rel=1e-6, abs=1e-7 * max(1.0, scale))
        assert f"= {rp_number(d.recursion)}" in d.text


def rp_number(value):
    return f"{value + 0.0:.10g}".replace("-", "−")


@pytest.mark.parametrize("sizes", [[2, 3, 2], [2, 3, 3, 2]])
def test_dropout_masks_are_in_the_paths(sizes):
    rng = np.random.default_rng(5)
    net = rp.Network(sizes, hidden="tanh", output="softmax", loss="cross_entropy", dropout=0.5, seed=1, dtype="float64")
    x, y = rng.normal(size=(3, 2)), [0, 1, 0]
    masks = [rng.integers(0, 2, (3, n)).astype(bool) for n in sizes[1:-1]]
    backend, parameters = net.backend.operations(), net.parameters
    trace = forward(backend, net.architecture, parameters, x, [mask / 0.5 for mask in masks])
    gradient = backward(backend, net.architecture, parameters, trace, np.eye(2)[y], wrt_input=True)
    for target in every_target(net, 3):
        d = derived(net, target, x=x, y=y, masks=masks, limit=1000)
        assert d.value == pytest.approx(entry(gradient, target), rel=1e-12, abs=1e-16)
        assert d.difference == pytest.approx(d.value, rel=1e-6, abs=1e-9)


@pytest.mark.parametrize("name", [needing(name) for name in ON_A_CPU])
def test_numbers_are_float64_on_the_host_wherever_the_network_lives(name):
    backend = open_backend(name)
    net = rp.Network([2, 3, 1], hidden="sigmoid", seed=0, backend=backend)
    same = rp.Network.from_parameters(
        [backend.to_numpy(theta).astype("float64") for theta in net.thetas],
        [backend.to_numpy(bias).astype("float64") for bias in net.biases],
        hidden="sigmoid",
    )
    x, y = [[0.1, 0.2]], [[0.3]]
    d = rp.explain.derive(net, "theta", layer=1, to=2, from_=1, x=x, y=y)
    assert d.value == pytest.approx(same.gradient(x, y).thetas[0][1, 0], rel=1e-12)
    there = rp.explain.derive(
        net, "bias", layer=2, to=1, x=backend.asarray(x, "float32"), y=backend.asarray(y, "float32")
    )
    assert there.value == pytest.approx(same.gradient(x, y).biases[1][0], rel=1e-6)


def test_a_path_has_its_factors_by_name():
    net = rp.Network.from_parameters([[[0.5]], [[2.0]]], hidden="identity", dtype="float64")
    d = rp.explain.derive(net, "theta", layer=1, to=1, from_=1, x=[[3.0]], y=[[1.0]])
    assert d.paths == [
        rp.explain.Path(
            neurons=(1, 1),
            row=1,
            product=12.0,
            factors={
                "∂J/∂a^(3)_1": 2.0,
                "∂a^(3)_1/∂z^(3)_1": 1.0,
                "∂z^(3)_1/∂a^(2)_1": 2.0,
                "∂a^(2)_1/∂z^(2)_1": 1.0,
                "∂z^(2)_1/∂θ^(1)_11": 3.0,
            },
        )
    ]
    symbols = rp.explain.derive(net, "theta", layer=1, to=1, from_=1)
    assert symbols.paths == [d.paths[0]._replace(product=None, factors=dict.fromkeys(d.paths[0].factors))]
    assert (symbols.value, symbols.recursion, symbols.difference) == (None, None, None)


@pytest.mark.parametrize("output", ["softmax", "identity"])
@pytest.mark.parametrize("kind", ["theta", "bias", "x"])
def test_the_largest_paths_are_those_of_the_enumeration(output, kind):
    rng = np.random.default_rng(8)
    net = rp.Network([3, 4, 3, 3], hidden="tanh", output=output, dropout=0.5, seed=2, dtype="float64")
    masks = [rng.integers(0, 2, (4, n)) for n in (4, 3)]
    values = factor_values(net, rng.normal(size=(4, 3)), rng.normal(size=(4, 3)), rng.uniform(0.5, 2.0, 4), masks)
    for target in every_target(net, 4):
        if target.kind != kind:
            continue
        rows = [target.row] if kind == "x" else range(1, 5)
        every = measured_paths(values, target, itertools.product(rows, all_paths(net.architecture, target)))
        expected = sorted((abs(path.product) for path in every), reverse=True)[:6]
        found = measured_paths(values, target, largest_paths(values, target, 6))
        assert len({(path.row, path.neurons) for path in found}) == len(found) == min(6, len(every))
        np.testing.assert_allclose([abs(path.product) for path in found], expected, rtol=1e-12, atol=1e-18)


def test_too_many_paths_are_counted_and_the_largest_written():
    net = rp.Network([784, 100, 100, 100, 10], output="softmax", loss="cross_entropy", seed=0)
    x, y = np.random.default_rng(0).uniform(size=(2, 784)), [3, 7]
    d = rp.explain.derive(net, "theta", layer=1, to=7, from_=400, x=x, y=y, largest=3)
    assert (d.n_paths, len(d.paths)) == (100 * 100 * 10 * 10, 3)
    assert d.value == d.recursion
    assert "1,000,000 paths from θ^(1)_7,400 to J for each observation" in d.text
    assert "= (Σ_p δ^(4)_p · θ^(3)_pq) · [a^(3)_q > 0]" in d.text
    assert {s.name for s in d.sympy.free_symbols} == {
        "delta^(2)_7[1]", "delta^(2)_7[2]", "x_400[1]", "x_400[2]",
    }  # fmt: skip
    with pytest.raises(
        ValueError, match=r"^2,000,000 paths are more than limit=64, so they are not composed; a larger"
    ):
        _ = d.composed


def test_a_wide_softmax_is_explained():
    rng = np.random.default_rng(1)
    net = rp.Network([2, 300], output="softmax", seed=0)
    d = rp.explain.derive(net, "theta", layer=1, to=3, from_=2, x=rng.normal(size=(1, 2)), y=rng.normal(size=(1, 300)))
    assert (d.n_paths, len(d.paths), d.value) == (300, 5, d.recursion)
    assert "δ^(2)_3      = Σ_o ∂J/∂a^(2)_o · ∂a^(2)_o/∂z^(2)_3\n" in d.text


def test_a_saturated_output_is_pointed_out():
    net = rp.Network.from_parameters([[[1.0]]], output="sigmoid", loss="binary_cross_entropy", dtype="float64")
    with pytest.warns(RuntimeWarning, match=r"^the sum of the paths, 0, is not the partial derivative, 800: an output"):
        d = rp.explain.derive(net, "theta", layer=1, to=1, from_=1, x=[[800.0]], y=[[0.0]])
    assert (d.value, d.recursion) == (0.0, 800.0)
    assert "8. The sum is not the recursion: an output is at its limit" in d.text


def test_a_custom_function_without_symbols_still_has_its_numbers():
    class Arctan:
        needs_z = False

        def value(self, z, xp):
            return np.arctan(z)

        def derivative(self, z, a, xp):
            return np.cos(a) ** 2

    class Plain(Arctan):
        needs_z = True

        def derivative(self, z, a, xp):
            return 1.0 / (1.0 + xp.square(z))

    x, y = [[0.5]], [[0.25]]
    net = rp.Network([1, 1, 1], hidden=Arctan(), seed=0, dtype="float64")
    d = rp.explain.derive(net, "theta", layer=1, to=1, from_=1, x=x, y=y)
    assert d.value == pytest.approx(d.difference, rel=1e-8)
    with pytest.raises(TypeError, match="'Arctan' has no formula in symbols, as it does not compute with xp alone"):
        _ = d.text
    net = rp.Network([1, 1, 1], hidden=Plain(), seed=0)
    assert "f′(z^(2)_1) = 1 / (1 + (z^(2)_1)²)" in rp.explain.derive(net, "theta", layer=1, to=1, from_=1).text


def test_a_grouped_softmax_crosses_within_its_groups():
    net = rp.Network(
        [2, 5],
        output=activations.GroupedSoftmax((2, 3)),
        loss=losses.GroupedCrossEntropy((2, 3)),
        seed=0,
        dtype="float64",
    )
    x, y = [[0.5, -1.0]], [[1.0, 0.0, 0.0, 0.0, 1.0]]
    d = rp.explain.derive(net, "theta", layer=1, to=4, from_=2, x=x, y=y)
    assert [path.neurons for path in d.paths] == [(4, 3), (4, 4), (4, 5)]
    assert d.value == pytest.approx(net.gradient(x, y).thetas[0][3, 1], rel=1e-12)
    assert "δ^(2)_4      = ∂J/∂a^(2)_3 · ∂a^(2)_3/∂z^(2)_4" in d.text
