"""The timings of each backend, by pytest-benchmark: ``python -m pytest benchmarks --benchmark-only``.

The backends are timed one after the other, so compare a backend with itself at another commit
(``--benchmark-autosave``, ``--benchmark-compare``). `retroprop bench`, which times them in turns, has the ratios
between contestants.
"""

import pytest

import retroprop as rp
from retroprop.bench import ours
from retroprop.bench.timer import warm_up
from retroprop.bench.workloads import OPTIMIZERS, TABLE, draw

# array_api_strict checks portability; its time means nothing.
BACKENDS = [info for info in rp.list_backends() if info.name != "array_api_strict"]
NETWORKS = TABLE[:5]


@pytest.mark.parametrize("network", NETWORKS, ids=lambda workload: workload.name)
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("backend", BACKENDS, ids=lambda info: info.name)
@pytest.mark.parametrize("part", ["floor", "step"])
def test_a_step(benchmark, part, backend, optimizer, network):
    """Time about 10 ms of calls, with the wait for the device; divide by `calls` for one call."""
    if not backend.available:
        pytest.skip(backend.reason)
    if part == "floor" and optimizer != "sgd":
        pytest.skip("the floor has no optimizer")
    warm = warm_up(ours.prepare(rp.get_backend(backend.name), draw(network, optimizer), part), 0.1)
    contestant, calls = warm.contestant, max(1, round(0.01 / warm.a_call))

    def run():
        for _ in range(calls):
            contestant.call()
        contestant.finish()

    benchmark.extra_info |= {"calls": calls, "backend": contestant.name}
    benchmark.group = f"{part} of {network.name}"
    with contestant.active():
        benchmark.pedantic(run, rounds=10, warmup_rounds=1)
