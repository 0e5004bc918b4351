"""cublasLt's mapping against an emulation that reads memory as its documentation says, column by column."""

import ctypes
from itertools import product as every
from types import SimpleNamespace

import numpy as np
import pytest

from retroprop.backends.cuda.products import cublaslt
from retroprop.backends.cuda.products import cublaslt as libraries
from retroprop.backends.cuda.products.cublaslt import (
    Algorithm,
    CublasLt,
    CublasLtError,
    Epilogue,
    Heuristic,
    PreparedProduct,
)
from retroprop.backends.cuda.products.matrix_layout import Matrix, matrix_of, product_of

RNG = np.random.default_rng(0)


def strides_of(array):
    return tuple(s // array.itemsize for s in array.strides)


def lies(array):
    return array.shape, strides_of(array)


def read(memory, matrix):
    """Return op(X) of a column-major matrix in a 1-D array."""
    rows, columns = np.indices((matrix.rows, matrix.columns))
    found = memory[rows + columns * matrix.leading]
    return found.T if matrix.transposed else found


def memory_of(array):
    """Return the numbers from where an array begins to the end of what it is a view of."""
    whole = array if array.base is None else array.base
    flat = whole.reshape(-1)
    return flat[(array.ctypes.data - whole.ctypes.data) // array.itemsize :]


def emulated(product, first, second, result, *, epilogue="none", bias=None):
    """Do what the documentation of cublasLtMatmul says: D = epilogue(op(A) op(B))."""
    a, b = read(memory_of(second), product.a), read(memory_of(first), product.b)
    assert a.shape == (product.m, product.k)
    assert b.shape == (product.k, product.n)
    d = a @ b
    if epilogue == "relu_bias":
        d = np.maximum(d + bias[:, None], 0.0)  # along the rows of D
    rows, columns = np.indices((product.m, product.n))
    memory_of(result)[rows + columns * product.d.leading] = d


def stored(rows, columns, kind):
    """Return a matrix that lies by rows, by columns, or as a part of a wider one."""
    if kind == "by columns":
        return np.ascontiguousarray(RNG.normal(size=(columns, rows))).T
    if kind == "a part":
        return RNG.normal(size=(rows, columns + 3))[:, 2 : columns + 2]
    return RNG.normal(size=(rows, columns))


@pytest.mark.parametrize("kinds", list(every(["by rows", "by columns", "a part"], repeat=2)))
@pytest.mark.parametrize("shape", [(3, 4, 5), (1, 4, 5), (3, 1, 5), (3, 4, 1), (1, 1, 5), (5, 1, 1), (1, 3, 1)])
def test_products(kinds, shape):
    rows, k, columns = shape
    first, second = stored(rows, k, kinds[0]), stored(k, columns, kinds[1])
    result = RNG.normal(size=(rows, columns + 2))[:, :columns]
    expected = first @ second
    mapped = product_of(lies(first), lies(second), lies(result))
    for matrix in (mapped.a, mapped.b, mapped.d):
        assert matrix.leading >= matrix.rows  # cublasLt asks for it
    emulated(mapped, first, second, result)
    np.testing.assert_allclose(result, expected, rtol=1e-13)


def test_what_lies_in_no_way_it_can_read_is_refused():
    x = RNG.normal(size=(4, 6))
    with pytest.raises(ValueError, match="neither row-major nor column-major"):
        matrix_of(*lies(x[:, ::2]))
    with pytest.raises(ValueError, match="must be row-major"):
        product_of(lies(x), lies(x.T), lies(np.empty((4, 4)).T))
    with pytest.raises(ValueError, match="no product of shapes"):
        product_of(lies(x), lies(x), lies(np.empty((4, 6))))


def test_bias_and_relu_are_a_step_of_backpropagation():
    m, n_in, n_out = 5, 7, 131
    a, theta, bias = RNG.normal(size=(m, n_in)), RNG.normal(size=(n_out, n_in)), RNG.normal(size=n_out)
    forward = np.empty((m, n_out))
    mapped = product_of(lies(a), lies(theta.T), lies(forward))
    assert (mapped.m, mapped.n, mapped.k) == (n_out, m, n_in)
    emulated(mapped, a, theta.T, forward, epilogue="relu_bias", bias=bias)
    np.testing.assert_allclose(forward, np.maximum(a @ theta.T + bias, 0.0), rtol=1e-13, atol=1e-13)


def test_the_structures_have_the_sizes_of_the_header():
    assert ctypes.sizeof(Algorithm) == 64
    assert ctypes.sizeof(Heuristic) == 64 + 8 + 4 + 4 + 16
    assert Heuristic.workspace.offset == 64
    assert Heuristic.state.offset == 72


@pytest.mark.parametrize(("address", "aligned"), [(0, 256), (4, 4), (48, 16), (4096, 256), (4096 + 128, 128)])
def test_alignment(address, aligned):
    assert cublaslt.alignment(address) == aligned


class Recorder:
    """A cublasLt that makes nothing and writes down what it is asked."""

    def __init__(self, algorithms=2):
        self.attributes, self.layouts, self.freed, self.multiplied = {}, [], [], []
        self.operations = []
        self.algorithms, self.made = algorithms, 0

    def __getattr__(self, name):
        if not name.startswith("cublasLt"):
            raise AttributeError(name)

        def answer(*arguments):
            return getattr(self, f"on_{name[8:].lower()}", self.other)(name, *arguments)

        answer.__name__ = name
        self.__dict__[name] = answer
        return answer

    def other(self, name, *arguments):
        if name.endswith("Create"):
            self.made += 1
            arguments[0]._obj.value = self.made
        if name.endswith("Destroy"):
            self.freed.append(arguments[0].value)
        return 0

    def on_matmuldescsetattribute(self, name, operation, attribute, value, size):
        self.attributes[attribute] = value._obj.value
        assert size == ctypes.sizeof(value._obj)
        return 0

    def on_matmulpreferencesetattribute(self, name, preference, attribute, value, size):
        self.attributes["preference", attribute] = value._obj.value
        return 0

    def on_matmuldesccreate(self, name, made, *what):
        self.operations.append(what)
        return self.other("Create", made)

    def on_matrixlayoutcreate(self, name, made, *what):
        self.layouts.append(what)
        return self.other("Create", made)

    def on_matmulalgogetheuristic(self, name, *arguments):
        for k in range(self.algorithms):
            arguments[-2][k].state = 15 if k == 0 else 0  # the first is not supported
            arguments[-2][k].algorithm.data[0] = k
        arguments[-1]._obj.value = self.algorithms
        return 0

    def on_getversion(self, name):
        return 120903

    def on_matmul(self, name, *arguments):
        self.multiplied.append(arguments)
        return 0


def recorded(algorithms=2, **options):
    library = Recorder(algorithms)
    first, second, result = (np.empty(shape, "float32") for shape in ((3, 4), (5, 4), (3, 5)))
    mapped = product_of(lies(first), lies(second.T), lies(result))
    options = {"dtype": "float32", "precision": "tf32", "workspace": (8192, 99)} | options
    call = PreparedProduct(CublasLt(library), mapped, (1024, 2064, 4096), **options)
    return library, call


def test_a_call_is_described_and_made():
    library, call = recorded(epilogue=Epilogue("relu_bias", bias=512), deterministic=True)
    assert library.layouts == [(0, 4, 5, 4), (0, 4, 3, 4), (0, 5, 3, 5)]
    assert library.attributes == {
        3: 1, 4: 0, 7: 6, 8: 512,
        ("preference", 1): 99, ("preference", 3): 6,
        ("preference", 5): 256, ("preference", 6): 16, ("preference", 7): 256, ("preference", 8): 256,
    }  # fmt: skip
    (one,) = call.algorithms
    assert one.algorithm.data[0] == 1  # the one that is supported
    launch = call.with_algorithm(0)
    del call
    launch(77)
    (arguments,) = library.multiplied
    assert [arguments[k].value for k in (3, 5, 8, 10, 13, 14, 15)] == [1024, 2064, 4096, 4096, 8192, 99, 77]
    assert arguments[2]._obj.value == 1.0
    assert arguments[7]._obj.value == 0.0
    assert arguments[12]._obj.data[0] == 1
    assert CublasLt(library).version == "12.9.3"
    assert library.freed == []  # as long as it may be launched
    del launch
    assert len(library.freed) == 5  # the operation, three layouts, the preference


def test_launches_keep_their_algorithms():
    library, call = recorded(algorithms=4)
    for launch in [call.with_algorithm(k) for k in (2, 0, 1)]:
        launch(77)
    assert [arguments[12]._obj.data[0] for arguments in library.multiplied] == [3, 1, 2]


def test_an_epilogue_without_bias_has_no_address():
    library, _ = recorded(epilogue=Epilogue("relu"))
    assert library.attributes[7] == 2
    assert 8 not in library.attributes


@pytest.mark.parametrize(("result", "real"), [("", 0), ("float32", 0), ("bfloat16", 14)])
def test_operands_in_bfloat16_are_summed_in_float32(result, real):
    """CUDA_R_16BF = 14, CUBLAS_COMPUTE_32F = 68 with scales of CUDA_R_32F = 0; D is one of both."""
    library, call = recorded(dtype="bfloat16", precision="bf16", result=result)
    assert library.operations == [(68, 0)]
    assert [layout[0] for layout in library.layouts] == [14, 14, real]
    call.with_algorithm(0)(77)
    (arguments,) = library.multiplied
    assert arguments[2]._obj.value == 1.0
    assert isinstance(arguments[2]._obj, ctypes.c_float)
    with pytest.raises(KeyError):
        recorded(dtype="bfloat16", precision="tf32")


def test_no_algorithm_and_a_failing_call_are_errors_with_a_name():
    with pytest.raises(CublasLtError, match="has no algorithm"):
        recorded(algorithms=1)
    with pytest.raises(CublasLtError, match=r"cublasLtMatmul failed: not supported \(15\)"):
        cublaslt.check("cublasLtMatmul", 15)
    with pytest.raises(CublasLtError, match="has no function cublasLtCreate"):
        CublasLt(SimpleNamespace())


def test_the_library_of_cupys_own_cuda_version_is_looked_for():
    names = [name.rpartition("/")[2] for name in libraries.candidates(12)]
    assert names[0] == "libcublasLt.so.12"
    assert set(names) == {"libcublasLt.so.12"}
    assert {name.rpartition("/")[2] for name in libraries.candidates()} == {"libcublasLt.so.12", "libcublasLt.so.13"}


def test_a_missing_library_says_where_it_was_looked_for(monkeypatch):
    monkeypatch.setattr(libraries, "candidates", lambda major: ["libnothing.so.1"])
    with pytest.raises(libraries.LibraryMissingError, match=r"libnothing\.so\.1 \("):
        libraries.open_library(12)


def test_the_real_library_has_the_functions_and_takes_the_descriptions():
    """The parts that ask no device: layouts and operations are made, and their attributes taken at these sizes."""
    try:
        library, _ = libraries.open_library()
    except libraries.LibraryMissingError as error:
        pytest.skip(str(error))
    library = cublaslt.declared(library)
    assert int(library.cublasLtGetVersion()) > 120000
    made = ctypes.c_void_p()
    for compute in sorted({*cublaslt.COMPUTE.values()} - {70}):
        cublaslt.check("create", library.cublasLtMatmulDescCreate(ctypes.byref(made), compute, 0))
    for attribute, value in ((3, ctypes.c_int(1)), (7, ctypes.c_uint32(6)), (8, ctypes.c_void_p(512))):
        status = library.cublasLtMatmulDescSetAttribute(made, attribute, ctypes.byref(value), ctypes.sizeof(value))
        cublaslt.check("set", status)
    library.cublasLtMatmulDescDestroy(made)
    layout = ctypes.c_void_p()
    matrix = Matrix(4, 5, 4)
    for real in cublaslt.REAL.values():
        cublaslt.check("layout", library.cublasLtMatrixLayoutCreate(ctypes.byref(layout), real, *matrix[:3]))
        library.cublasLtMatrixLayoutDestroy(layout)
    preference = ctypes.c_void_p()
    cublaslt.check("preference", library.cublasLtMatmulPreferenceCreate(ctypes.byref(preference)))
    for attribute, value in ((1, ctypes.c_size_t(99)), (3, ctypes.c_uint32(6)), (5, ctypes.c_uint32(16))):
        status = library.cublasLtMatmulPreferenceSetAttribute(
            preference, attribute, ctypes.byref(value), ctypes.sizeof(value)
        )
        cublaslt.check("set", status)
    library.cublasLtMatmulPreferenceDestroy(preference)
