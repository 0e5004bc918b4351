"""Formulas at a point: the branch of every maximum, comparison and absolute value, so that what remains is smooth."""

import math

from retroprop.explain.expressions import Expression

NUMBERS = {
    "add": lambda u, v: u + v,
    "sub": lambda u, v: u - v,
    "mul": lambda u, v: u * v,
    "div": lambda u, v: u / v,
    "neg": lambda u: -u,
    "square": lambda u: u * u,
    "exp": math.exp,
    "log": math.log,
    "tanh": math.tanh,
    "sqrt": math.sqrt,
    "sigmoid": lambda u: 1.0 / (1.0 + math.exp(-u)),
    "softplus": lambda u: math.log1p(math.exp(u)),
    "normal_cdf": lambda u: 0.5 * math.erfc(-u / math.sqrt(2.0)),
    "normal_pdf": lambda u: math.exp(-0.5 * u * u) / math.sqrt(2.0 * math.pi),
    "gt": lambda u, v: u > v,
    "lt": lambda u, v: u < v,
    "ge": lambda u, v: u >= v,
    "le": lambda u, v: u <= v,
    "eq": lambda u, v: u == v,
}


def is_zero(expression):
    """Return whether a SymPy expression is 0, as a rational function of its exponentials and hyperbolic tangents."""
    return _vanishes(expression, with_tanh=True) or _vanishes(expression, with_tanh=False)


def _vanishes(expression, *, with_tanh):
    import sympy

    if not with_tanh:
        expression = expression.replace(sympy.tanh, lambda u: (sympy.exp(2 * u) - 1) / (sympy.exp(2 * u) + 1))
    names = {}

    def of_exp(u):
        """Return e^u as a power of e^v, so that e^u, e^−u and e^2u are powers of one another."""
        factor, v = sympy.expand(u).primitive()
        factor, v = (-factor, -v) if v.could_extract_minus_sign() else (factor, v)
        return names.setdefault(sympy.exp(v), sympy.Dummy(positive=True)) ** factor

    atoms = {atom: of_exp(atom.args[0]) for atom in expression.atoms(sympy.exp)}
    atoms |= {
        atom: names.setdefault(atom, sympy.Dummy()) for atom in expression.atoms(sympy.tanh, sympy.erf, sympy.log)
    }
    numerator, _ = sympy.fraction(sympy.together(expression.xreplace(atoms)))
    return sympy.expand(numerator) == 0


def branch(expression, point):
    """Return the expression on the branch where `point`, a function of a quantity, lies; and its number there."""
    return _branch(expression, point, {})


def _branch(expression, point, done):
    if id(expression) not in done:
        done[id(expression)] = _one(expression, point, done)
    return done[id(expression)]


def _one(expression, point, done):
    op = expression.op
    if op == "quantity":
        return expression, point(expression.args[0])
    if op == "number":
        return expression, expression.args[0]
    if op == "where":  # the other branch may have no number: log 0
        condition, then, otherwise = expression.args
        return _branch(then if _branch(condition, point, done)[1] else otherwise, point, done)
    parts = [_branch(part, point, done) for part in expression.args]
    if op in ("maximum", "minimum"):
        return (max if op == "maximum" else min)(parts, key=lambda part: part[1])
    if op == "abs":
        (part, number) = parts[0]
        return (part, number) if number >= 0 else (-part, -number)
    if op in ("indicator", "sign"):
        number = parts[0][1]
        value = float(number) if op == "indicator" else math.copysign(1.0, number)
        return Expression("number", (value,)), value
    return Expression(op, tuple(part for part, _ in parts)), NUMBERS[op](*(number for _, number in parts))
