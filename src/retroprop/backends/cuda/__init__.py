"""Recorded steps on an NVIDIA GPU: generated kernels, products by cublasLt, and CUDA graphs of both.

`kernels/` writes the loops of a plan, gathers and dropout masks as CUDA C++. `products/` calls cublasLt, which
`rewrites/` gives more to do in one call: biases, activations, sums and updates. `launch_program` lays a plan out as
launches over fixed memory, with `casts` in the gathers and `concurrent_products`; `cuda_step` runs them, as one graph
where that works, and `ways` compares and times the ways to do so. `step_memory` holds the arrays of a training,
`pinned` uploads rows. `runtime` is the interface to a GPU, `cupy_runtime` implements it, and tests do on the host;
`torch_graph` serves PyTorch. `switches` turns parts off.
"""
