"""Parts of the fast way that can be switched off, to find out which one is to blame."""

import os

ENVIRONMENT_VARIABLE = "RETROPROP_DISABLE"
PARTS = {
    "kernels": "generated kernels: steps are replayed by CuPy's own calls",
    "lt": "products by cublasLt: by cuTENSOR where it is installed, or by cupy.matmul",
    "cutensor": "products by cuTENSOR where there is no cublasLt: by cupy.matmul",
    "epilogue": "bias, activation and sums within a product",
    "update": "SGD's update within the product that is the gradient",
    "autotune": "measuring which algorithm is the fastest, and what is faster within a product: nothing is put there",
    "fork": "gradients beside the deltas: one launch after another within a graph, too",
    "graph": "CUDA graphs: every launch is made by itself",
    "pinned": "pinned memory and a stream of copies for rows that are read: CuPy copies them from ordinary memory",
}


def disabled() -> tuple[str, ...]:
    """Return the parts that RETROPROP_DISABLE lists, comma between them.

    Raises
    ------
    ValueError
        If it lists anything else.
    """
    wanted = [part.strip() for part in os.environ.get(ENVIRONMENT_VARIABLE, "").split(",") if part.strip()]
    unknown = [part for part in wanted if part not in PARTS]
    if unknown:
        raise ValueError(f"{ENVIRONMENT_VARIABLE} may list {', '.join(PARTS)}; it lists {', '.join(unknown)}.")
    return tuple(part for part in PARTS if part in wanted)


def enabled(part: str) -> bool:
    """Return whether a part of `PARTS` is used."""
    return part not in disabled()
