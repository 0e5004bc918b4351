"""Twenty training steps (forward, backward, Adam) on every backend present, timed by pytest-benchmark: ``make bench``.

Data and network live on the device before the clock starts, the step is warmed up, and each round waits for the device.
Compare backends within one run; the figures are those of this machine.
"""

import numpy as np
import pytest

import retroprop as rp

NETWORKS = {
    "2-2-2 batch 4": ([2, 2, 2], 4),
    "784-100-10 batch 128": ([784, 100, 10], 128),
    "784-1024-1024-10 batch 1024": ([784, 1024, 1024, 10], 1024),
}
# array_api_strict is there to check portability; its time says nothing.
BACKENDS = [info for info in rp.list_backends() if info.name != "array_api_strict"]
STEPS = 20


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("backend", BACKENDS, ids=lambda info: info.name)
def test_training_steps(benchmark, backend, network):
    """Time one `rp.fit` of one epoch with `STEPS` minibatches; divide by `STEPS` for a step."""
    if not backend.available:
        pytest.skip(backend.reason)
    layer_sizes, m = NETWORKS[network]
    net = rp.Network(layer_sizes, output="softmax", loss="cross_entropy", seed=0, dtype="float32", backend=backend.name)
    rng = np.random.default_rng(0)
    x = net.backend.asarray(rng.standard_normal((STEPS * m, layer_sizes[0])), dtype="float32")
    y = net.backend.asarray(rng.integers(0, layer_sizes[-1], STEPS * m), dtype="int32")

    def steps():
        rp.fit(net, x, y, optimizer="adam", epochs=1, batch_size=m, shuffle=False)
        net.backend.synchronize()

    benchmark.extra_info |= {"steps": STEPS, "device": str(net.backend)}
    benchmark.pedantic(steps, rounds=10, warmup_rounds=2)
