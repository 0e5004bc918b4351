"""Generated CUDA kernels: fused loops, gathered rows, dropout masks."""
