"""The pictures of networks in the documentation: `python docs/explain_pictures.py` draws them again."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

import retroprop as rp

FOLDER = Path(__file__).parent / "assets" / "explain"
CLASSES = {"output": "softmax", "loss": "cross_entropy"}
# Sizes, functions, and the weight whose paths to J are shown
NETWORKS: dict[str, tuple[list[int], dict[str, Any], tuple[int, int, int] | None]] = {
    "1-1-1": ([1, 1, 1], {"output": "sigmoid", "bias": False}, (1, 1, 1)),
    "2-2-2": ([2, 2, 2], {"output": "sigmoid", "bias": False}, (1, 1, 1)),
    "4-8-8-3": ([4, 8, 8, 3], {**CLASSES, "hidden": "tanh"}, (1, 1, 1)),
    "64-100-10": ([64, 100, 10], {**CLASSES, "hidden": "relu"}, None),
}


def pictures() -> dict[str, Callable[..., Any]]:
    """Return a function for each file, which draws it and takes the `path` to write it to."""
    found: dict[str, Callable[..., Any]] = {}
    for name, (sizes, options, theta) in NETWORKS.items():
        net = rp.Network(sizes, **({"hidden": "sigmoid", "seed": 1, "dtype": "float64", "backend": "numpy"} | options))
        x = np.random.default_rng(1).normal(size=(1, sizes[0]))
        y = np.eye(1, sizes[-1])
        for dark in (False, True):
            file = f"{name}{'-dark' if dark else ''}.svg"
            found[file] = partial(rp.explain.draw, net, x, y, theta=theta, dark=dark)
    return found


if __name__ == "__main__":
    for file, draw in pictures().items():
        draw(path=FOLDER / file)
        print(FOLDER / file)
