"""CUDA kernels compiled as C++ for the host and run as they are: blocks one after another, threads in turns.

A thread is a coroutine that runs until the next barrier or exchange; when all of a block have come there, they go on.
So what a kernel does with its threads, warps and blocks is tested where no GPU is, and only its timing is not.
"""

import ctypes
import hashlib
import re
import shutil
import subprocess
import tempfile
from collections import Counter
from functools import lru_cache, partial
from pathlib import Path

import numpy as np
import pytest

from retroprop.backends.backend import PLAIN, Backend
from retroprop.backends.cuda.cuda_step import CudaStep
from retroprop.backends.cuda.kernels.prelude import HEAD
from retroprop.backends.cuda.kernels.tile_product import TENSOR_CORES
from retroprop.backends.cuda.launch_program import RULES
from retroprop.backends.cuda.products.matrix_layout import product_of
from retroprop.backends.cuda.rewrites import bfloat16
from retroprop.backends.cuda.runtime import Runtime
from retroprop.backends.numpy_backend import NumpyBackend
from retroprop.backends.plan.plan import Plan
from retroprop.core.operations import Operations

COMPILER = shutil.which("g++") or shutil.which("c++")

# The functions of C that CUDA overloads for float: the headers of C++ would take most of the time of the compiler.
FUNCTIONS = {
    1: "exp expm1 exp2 log log1p log2 log10 sqrt sin cos tan asin acos atan sinh cosh tanh asinh acosh atanh "
    "fabs floor ceil trunc rint",
    2: "pow hypot copysign atan2",
}
ARGUMENTS = {1: ("{0} x", "x"), 2: ("{0} x, {0} y", "x, y")}


def overloads():
    """Return the declarations of the functions, for double and for float."""
    for many, names in FUNCTIONS.items():
        typed, plain = ARGUMENTS[many]
        for name in names.split():
            for kind, suffix in (("double", ""), ("float", "f")):
                yield f'extern "C" {kind} {name}{suffix}({typed.format(kind)});'
            yield f"inline float {name}({typed.format('float')}) {{ return {name}f({plain}); }}"


# What a kernel sees besides; its threads are below.
SHIM = r"""
#define INFINITY __builtin_inff()
#define NAN __builtin_nanf("")
#define memcpy __builtin_memcpy
#define __global__
#define __device__ static inline
#define __shared__ static
#define __launch_bounds__(n)
struct int2 { int x, y; };
struct int4 { int x, y, z, w; };
struct Dim { unsigned x, y, z; };
extern Dim threadIdx, blockIdx, gridDim, blockDim;
extern int running;
extern double exchanged[];
void turn();
#define __syncthreads() turn()
#define __threadfence()
template <class T> static T __shfl_xor_sync(unsigned, T value, int apart) {
  const int here = running;
  memcpy(&exchanged[here], &value, sizeof(T));
  turn();
  T other;
  memcpy(&other, &exchanged[here ^ apart], sizeof(T));
  turn();
  return other;
}
typedef unsigned long long Long;
static Long __umul64hi(Long a, Long b) { return (unsigned __int128)a * b >> 64; }
static unsigned atomicAdd(unsigned *p, unsigned n) { unsigned old = *p; *p += n; return old; }
"""
# A member function is no function of the file.
SHIM += "#undef __device__\n#define __device__ inline\n"

# mma.m16n8k8 of a warp by what PTX says of its fragments; the rounding is half away from 0.
WARPS_OF_THE_HOST = r"""
__device__ unsigned tf32(float x) {
  unsigned bits;
  memcpy(&bits, &x, 4);
  return (bits & 0x7fffffffu) > 0x7f800000u ? bits : (bits + 0x1000u) & ~0x1fffu;
}
__device__ void multiply(float (&d)[4], unsigned a0, unsigned a1, unsigned a2, unsigned a3, unsigned b0, unsigned b1) {
  static float a[32][16][8], b[32][8][8];
  const int warp = running / 32, group = running % 32 / 4, c = running % 4;
  memcpy(&a[warp][group][c], &a0, 4);
  memcpy(&a[warp][group + 8][c], &a1, 4);
  memcpy(&a[warp][group][c + 4], &a2, 4);
  memcpy(&a[warp][group + 8][c + 4], &a3, 4);
  memcpy(&b[warp][c][group], &b0, 4);
  memcpy(&b[warp][c + 4][group], &b1, 4);
  turn();
  for (int q = 0; q < 4; ++q)
    for (int k = 0; k < 8; ++k) d[q] += a[warp][group + q / 2 * 8][k] * b[warp][k][2 * c + q % 2];
  turn();
}
"""

# The coroutines are made once and serve every kernel. They change places by _longjmp, as swapcontext asks the system
# for the mask of signals, which takes a hundred times as long.
THREADS = r"""
#include <csetjmp>
#include <cstdlib>
#include <ucontext.h>
struct Dim { unsigned x, y, z; };
Dim threadIdx, blockIdx, gridDim, blockDim;
static const int MOST = 1024;
int running;
double exchanged[MOST];
static jmp_buf scheduler, places[MOST];
static ucontext_t fibers[MOST];
static bool begun[MOST], finished[MOST];
static void (*kernel)(void **);
static void **arguments;
static void leave() {
  if (!_setjmp(places[running])) _longjmp(scheduler, 1);
}
void turn() {
  leave();
  threadIdx = {unsigned(running), 0, 0};
}
static void thread() {
  for (;;) {
    kernel(arguments);
    finished[running] = true;
    leave();
  }
}
static void enter(int t) {
  running = t;
  threadIdx = {unsigned(t), 0, 0};
  if (_setjmp(scheduler)) return;
  if (begun[t]) _longjmp(places[t], 1);
  static char *stacks = (char *)malloc(size_t(MOST) << 16);
  begun[t] = true;
  getcontext(&fibers[t]);
  fibers[t].uc_stack.ss_sp = stacks + (size_t(t) << 16);
  fibers[t].uc_stack.ss_size = 1 << 16;
  fibers[t].uc_link = nullptr;
  makecontext(&fibers[t], thread, 0);
  setcontext(&fibers[t]);
}
extern "C" void launch(void (*given_kernel)(void **), int gx, int gy, int threads, void **given) {
  kernel = given_kernel;
  arguments = given;
  gridDim = {unsigned(gx), unsigned(gy), 1};
  blockDim = {unsigned(threads), 1, 1};
  for (int y = 0; y < gy; ++y)
    for (int x = 0; x < gx; ++x) {
      blockIdx = {unsigned(x), unsigned(y), 0};
      for (int t = 0; t < threads; ++t) finished[t] = false;
      for (int left = threads; left > 0;) {
        left = 0;
        for (int t = 0; t < threads; ++t)
          if (!finished[t]) {
            enter(t);
            left += !finished[t];
          }
      }
    }
}
"""


OPTIONS = ["-std=c++17", "-O0", "-w", "-fPIC"]


@lru_cache(maxsize=1)
def folder():
    """A folder for what is compiled, with the threads, and with what all kernels begin with compiled already."""
    made = Path(tempfile.mkdtemp(prefix="retroprop-cuda-"))
    (made / "begin.h").write_text("\n".join(overloads()) + SHIM + HEAD)
    (made / "threads.cpp").write_text(THREADS)
    build("-x", "c++-header", made / "begin.h")
    build("-shared", made / "threads.cpp", "-o", made / "threads.so")
    return made


def build(*options):
    """Compile; a test whose kernel is wrong fails with the compiler's report, which no `except Exception` hides."""
    done = subprocess.run([COMPILER, *OPTIONS, *options], check=False, capture_output=True, text=True)
    if done.returncode:
        pytest.fail(done.stderr)


# The kernels that were asked for and are not compiled yet, and those that are, by their sources.
AWAITED, COMPILED = {}, {}


def announce(source):
    """Have a kernel compiled with the next that runs: starting the compiler takes longer than a kernel does."""
    if source not in COMPILED:
        AWAITED[source] = None


def compiled(source):
    """Return a source that defines `retroprop_kernel` as a function of grid, threads and arguments."""
    announce(source)
    if AWAITED:
        sources = list(AWAITED)
        AWAITED.clear()
        COMPILED.update(zip(sources, together(sources), strict=True))
    return COMPILED[source]


def together(sources):
    """Return functions of grid, threads and arguments for sources, compiled as one."""
    text = '#include "begin.h"\n'
    for number, source in enumerate(sources):
        signature = re.search(r"retroprop_kernel\(([^)]*)\)", source).group(1)
        types = [re.sub(r"\w+$", "", argument.strip()).strip() for argument in signature.split(",") if argument]
        call = ", ".join(f"({ctype})arguments[{k}]" for k, ctype in enumerate(types))
        own = source.removeprefix(HEAD).replace(TENSOR_CORES, WARPS_OF_THE_HOST)
        own = own.replace("retroprop_kernel", f"kernel{number}")
        text += f"namespace own{number} {{\n{own}\n"
        text += f'extern "C" void call{number}(void **arguments) {{ kernel{number}({call}); }}\n}}\n'
    name, threads = hashlib.sha256(text.encode()).hexdigest()[:24], folder() / "threads.so"
    source, library = folder() / f"{name}.cpp", folder() / f"{name}.so"
    source.write_text(text)
    build("-shared", "-nostdlib", source, threads, "-lm", "-lc", "-o", library)
    launch, calls = ctypes.CDLL(str(threads)).launch, ctypes.CDLL(str(library))
    return [partial(launch, calls[f"call{number}"]) for number in range(len(sources))]


def run(source, grid, threads, addresses):
    """Run a kernel over a grid on memory at the addresses."""
    given = (ctypes.c_void_p * len(addresses))(*addresses)
    compiled(source)(grid[0], grid[1], threads, given)


def seen(shape, dtype, address):
    """Return the memory at an address as an array."""
    dtype = np.dtype(dtype)
    room = (ctypes.c_char * (int(np.prod(shape)) * dtype.itemsize)).from_address(address)
    return np.frombuffer(room, dtype).reshape(shape)


DROPPED = {"tf32": 13, "bf16": 16}  # bits of a float32


def rounded(x, precision):
    """Return an array as tensor cores take it: float32 to fewer bits, half away from 0."""
    if precision not in DROPPED or x.dtype != "float32":
        return x
    bits, dropped = np.ascontiguousarray(x).view("uint32").astype("uint64"), np.uint64(DROPPED[precision])
    half = np.uint64(1) << (dropped - np.uint64(1))
    return ((bits + half) >> dropped << dropped).astype("uint32").view("float32").reshape(x.shape)


def widened(bits):
    """Return what 16 bits are as bfloat16; other numbers are what they are."""
    return (bits.astype("uint32") << 16).view("float32") if bits.dtype == "uint16" else bits


def in_bfloat16(numbers):
    """Return float32 rounded to bfloat16, to the nearest, of two equally near ones to the even, as its 16 bits."""
    bits = np.ascontiguousarray(numbers, "float32").view("uint32").astype("uint64")
    nearest = (bits + 0x7FFF + (bits >> 16 & 1)) >> 16
    return np.where(np.isnan(numbers), bits >> 16 | 0x40, nearest).astype("uint16")


def planned(recording):
    """Plan a recording for kernels and products."""
    return Plan(recording, RULES)


def planned_in_bfloat16(recording):
    """Plan a recording whose products of float32 take operands in bfloat16."""
    return planned(bfloat16.rounded(recording))


class HostRuntime(Runtime):
    """A GPU that is the host: NumPy's memory, kernels as above, products read as cublasLt would, graphs as lists."""

    def __init__(self, *, graphs=True, epilogues=False, tiles=False, rounds=False, choice=0, measures=True,
                 precision="highest"):  # fmt: skip
        self.graphs, self.epilogues, self.tiles, self.choice = graphs, epilogues, tiles, choice
        self.measures, self.rounds, self.precision = measures, rounds, precision
        self.recording, self.log = None, Counter()

    def exact(self):
        return HostRuntime()

    def launched(self, what, work):
        """Return a launch: written down while a graph is recorded, else done."""

        def launch():
            if self.recording is not None:
                self.recording.append(work)
            else:
                self.log[what] += 1
                work()

        launch.kind = what
        return launch

    def empty(self, nbytes):
        room = np.full(nbytes + 256, 0xFF, "uint8")  # NaN, as far as it is not written
        begin = -room.ctypes.data % 256
        return room[begin : begin + nbytes]

    def array(self, memory, offset, shape, dtype, *, fortran=False):
        assert not fortran
        return np.ndarray(shape, dtype, memory, offset)

    def address(self, array):
        return array.ctypes.data

    def constant(self, value, dtype):
        return np.array(value, dtype)

    def clear(self, array):
        array[...] = 0

    def kernel(self, text, blocks, threads, arguments):
        announce(text)
        addresses = [array.ctypes.data for array in arguments]
        keep = tuple(arguments)
        return self.launched("kernel", lambda: keep and run(text, blocks, threads, addresses))

    def product(self, first, second, result, epilogue=None):
        lies = [(a.shape, tuple(s // a.itemsize for s in a.strides)) for a in (first, second, result)]
        mapped = product_of(*lies)
        assert mapped.m * mapped.n == result.size
        assert first.dtype == second.dtype == ("uint16" if self.rounds else result.dtype)
        kind = "product" if epilogue is None else epilogue.kind

        def work():
            with np.errstate(all="ignore"):
                a, b = (rounded(widened(x), self.precision) for x in (first, second))
                # A call with an epilogue is another algorithm: it adds in another order, and what it has rounded.
                half = 0 if epilogue is None else a.shape[1] // 2
                found = a[:, :half] @ b[:half] + a[:, half:] @ b[half:] if half else a @ b
                found = self.finished(found, epilogue, result.dtype)
                result[...] = in_bfloat16(found) if result.dtype == "uint16" else found

        return self.launched(kind, work)

    def finished(self, found, epilogue, dtype):
        """Return a product with what an epilogue does besides; a bias is of the kind of the result."""
        if epilogue is None:
            return found
        if epilogue.bias:
            found = found + widened(seen(found.shape[1], dtype, epilogue.bias))
        return np.where(found > 0.0, found, 0.0)

    def fastest(self, ways):
        for way in ways:  # as a GPU does: what is measured is run
            for launch in way:
                launch()
        if not self.measures:
            return 0
        return self.choice(ways) if callable(self.choice) else self.choice

    def copy(self, target, source):
        assert target.shape == source.shape
        return self.launched("copy", lambda: np.copyto(target, source, casting="unsafe"))

    def copied(self, array):
        assert self.recording is None
        return array.copy()

    def distance(self, first, second=None):
        if second is None:
            return float(np.abs(first).sum(dtype="float64"))
        if first.dtype.kind != "f":
            return float((first != second).sum())
        with np.errstate(all="ignore"):
            same = (first == second) | (np.isnan(first) & np.isnan(second))
            return float(np.where(same, 0.0, np.abs(first - second)).sum(dtype="float64"))

    def graph_of(self, launches):
        assert self.recording is None
        self.recording = []
        try:
            launches()
            works = self.recording
        finally:
            self.recording = None

        def graph():
            self.log["graph"] += 1
            for work in works:
                work()

        return graph


class RoundedNumpy(NumpyBackend):
    """NumPy's steps as they are written, the operands of every product of float32 rounded to bfloat16, or to TF32.

    `within` products a bias that relu follows is rounded too.
    """

    def __init__(self, *, within=False, precision="bf16"):
        super().__init__()
        self.within, self.precision = within, precision

    def check_demands(self, demands, dtype):
        """Take all."""

    def capture(self, step, *, donate=(), demands=PLAIN):
        return Backend.capture(self, step)

    def operations(self):
        return (_WithinProducts if self.within else Operations)(_Rounding(self.xp, self.precision), self.device)


class _WithinProducts(Operations):
    def affine(self, layer, a, theta, bias, activation, *, keep_z):
        rounded = widened(in_bfloat16(bias)) if bias is not None and activation.name == "relu" else bias
        return super().affine(layer, a, theta, rounded, activation, keep_z=keep_z)


class _Rounding:
    """A namespace with a product of its own."""

    def __init__(self, xp, precision):
        self._xp, self._precision = xp, precision

    def __getattr__(self, name):
        return getattr(self._xp, name)

    def matmul(self, a, b):
        by = partial(rounded, precision="tf32") if self._precision == "tf32" else lambda x: widened(in_bfloat16(x))
        return self._xp.matmul(*(by(x) if x.dtype == "float32" else x for x in (a, b)))


class CudaOnTheHost(NumpyBackend):
    """NumPy's arrays, and steps as they are on a GPU."""

    def __init__(self, **options):
        super().__init__()
        self.options = options

    def capture(self, step, *, donate=(), demands=PLAIN):
        self.runtime = HostRuntime(**self.options)
        self.step = CudaStep(step, self.operations(), donate, self.runtime)
        return self.step
