"""Formulas with their numbers: a sum of products in symbols, then the same with the values put in."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from retroprop.explain.document import Run, Span, TextLine, formula, number, shortened, symbol
from retroprop.explain.latex_form import escaped
from retroprop.explain.naming import Quantity, bias, of_neuron, theta
from retroprop.explain.pass_numbers import PassNumbers
from retroprop.functions.outputs import GeneralOutput, ProjectedOutput

TERMS = 6  # written of a sum

EQUALS, PLUS, TIMES = formula(" = ", " = "), formula(" + ", " + "), formula(" · ", r" \cdot ")
_OPEN, _CLOSE = formula("(", r"\left("), formula(")", r"\right)")


class NamedFactor(NamedTuple):
    """A factor of a product: its name and its value."""

    name: Span
    value: float


Term = Sequence[NamedFactor]


def factor(quantity: Quantity, value: float) -> NamedFactor:
    """Return a quantity as a factor."""
    return NamedFactor(symbol(quantity), value)


def equation(left: Run, terms: Sequence[Term], value: float, *, times: NamedFactor | None = None) -> TextLine:
    """Return `left` = Σ terms, times a last factor, in symbols = in numbers = value; of a long sum the first terms."""
    symbols = _sum([[one.name for one in term] for term in terms])
    numbers = _sum([[number(one.value, one.name.role, factor=True) for one in term] for term in terms])
    if times is not None:
        symbols = (*_enclosed(symbols, terms), TIMES, times.name)
        numbers = (*_enclosed(numbers, terms), TIMES, number(times.value, times.name.role, factor=True))
    elif len(terms) == 1 and len(terms[0]) == 1:
        return TextLine((*left, EQUALS, *symbols, EQUALS, number(value, left[-1].role)))
    return TextLine((*left, EQUALS, *symbols, EQUALS, *numbers, EQUALS, number(value, left[-1].role)))


def _sum(terms: Sequence[Sequence[Span]]) -> Run:
    shown, left_out = shortened(terms, TERMS)
    spans: list[Span] = []
    for term in shown:
        spans += [PLUS] if spans else []
        for i, one in enumerate(term):
            spans += [TIMES, one] if i else [one]
    if left_out:
        spans.append(formula(f" + … ({left_out} more)", rf" + \dots \text{{ ({left_out} more)}}"))
    return tuple(spans)


def _enclosed(run: Run, terms: Sequence[Term]) -> Run:
    return run if len(terms) == 1 else (_OPEN, *run, _CLOSE)


# The formulas of the network: layers l from 1, neurons j and k and observations i from 0 -----------------------


def pre_activation(n: PassNumbers, l: int, j: int, i: int) -> TextLine:
    """Return z^(l+1)_j = Σ_k θ^(l)_jk a^(l)_k + b^(l)_j of an observation."""
    z = n.z[l]
    assert z is not None  # a trace keeps every z
    terms: list[Term] = [
        [
            factor(theta(l, j + 1, k + 1), n.thetas[l - 1][j, k]),
            factor(of_neuron("a", l, k + 1, n.row(i)), n.a[l - 1][i, k]),
        ]
        for k in range(n.layer_sizes[l - 1])
    ]
    if n.biases:
        # The bias is written too where the sum is cut short.
        terms.insert(min(len(terms), TERMS - 1), [factor(bias(l, j + 1), n.biases[l - 1][j])])
    return equation((symbol(of_neuron("z", l + 1, j + 1, n.row(i))),), terms, z[i, j])


def activation(n: PassNumbers, l: int, j: int, i: int) -> TextLine:
    """Return a^(l+1)_j = f(z^(l+1)_j) of an observation."""
    f, z = n.architecture.activations[l - 1], n.z[l]
    assert z is not None  # a trace keeps every z
    name = rf"\text{{{escaped(f.name)}}}("
    several = () if f.elementwise else (formula(", …", r", \dots"),)
    return TextLine(
        (
            symbol(of_neuron("a", l + 1, j + 1, n.row(i))),
            EQUALS,
            formula(f"{f.name}(", name),
            symbol(of_neuron("z", l + 1, j + 1, n.row(i))),
            *several,
            formula(")", ")"),
            EQUALS,
            formula(f"{f.name}(", name),
            number(z[i, j], "z"),
            *several,
            formula(")", ")"),
            EQUALS,
            number(n.a[l][i, j], "a"),
        )
    )


def output_is_paired(n: PassNumbers) -> bool:
    """Return whether ∂J/∂a and f′ of the output simplify to a − y."""
    return not isinstance(n.architecture.output, (GeneralOutput, ProjectedOutput))


def output_error(n: PassNumbers, j: int, i: int) -> TextLine:
    """Return δ^(L)_j of an observation: ∂J/∂a f′, over all outputs for a softmax, or (a − y)/m of a pair."""
    last, delta, slopes = len(n.layer_sizes), n.deltas[-1], n.slopes[-1]
    assert delta is not None  # the output has a δ
    left = (symbol(of_neuron("delta", last, j + 1, n.row(i))),)
    if output_is_paired(n):
        a, y = of_neuron("a", last, j + 1, n.row(i)), Quantity("y", None, (j + 1,), n.row(i))
        minus = formula(" − ", " - ")
        share = share_of(n)
        symbols: Run = (_OPEN, symbol(a), minus, symbol(y), _CLOSE)
        numbers: Run = (_OPEN, number(n.a[-1][i, j], "a"), minus, number(n.y[i, j], factor=True), _CLOSE)
        if share is not None:
            symbols, numbers = (*symbols, TIMES, share), (*numbers, TIMES, number(n.share[i]))
        return TextLine((*left, EQUALS, *symbols, EQUALS, *numbers, EQUALS, number(delta[i, j], "delta")))
    if slopes is not None:
        f = factor(of_neuron("f'", last, j + 1, n.row(i)), slopes[i, j])
        return equation(left, [[_to_output(n, j, i), f]], delta[i, j])
    jacobian = n.jacobian(i)
    terms = [[_to_output(n, o, i), _of_jacobian(n, o, j, i, jacobian[o, j])] for o in range(n.layer_sizes[-1])]
    return equation(left, terms, delta[i, j])


def share_of(n: PassNumbers) -> Span | None:
    """Return the name of an observation's factor in J, None where it is 1 for the only one."""
    if n.m == 1 and n.share[0] == 1.0:
        return None
    if np.all(n.share == n.share[0]):
        return formula("1/m", r"\tfrac{1}{m}")
    return formula("w/Σw", r"\tfrac{w}{\sum w}")


def _to_output(n: PassNumbers, o: int, i: int) -> NamedFactor:
    a = of_neuron("a", len(n.layer_sizes), o + 1, n.row(i))
    return NamedFactor(symbol(a, "∂J/∂")._replace(role=None), n.output_slopes[i, o])


def _of_jacobian(n: PassNumbers, o: int, j: int, i: int, value: float) -> NamedFactor:
    last = len(n.layer_sizes)
    a, z = of_neuron("a", last, o + 1, n.row(i)), of_neuron("z", last, j + 1, n.row(i))
    return NamedFactor(Span(f"∂{a.unicode}/∂{z.unicode}", rf"\frac{{\partial {a.latex}}}{{\partial {z.latex}}}"), value)


def error_sent_back(n: PassNumbers, l: int, j: int, i: int) -> TextLine:
    """Return δ^(l)_j = Σ_i δ^(l+1)_i θ^(l)_ij · f′^(l)_j of an observation; for l = 1, ∂J/∂x_j without an f′."""
    above, terms = n.deltas[l], []
    assert above is not None  # every layer but the first has a δ
    for to in range(n.layer_sizes[l]):
        sent = factor(of_neuron("delta", l + 1, to + 1, n.row(i)), above[i, to])
        terms.append([sent, factor(theta(l, to + 1, j + 1), n.thetas[l - 1][to, j])])
    delta, slopes = n.deltas[l - 1], n.slopes[l - 1]
    if delta is None or slopes is None:
        x = of_neuron("a", 1, j + 1, n.row(i))
        return equation((symbol(x, "∂J/∂")._replace(role=None),), terms, n.gradient_x[i, j])
    f = factor(of_neuron("f'", l, j + 1, n.row(i)), slopes[i, j])
    return equation((symbol(of_neuron("delta", l, j + 1, n.row(i))),), terms, delta[i, j], times=f)


def weight_gradient(n: PassNumbers, l: int, j: int, k: int) -> TextLine:
    """Return ∂J/∂θ^(l)_jk = Σ_observations δ^(l+1)_j a^(l)_k, plus the penalties' λ₂θ + λ₁ sign θ."""
    delta, value = n.deltas[l], n.thetas[l - 1][j, k]
    assert delta is not None  # every layer but the first has a δ
    name = theta(l, j + 1, k + 1)
    terms: list[Term] = [
        [
            factor(of_neuron("delta", l + 1, j + 1, n.row(i)), delta[i, j]),
            factor(of_neuron("a", l, k + 1, n.row(i)), n.a[l - 1][i, k]),
        ]
        for i in range(n.m)
    ]
    l2, l1 = n.architecture.penalties[l - 1]
    penalties: list[Term] = []
    if l2:
        penalties.append([NamedFactor(formula("λ₂", r"\lambda_2"), l2), factor(name, value)])
    if l1:
        sign = Span(f"sign {name.unicode}", rf"\operatorname{{sign}} {name.latex}", "theta")
        penalties.append([NamedFactor(formula("λ₁", r"\lambda_1"), l1), NamedFactor(sign, float(np.sign(value)))])
    # The penalties are written too where the sum is cut short.
    at = min(len(terms), TERMS - len(penalties))
    return equation((_derivative(name),), [*terms[:at], *penalties, *terms[at:]], n.gradient_thetas[l - 1][j, k])


def bias_gradient(n: PassNumbers, l: int, j: int) -> TextLine:
    """Return ∂J/∂b^(l)_j = Σ_observations δ^(l+1)_j."""
    delta = n.deltas[l]
    assert delta is not None  # every layer but the first has a δ
    terms = [[factor(of_neuron("delta", l + 1, j + 1, n.row(i)), delta[i, j])] for i in range(n.m)]
    return equation((_derivative(bias(l, j + 1)),), terms, n.gradient_biases[l - 1][j])


def _derivative(quantity: Quantity) -> Span:
    return symbol(quantity, "∂J/∂")._replace(role=None)
