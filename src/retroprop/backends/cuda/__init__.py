"""A recorded step on an NVIDIA GPU: our own products, generated kernels, and CUDA graphs of both.

`source` writes a loop of the plan as a CUDA kernel; `cublaslt` and `layout` call the matrix products, whose library
`libraries` finds and whose algorithms `tuning` remembers; `calls` are products that do more, found by `relu`,
`gelu`, `sums` and `descent`; `masks` draws dropout. `program` lays a plan out as launches over fixed memory, `captured`
runs them, as one graph where that works, and `trial` finds out what works, and which way is the fastest. `runtime` is
all they know of CuPy, so that the rest is tested where no GPU is. `switches` turns parts off.
"""
