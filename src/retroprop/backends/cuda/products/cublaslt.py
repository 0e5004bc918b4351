"""Matrix products by cublasLt, called through ctypes: a CUDA graph may hold them, where CuPy's own are refused.

Constants and sizes are those of cublasLt.h (CUDA 12 and 13, which do not differ here). The caller gives the workspace,
so that nothing is allocated in a graph.
"""

import ctypes
import os
import sys
from collections.abc import Callable, Iterator
from ctypes import POINTER, byref, c_float, c_int, c_int64, c_size_t, c_uint32, c_uint64, c_void_p
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

from retroprop.backends.cuda.products.matrix_layout import Product

MAJORS = (13, 12)  # of CUDA, in the order in which they are looked for
WORKSPACE_BYTES = 32 * 2**20  # what NVIDIA recommends for Hopper

# cudaDataType_t
REAL = {"float32": 0, "float64": 1, "bfloat16": 14}
# cublasComputeType_t
COMPUTE = {
    ("float32", "highest"): 68,  # CUBLAS_COMPUTE_32F
    ("float32", "tf32"): 77,  # CUBLAS_COMPUTE_32F_FAST_TF32
    ("float32", "bf16"): 75,  # CUBLAS_COMPUTE_32F_FAST_16BF: operands rounded on the way in, sums in float32
    ("bfloat16", "bf16"): 68,  # operands rounded already
    ("float64", "highest"): 70,  # CUBLAS_COMPUTE_64F
    ("float64", "tf32"): 70,  # tensor cores that round are for float32 alone
    ("float64", "bf16"): 70,
}
# cublasLtMatmulDescAttributes_t
TRANSA, TRANSB, EPILOGUE, BIAS_POINTER = 3, 4, 7, 8
# cublasLtMatmulPreferenceAttributes_t
MAX_WORKSPACE, REDUCTION_SCHEMES, ALIGNMENT_A, ALIGNMENT_B, ALIGNMENT_C, ALIGNMENT_D = 1, 3, 5, 6, 7, 8
# cublasLtReductionScheme_t: how the parts of a split sum are added; IN_PLACE adds one after another to the result, and
# cublasLt.h does not promise the same order at each call
ALL_SCHEMES, IN_PLACE = 0x7, 0x1
# cublasLtEpilogue_t
EPILOGUES = {"none": 1, "relu": 2, "relu_bias": 6}
SUCCESS = 0
STATUS = {1: "not initialised", 3: "out of memory", 7: "invalid value", 8: "architecture mismatch", 11: "mapping error",
          13: "execution failed", 14: "internal error", 15: "not supported", 16: "license error"}  # fmt: skip


class Algorithm(ctypes.Structure):
    """cublasLtMatmulAlgo_t."""

    _fields_ = (("data", c_uint64 * 8),)

    @property
    def name(self) -> str:
        """Its identity among the algorithms of one version of the library."""
        return bytes(self).hex()


class Heuristic(ctypes.Structure):
    """cublasLtMatmulHeuristicResult_t."""

    _fields_ = (("algorithm", Algorithm), ("workspace", c_size_t), ("state", c_int), ("waves", c_float),
                ("reserved", c_int * 4))  # fmt: skip


_P, _MADE = c_void_p, POINTER(c_void_p)
_SIGNATURES: dict[str, tuple[Any, ...]] = {
    "cublasLtCreate": (_MADE,), "cublasLtDestroy": (_P,),
    "cublasLtMatmulDescCreate": (_MADE, c_int, c_int), "cublasLtMatmulDescDestroy": (_P,),
    "cublasLtMatmulDescSetAttribute": (_P, c_int, _P, c_size_t),
    "cublasLtMatrixLayoutCreate": (_MADE, c_int, c_uint64, c_uint64, c_int64), "cublasLtMatrixLayoutDestroy": (_P,),
    "cublasLtMatmulPreferenceCreate": (_MADE,), "cublasLtMatmulPreferenceDestroy": (_P,),
    "cublasLtMatmulPreferenceSetAttribute": (_P, c_int, _P, c_size_t),
    "cublasLtMatmulAlgoGetHeuristic": (*[_P] * 7, c_int, POINTER(Heuristic), POINTER(c_int)),
    "cublasLtMatmul": (*[_P] * 12, POINTER(Algorithm), _P, c_size_t, _P),
}  # fmt: skip


class CublasLtError(RuntimeError):
    """A call of cublasLt failed; the message says which and how."""


class Epilogue(NamedTuple):
    """The operations on the result of a product: `kind` is a name of `EPILOGUES`, `bias` the address of one, or 0."""

    kind: str = "none"
    bias: int = 0


class CublasLt:
    """The library, as `open_library` returns it, with a handle of its own for the current device."""

    def __init__(self, library: Any) -> None:
        self.library = declared(library)
        self.handle = c_void_p()
        self.call("cublasLtCreate", byref(self.handle))

    def call(self, name: str, *arguments: Any) -> None:
        """Call a function that returns a status, and raise unless that is success."""
        check(name, getattr(self.library, name)(*arguments))

    @property
    def version(self) -> str:
        """The version of the library."""
        number = int(self.library.cublasLtGetVersion())
        return f"{number // 10000}.{number // 100 % 100}.{number % 100}"


def declared(library: Any) -> Any:
    """Return the library with its functions' signatures set."""
    for name, arguments in _SIGNATURES.items():
        try:
            function = getattr(library, name)
        except AttributeError as error:
            raise CublasLtError(f"cublasLt has no function {name}.") from error
        function.argtypes, function.restype = arguments, c_int
    library.cublasLtGetVersion.restype = c_size_t
    return library


def check(name: str, status: int) -> None:
    """Raise unless a status is success."""
    if status != SUCCESS:
        raise CublasLtError(f"{name} failed: {STATUS.get(status, 'status')} ({status}).")


def alignment(address: int) -> int:
    """Return the largest power of two, 256 at most, that divides an address."""
    return min(address & -address, 256) if address else 256


class PreparedProduct:
    """One product, prepared: D = op(A) op(B), at fixed addresses.

    Parameters
    ----------
    lt, product, addresses
        The library; shapes and layouts of the matrices; where a, b and d are, as `Product` names them.
    dtype, precision, result
        Of the operands, "float32", "float64" or "bfloat16"; "highest", "tf32" or "bf16"; of D and its bias, by default
        that of the sums: float32 for operands in bfloat16.
    workspace : tuple of int
        Address and size of scratch memory that no concurrent product uses.
    epilogue, deterministic
        Further operations; whether to take only algorithms that sum in the same order at each call.
    """

    def __init__(
        self,
        lt: CublasLt,
        product: Product,
        addresses: tuple[int, int, int],
        dtype: str,
        precision: str,
        workspace: tuple[int, int],
        *,
        result: str = "",
        epilogue: Epilogue | None = None,
        deterministic: bool = False,
    ) -> None:
        epilogue = epilogue or Epilogue()
        self._lt, self.product, self.addresses = lt, product, addresses
        self._workspace, self._deterministic = workspace, deterministic
        self._made: list[tuple[str, c_void_p]] = []
        sums = "float64" if dtype == "float64" else "float32"
        scalar = c_float if sums == "float32" else ctypes.c_double
        self._one, self._zero = scalar(1.0), scalar(0.0)
        self._operation = self._create("MatmulDesc", COMPUTE[dtype, precision], REAL[sums])
        attributes: dict[int, Any] = {
            TRANSA: c_int(product.a.transposed), TRANSB: c_int(product.b.transposed),
            EPILOGUE: c_uint32(EPILOGUES[epilogue.kind]),
        }  # fmt: skip
        # The algorithm depends on every attribute, so that all are set before the heuristic is asked.
        if epilogue.bias:
            attributes[BIAS_POINTER] = c_void_p(epilogue.bias)
        self._set("MatmulDesc", self._operation, attributes)
        reals = REAL[dtype], REAL[dtype], REAL[result or sums]
        self._layouts = [
            self._create("MatrixLayout", real, matrix.rows, matrix.columns, matrix.leading)
            for real, matrix in zip(reals, (product.a, product.b, product.d), strict=True)
        ]
        self.algorithms = self._heuristic()

    def _create(self, what: str, *arguments: Any) -> c_void_p:
        made = c_void_p()
        self._lt.call(f"cublasLt{what}Create", byref(made), *arguments)
        self._made.append((f"cublasLt{what}Destroy", made))
        return made

    def _set(self, what: str, made: c_void_p, attributes: dict[int, Any]) -> None:
        # A value is copied on the call, so that it need not outlive it; a pointer is passed as a value too.
        for attribute, value in attributes.items():
            self._lt.call(f"cublasLt{what}SetAttribute", made, attribute, byref(value), ctypes.sizeof(value))

    def _heuristic(self) -> list[Heuristic]:
        """Return the algorithms that the library ranks first, in its order."""
        (a, b, d), (layout_a, layout_b, layout_d) = self.addresses, self._layouts
        preference = self._create("MatmulPreference")
        schemes = ALL_SCHEMES & ~IN_PLACE if self._deterministic else ALL_SCHEMES
        self._set("MatmulPreference", preference, {
            MAX_WORKSPACE: c_size_t(self._workspace[1]), REDUCTION_SCHEMES: c_uint32(schemes),
            ALIGNMENT_A: c_uint32(alignment(a)), ALIGNMENT_B: c_uint32(alignment(b)),
            ALIGNMENT_C: c_uint32(alignment(d)), ALIGNMENT_D: c_uint32(alignment(d)),
        })  # fmt: skip
        found, many = (Heuristic * 8)(), c_int(0)
        self._lt.call(
            "cublasLtMatmulAlgoGetHeuristic", self._lt.handle, self._operation, layout_a, layout_b, layout_d, layout_d,
            preference, len(found), found, byref(many),
        )  # fmt: skip
        usable = [one for one in found[: many.value] if one.state == SUCCESS]
        if not usable:
            raise CublasLtError(f"cublasLt has no algorithm for {self.product}.")
        return usable

    def with_algorithm(self, number: int) -> Callable[[int], None]:
        """Return the product by one of `algorithms`, in the library's order, called with the address of a stream."""
        algorithm, (a, b, d) = self.algorithms[number].algorithm, map(c_void_p, self.addresses)
        layout_a, layout_b, layout_d = self._layouts
        arguments = (
            self._lt.handle, self._operation, byref(self._one), a, layout_a, b, layout_b, byref(self._zero), d,
            layout_d, d, layout_d, byref(algorithm), c_void_p(self._workspace[0]), c_size_t(self._workspace[1]),
        )  # fmt: skip

        def launch(stream: int, keep: Any = self) -> None:  # the descriptors end with the product
            check("cublasLtMatmul", self._lt.library.cublasLtMatmul(*arguments, c_void_p(stream)))

        return launch

    def __del__(self) -> None:
        for name, made in getattr(self, "_made", ()):
            getattr(self._lt.library, name)(made)


class LibraryMissingError(OSError):
    """No cublasLt was found; the message lists the places tried."""


def candidates(major: int | None = None) -> Iterator[str]:
    """Yield candidates to open, for a CUDA version or those of `MAJORS`: names for the loader, then files."""
    for number in (major,) if major is not None else MAJORS:
        name = f"cublasLt64_{number}.dll" if sys.platform == "win32" else f"libcublasLt.so.{number}"
        yield name  # if CuPy or PyTorch has loaded it, the loader returns that one
        for folder in _folders(number):
            if (folder / name).is_file():
                yield str(folder / name)


def _folders(major: int) -> Iterator[Path]:
    nvidia = find_spec("nvidia")
    for place in (nvidia.submodule_search_locations or ()) if nvidia is not None else ():
        yield from (Path(place) / "cublas" / "lib", Path(place) / f"cu{major}" / "lib", Path(place) / "cublas" / "bin")
    for variable in ("CUDA_PATH", "CUDA_HOME"):
        if variable in os.environ:
            yield from (Path(os.environ[variable]) / "lib64", Path(os.environ[variable]) / "lib")
    yield from (Path(f"/usr/local/cuda-{major}/lib64"), Path("/usr/local/cuda/lib64"))


def open_library(major: int | None = None) -> tuple[ctypes.CDLL, str]:
    """Return the library and the name under which it was found; LibraryMissingError if none can be opened."""
    tried = []
    for name in candidates(major):
        try:
            return ctypes.CDLL(name), name
        except OSError as error:
            tried.append(f"{name} ({error})")
    raise LibraryMissingError(f"cublasLt was not found: {'; '.join(tried)}.")
