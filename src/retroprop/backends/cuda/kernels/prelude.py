"""The prelude of every generated kernel: bfloat16, wide loads, reductions within a warp, a block and between blocks."""

from retroprop.backends.cuda.kernels.geometry import THREADS

HEAD = r"""
constexpr int THREADS = @THREADS@;
#ifndef INFINITY
#define INFINITY __int_as_float(0x7f800000)
#endif
#ifndef NAN
#define NAN __int_as_float(0x7fffffff)
#endif

// Sums, and maxima and minima that propagate NaN.
struct Plus { template <class T> __device__ T operator()(T a, T b) const { return a + b; } };
struct Larger { template <class T> __device__ T operator()(T a, T b) const { return (b > a || b != b) ? b : a; } };
struct Smaller { template <class T> __device__ T operator()(T a, T b) const { return (b < a || b != b) ? b : a; } };

// bfloat16 as its 16 bits, the upper half of a float's: rounded to the nearest, ties to even.
__device__ unsigned short bfloat16(float x) {
  union { float number; unsigned bits; } of = {x};
  if ((of.bits & 0x7fffffffu) > 0x7f800000u) return (unsigned short)(of.bits >> 16 | 0x40u);  // NaN stays NaN
  return (unsigned short)((of.bits + 0x7fffu + (of.bits >> 16 & 1u)) >> 16);
}
__device__ float widened(unsigned short x) {
  union { unsigned bits; float number; } of = {(unsigned)x << 16};
  return of.number;
}

template <int V, class T> struct alignas(sizeof(T) * V) Pack { T v[V]; };

template <bool WIDE, int V, class T>
__device__ void load(T (&r)[V], const T *p, long long stride, long long left) {
  if (WIDE && left >= V) {
    const Pack<V, T> q = *reinterpret_cast<const Pack<V, T> *>(p);
#pragma unroll
    for (int v = 0; v < V; ++v) r[v] = q.v[v];
  } else {
#pragma unroll
    for (int v = 0; v < V; ++v) r[v] = v < left ? p[v * stride] : T(0);
  }
}

template <bool WIDE, int V, class T>
__device__ void store(const T (&r)[V], T *p, long long stride, long long left) {
  if (WIDE && left >= V) {
    Pack<V, T> q;
#pragma unroll
    for (int v = 0; v < V; ++v) q.v[v] = r[v];
    *reinterpret_cast<Pack<V, T> *>(p) = q;
  } else {
#pragma unroll
    for (int v = 0; v < V; ++v) if (v < left) p[v * stride] = r[v];
  }
}

template <int K, int V, class T> __device__ void begin(T (&t)[K][V], double value) {
#pragma unroll
  for (int k = 0; k < K; ++k)
#pragma unroll
    for (int v = 0; v < V; ++v) t[k][v] = T(value);
}

// The sum over the LANES threads of a row, in each of them.
template <int LANES, class T, class Op> __device__ T across(T t, Op op) {
#pragma unroll
  for (int apart = LANES / 2; apart > 0; apart /= 2) t = op(t, __shfl_xor_sync(0xffffffffu, t, apart));
  return t;
}

// The sum over the threads of a block that share a lane, in the first LANES elements of shared memory.
template <int LANES, class T, class Op> __device__ void down(T *block, T t, Op op) {
#pragma unroll
  for (int apart = 16; apart >= LANES; apart /= 2) t = op(t, __shfl_xor_sync(0xffffffffu, t, apart));
  __syncthreads();
  if (threadIdx.x % 32 < LANES) block[threadIdx.x / 32 * LANES + threadIdx.x % 32] = t;
  __syncthreads();
  if (threadIdx.x < LANES) {
    t = block[threadIdx.x];
#pragma unroll
    for (int warp = 1; warp < THREADS / 32; ++warp) t = op(t, block[warp * LANES + threadIdx.x]);
    block[threadIdx.x] = t;
  }
  __syncthreads();
}

// Stores a block's sums over its rows.
template <int LANES, int K, int V, class T, class Op>
__device__ void leave(const T (&t)[K][V], double *parts, long long n, Op op) {
  __shared__ T block[THREADS];
#pragma unroll
  for (int k = 0; k < K; ++k)
#pragma unroll
    for (int v = 0; v < V; ++v) {
      down<LANES>(block, t[k][v], op);
      const long long j = (blockIdx.x * (long long)(LANES * K) + k * LANES + threadIdx.x) * V + v;
      if (threadIdx.x < LANES && j < n) parts[j] = block[threadIdx.x];
    }
}

template <class Op> __device__ void leave_one(double t, double *part, Op op) {
  __shared__ double block[THREADS];
  down<1>(block, t, op);
  if (threadIdx.x == 0) *part = block[0];
}

// Whether this block is the last of `many` to arrive: then all have stored their partial sums.
__device__ bool arrived(unsigned *counter, unsigned many) {
  __shared__ bool last;
  __threadfence();
  __syncthreads();
  if (threadIdx.x == 0) {
    last = atomicAdd(counter, 1u) == many - 1;
    if (last) *counter = 0;
  }
  __syncthreads();
  if (last) __threadfence();
  return last;
}

// Adds the partial sums of all blocks, always in one order.
template <int LANES, int K, int V, class T, class Op>
__device__ void gather_columns(T *out, const double *parts, int tall, long long n, Op op, double start) {
  __shared__ double block[THREADS];
  const int lane = threadIdx.x % LANES, line = threadIdx.x / LANES;
#pragma unroll
  for (int k = 0; k < K; ++k)
#pragma unroll
    for (int v = 0; v < V; ++v) {
      const long long j = (blockIdx.x * (long long)(LANES * K) + k * LANES + lane) * V + v;
      double t = start;
      if (j < n)
        for (int s = line; s < tall; s += THREADS / LANES) t = op(t, *(const volatile double *)(parts + s * n + j));
      down<LANES>(block, t, op);
      if (line == 0 && j < n) out[j] = T(block[lane]);
    }
}

template <class Op> __device__ double gather_one(const double *parts, int many, Op op, double start) {
  __shared__ double block[THREADS];
  double t = start;
  for (int s = threadIdx.x; s < many; s += THREADS) t = op(t, *(const volatile double *)(parts + s));
  down<1>(block, t, op);
  return block[0];
}
""".replace("@THREADS@", str(THREADS))
