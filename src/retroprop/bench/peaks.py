"""The measured peaks of a device: a large matrix product, and a sum of arrays too large for the caches."""

from typing import Any

from retroprop.backends import Backend
from retroprop.bench.contestant import on_backend
from retroprop.bench.floor import multiply
from retroprop.bench.results import Roof
from retroprop.bench.timer import Pace, race, warm_up
from retroprop.bench.workloads import MatrixProduct

_SIZE = 2048
_ELEMENTS = 3 * 2**23  # 96 MiB of float32 an array


def measure(backend: Backend, dtype: str, pace: Pace) -> Roof:
    """Return the peaks of a backend: the fastest round of each, as disturbances only ever slow a device down."""
    product = MatrixProduct("delta", _SIZE, _SIZE, _SIZE)
    multiplying = on_backend(backend, "roof", multiply(backend, [product], dtype))
    adding = on_backend(backend, "roof", _sum(backend, dtype))
    timed = race([warm_up(one, pace.warm_up) for one in (multiplying, adding)], pace)
    product_s, sum_s = (min(one.seconds) for one in timed)
    itemsize = 8 if dtype == "float64" else 4
    return Roof(
        backend=str(backend), dtype=dtype, flops=product.flops / product_s, bandwidth=3 * _ELEMENTS * itemsize / sum_s
    )


def _sum(backend: Backend, dtype: str) -> Any:
    xp = backend.xp
    with backend.active():
        a, b, out = (xp.ones(_ELEMENTS, dtype=backend.dtype(dtype), device=backend.device) for _ in range(3))
    if backend.name in ("numpy", "cupy", "torch"):
        return lambda: xp.add(a, b, out=out)
    if backend.name == "jax":
        import jax

        added = jax.jit(xp.add)
        return lambda: added(a, b)
    return lambda: xp.add(a, b)
