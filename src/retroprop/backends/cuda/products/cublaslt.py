"""Matrix products by cublasLt, called through ctypes: a CUDA graph may hold them, where CuPy's own are refused.

Constants and sizes are those of cublasLt.h (CUDA 12 and 13, which do not differ here). `alpha` and `beta` are on the
host, where a graph fixes their values, or on the device, where each replay reads them. The caller gives the workspace,
so that nothing is allocated in a graph.
"""

import ctypes
from ctypes import POINTER, byref, c_float, c_int, c_int64, c_size_t, c_uint32, c_uint64, c_void_p
from typing import Any, NamedTuple

from retroprop.backends.cuda.products.matrix_layout import Matrix, Product

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
POINTER_MODE, TRANSA, TRANSB, EPILOGUE, BIAS_POINTER, AUX_POINTER, AUX_LD = 2, 3, 4, 7, 8, 11, 12
ON_DEVICE = 1  # cublasLtPointerMode_t: alpha and beta are read on the device, when the product is computed
# cublasLtMatmulPreferenceAttributes_t
MAX_WORKSPACE, REDUCTION_SCHEMES, ALIGNMENT_A, ALIGNMENT_B, ALIGNMENT_C, ALIGNMENT_D = 1, 3, 5, 6, 7, 8
# cublasLtReductionScheme_t: how the parts of a split sum are added; IN_PLACE adds one after another to the result, and
# cublasLt.h does not promise the same order at each call
ALL_SCHEMES, IN_PLACE = 0x7, 0x1
# cublasLtEpilogue_t
EPILOGUES = {
    "none": 1, "relu_aux": 130, "relu_aux_bias": 134, "drelu": 136, "drelu_bgrad": 152, "gelu_aux": 160,
    "gelu_aux_bias": 164, "dgelu": 192, "dgelu_bgrad": 208, "bgradb": 512,
}  # fmt: skip
TRANSPOSE = 1
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


_SIGNATURES: dict[str, tuple[Any, ...]] = {
    "cublasLtCreate": (POINTER(c_void_p),),
    "cublasLtDestroy": (c_void_p,),
    "cublasLtMatmulDescCreate": (POINTER(c_void_p), c_int, c_int),
    "cublasLtMatmulDescSetAttribute": (c_void_p, c_int, c_void_p, c_size_t),
    "cublasLtMatmulDescDestroy": (c_void_p,),
    "cublasLtMatrixLayoutCreate": (POINTER(c_void_p), c_int, c_uint64, c_uint64, c_int64),
    "cublasLtMatrixLayoutDestroy": (c_void_p,),
    "cublasLtMatmulPreferenceCreate": (POINTER(c_void_p),),
    "cublasLtMatmulPreferenceSetAttribute": (c_void_p, c_int, c_void_p, c_size_t),
    "cublasLtMatmulPreferenceDestroy": (c_void_p,),
    "cublasLtMatmulAlgoGetHeuristic": (
        c_void_p, c_void_p, c_void_p, c_void_p, c_void_p, c_void_p, c_void_p, c_int, POINTER(Heuristic), POINTER(c_int),
    ),
    "cublasLtMatmul": (
        c_void_p, c_void_p, c_void_p, c_void_p, c_void_p, c_void_p, c_void_p, c_void_p, c_void_p, c_void_p, c_void_p,
        c_void_p, POINTER(Algorithm), c_void_p, c_size_t, c_void_p,
    ),
}  # fmt: skip


class CublasLtError(RuntimeError):
    """A call of cublasLt failed; the message says which and how."""


class Epilogue(NamedTuple):
    """The operations of a product on its result and its operands, besides the product.

    Attributes
    ----------
    kind : str
        A name of `EPILOGUES`.
    bias : int
        The address of the bias, or of where its gradient goes; 0 for none.
    aux : int
        The address of relu's mask or of gelu's argument; 0 for none.
    aux_leading : int
        The leading dimension of `aux`: in bits for a mask, in elements for an argument.
    """

    kind: str = "none"
    bias: int = 0
    aux: int = 0
    aux_leading: int = 0


class CublasLt:
    """The library, with a handle of its own for the current device.

    Parameters
    ----------
    library : ctypes.CDLL
        As `find_cublaslt.open_library` returns it.

    Raises
    ------
    CublasLtError
        If a function is missing, or no handle can be made.
    """

    def __init__(self, library: Any) -> None:
        self._library = declared(library)
        handle = c_void_p()
        self.call("cublasLtCreate", byref(handle))
        self.handle = handle

    def call(self, name: str, *arguments: Any) -> None:
        """Call a function that returns a status, and raise unless that is success."""
        check(name, getattr(self._library, name)(*arguments))

    @property
    def version(self) -> str:
        """The version of the library."""
        number = int(self._library.cublasLtGetVersion())
        return f"{number // 10000}.{number // 100 % 100}.{number % 100}"

    @property
    def matmul(self) -> Any:
        """The function itself, for a caller that checks the status."""
        return self._library.cublasLtMatmul


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
    """One product, prepared: D = alpha op(A) op(B) + beta C with C = D, at fixed addresses.

    Parameters
    ----------
    lt : CublasLt
        The library.
    product : Product
        The shapes and layouts of the matrices.
    addresses : tuple of int
        Of a, b and d, as `Product` names them.
    dtype, precision : str
        Of the operands, "float32", "float64" or "bfloat16"; "highest", "tf32" or "bf16".
    workspace : tuple of int
        Address and size of scratch memory that no concurrent product uses.
    alpha, beta : float
        The factors.
    factors : int
        The address of alpha and beta on the device, in the dtype of the sums, which replace those; 0 for none.
    result : str
        The dtype of D and of its bias, by default that of the sums: float32 for operands in bfloat16.
    epilogue : Epilogue
        Further operations.
    deterministic : bool
        Whether to take only algorithms that sum in the same order at each call.

    Raises
    ------
    CublasLtError
        If there is no algorithm for it.
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
        alpha: float = 1.0,
        beta: float = 0.0,
        factors: int = 0,
        result: str = "",
        epilogue: Epilogue | None = None,
        deterministic: bool = False,
    ) -> None:
        self._lt, self.product, self.addresses = lt, product, addresses
        self._workspace, self._deterministic = workspace, deterministic
        self._made: list[tuple[str, c_void_p]] = []
        sums = "float64" if dtype == "float64" else "float32"
        scalar = c_float if sums == "float32" else ctypes.c_double
        self._alpha, self._beta = scalar(alpha), scalar(beta)
        self._factors: tuple[Any, Any] = byref(self._alpha), byref(self._beta)
        self._operation = self._create("MatmulDesc", COMPUTE[dtype, precision], REAL[sums])
        self._set(TRANSA, c_int(TRANSPOSE if product.a.transposed else 0))
        self._set(TRANSB, c_int(TRANSPOSE if product.b.transposed else 0))
        if factors:
            self._set(POINTER_MODE, c_int(ON_DEVICE))
            self._factors = c_void_p(factors), c_void_p(factors + ctypes.sizeof(scalar))
        if epilogue is not None and epilogue.kind != "none":
            self._epilogue(epilogue)
        reals = REAL[dtype], REAL[dtype], REAL[result or sums]
        self._layouts = list(map(self._layout, reals, (product.a, product.b, product.d)))
        self.algorithms = self._heuristic()
        self._choose(self.algorithms[0])

    def _create(self, what: str, *arguments: Any) -> c_void_p:
        made = c_void_p()
        self._lt.call(f"cublasLt{what}Create", byref(made), *arguments)
        self._made.append((f"cublasLt{what}Destroy", made))
        return made

    def _layout(self, real: int, matrix: Matrix) -> c_void_p:
        return self._create("MatrixLayout", real, matrix.rows, matrix.columns, matrix.leading)

    def _set(self, attribute: int, value: Any) -> None:
        self._lt.call("cublasLtMatmulDescSetAttribute", self._operation, attribute, byref(value), ctypes.sizeof(value))

    def _epilogue(self, epilogue: Epilogue) -> None:
        self._set(EPILOGUE, c_uint32(EPILOGUES[epilogue.kind]))
        if epilogue.bias:
            self._set(BIAS_POINTER, c_void_p(epilogue.bias))
        if epilogue.aux:
            self._set(AUX_POINTER, c_void_p(epilogue.aux))
            self._set(AUX_LD, c_int64(epilogue.aux_leading))

    def _heuristic(self) -> list[Heuristic]:
        """Return the algorithms that the library ranks first, in its order."""
        a, b, d = self.addresses
        preference = self._create("MatmulPreference")
        schemes = ALL_SCHEMES & ~IN_PLACE if self._deterministic else ALL_SCHEMES
        wanted = {
            MAX_WORKSPACE: c_size_t(self._workspace[1]), REDUCTION_SCHEMES: c_uint32(schemes),
            ALIGNMENT_A: c_uint32(alignment(a)), ALIGNMENT_B: c_uint32(alignment(b)),
            ALIGNMENT_C: c_uint32(alignment(d)), ALIGNMENT_D: c_uint32(alignment(d)),
        }  # fmt: skip
        for attribute, value in wanted.items():
            self._lt.call(
                "cublasLtMatmulPreferenceSetAttribute", preference, attribute, byref(value), ctypes.sizeof(value)
            )
        found, many = (Heuristic * 8)(), c_int(0)
        layout_a, layout_b, layout_d = self._layouts
        self._lt.call(
            "cublasLtMatmulAlgoGetHeuristic", self._lt.handle, self._operation, layout_a, layout_b, layout_d, layout_d,
            preference, len(found), found, byref(many),
        )  # fmt: skip
        usable = [one for one in found[: many.value] if one.state == SUCCESS]
        if not usable:
            raise CublasLtError(f"cublasLt has no algorithm for {self.product}.")
        return usable

    def _choose(self, heuristic: Heuristic) -> None:
        """Take an algorithm, and build the arguments of the call."""
        self._algorithm = heuristic.algorithm
        a, b, d = self.addresses
        layout_a, layout_b, layout_d = self._layouts
        self._arguments = (
            self._lt.handle, self._operation, self._factors[0], c_void_p(a), layout_a, c_void_p(b), layout_b,
            self._factors[1], c_void_p(d), layout_d, c_void_p(d), layout_d, byref(self._algorithm),
            c_void_p(self._workspace[0]), c_size_t(self._workspace[1]),
        )  # fmt: skip

    def choose(self, number: int) -> None:
        """Take another of `algorithms`."""
        self._choose(self.algorithms[number])

    def __call__(self, stream: int) -> None:
        """Launch it on the stream of that address."""
        check("cublasLtMatmul", self._lt.matmul(*self._arguments, c_void_p(stream)))

    def __del__(self) -> None:
        for name, made in getattr(self, "_made", ()):
            getattr(self._lt._library, name)(made)
