"""Programs nobody wrote: recorded and replayed on NumPy, in Numba's loops and on PyTorch; the plain function knows.

A program is a list of operations on earlier results: pointwise, sums, products, comparisons, views. Each is called with
several sizes in turn, as a training calls its step. Numba's loops run as the Python they are written in, which looks
at bounds and compiles nothing; the long run compiles some.
"""

import math
import os
import random

import numpy as np
import pytest
from cuda_on_the_host import COMPILER, CudaOnTheHost
from harness import open_backend

import retroprop as rp
from retroprop.backends.cpu import numba_target

ONE = ("negative", "abs", "square", "tanh", "sqrt", "exp", "log1p", "expm1")
TWO = ("add", "subtract", "multiply", "divide", "maximum", "minimum", "less", "greater_equal", "equal")
NUMBERS = (0, 1, -1, 2, 0.5, 0.0, 1.0, -0.25, 3, 1e-8)
DIMENSIONS = (1, 2, 3, 4, 5, 33, 40, 70)
VIEWS = {
    "transpose": lambda a, xp: xp.matrix_transpose(a) if a.ndim == 2 else a,
    "flat": lambda a, xp: xp.reshape(a, (-1,)),
    "row": lambda a, xp: xp.reshape(a, (1, -1)),
    "column": lambda a, xp: xp.reshape(a, (-1, 1)),
    "first column": lambda a, xp: a[:, :1] if a.ndim == 2 else a,
    "first row": lambda a, xp: a[:1] if a.ndim else a,
    "entry": lambda a, xp: a[0] if a.ndim else a,
    "differences": lambda a, xp: a[1:] - a[:-1] if a.ndim and a.shape[0] > 1 else a,
}


class ImpossibleError(Exception):
    """Shapes that do not fit: another program is drawn."""


def drawn(rng):
    """Return a program: (what, which operands, a number or a choice), ..., and the results that are given back."""
    lines = []
    for k in range(3, 3 + rng.randint(1, 12)):
        pick = [rng.randrange(max(0, k - 4), k) if rng.random() < 0.7 else rng.randrange(k) for _ in range(3)]
        what = rng.choice(["one", "two", "two", "two", "number", "number", "sum", "sum", "product", "where", "view"])
        choice = {
            "one": rng.choice(ONE), "two": rng.choice(TWO),
            "number": (rng.choice(TWO[:6]), rng.choice(NUMBERS), rng.random()),
            "sum": (rng.choice(["sum", "mean", "max", "min"]), rng.choice([None, 0, -1]), rng.random() < 0.5),
            "view": rng.choice(sorted(VIEWS)), "where": rng.choice([None, *NUMBERS]),
        }.get(what)  # fmt: skip
        lines.append((what, pick, choice))
    return lines, sorted({2 + len(lines), *(rng.randrange(3, 3 + len(lines)) for _ in range(2))})


def pointwise(xp, op, a, b):
    if op == "divide":
        return a / (xp.abs(b) + 1.0) if hasattr(b, "shape") else a / (abs(b) + 1.0)
    if op in ("add", "subtract", "multiply"):
        return {"add": a + b, "subtract": a - b, "multiply": a * b}[op]
    if op in ("maximum", "minimum"):
        return getattr(xp, op)(a, b) if hasattr(a, "shape") else getattr(xp, op)(b, a)
    return xp.astype({"less": lambda: a < b, "greater_equal": lambda: a >= b, "equal": lambda: a == b}[op](), a.dtype)


def run(program, xp, number, arrays):
    lines, results = program
    values = list(arrays)
    for what, (i, j, k), choice in lines:
        a, b, c = values[i], values[j], values[k]
        if what == "one":
            a = xp.minimum(xp.maximum(a, -3.0), 3.0)
            value = getattr(xp, choice)(xp.abs(a) if choice in ("sqrt", "log1p") else a)
        elif what == "two":
            value = pointwise(xp, choice, a, b)
        elif what == "number":
            op, other, side = choice
            other = number if side > 0.8 else other
            value = pointwise(xp, op, a, other) if side > 0.4 else pointwise(xp, op, other, a)
        elif what == "sum":
            op, axis, keepdims = choice
            if axis is not None and a.ndim == 0:
                raise ImpossibleError
            value = getattr(xp, op)(a, axis=axis, keepdims=keepdims)
        elif what == "product":
            if a.ndim != 2 or b.ndim != 2 or a.shape[1] != b.shape[1]:
                raise ImpossibleError
            value = xp.matmul(a, xp.matrix_transpose(b))
        elif what == "where":
            value = xp.where(a > 0.25, b, c if choice is None else float(choice))
        else:
            value = VIEWS[choice](a, xp)
        if math.prod(value.shape) > 20000 or not math.prod(value.shape):
            raise ImpossibleError
        values.append(value)
    return tuple(values[r] for r in results)


def cases(seed):
    """Return a program, its calls (number, arrays), and what each should give; raise ImpossibleError."""
    rng, numbers = random.Random(seed), np.random.default_rng(seed)
    program = drawn(rng)
    dtype, n = rng.choice(["float64", "float32"]), rng.choice(DIMENSIONS)
    kinds = [rng.choice(["mn", "mn", "m", "n", "m1", "1n", "one"]) for _ in range(3)]
    one, other = rng.choice(DIMENSIONS), rng.choice(DIMENSIONS)
    calls = []
    for m in (one, other, one):
        shapes = {"mn": (m, n), "m": (m,), "n": (n,), "m1": (m, 1), "1n": (1, n), "one": ()}
        calls.append(
            (rng.choice([0.5, -2.0, 1.0]), [numbers.normal(size=shapes[kind]).astype(dtype) for kind in kinds])
        )
    with np.errstate(all="ignore"):
        try:
            return program, calls, [run(program, np, *call) for call in calls], dtype
        except (ImpossibleError, ValueError, IndexError) as error:
            raise ImpossibleError from error


def agree(seed, backend):
    """Look at one program; return whether it was recorded, None if it is impossible."""
    try:
        program, calls, expected, dtype = cases(seed)
    except ImpossibleError:
        return None
    step = backend.capture(lambda operations, number, *arrays: run(program, operations.xp, number, arrays))
    rtol = {"float32": 2e-3, "float64": 1e-7}[dtype]
    for (number, arrays), wanted in zip(calls, expected, strict=True):
        with backend.active(), np.errstate(all="ignore"):
            found = step(number, *(backend.asarray(array) for array in arrays))
        for one, other in zip(found, wanted, strict=True):
            one = backend.to_numpy(one)
            assert (one.shape, one.dtype) == (other.shape, other.dtype), f"seed {seed}: {program}"
            scale = max(float(np.max(np.abs(other[np.isfinite(other)]), initial=0.0)), 1.0)
            np.testing.assert_allclose(one, other, rtol=rtol, atol=rtol * scale, err_msg=f"seed {seed}: {program}")
    return bool(step._programs)


def as_python(text, reorders, compiled={}):  # noqa: B006
    """Return the function of a loop's source, to run as it is."""
    if text not in compiled:
        names = {name: getattr(np, name) for name in ("exp", "expm1", "log", "log1p", "sqrt", "tanh", "inf", "nan")}
        names |= {"f32": np.float32, "f64": np.float64}
        exec(compile(text, "<loop>", "exec"), names)
        compiled[text] = names["kernel"]
    return compiled[text]


@pytest.mark.parametrize(
    "begin", [*range(0, 400, 100), *(pytest.param(b, marks=pytest.mark.long) for b in range(400, 8000, 100))]
)
@pytest.mark.parametrize("lowering", ["numpy alone", "numpy, loops", "torch", "torch, loops"])
def test_a_random_program_is_itself(lowering, begin, monkeypatch):
    backend = open_backend("torch:cpu" if lowering.startswith("torch") else "numpy")
    if lowering.endswith("loops"):
        monkeypatch.setattr(numba_target, "compiled", as_python)
        monkeypatch.setattr(numba_target, "compile_for", lambda kernel, arguments: None)
        monkeypatch.setattr(numba_target, "worthwhile", lambda work: True)
    seen = [agree(seed, backend) for seed in range(begin, begin + 100)]
    possible = [recorded for recorded in seen if recorded is not None]
    assert len(possible) > 20
    assert sum(possible) > 0.8 * len(possible), "most of what is pointwise, a sum, a product or a view can be recorded"


@pytest.mark.skipif(COMPILER is None, reason="no C++ compiler")
@pytest.mark.parametrize("begin", [0, *(pytest.param(b, marks=pytest.mark.long) for b in range(15, 600, 15))])
def test_random_programs_as_on_a_gpu(begin):
    """Each kernel takes a compiler, so they are few."""
    seen = [agree(seed, CudaOnTheHost()) for seed in range(begin, begin + 15)]
    possible = [recorded for recorded in seen if recorded is not None]
    assert sum(possible) >= 2


@pytest.mark.long
def test_random_programs_through_numba_itself(monkeypatch):
    pytest.importorskip("numba", reason="Numba is not installed (the extra 'fast')")
    monkeypatch.setitem(os.environ, "RETROPROP_NUMBA", "1")
    backend = rp.get_backend("numpy")
    assert sum(agree(seed, backend) is not None for seed in range(60)) > 15
