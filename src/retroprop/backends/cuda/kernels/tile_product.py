"""A matrix product within a generated kernel: each block computes one tile, each thread ends with one of its elements.

cublasLt's products of small matrices last as long as a launch does, and the loop behind them is a launch of its own.
Here the loop continues with the element that its thread holds: a layer is one kernel, and so is the output layer with
its softmax, cost and δ. The warps of a block divide the sum over k among them and add their parts in one order, so that
the same step leaves the same bits. Operands are read into registers: those of a tile are few, and L1 holds them.

With tensor cores a product rounds its operands to TF32, the nearest. A sum has no order, so that the four numbers that
a thread reads with one load stand for four places of `mma`'s k, the same in both operands; rows and columns likewise.
"""

from retroprop.backends.cuda.kernels.geometry import THREADS, Geometry
from retroprop.backends.record.graph import NotTraceableError

TILE = 16  # rows and columns of a tile: one element for each of the 256 threads
# Beyond this many terms, or tiles, cublasLt's larger tiles read less: it is not compared. Where nothing may be timed,
# products of up to UNMEASURED terms are computed by tiles: with TF32 on an H100 the steps of such networks were faster.
MOST_TERMS, MOST_TILES, UNMEASURED = 2**27, 4096, 2**25
LINE = "line"  # the kind, in a loop, of the sums over the lines of a product's first operand


def tiles(domain: tuple[int, ...]) -> Geometry:
    """Return the grid of a kernel whose blocks compute one tile each."""
    rows, columns = (-(-n // TILE) for n in domain)
    return Geometry(1, lanes=TILE, columns=1, rows=TILE, strips=columns, tall=rows)


def is_small(m: int, k: int, n: int, most: int) -> bool:
    """Return whether a product (m, k) (k, n) of at most so many terms may be computed by tiles."""
    grid = tiles((m, n))
    return m * k * n <= most and grid.strips * grid.tall <= MOST_TILES


def operand(
    shape: tuple[int, int], strides: tuple[int, int], address: int, itemsize: int, *, lines: int
) -> tuple[str, int]:
    """Return how an operand is read, as template arguments, and the distance between its contiguous vectors.

    `shape` and `strides` are those over its rows (or columns) and over k; a thread reads patches of `lines` by four.
    """
    (n_lines, terms), (over, along) = shape, strides
    contiguous = along in (0, 1)  # an axis of length 1 has the stride 0
    if not contiguous and over not in (0, 1):
        raise NotTraceableError(f"an operand with strides {over} and {along} is neither row-major nor column-major.")
    apart, width, length, unit = (over, 4, terms, along) if contiguous else (along, lines, n_lines, over)
    wide = unit == 1 and address % (width * itemsize) == apart % width == length % width == 0
    return f"{str(contiguous).lower()}, {str(wide).lower()}", apart


PRODUCT = r"""
constexpr int WARPS = THREADS / 32, TILE = @TILE@;

// R lines of an operand by four terms of the sum, 0 beyond its ends. ALONG: the terms are contiguous, else the lines.
// WIDE: they are read at once, wholly inside or wholly outside. No read waits for a branch, so that many are under way.
template <bool ALONG, bool WIDE, int R, class T>
__device__ void patch(T (&r)[R][4], const T *p, long long apart, int line, int term, int lines, int terms) {
  constexpr int many = ALONG ? R : 4, each = ALONG ? 4 : R;
#pragma unroll
  for (int u = 0; u < many; ++u) {
    const int l = line + (ALONG ? u : 0), t = term + (ALONG ? 0 : u);
    const bool here = l < lines && t < terms;
    const T *at = here ? p + (ALONG ? l * apart + t : t * apart + l) : p;
    if (WIDE) {
      const Pack<each, T> q = *reinterpret_cast<const Pack<each, T> *>(at);
#pragma unroll
      for (int v = 0; v < each; ++v) r[ALONG ? u : v][ALONG ? v : u] = here ? q.v[v] : T(0);
    } else {
#pragma unroll
      for (int v = 0; v < each; ++v) {
        const bool in = here && (ALONG ? t + v < terms : l + v < lines);
        r[ALONG ? u : v][ALONG ? v : u] = in ? at[v] : T(0);
      }
    }
  }
}

// The element of a thread, from the sums of all warps over the tile, always added in one order. With SUMS also the sum
// of its line of the first operand, of which a warp's share is in the threads with c = 0.
template <bool SUMS, class T> __device__ T added(const T (&sums)[2][4], const T (&shares)[2], T &line) {
  __shared__ T parts[WARPS][TILE][TILE + 1];
  __shared__ T lines[WARPS][TILE];
  const int warp = threadIdx.x / 32, group = threadIdx.x % 32 / 4, c = threadIdx.x % 4;
#pragma unroll
  for (int r = 0; r < 2; ++r)
#pragma unroll
    for (int j = 0; j < 4; ++j) parts[warp][2 * group + r][4 * c + j] = sums[r][j];
  if (SUMS && c == 0) lines[warp][2 * group] = shares[0], lines[warp][2 * group + 1] = shares[1];
  __syncthreads();
  T total = 0;
#pragma unroll
  for (int w = 0; w < WARPS; ++w) total += parts[w][threadIdx.x / TILE][threadIdx.x % TILE];
  line = 0;
  if (SUMS)
#pragma unroll
    for (int w = 0; w < WARPS; ++w) line += lines[w][threadIdx.x / TILE];
  return total;
}
"""

PLAIN = r"""
// One element of a (m, k) times b (k, n); a thread sums two rows by four columns.
template <bool SUMS, bool ALONG_A, bool WIDE_A, bool ALONG_B, bool WIDE_B, class T>
__device__ T tile(const T *a, long long apart_a, const T *b, long long apart_b, int m, int k, int n, T &line) {
  const int warp = threadIdx.x / 32, row = blockIdx.y * TILE + threadIdx.x % 32 / 4 * 2;
  const int column = blockIdx.x * TILE + threadIdx.x % 4 * 4;
  T sums[2][4] = {}, shares[2] = {};
  const int turns = (k + 4 * WARPS - 1) / (4 * WARPS);
#pragma unroll 4
  for (int turn = 0; turn < turns; ++turn) {
    const int at = 4 * (turn * WARPS + warp);
    T x[2][4], y[4][4];
    patch<ALONG_A, WIDE_A>(x, a, apart_a, row, at, m, k);
    patch<ALONG_B, WIDE_B>(y, b, apart_b, column, at, n, k);
#pragma unroll
    for (int q = 0; q < 4; ++q)
#pragma unroll
      for (int r = 0; r < 2; ++r) {
        if (SUMS) shares[r] += x[r][q];
#pragma unroll
        for (int j = 0; j < 4; ++j) sums[r][j] += x[r][q] * y[j][q];
      }
  }
  return added<SUMS>(sums, shares, line);
}
"""

# PTX: mma.m16n8k8 and the fragments of its operands, whose lanes are given as groups of four.
TENSOR_CORES = r"""
__device__ unsigned tf32(float x) {
  unsigned r;
  asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(r) : "f"(x));
  return r;
}
__device__ void multiply(float (&d)[4], unsigned a0, unsigned a1, unsigned a2, unsigned a3, unsigned b0, unsigned b1) {
  asm("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
      "{%0, %1, %2, %3};" : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(a0), "r"(a1), "r"(a2), "r"(a3), "r"(b0), "r"(b1));
}
"""

ROUNDED = r"""
// The same with operands rounded to TF32. Rows 2g and 2g + 1 of a are rows g and g + 8 of mma's, columns 2g and 2g + 1
// of b are column g of two of its, and the terms 4c to 4c + 3 are its c and c + 4, twice.
template <bool SUMS, bool ALONG_A, bool WIDE_A, bool ALONG_B, bool WIDE_B>
__device__ float rounded_tile(const float *a, long long apart_a, const float *b, long long apart_b, int m, int k, int n,
                              float &line) {
  const int warp = threadIdx.x / 32, group = threadIdx.x % 32 / 4, c = threadIdx.x % 4;
  const int row = blockIdx.y * TILE + 2 * group, column = blockIdx.x * TILE + 2 * group;
  float d[2][4] = {}, shares[2] = {};
  const int turns = (k + 16 * WARPS - 1) / (16 * WARPS);
#pragma unroll 8
  for (int turn = 0; turn < turns; ++turn) {
    const int at = 16 * (turn * WARPS + warp) + 4 * c;
    float x[2][4], y[2][4];
    patch<ALONG_A, WIDE_A>(x, a, apart_a, row, at, m, k);
    patch<ALONG_B, WIDE_B>(y, b, apart_b, column, at, n, k);
    if (SUMS)
#pragma unroll
      for (int r = 0; r < 2; ++r) shares[r] += x[r][0] + x[r][1] + x[r][2] + x[r][3];
#pragma unroll
    for (int q = 0; q < 4; q += 2) {
      const unsigned a0 = tf32(x[0][q]), a1 = tf32(x[1][q]), a2 = tf32(x[0][q + 1]), a3 = tf32(x[1][q + 1]);
#pragma unroll
      for (int t = 0; t < 2; ++t) multiply(d[t], a0, a1, a2, a3, tf32(y[t][q]), tf32(y[t][q + 1]));
    }
  }
  // mma leaves columns 2c and 2c + 1 of its own, which are 4c + t and 4c + 2 + t here.
  const float sums[2][4] = {{d[0][0], d[1][0], d[0][1], d[1][1]}, {d[0][2], d[1][2], d[0][3], d[1][3]}};
  if (SUMS)
#pragma unroll
    for (int r = 0; r < 2; ++r) shares[r] = across<4>(shares[r], Plus());
  return added<SUMS>(sums, shares, line);
}
"""
PRODUCT = PRODUCT.replace("@TILE@", str(TILE))
PLAIN, ROUNDED = PRODUCT + PLAIN, PRODUCT + TENSOR_CORES + ROUNDED
assert TILE * TILE == THREADS
