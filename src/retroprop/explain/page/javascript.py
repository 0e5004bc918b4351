"""The operations of a recorded graph as JavaScript: a template for each, derived from its row of the table."""

import re

import numpy

from retroprop.backends.record.graph import Node, NotTraceableError
from retroprop.backends.record.table import OPERATIONS, POINTWISE

# Where C's expression is not JavaScript's, or has another rule for NaN and for the sign of 0.
_OWN = {
    "maximum": "Math.max({0}, {1})",
    "minimum": "Math.min({0}, {1})",
    "abs": "Math.abs({0})",
    "copysign": "(Math.abs({0}) * (signbit({1}) ? -1 : 1))",
    "signbit": "+signbit({0})",
    "isinf": "+(Math.abs({0}) === Infinity)",
    "isfinite": "+Number.isFinite({0})",
    "reciprocal": "1 / {0}",
    "logaddexp": "logaddexp({0}, {1})",
}
# The functions that these call.
HELPERS = """\
const signbit = x => x < 0 || Object.is(x, -0);
const logaddexp = (x, y) => x === y ? x + Math.LN2 : Math.max(x, y) + Math.log1p(Math.exp(-Math.abs(x - y)));
const each = (n, value) => {
  const v = new Float64Array(n);
  for (let i = 0; i < n; i++) v[i] = value(i);
  return v;
};
const matmul = (a, b, m, n, p) => {  // (m, n) times (n, p)
  const c = new Float64Array(m * p);
  for (let i = 0; i < m; i++) for (let k = 0; k < n; k++) {
    const x = a[i * n + k];
    for (let j = 0; j < p; j++) c[i * p + j] += x * b[k * p + j];
  }
  return c;
};
"""
_CASTS = {"f": "+{0}", "b": "+({0} !== 0)", "i": "Math.trunc({0})", "u": "Math.trunc({0})"}
REDUCTIONS = {
    "sum": ("0", "{0} + {1}"),
    "mean": ("0", "{0} + {1} / {n}"),
    "prod": ("1", "{0} * {1}"),
    "max": ("-Infinity", "Math.max({0}, {1})"),
    "min": ("Infinity", "Math.min({0}, {1})"),
    "all": ("1", "+({0} && {1} !== 0)"),
    "any": ("0", "+({0} || {1} !== 0)"),
}


def _derived(name: str) -> str | None:
    """Return the template of a pointwise operation: C's, whose functions are those of `Math`."""
    if name in _OWN:
        return _OWN[name]
    c = OPERATIONS[name].c
    if not c or "{type}" in c or name in ("bfloat16", "widened"):  # the last two are made after recording, for a GPU
        return None
    return re.sub(r"\b([a-z]\w*)\(", r"Math.\1(", c)


TEMPLATES: dict[str, str] = {name: text for name in sorted(POINTWISE) if (text := _derived(name)) is not None}


def template_of(node: Node) -> str:
    """Return the expression of a pointwise node in its operands {0}, {1}, {2}.

    Raises
    ------
    NotTraceableError
        For an operation or a dtype that the page has not.
    """
    if node.dtype.kind not in _CASTS or node.dtype == numpy.dtype("float16"):
        raise NotTraceableError(f"{node.op} in {node.dtype} is not lowered to JavaScript.")
    if node.op == "astype":
        return f"Math.fround({_CASTS['f']})" if node.dtype.name == "float32" else _CASTS[node.dtype.kind]
    if node.op not in TEMPLATES:
        raise NotTraceableError(f"{node.op} is not lowered to JavaScript.")
    text = TEMPLATES[node.op]
    return f"Math.fround({text})" if node.dtype.name == "float32" else text


def literal(value: float) -> str:
    """Return a number as JavaScript, exact."""
    text = repr(float(value))
    return {"inf": "Infinity", "-inf": "-Infinity", "nan": "NaN"}.get(text, text.removesuffix(".0"))
