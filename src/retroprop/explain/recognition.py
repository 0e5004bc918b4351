"""Functions with a name of their own, recognised in a formula: σ in place of the form that does not overflow.

Each is recognised by its definition in `functions.special`, called with a placeholder; nothing is defined twice.
"""

from functools import cache

from retroprop.explain.expressions import Expression
from retroprop.explain.naming import Quantity
from retroprop.explain.symbols import SymbolArray, SymbolNamespace
from retroprop.functions import special

SPECIAL = ("sigmoid", "softplus", "normal_cdf", "normal_pdf", "sign")
_PLACEHOLDER = Quantity("□")


@cache
def _definitions() -> dict[str, Expression]:
    """Return the definition of each function, with the placeholder as its argument."""
    argument, xp = SymbolArray([_PLACEHOLDER]), SymbolNamespace()
    return {name: getattr(special, name)(argument, xp).items[0] for name in SPECIAL}


def named(expression: Expression) -> Expression:
    """Return the expression with every recognised function as one node of its name, from the outside in."""
    return _named(expression, {})


def _named(expression: Expression, done: dict[int, Expression]) -> Expression:
    # Composed formulas share their parts, and a part is visited once.
    if id(expression) in done or expression.op in ("number", "quantity"):
        return done.get(id(expression), expression)
    for name, definition in _definitions().items():
        found: list[Expression] = []
        if _matches(definition, expression, found):
            result = Expression(name, (_named(found[0], done),))
            break
    else:
        result = Expression(expression.op, tuple(_named(part, done) for part in expression.args))
    done[id(expression)] = result
    return result


def _matches(definition: Expression, expression: Expression, found: list[Expression]) -> bool:
    """Return whether the expression is the definition of one argument, which is appended to `found`."""
    if definition.args == (_PLACEHOLDER,):
        found.append(expression)
        return found[0] == expression
    if definition.op != expression.op or len(definition.args) != len(expression.args):
        return False
    if definition.op == "number":
        return definition == expression
    return all(_matches(*pair, found) for pair in zip(definition.args, expression.args, strict=True))
