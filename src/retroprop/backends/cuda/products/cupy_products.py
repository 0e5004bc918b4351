"""Matrix products of CuPy's arrays: by cublasLt where it passes a check of its results, else by CuPy."""

import logging
from contextlib import suppress
from functools import lru_cache
from typing import NamedTuple

import cupy
import numpy

from retroprop.backends.cuda import switches
from retroprop.backends.cuda.products.cublaslt import WORKSPACE_BYTES, CublasLt, PreparedProduct, open_library
from retroprop.backends.cuda.products.matrix_layout import Product, product_of
from retroprop.backends.cuda.rewrites.bfloat16 import BITS, upper_half
from retroprop.functions.types import Array

log = logging.getLogger("retroprop")


class Products(NamedTuple):
    """The library for the products of a device: cublasLt, where it is available and right, and a report on it.

    The report has the library, its version and, for CuPy's own products, the reason.
    """

    lt: CublasLt | None
    report: str


@lru_cache(maxsize=16)
def products_here(device: int) -> Products:
    """Return the library for the products of a device: the current one, whose number is only the key of the cache."""
    reason = f"{switches.ENVIRONMENT_VARIABLE} says so"
    if switches.enabled("lt"):
        with suppress(Exception):  # CuPy loads its own cuBLAS, and with it the cublasLt that fits
            cupy.cuda.device.get_cublas_handle()
        try:
            library, name = open_library(cupy.cuda.runtime.runtimeGetVersion() // 1000)
            lt = CublasLt(library)
            _check(lt, "highest", {"float32": 1e-5, "float64": 1e-12})
            return Products(lt, f"cublasLt {lt.version} ({name})")
        except Exception as error:
            reason = f"{type(error).__name__}: {error}"
            log.warning("cublasLt is not used, so that no step is a graph: %s", reason)
    return Products(None, f"cupy.matmul, not cublasLt ({reason})")


@lru_cache(maxsize=16)
def rounds_here(device: int) -> bool:
    """Return whether the device's products take operands in bfloat16; where cublasLt refuses them, log it."""
    lt = products_here(device).lt
    if lt is None:
        return False
    try:
        _check(lt, "bf16", {"bfloat16": 1e-6})
    except Exception as error:
        log.warning("products round float32 by themselves: in bfloat16, %s: %s", type(error).__name__, error)
        return False
    return True


def mapped(first: Array, second: Array, result: Array) -> Product:
    """Return a product of CuPy's arrays in cublasLt's column-major terms."""
    layouts = [(x.shape, tuple(s // x.dtype.itemsize for s in x.strides)) for x in (first, second, result)]
    return product_of(*layouts)


def dtype_of(array: Array) -> str:
    """Return the dtype of an operand or result in cublasLt's terms: arrays of `BITS` hold bfloat16."""
    return "bfloat16" if str(array.dtype) == BITS else str(array.dtype)


def _check(lt: CublasLt, precision: str, tolerances: dict[str, float]) -> None:
    """Raise ArithmeticError unless x @ y, of every layout and dtype given, is NumPy's."""
    rng, workspace = numpy.random.default_rng(0), cupy.empty(WORKSPACE_BYTES, cupy.uint8)
    for dtype, tolerance in tolerances.items():
        kept, converted = ("float32", upper_half) if dtype == "bfloat16" else (dtype, numpy.asarray)
        for turned in ((False, False), (True, False), (False, True), (True, True)):
            x, y = (rng.standard_normal(shape).astype(kept) for shape in ((24, 40), (40, 72)))
            if dtype == "bfloat16":  # small integers, which it represents exactly
                x, y = numpy.rint(8.0 * x), numpy.rint(8.0 * y)
            first, second = (
                cupy.asarray(numpy.ascontiguousarray(a.T)).T if turn else cupy.asarray(a)
                for a, turn in zip(map(converted, (x, y)), turned, strict=True)
            )
            result = cupy.full((24, 72), cupy.nan, kept)
            addresses = second.data.ptr, first.data.ptr, result.data.ptr
            room = workspace.data.ptr, WORKSPACE_BYTES
            call = PreparedProduct(lt, mapped(first, second, result), addresses, dtype, precision, room)
            call.with_algorithm(0)(cupy.cuda.get_current_stream().ptr)
            expected = x @ y
            error = numpy.max(numpy.abs(cupy.asnumpy(result) - expected)) / numpy.max(numpy.abs(expected))
            if not error <= tolerance:
                raise ArithmeticError(f"a product of {dtype}, transposed {turned}, is off by {error:.2g}.")
