"""Recorded steps on an NVIDIA GPU: generated kernels, products by cublasLt, and CUDA graphs of both.

`kernels/` writes the loops of a plan, gathers, dropout masks and small products as CUDA C++. `products/` calls
cublasLt. `rewrites/` fuses products with the loops behind them. `launch_program` lays a plan out as launches over fixed
memory, with `casts` in the gathers; `cuda_step` runs them, as one graph where that works, and `ways` compares and times
the ways to do so. `step_memory` holds the arrays of a training, `pinned` uploads rows. `runtime` is the interface to a
GPU, `cupy_runtime` implements it with `overlapping_launch`, and tests do on the host; `torch_graph` serves PyTorch.
`switches` turns parts off.
"""
