"""As much of CuPy and cublasLt as the runtime of the GPU uses, on the host: arrays, kernels, streams, graphs, products.

Work goes to the stream that is current. While a stream is captured its work is written down, and whatever would wait
for the device is an error, as with CUDA. Products are read from raw memory, column by column, as cublasLt documents.
"""

# ruff: noqa: N802, N815  the names are cublasLt's

import ctypes
from contextlib import contextmanager
from types import ModuleType, SimpleNamespace

import numpy as np
from cuda_on_the_host import announce, compiled, in_bfloat16, seen, widened

STREAMS = {}


class Array(np.ndarray):
    """A NumPy array with the attributes of CuPy's."""

    @property
    def data(self):
        return SimpleNamespace(ptr=self.ctypes.data)

    def get(self):
        return asnumpy(self)


class Stream:
    """A queue whose work is done at once, or written down while it is captured."""

    def __init__(self, non_blocking=False, ptr=None):
        self.ptr = 1000 + len(STREAMS) if ptr is None else ptr
        self.works, self.begun = None, False
        STREAMS[self.ptr] = self

    def do(self, work):
        if self.works is None:
            work()
        else:
            self.works.append(work)

    def __enter__(self):
        STACK.append(self)
        return self

    def __exit__(self, *exception):
        STACK.pop()

    def begin_capture(self, mode=None):
        assert self.ptr != 0, "cannot capture on the default stream"
        self.works, self.begun = [], True

    def end_capture(self):
        works = self.works
        waiting = [stream for stream in STREAMS.values() if stream is not self and stream.works]
        for stream in STREAMS.values():
            stream.works, stream.begun = None, False
        assert not waiting, "a stream of the capture was not joined"
        return Graph(works)

    def synchronize(self):
        refuse_in_a_capture("synchronize")

    def record(self, event=None):
        made = Event()
        made.record(self)
        return made

    def wait_event(self, event):
        """Join another stream's capture; where that one waits for this, the work of this comes only then."""
        other = event.stream
        if other.works is None or other is self:
            return
        if self.works is None:
            self.works = []
        elif self.begun:
            self.works += other.works
            other.works = []


class Graph:
    """What was written down."""

    launched = 0

    def __init__(self, works):
        self.works = works

    def upload(self, stream):
        assert stream.works is None

    def launch(self, stream=None):
        type(self).launched += 1
        for work in self.works:
            STACK[-1].do(work)


class Event:
    clock = 0.0

    def __init__(self, disable_timing=False):
        self.stream = None

    def record(self, stream=None):
        Event.clock += 1.0
        self.at = Event.clock
        self.stream = STACK[-1] if stream is None else stream

    def synchronize(self):
        refuse_in_a_capture("an event")


STACK = [Stream(ptr=0)]


class Device:
    """A device, the current one within a block."""

    def __init__(self, number):
        self.id = number

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        pass


def refuse_in_a_capture(what):
    if STACK[-1].works is not None:
        raise RuntimeError(f"{what}: the current stream is capturing, so synchronous API calls are disallowed")


def array(value, dtype=None):
    return np.array(value, dtype).view(Array)


class RawKernel:
    def __init__(self, code, name):
        assert name == "retroprop_kernel"
        self.code = code

    def compile(self):
        announce(self.code)

    def __call__(self, grid, block, arguments):
        assert len(grid) == len(block) == 3
        assert all(isinstance(argument, Array | np.int64) for argument in arguments)
        addresses = [one.data.ptr if isinstance(one, Array) else int(one) for one in arguments]
        given = (ctypes.c_void_p * len(addresses))(*addresses)
        STACK[-1].do(lambda: compiled(self.code)(grid[0], grid[1], block[0], given))


def copyto(target, source):
    assert target.shape == source.shape
    STACK[-1].do(lambda: np.copyto(target, source, casting="same_kind"))


def asnumpy(x):
    refuse_in_a_capture("asnumpy")
    return np.array(x)


@contextmanager
def using_allocator(allocator):
    yield


def empty(size, dtype):
    nbytes = size * np.dtype(dtype).itemsize
    room = np.empty(nbytes + 256, "uint8")
    room[: 1 << 20] = 0xFF  # NaN, as far as it is not written; what is larger is the workspace of products
    return room[-room.ctypes.data % 256 :][:nbytes].view(dtype).view(Array)


def matmul(a, b, out):
    if STACK[-1].works is not None:
        raise NotImplementedError("calling cuBLAS API during stream capture is currently unsupported")
    np.matmul(a, b, out=out)


def module():
    """Return a module named cupy."""
    cupy = ModuleType("cupy")
    vars(cupy).update(
        uint8=np.uint8,
        __version__="14.2.0",
        ndarray=Array,
        empty=empty,
        full=lambda shape, value, dtype: array(np.full(shape, value, dtype)),
        nan=np.nan,
        asarray=array,
        asnumpy=asnumpy,
        copyto=copyto,
        matmul=matmul,
        RawKernel=RawKernel,
    )
    cupy.cuda = SimpleNamespace(
        Device=Device,
        runtime=SimpleNamespace(getDevice=lambda: 0, runtimeGetVersion=lambda: 13000,
                                getDeviceProperties=lambda number: {"name": b"a host"}),
        device=SimpleNamespace(get_cublas_handle=lambda: 1),
        get_current_stream=lambda: STACK[-1],
        Stream=Stream, Event=Event, MemoryPool=lambda: SimpleNamespace(malloc=None), using_allocator=using_allocator,
        get_elapsed_time=lambda begin, end: end.at - begin.at,
    )  # fmt: skip
    return cupy


REAL = {0: "float32", 1: "float64", 14: "uint16"}


class Library:
    """cublasLt on raw memory."""

    def __init__(self, *, without=()):
        self.made, self.without, self.types, self.alive = {}, without, [], 0

    def new(self, made, **what):
        self.alive += 1
        key = len(self.made) + 1
        self.made[key] = what
        made._obj.value = key
        return 0

    def cublasLtGetVersion(self):
        return 130001

    def cublasLtCreate(self, made):
        return self.new(made)

    def cublasLtMatmulDescCreate(self, made, compute, scale):
        self.types.append(compute)
        return self.new(made, attributes={})

    def cublasLtMatmulDescSetAttribute(self, description, attribute, value, size):
        assert size == {3: 4, 4: 4, 7: 4, 8: 8}[attribute]
        self.made[description.value]["attributes"][attribute] = value._obj.value
        return 0

    def cublasLtMatrixLayoutCreate(self, made, real, rows, columns, leading):
        assert leading >= rows
        return self.new(made, real=real, rows=rows, columns=columns, leading=leading)

    def cublasLtMatmulPreferenceCreate(self, made):
        return self.new(made, wishes={})

    def cublasLtMatmulPreferenceSetAttribute(self, preference, attribute, value, size):
        assert size == {1: 8}.get(attribute, 4)
        self.made[preference.value]["wishes"][attribute] = value._obj.value
        return 0

    def cublasLtMatmulAlgoGetHeuristic(self, handle, description, a, b, c, d, preference, many, found, count):
        kind = self.made[description.value]["attributes"].get(7, 1)
        count._obj.value = 0 if kind in self.without else 3
        for k in range(count._obj.value):
            found[k].state, found[k].algorithm.data[0] = 0, k
        return 0

    def freed(self, made):
        self.alive -= 1
        return 0

    cublasLtDestroy = cublasLtMatmulDescDestroy = cublasLtMatrixLayoutDestroy = cublasLtMatmulPreferenceDestroy = freed

    def cublasLtMatmul(self, handle, description, alpha, a, a_layout, b, b_layout, beta, c, c_layout, d, d_layout,
                       algorithm, workspace, size, stream):  # fmt: skip
        assert size.value == 32 * 2**20
        assert workspace.value
        assert c.value == d.value
        assert (alpha._obj.value, beta._obj.value) == (1.0, 0.0)
        attributes = dict(self.made[description.value]["attributes"])

        def work():
            x, y = widened(self.matrix(a, a_layout)), widened(self.matrix(b, b_layout))
            x, y = x.T if attributes.get(3) else x, y.T if attributes.get(4) else y
            result = self.matrix(d, d_layout)
            with np.errstate(all="ignore"):
                found = self.finished(x @ y, attributes, result.dtype)
                result[...] = in_bfloat16(found) if result.dtype == "uint16" else found

        STREAMS[stream.value or 0].do(work)
        return 0

    def matrix(self, address, layout):
        what = self.made[layout.value]
        return column_major(address.value, what["real"], what["rows"], what["columns"], what["leading"])

    def finished(self, found, attributes, dtype):
        """Bias and relu along the rows of D; a bias is as D is."""
        kind = attributes.get(7, 1)
        if kind == 1:
            return found
        assert kind in (2, 6)
        assert (8 in attributes) == (kind == 6)
        if kind == 6:
            found = found + widened(seen(found.shape[0], dtype, attributes[8]))[:, None]
        return np.where(found > 0.0, found, 0.0)


def column_major(address, real, rows, columns, leading):
    """Return the matrix in memory."""
    flat = seen((leading * (columns - 1) + rows,), REAL[real], address)
    return np.lib.stride_tricks.as_strided(flat, (rows, columns), (flat.itemsize, leading * flat.itemsize))
