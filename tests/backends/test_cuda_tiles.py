"""Products by tiles within generated kernels, run on the host as they are, against NumPy: shapes, layouts, rounding."""

import numpy as np
import nvrtc
import pytest
from cuda_on_the_host import COMPILER, planned, rounded, run

from retroprop.backends.cuda.kernels.geometry import THREADS
from retroprop.backends.cuda.kernels.loop_source import CudaLoopSource
from retroprop.backends.cuda.kernels.operands import OperandLayout
from retroprop.backends.cuda.kernels.prelude import HEAD
from retroprop.backends.cuda.kernels.tile_product import LINE, operand
from retroprop.backends.plan.fusion import Instruction, Loop
from retroprop.backends.record.graph import NotTraceableError
from retroprop.backends.record.recorder import form_of, record
from retroprop.core.operations import Operations

pytestmark = pytest.mark.skipif(COMPILER is None, reason="no C++ compiler")
RNG = np.random.default_rng(0)
KINDS = {"float32": ("float32", False), "tf32": ("float32", True),
         "float64": ("float64", False)}  # fmt: skip
LAYOUTS = ["rows", "columns", "rows unaligned", "columns unaligned"]


@pytest.fixture(params=["float32", "tf32", pytest.param("float64", marks=pytest.mark.long)])
def kind(request):
    """The dtype of a product, and whether its operands are rounded."""
    return KINDS[request.param]


def stored(shape, layout, dtype):
    """Return random numbers in memory that is NaN wherever they are not; aligned vectors are 4 elements apart."""
    rows, columns = shape if layout.startswith("rows") else shape[::-1]
    skipped, item = int(layout.endswith("unaligned")), np.dtype(dtype).itemsize
    apart = columns + -columns % 4 + 4
    room = np.full((rows + 1) * apart + 64, np.nan, dtype)
    begin = -room.ctypes.data % 256 // item + skipped
    whole = room[begin : begin + rows * apart].reshape(rows, apart)[:, :columns]
    whole[...] = RNG.normal(size=whole.shape)
    return whole if layout.startswith("rows") else whole.T


def kernel_of(x, y, *, rounds, sums):
    """Return the kernel of x @ y, with `sums` of the sums of the rows of x too, and its two results."""
    step = lambda operations, x, y: (operations.xp.matmul(x, y), operations.xp.sum(x, axis=1))  # noqa: E731
    plan = planned(record(step, Operations(np), form_of((x, y)), ()))
    (product, total), (first, second) = plan.recording.results, plan.recording.arguments
    results = [np.full((x.shape[0], y.shape[1]), np.nan, x.dtype), np.full(x.shape[0], np.nan, x.dtype)]
    at = {product.index: results[0], total.index: results[1], first.index: x, second.index: y}

    def see(node):
        array = at[node.index]
        return OperandLayout(array.ctypes.data, tuple(s // array.itemsize for s in array.strides), array.ctypes.data)

    nodes = (product, total) if sums else (product,)
    loop = Loop(product.shape, nodes, {product.index: "full", total.index: LINE}, dict.fromkeys(at, 0))
    kernel = CudaLoopSource(Instruction(loop=loop, stores=list(nodes)), see, lambda node: 0, rounds=rounds).kernel()
    return kernel, [at[node.index] for node in kernel.arrays], results


def multiplied(x, y, *, rounds, sums=False):
    kernel, arrays, results = kernel_of(x, y, rounds=rounds, sums=sums)
    run(HEAD + kernel.text, kernel.geometry.grid, THREADS, [array.ctypes.data for array in arrays])
    return kernel.text, *results


def assert_product(found, x, y, *, rounds):
    x, y = (rounded(np.ascontiguousarray(one), "tf32" if rounds else "highest").astype("float64") for one in (x, y))
    limit = 8.0 * float(np.finfo(found.dtype).eps) * (np.abs(x) @ np.abs(y))
    assert np.all(np.abs(found - x @ y) <= limit)


@pytest.mark.parametrize("shape", [
    (1, 1, 1), (7, 33, 17), (17, 7, 33), (33, 17, 1), (15, 16, 7), (16, 15, 16), (1, 130, 15), (2, 300, 16),
])  # fmt: skip
def test_shapes_that_are_no_multiples_of_a_tile(shape, kind):
    (m, k, n), (dtype, rounds) = shape, kind
    x, y = stored((m, k), LAYOUTS[sum(shape) % 4], dtype), stored((k, n), LAYOUTS[m % 4], dtype)
    _, found, _ = multiplied(x, y, rounds=rounds)
    assert_product(found, x, y, rounds=rounds)


@pytest.mark.parametrize("places", [(0, 1), (1, 2), (2, 3), (3, 0)], ids=lambda places: "".join(map(str, places)))
def test_every_layout_of_both_operands_and_the_sums_of_rows(places, kind):
    """All four of ALONG and WIDE, which the template arguments say, for each operand."""
    (dtype, rounds), (first, second) = kind, [LAYOUTS[place] for place in places]
    x, y = stored((18, 20), first, dtype), stored((20, 12), second, dtype)
    text, found, total = multiplied(x, y, rounds=rounds, sums=True)
    # The terms of the sum are contiguous in rows of the first and in columns of the second.
    along = first.startswith("rows"), second.startswith("columns")
    wide = not first.endswith("unaligned"), not second.endswith("unaligned")
    given = ", ".join(str(one).lower() for one in (True, along[0], wide[0], along[1], wide[1]))
    assert f"tile<{given}>(" in text
    assert_product(found, x, y, rounds=rounds)
    np.testing.assert_allclose(total, x.sum(axis=1, dtype="float64"), rtol=0.0, atol=40 * np.finfo(dtype).eps)


def test_terms_that_are_no_multiple_of_a_load_are_read_singly():
    for (lines, terms), strides, wide in (
        ((16, 20), (20, 1), True),
        ((16, 18), (20, 1), False),  # the last load would go beyond the terms
        ((16, 20), (21, 1), False),
        ((16, 20), (1, 16), True),
        ((15, 20), (1, 16), False),
        ((16, 20), (1, 17), False),
        ((1, 20), (0, 1), True),
        ((16, 1), (1, 0), False),
    ):
        along = str(strides[1] in (0, 1)).lower()
        assert operand((lines, terms), strides, 256, 4, lines=2)[0] == f"{along}, {str(wide).lower()}"
    assert operand((16, 20), (20, 1), 256 + 8, 4, lines=2)[0] == "true, false"
    assert operand((16, 20), (1, 16), 256 + 8, 4, lines=2)[0] == "false, true"
    with pytest.raises(NotTraceableError, match="strides 2 and 40 is neither row-major nor column-major"):
        operand((16, 20), (2, 40), 256, 4, lines=2)


def test_nan_and_infinity_stay_what_they_are():
    for rounds in (False, True):
        x, y = stored((4, 9), "rows", "float32"), stored((9, 5), "rows", "float32")
        x[1, 3], x[2, 8] = np.nan, np.inf
        _, found, _ = multiplied(x, y, rounds=rounds)
        assert np.isnan(found[1]).all()
        np.testing.assert_array_equal(found[2], np.sign(y[8]) * np.inf)
        assert np.isfinite(found[[0, 3]]).all()


@pytest.mark.parametrize("architecture", ["80", "90"])
def test_tiles_compile_for_the_gpus_of_today(architecture):
    if nvrtc.library() is None:
        pytest.skip("NVRTC is not installed, which the extra 'test' has for Linux on x86-64")
    samples = [("float32", True, True), ("float32", False, False), ("float64", False, True)]
    texts = [
        HEAD + kernel_of(
            stored((18, 20), "rows", dtype), stored((20, 12), "rows", dtype), rounds=rounds, sums=sums
        )[0].text
        for dtype, rounds, sums in samples
    ]  # fmt: skip
    for code in nvrtc.compiled(texts, *nvrtc.AS_CUPY, f"-arch=sm_{architecture}"):
        assert code[:4] == b"\x7fELF"
