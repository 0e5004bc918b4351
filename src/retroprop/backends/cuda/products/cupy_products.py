"""What makes products of CuPy's arrays: cublasLt, else cuTENSOR, else CuPy; each is looked at before it is used."""

import logging
from collections.abc import Callable
from contextlib import suppress
from functools import lru_cache
from importlib import import_module
from typing import Any, NamedTuple

import cupy
import numpy

from retroprop.backends.cuda import switches
from retroprop.backends.cuda.products.cublaslt import WORKSPACE_BYTES, CublasLt, PreparedProduct
from retroprop.backends.cuda.products.find_cublaslt import open_library
from retroprop.backends.cuda.products.matrix_layout import Product, product_of
from retroprop.backends.cuda.rewrites.bfloat16 import BITS, upper_half
from retroprop.backends.cuda.runtime import Launch
from retroprop.functions.types import Array

log = logging.getLogger("retroprop")
Multiply = Callable[[Array, Array, Array], Any]  # result = first @ second, the result given
# What cuTENSOR is to compute float32 in, as CuPy's `cutensor` calls it; without, in the dtype it is given.
_CONTRACTED_IN = {"tf32": "COMPUTE_DESC_TF32", "bf16": "COMPUTE_DESC_16BF"}


class Products(NamedTuple):
    """What makes the products of a device.

    Attributes
    ----------
    lt : CublasLt or None
        cublasLt, where it is to be had and computes right.
    said : str
        What is to be said of it to a user.
    contraction : callable or None
        Where there is no cublasLt, `cupyx.cutensor.contraction`.
    """

    lt: CublasLt | None
    said: str
    contraction: Callable[..., Any] | None = None


@lru_cache(maxsize=16)
def products_here(device: int) -> Products:
    """Return what makes products on the device of that number, which is current."""
    reason = f"{switches.ENVIRONMENT_VARIABLE} says so"
    if switches.enabled("lt"):
        with suppress(Exception):  # CuPy loads its own cuBLAS, and with it the library that is looked for
            cupy.cuda.device.get_cublas_handle()
        try:
            library, name = open_library(cupy.cuda.runtime.runtimeGetVersion() // 1000)
            lt = CublasLt(library)
            _look_at(_by(lt, "highest"), {"float32": 1e-5, "float64": 1e-12})
            return Products(lt, f"cublasLt {lt.version} ({name})")
        except Exception as error:
            reason = f"{type(error).__name__}: {error}"
            log.warning("cublasLt is not used: %s", reason)
    try:
        contraction, version = _cutensor()
    except Exception as error:
        said = f"cupy.matmul, not cublasLt ({reason}) nor cuTENSOR ({type(error).__name__}: {error})"
        log.info("steps are no graphs, as products are made by cupy.matmul: %s", said)
        return Products(None, said)
    return Products(None, f"cuTENSOR {version}, not cublasLt ({reason})", contraction=contraction)


@lru_cache(maxsize=16)
def rounds_here(device: int) -> bool:
    """Return whether products there take operands in bfloat16; where cublasLt does not, it is said."""
    lt = products_here(device).lt
    if lt is None:
        return False
    try:
        _look_at(_by(lt, "bf16"), {"bfloat16": 1e-6})
    except Exception as error:
        log.warning("products round float32 by themselves: in bfloat16, %s: %s", type(error).__name__, error)
        return False
    return True


def mapped(first: Array, second: Array, result: Array) -> Product:
    """Return a product of CuPy's arrays as cublasLt sees it."""
    lies = [(array.shape, tuple(s // array.dtype.itemsize for s in array.strides)) for array in (first, second, result)]
    return product_of(*lies)


def dtype_of(array: Array) -> str:
    """Return the dtype of an operand or of a result of products."""
    return "bfloat16" if str(array.dtype) == BITS else str(array.dtype)


def contracted(
    contraction: Callable[..., Any], first: Array, second: Array, result: Array, precision: str = "highest"
) -> Launch:
    """Return the launch of result = first @ second by `cupyx.cutensor.contraction`, which a graph may capture."""
    options = {}
    if precision in _CONTRACTED_IN and str(result.dtype) == "float32":
        cutensor = import_module("cupy_backends.cuda.libs.cutensor")
        options["compute_desc"] = int(getattr(cutensor, _CONTRACTED_IN[precision]))

    def launch() -> None:
        contraction(1.0, first, ("i", "k"), second, ("k", "j"), 0.0, result, ("i", "j"), **options)

    return launch


def _cutensor() -> tuple[Callable[..., Any], str]:
    """Return cuTENSOR's contraction of CuPy and the version; raise unless it is to be had and computes right."""
    if not switches.enabled("cutensor"):
        raise LookupError(f"{switches.ENVIRONMENT_VARIABLE} says so")
    module: Any = import_module("cupyx.cutensor")
    if not module.check_availability("contraction"):
        raise LookupError("it has no contraction on this device")
    contraction: Callable[..., Any] = module.contraction
    multiply = lambda *arrays: contracted(contraction, *arrays)()  # noqa: E731
    _look_at(multiply, {"float32": 1e-5, "float64": 1e-12}, alpha=1.0, beta=0.0)
    number = int(import_module("cupy_backends.cuda.libs.cutensor").get_version())
    return contraction, f"{number // 10000}.{number // 100 % 100}.{number % 100}"


def _by(lt: CublasLt, precision: str) -> Multiply:
    workspace = cupy.empty(WORKSPACE_BYTES, cupy.uint8)

    def multiply(first: Array, second: Array, result: Array) -> None:
        addresses = second.data.ptr, first.data.ptr, result.data.ptr
        room = workspace.data.ptr, WORKSPACE_BYTES
        call = PreparedProduct(
            lt, mapped(first, second, result), addresses, dtype_of(first), precision, room, alpha=0.5, beta=2.0
        )
        call(cupy.cuda.get_current_stream().ptr)

    return multiply


def _look_at(multiply: Multiply, tolerances: dict[str, float], *, alpha: float = 0.5, beta: float = 2.0) -> None:
    """Raise unless small products of every layout and of the dtypes given are what NumPy says."""
    rng = numpy.random.default_rng(0)
    for dtype, tolerance in tolerances.items():
        kept, told = ("float32", upper_half) if dtype == "bfloat16" else (dtype, numpy.asarray)
        for turned in ((False, False), (True, False), (False, True), (True, True)):
            x, y, start = (rng.standard_normal(shape).astype(kept) for shape in ((24, 40), (40, 72), (24, 72)))
            if dtype == "bfloat16":  # whole numbers, which have no more digits than it has
                x, y = numpy.rint(8.0 * x), numpy.rint(8.0 * y)
            first, second = (
                cupy.asarray(numpy.ascontiguousarray(a.T)).T if turn else cupy.asarray(a)
                for a, turn in zip(map(told, (x, y)), turned, strict=True)
            )
            result = cupy.asarray(start if beta else numpy.full_like(start, numpy.nan))
            multiply(first, second, result)
            expected = alpha * x @ y + beta * start
            error = numpy.max(numpy.abs(cupy.asnumpy(result) - expected)) / numpy.max(numpy.abs(expected))
            if not error <= tolerance:
                raise ArithmeticError(f"a product of {dtype}, transposed {turned}, is off by {error:.2g}.")
