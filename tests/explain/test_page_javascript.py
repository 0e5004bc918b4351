"""Every operation of the table that a step can record, as JavaScript in Chromium, against NumPy."""

import numpy as np
import pytest

from retroprop.backends import host_backend
from retroprop.backends.record.recorder import Form, record
from retroprop.backends.record.table import OPERATIONS
from retroprop.explain.page.javascript import HELPERS, REDUCTIONS, TEMPLATES
from retroprop.explain.page.lowering import lowered

RNG = np.random.default_rng(0)
A, B, V = RNG.normal(size=(3, 4)), RNG.normal(size=(3, 4)), RNG.normal(size=4)
POSITIVE = np.abs(A) + 0.1
SPECIAL = np.array([[0.0, -0.0, np.inf, -np.inf], [np.nan, 1.0, -1.0, 710.0], [1e-20, -745.0, 1e300, 2.5]])
AFTER_RECORDING = {"bfloat16", "widened"}  # made by the rewrites of the CUDA kernels
LAID_OUT = {
    "transpose": lambda xp, a, b, v: a.mT,
    "reshape": lambda xp, a, b, v: xp.reshape(a, (2, 6)),
    "index": lambda xp, a, b, v: (a[1:, ::-2], a[..., None, 1], a.mT[2, 1:3]),
    "take": lambda xp, a, b, v: (xp.take(a, np.array([3, 0]), axis=1), xp.take(a, np.array([2, 2, 0]), axis=0)),
    "concat": lambda xp, a, b, v: xp.concat([a, b], axis=1),
    "stack": lambda xp, a, b, v: xp.stack([v, v * 2.0]),
    "matmul": lambda xp, a, b, v: xp.matmul(a, b.mT),
    "astype": lambda xp, a, b, v: (
        xp.astype(a > 0.0, "float64"), xp.astype(a, "float32"), xp.astype(a * 9.0, "int64")),
    "where": lambda xp, a, b, v: xp.where(a > b, a, v),
    "broadcast": lambda xp, a, b, v: (a + v, a * a[:, :1], v[None, :] - a[:, None, :] * v[:, None], 2.0 - a, a / 3),
}  # fmt: skip


def javascript(function, *arrays):
    forms = tuple(Form(array.shape, str(array.dtype)) for array in arrays)
    made = record(lambda operations, *given: function(operations.xp, *given), host_backend().operations(), forms, ())
    return lowered(made, [f"p{i}" for i in range(len(arrays))])


def run(browser, source, *arrays):
    given = ", ".join(f"Float64Array.of({', '.join(number(v) for v in a.ravel())})" for a in arrays)
    shown = "r => Array.isArray(r) ? r.map(shown) : Array.from(r, String)"
    return browser.run(f"(() => {{ {HELPERS}; const shown = {shown}; return shown(({source})({given})); }})()")


def number(value):
    return {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}.get(str(value), repr(float(value)))


def check(browser, function, *arrays):
    with np.errstate(all="ignore"):
        wanted = function(np, *arrays)
    found = run(browser, javascript(function, *arrays), *arrays)
    pairs = zip(found, wanted, strict=True) if isinstance(wanted, tuple) else [(found, wanted)]
    for flat, array in pairs:
        values = np.array([float(text.replace("Infinity", "inf")) for text in flat])
        np.testing.assert_allclose(values, np.ravel(array).astype(float), rtol=1e-12, atol=0.0)


def test_every_operation_that_a_step_records_is_there():
    kinds = {row.name: row.kind for row in OPERATIONS.values()}
    pointwise = {name for name, kind in kinds.items() if kind == "pointwise"} - {"astype"} - AFTER_RECORDING
    assert TEMPLATES.keys() == pointwise
    assert REDUCTIONS.keys() == {name for name, kind in kinds.items() if kind == "reduction"}
    joined = {"join", "part", "overwrite", "gather"}  # of the update, which the tests of the step have, and of a batch
    others = {name for name, kind in kinds.items() if kind in ("product", "view", "copy")}
    assert others == (others & LAID_OUT.keys()) | joined


@pytest.mark.parametrize("name", [*sorted(TEMPLATES.keys() - {"where"}), *REDUCTIONS, *LAID_OUT])
def test_an_operation_is_numpys(browser, name):
    if name in LAID_OUT:
        check(browser, LAID_OUT[name], A, B, V)
    elif name in REDUCTIONS:
        own = (lambda x: x > 0.0) if name in ("all", "any") else (lambda x: x)
        for axis, keepdims in ((None, False), (0, False), (-1, True)):
            check(browser, lambda xp, a, at=axis, kept=keepdims: getattr(xp, name)(own(a), axis=at, keepdims=kept), A)
    else:
        ufunc = OPERATIONS[name].function
        given = (POSITIVE,) if name in ("log", "log2", "log10", "sqrt") else (A,)
        if name.startswith("logical"):
            given = (A,)
            signs = (lambda x: x > 0.0, lambda x: x < 0.5)[: ufunc.nin]
            check(browser, lambda xp, a: getattr(xp, name)(*(sign(a) for sign in signs)), *given)
            return
        given = (POSITIVE if name == "power" else given[0], *[B] * (ufunc.nin - 1))
        check(browser, lambda xp, *arrays: getattr(xp, name)(*arrays), *given)


def test_gathered_rows_are_numpys(browser):
    rows = np.array([2, 0, 2])
    forms = (Form(A.shape, "float64"), Form(rows.shape, "int64"))
    operations = host_backend().operations()
    made = lowered(record(lambda ops, a, i: ops.gather(a, i), operations, forms, ()), ["p0", "p1"])
    found = np.array([float(text) for text in run(browser, made, A, rows)])
    np.testing.assert_array_equal(found.reshape(3, 4), A[rows])


@pytest.mark.parametrize("name", ["exp", "expm1", "log", "log1p", "tanh", "sqrt", "abs", "isnan", "isinf", "isfinite",
                                  "signbit", "negative", "floor", "square"])  # fmt: skip
def test_limits_are_numpys(browser, name):
    check(browser, lambda xp, a: getattr(xp, name)(a), SPECIAL)
    for other in ("maximum", "minimum", "logaddexp", "less", "equal"):
        check(browser, lambda xp, a, b, other=other: getattr(xp, other)(a, b), SPECIAL, np.flip(SPECIAL, axis=0).copy())


@pytest.mark.parametrize("name", ["exp", "expm1", "log1p", "tanh"])
def test_functions_agree_over_their_range(browser, name):
    z = np.concatenate([RNG.normal(size=200) * scale for scale in (1e-8, 1e-3, 1.0, 20.0)])
    check(browser, lambda xp, a: getattr(xp, name)(a), np.abs(z) if name == "log1p" else z)
