"""The library's own functions called with symbols: SymPy's derivative of each value is its derivative."""

import numpy as np
import pytest
from symbolic import branch, is_zero

from retroprop.explain.expressions import of
from retroprop.explain.formula_text import LATEX, TEXT, written
from retroprop.explain.naming import Quantity, of_neuron
from retroprop.explain.recognition import SPECIAL, named
from retroprop.explain.symbols import SymbolArray, SymbolNamespace
from retroprop.explain.sympy_form import symbol, to_sympy
from retroprop.functions import activations, losses, outputs, special

sympy = pytest.importorskip("sympy")
XP = SymbolNamespace()
Z, A, Y = (SymbolArray([Quantity(letter, None, (j,)) for j in (1, 2)]) for letter in ("z", "a", "y"))


def at(**numbers):
    """Return the point where the quantities of a letter have these numbers."""
    return lambda quantity: numbers[quantity.letter][quantity.neurons[0] - 1]


@pytest.mark.parametrize("name", activations.elementwise_names())
@pytest.mark.parametrize("z", [-0.7, 1.3])
def test_an_activations_derivative_is_sympys(name, z):
    f = activations.get(name)
    value = f.value(Z, XP).items[0]
    # gelu's Φ is a rational approximation, whose derivative is φ to the last digit only: by name it is exact.
    value = named(value) if name == "gelu" else value
    value, number = branch(value, at(z=[z]))
    derivative, _ = branch(named(f.derivative(Z, A, XP).items[0]), at(z=[z], a=[number]))
    z_1 = symbol(Quantity("z", None, (1,)))
    expected = sympy.diff(to_sympy(value), z_1)
    ours = to_sympy(derivative).subs(symbol(Quantity("a", None, (1,))), to_sympy(value))
    assert is_zero(expected - ours)
    assert f.derivative(np.asarray([z]), f.value(np.asarray([z]), np), np) == pytest.approx(
        float(expected.subs(z_1, z)), rel=1e-12
    )


@pytest.mark.parametrize("z", [[0.3, -1.0], [-1.0, 0.3]])
def test_the_jacobian_of_softmax_is_sympys(z):
    f = activations.get("softmax")
    values = [branch(item, at(z=z))[0] for item in f.value(Z, XP).items]
    a = {symbol(Quantity("a", None, (j + 1,))): to_sympy(value) for j, value in enumerate(values)}
    for o, value in enumerate(values):
        ours = f.pull_back(SymbolArray(np.eye(2)[o].astype(object)), Z, A, XP).items
        for k in (0, 1):
            expected = sympy.diff(to_sympy(value), symbol(Quantity("z", None, (k + 1,))))
            assert is_zero(expected - to_sympy(ours[k]).subs(a))


# A point on either side of each loss's branches
POINTS = {
    "squared_error": [(0.5, 0.2)],
    "absolute_error": [(0.5, 0.2), (0.2, 0.5)],
    "huber": [(0.5, 0.2), (0.2, 0.5), (3.0, 0.5), (-3.0, 0.5)],
    "log_cosh": [(0.5, 0.2), (0.2, 0.5), (3.0, 0.5), (-3.0, 0.5)],
    "quantile": [(0.5, 0.2), (0.2, 0.5)],
    "poisson": [(0.5, 0.2), (0.2, 0.0)],
    "binary_cross_entropy": [(0.5, 0.2)],
    "cross_entropy": [(0.5, 0.2)],
}


@pytest.mark.parametrize(("name", "a", "y"), [(name, *point) for name in losses.LOSSES for point in POINTS[name]])
def test_a_losss_derivative_is_sympys(name, a, y):
    loss = losses.get(name)
    point = at(a=[a, 0.4], y=[y, 0.3])
    value, _ = branch(loss.value(A, Y, XP).items[()], point)
    derivative, _ = branch(named(loss.derivative(A, Y, XP).items[0]), point)
    expected = sympy.diff(to_sympy(value), symbol(Quantity("a", None, (1,))))
    difference = expected - to_sympy(derivative)
    # Where y is 0, y log y is left out by the branch, and y itself is the number 0.
    assert is_zero(difference.subs(symbol(Quantity("y", None, (1,))), 0) if y == 0.0 else difference)


@pytest.mark.parametrize("name", [name for name, loss in losses.LOSSES.items() if loss.link])
def test_the_error_of_a_pair_is_sympys_derivative_of_its_cost(name):
    loss = losses.get(name)
    output = outputs.pair(activations.get(loss.link), loss)
    point = at(z=[0.7, -0.2], y=[0.25, 0.75])
    value, _ = branch(output.value(Z, A, Y, XP).items[()], point)
    a = [branch(item, point)[0] for item in output.activation.value(Z, XP).items]
    into = {symbol(Quantity("a", None, (j + 1,))): to_sympy(item) for j, item in enumerate(a)}
    error = to_sympy(output.error(Z, A, Y, XP).items[0]).subs(into)
    difference = sympy.diff(to_sympy(value), symbol(Quantity("z", None, (1,)))) - error
    ones = {symbol(Quantity("y", None, (2,))): 1 - symbol(Quantity("y", None, (1,)))}  # a row of probabilities
    assert is_zero(difference.subs(ones) if name == "cross_entropy" else difference)


@pytest.mark.parametrize("name", SPECIAL)
@pytest.mark.parametrize("z", [-7.5, -0.3, 0.2, 3.0, 9.0])
def test_a_recognised_function_has_sympys_number(name, z):
    function = named(getattr(special, name)(Z, XP).items[0])
    assert function == named(function)
    assert (function.op, function.args) == (name, (of(Quantity("z", None, (1,))),))
    ours = float(getattr(special, name)(np.asarray([z]), np)[0])
    assert ours == pytest.approx(
        float(to_sympy(function).subs(symbol(Quantity("z", None, (1,))), z).evalf(30)), rel=1e-13
    )


@pytest.mark.parametrize(
    ("name", "text", "latex"),
    [
        ("sigmoid", "a^(2)_1 · (1 − a^(2)_1)", r"a_{1}^{(2)} \cdot \left(1 - a_{1}^{(2)}\right)"),
        ("tanh", "1 − (a^(2)_1)²", r"1 - \left(a_{1}^{(2)}\right)^{2}"),
        ("relu", "[a^(2)_1 > 0]", r"\left[a_{1}^{(2)} > 0\right]"),
        ("elu", "min(a^(2)_1, 0) + 1", r"\min\left(a_{1}^{(2)}, 0\right) + 1"),
        ("softplus", "1 − exp(−a^(2)_1)", r"1 - e^{-a_{1}^{(2)}}"),
        (
            "gelu",
            "Φ(z^(2)_1) + z^(2)_1 · φ(z^(2)_1)",
            r"\Phi\left(z_{1}^{(2)}\right) + z_{1}^{(2)} \cdot \varphi\left(z_{1}^{(2)}\right)",
        ),
    ],
)
def test_a_derivative_reads_as_in_a_book(name, text, latex):
    z, a = (SymbolArray([of_neuron(letter, 2, 1)]) for letter in ("z", "a"))
    formula = named(activations.get(name).derivative(z, a, XP).items[0])
    assert (written(formula, TEXT), written(formula, LATEX)) == (text, latex)


def test_parentheses_stand_where_the_order_needs_them():
    a, b, c = (of(Quantity(letter)) for letter in "abc")
    for formula, text in [
        (a - (b - c), "a − (b − c)"),
        (a - (b + c), "a − (b + c)"),
        (a - b + c, "a − b + c"),
        (a * (b / c), "a · (b / c)"),
        (a / (b * c), "a / (b · c)"),
        (a * b / c, "a · b / c"),
        (-(a * b), "−a · b"),
        (a * (b + c) * (b + c), "a · (b + c) · (b + c)"),
        ((b + c) * (b + c), "(b + c)²"),
        (0.0 * a + b * 1.0 - 0.0, "b"),
        (a + -b, "a − b"),
        (-a * -b, "a · b"),
    ]:
        assert written(formula, TEXT) == text


def test_a_number_put_in_stands_in_parentheses_where_a_sign_is_before_it():
    a, b, c = (of(Quantity(letter)) for letter in "abc")
    style = TEXT.with_leaf(lambda quantity: {"a": "−1", "b": "−2", "c": "3"}[quantity.letter])
    for formula, text in [
        (a - b, "−1 − (−2)"),
        (a * c, "−1 · 3"),
        (c * (a + b), "3 · (−1 + (−2))"),
        (c + (a + b), "3 + (−1) + (−2)"),
        (-a, "−(−1)"),
        (c - a * a, "3 − (−1)²"),
        (a / b, "−1 / (−2)"),
        (c * (a / b), "3 · ((−1) / (−2))"),
    ]:
        assert written(formula, style) == text


def test_a_row_of_a_thousand_is_no_deep_tree():
    z = SymbolArray([[Quantity("z", None, (j,)) for j in range(1, 1001)]])
    total = XP.sum(z, axis=-1, keepdims=True)
    assert total.shape == (1, 1)
    assert written(named(total.items[0, 0]), TEXT) == " + ".join(item.args[0].unicode for item in z.items[0])
    assert XP.matmul(z, XP.matrix_transpose(z)).items[0, 0] == XP.sum(XP.square(z), axis=-1).items[0]


def test_a_function_without_a_symbol_is_named():
    with pytest.raises(ValueError, match=r"calls xp\.arctan, for which a derivation has no symbol"):
        XP.arctan(Z)
