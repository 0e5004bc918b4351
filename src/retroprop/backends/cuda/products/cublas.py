"""Matrix products by cuBLAS itself, called through ctypes: its choice of algorithm is another than cublasLt's.

For δᵀ a of large matrices in TF32 it knows a kernel for Hopper that cublasLt's ranking leaves out. CuPy refuses its own
calls of cuBLAS while a graph is captured; cuBLAS does not, as long as the workspace is given.
"""

import ctypes
from ctypes import POINTER, byref, c_int, c_size_t, c_void_p
from typing import Any

from retroprop.backends.cuda.products.cublaslt import COMPUTE, REAL, CublasLtError
from retroprop.backends.cuda.products.matrix_layout import Product

DEFAULT_ALGORITHM = -1  # CUBLAS_GEMM_DEFAULT
_SIGNATURES: dict[str, tuple[Any, ...]] = {
    "cublasCreate_v2": (POINTER(c_void_p),),
    "cublasDestroy_v2": (c_void_p,),
    "cublasSetStream_v2": (c_void_p, c_void_p),
    "cublasSetWorkspace_v2": (c_void_p, c_void_p, c_size_t),
    "cublasGemmEx": (
        c_void_p, *[c_int] * 5, c_void_p, c_void_p, c_int, c_int, c_void_p, c_int, c_int, c_void_p, c_void_p,
        *[c_int] * 4,
    ),
}  # fmt: skip


class Cublas:
    """The library with a handle of its own for the current device."""

    def __init__(self, library: Any) -> None:
        self._library = library
        for name, arguments in _SIGNATURES.items():
            function = getattr(library, name)
            function.argtypes, function.restype = arguments, c_int
        self.handle = c_void_p()
        self.call("cublasCreate_v2", byref(self.handle))

    def call(self, name: str, *arguments: Any) -> None:
        """Call a function that returns a status, and raise unless that is success."""
        status = getattr(self._library, name)(*arguments)
        if status != 0:
            raise CublasLtError(f"{name} failed with status {status} of cublasStatus_t.")


class GemmCall:
    """One product D = op(A) op(B) at fixed addresses; the arguments are those of `cublaslt.PreparedProduct`."""

    def __init__(
        self, cublas: Cublas, product: Product, addresses: tuple[int, int, int], dtype: str, precision: str,
        workspace: tuple[int, int],
    ) -> None:  # fmt: skip
        self._cublas, self._workspace = cublas, workspace
        scalar = ctypes.c_double if dtype == "float64" else ctypes.c_float
        self._one, self._zero = scalar(1.0), scalar(0.0)
        real, (a, b, d) = REAL[dtype], addresses
        # cublasOperation_t: 0 as it is, 1 transposed
        self._arguments = (
            int(product.a.transposed), int(product.b.transposed), product.m, product.n, product.k, byref(self._one),
            c_void_p(a), real, product.a.leading, c_void_p(b), real, product.b.leading, byref(self._zero), c_void_p(d),
            real, product.d.leading, COMPUTE[dtype, precision], DEFAULT_ALGORITHM,
        )  # fmt: skip

    def __call__(self, stream: int) -> None:
        """Launch it on the stream of that address; setting the stream resets the workspace, which is set after."""
        cublas, (address, size) = self._cublas, self._workspace
        cublas.call("cublasSetStream_v2", cublas.handle, c_void_p(stream))
        cublas.call("cublasSetWorkspace_v2", cublas.handle, c_void_p(address), size)
        cublas.call("cublasGemmEx", cublas.handle, *self._arguments)
