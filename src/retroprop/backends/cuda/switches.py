"""Switches that turn off single optimisations of the GPU backend, to find the one that causes a fault."""

import os

ENVIRONMENT_VARIABLE = "RETROPROP_DISABLE"
PARTS = {
    "kernels": "generated kernels: steps run as they are written, one CuPy call after another",
    "lt": "products by cublasLt: cupy.matmul computes them, and no step is a graph",
    "epilogue": "bias and relu within a product of cublasLt",
    "tiles": "small products within generated kernels, with the loop behind them",
    "autotune": "timing of algorithms and rewrites: the library's first choice is used, and tiles by a rule of shape",
    "graph": "CUDA graphs: every launch is made by itself",
    "pinned": "pinned memory and a copy stream for rows that are read: CuPy copies them from pageable memory",
}


def disabled() -> tuple[str, ...]:
    """Return the parts that the comma-separated variable RETROPROP_DISABLE lists; anything else there is an error."""
    wanted = [part.strip() for part in os.environ.get(ENVIRONMENT_VARIABLE, "").split(",") if part.strip()]
    unknown = [part for part in wanted if part not in PARTS]
    if unknown:
        raise ValueError(f"{ENVIRONMENT_VARIABLE} may list {', '.join(PARTS)}; it lists {', '.join(unknown)}.")
    return tuple(part for part in PARTS if part in wanted)


def enabled(part: str) -> bool:
    """Return whether a part of `PARTS` is used."""
    return part not in disabled()
