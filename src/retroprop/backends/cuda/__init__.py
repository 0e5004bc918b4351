"""Recorded steps on an NVIDIA GPU: generated kernels, products by cublasLt, and CUDA graphs of both.

`kernels/` writes the loops of a plan, gathers and dropout masks as CUDA C++. `products/` calls cublasLt, which
`rewrites/` gives more to do in one call: biases, activations, sums and updates. `launch_program` lays a plan out as
launches over fixed memory, `cuda_step` runs them, as one graph where that works, and `ways` compares and times the
ways to do so. `runtime` is the interface to CuPy, so that all the rest is tested where there is no GPU. `switches`
turns parts off.
"""
