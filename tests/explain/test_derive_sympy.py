"""SymPy's derivative of the whole cost, composed by the library's own core over symbols, is the derivation."""

import itertools

import numpy as np
import pytest
from symbolic import branch, is_zero

import retroprop as rp
from retroprop.core.backward import backward, evaluate
from retroprop.core.forward import forward
from retroprop.explain.derivation_sympy import symbolic_parameters
from retroprop.explain.factor_formulas import OPERATIONS
from retroprop.explain.naming import Quantity, theta
from retroprop.explain.recognition import named
from retroprop.explain.symbols import SymbolArray
from retroprop.explain.sympy_form import symbol, to_sympy

sympy = pytest.importorskip("sympy")
PAIRS = [
    ("sigmoid", "sigmoid", "squared_error"),
    ("tanh", "identity", "squared_error"),
    ("softplus", "sigmoid", "binary_cross_entropy"),
    ("identity", "exp", "poisson"),
    pytest.param("sigmoid", "tanh", "log_cosh", marks=pytest.mark.long),
]


def rows(letter, m, n):
    return SymbolArray(
        [[Quantity(letter, None, (k + 1,), i + 1 if m > 1 else None) for k in range(n)] for i in range(m)]
    )


def composed_cost(net, m, weights):
    """Return J of symbols, by the core's own `evaluate`."""
    sizes = net.layer_sizes
    parameters = symbolic_parameters(sizes, has_bias=net.architecture.bias)
    weight = SymbolArray([Quantity("w", None, (), i + 1) for i in range(m)]) if weights else None
    x, y = rows("x", m, sizes[0]), rows("y", m, sizes[-1])
    cost, _ = evaluate(OPERATIONS, net.architecture, parameters, x, y, weight)
    return named(cost.items[()])


def point(seed=3):
    rng, numbers = np.random.default_rng(seed), {}
    return lambda quantity: numbers.setdefault(quantity, float(rng.uniform(0.2, 0.8)))


def every_parameter(net):
    for layer, (n_in, n_out) in enumerate(itertools.pairwise(net.layer_sizes), start=1):
        for to in range(1, n_out + 1):
            if net.architecture.bias:
                yield "bias", {"layer": layer, "to": to}
            for from_ in range(1, n_in + 1):
                yield "theta", {"layer": layer, "to": to, "from_": from_}


@pytest.mark.parametrize(("hidden", "output", "loss"), PAIRS)
def test_1_1_1(hidden, output, loss):
    net = rp.Network([1, 1, 1], hidden=hidden, output=output, loss=loss, seed=0)
    cost = to_sympy(branch(composed_cost(net, 1, False), point())[0])
    for of, where in every_parameter(net):
        d = rp.explain.derive(net, of, **where)
        assert is_zero(sympy.diff(cost, symbol(d.target.quantity)) - d.composed)


@pytest.mark.parametrize(("hidden", "output", "loss"), PAIRS[:2])
def test_2_2_2(hidden, output, loss):
    net = rp.Network([2, 2, 2], hidden=hidden, output=output, loss=loss, bias=False, l2=0.5, seed=0)
    cost = to_sympy(branch(composed_cost(net, 1, False), point())[0])
    for of, where in every_parameter(net):
        d = rp.explain.derive(net, of, **where)
        assert is_zero(sympy.diff(cost, symbol(d.target.quantity)) - d.composed)


@pytest.mark.parametrize("weights", [pytest.param(None, marks=pytest.mark.long), [1.0, 3.0]])
def test_softmax_crosses_and_observations_are_averaged(weights):
    net = rp.Network([2, 2, 2], hidden="sigmoid", output="softmax", loss="cross_entropy", bias=False, l1=0.25, seed=0)
    cost = to_sympy(branch(composed_cost(net, 2, weights), point())[0])
    data = {"x": [[0.5, 0.25], [0.1, 0.9]], "y": [[0.25, 0.75], [0.5, 0.5]], "sample_weight": weights}
    d = rp.explain.derive(net, "theta", layer=1, to=1, from_=2, **data)
    # Softmax stays the same where one number is subtracted from every z, whichever of them is the largest.
    ours = d.composed.replace(sympy.Max, lambda *z: z[0]).replace(sympy.sign, lambda _: 1)  # of the point
    ones = {symbol(Quantity("y", None, (2,), row)): 1 - symbol(Quantity("y", None, (1,), row)) for row in (1, 2)}
    assert is_zero((sympy.diff(cost, symbol(theta(1, 1, 2))) - ours).subs(ones))


def test_the_recursion_run_over_symbols_is_the_sum_over_paths():
    net = rp.Network([2, 2, 2], hidden="tanh", output="identity", loss="huber", seed=0)
    parameters = symbolic_parameters(net.layer_sizes, has_bias=True)
    trace = forward(OPERATIONS, net.architecture, parameters, rows("x", 1, 2))
    gradient = backward(OPERATIONS, net.architecture, parameters, trace, rows("y", 1, 2), wrt_input=True)
    for of, where, ours in [
        ("theta", {"layer": 1, "to": 2, "from_": 1}, gradient.thetas[0].items[1, 0]),
        ("bias", {"layer": 2, "to": 1}, gradient.biases[1].items[0]),
        ("x", {"from_": 2}, gradient.x.items[0, 1]),
    ]:
        d = rp.explain.derive(net, of, **where)
        assert is_zero(d.composed - to_sympy(named(ours)))


def test_the_expression_has_the_number_of_the_derivation():
    net = rp.Network([2, 3, 2], hidden=["gelu"], output="softmax", loss="squared_error", l2=0.1, dropout=0.5, seed=4)
    x, y = [[0.5, -1.0], [1.0, 2.0]], [[0.2, 0.8], [1.0, 0.0]]
    d = rp.explain.derive(
        net, "theta", layer=1, to=2, from_=1, x=x, y=y, sample_weight=[1, 2], masks=[[[1, 1, 0], [0, 1, 1]]]
    )
    numbers = {}
    for row in (1, 2):
        for part in (f.part for factors in d.chains for f in factors):
            collect(part, row, d, numbers)
    numbers[symbol(d.target.quantity)] = d.at(1).quantity(d.target.quantity)
    assert float(d.sympy.xreplace(numbers)) == pytest.approx(d.value, rel=1e-12)


def collect(part, row, d, numbers):
    """Put the numbers of a formula's quantities, for one observation, under their symbols."""
    if part.op == "quantity":
        (quantity,) = part.args
        if quantity.letter not in ("m", "sum_w"):
            marked = quantity._replace(row=row) if quantity.letter != "theta" else quantity
            numbers[symbol(marked)] = d.at(row).quantity(quantity)
    elif part.op != "number":
        for one in part.args:
            collect(one, row, d, numbers)
