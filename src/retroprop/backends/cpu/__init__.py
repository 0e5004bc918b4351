"""Lowerings for NumPy, Numba and PyTorch on a CPU."""
