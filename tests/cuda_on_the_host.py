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
from functools import lru_cache
from pathlib import Path

COMPILER = shutil.which("g++") or shutil.which("c++")

SHIM = r"""
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <ucontext.h>
using namespace std;
#define __global__
#define __device__ static inline
#define __shared__ static
#define __launch_bounds__(n)
struct int2 { int x, y; };
struct int4 { int x, y, z, w; };
struct Dim { unsigned x, y, z; };
static Dim threadIdx, blockIdx, gridDim, blockDim;
static const int MOST = 1024;
static ucontext_t scheduler, fibers[MOST];
static bool finished[MOST];
static int running;
static double exchanged[MOST];
static void turn() { swapcontext(&fibers[running], &scheduler); threadIdx = {unsigned(running), 0, 0}; }
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
static unsigned atomicAdd(unsigned *p, unsigned n) { unsigned old = *p; *p += n; return old; }
"""
# A member function is no function of the file.
SHIM += "#undef __device__\n#define __device__ inline\n"

DRIVER = r"""
static void **arguments;
static void thread() {
  CALL;
  finished[running] = true;
  swapcontext(&fibers[running], &scheduler);
}
extern "C" int launch(int gx, int gy, int threads, void **given) {
  static char *stacks = (char *)malloc(size_t(MOST) << 16);
  arguments = given;
  gridDim = {unsigned(gx), unsigned(gy), 1};
  blockDim = {unsigned(threads), 1, 1};
  for (int y = 0; y < gy; ++y)
    for (int x = 0; x < gx; ++x) {
      for (int t = 0; t < threads; ++t) {
        getcontext(&fibers[t]);
        fibers[t].uc_stack.ss_sp = stacks + (size_t(t) << 16);
        fibers[t].uc_stack.ss_size = 1 << 16;
        fibers[t].uc_link = nullptr;
        makecontext(&fibers[t], thread, 0);
        finished[t] = false;
      }
      for (int left = threads; left > 0;) {
        left = 0;
        for (int t = 0; t < threads; ++t)
          if (!finished[t]) {
            running = t;
            threadIdx = {unsigned(t), 0, 0};
            blockIdx = {unsigned(x), unsigned(y), 0};
            swapcontext(&scheduler, &fibers[t]);
            left += !finished[t];
          }
      }
    }
  return 0;
}
"""


@lru_cache(maxsize=1)
def folder():
    """A folder for what is compiled."""
    return Path(tempfile.mkdtemp(prefix="retroprop-cuda-"))


@lru_cache(maxsize=4096)
def compiled(source):
    """Return `launch` of a source that defines `retroprop_kernel`."""
    signature = re.search(r"retroprop_kernel\(([^)]*)\)", source).group(1)
    types = [re.sub(r"\w+$", "", argument.strip()).strip() for argument in signature.split(",")]
    call = ", ".join(f"({ctype})arguments[{k}]" for k, ctype in enumerate(types))
    text = SHIM + source + DRIVER.replace("CALL", f"retroprop_kernel({call})")
    name = hashlib.sha256(text.encode()).hexdigest()[:24]
    library = folder() / f"{name}.so"
    if not library.exists():
        (folder() / f"{name}.cpp").write_text(text)
        command = [COMPILER, "-std=c++17", "-O0", "-w", "-shared", "-fPIC", "-o", library, folder() / f"{name}.cpp"]
        subprocess.run(command, check=True, capture_output=True, text=True)
    return ctypes.CDLL(str(library)).launch


def run(source, grid, threads, addresses):
    """Run a kernel over a grid on memory at the addresses."""
    given = (ctypes.c_void_p * len(addresses))(*addresses)
    compiled(source)(grid[0], grid[1], threads, given)
