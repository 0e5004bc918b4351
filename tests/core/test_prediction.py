"""`predict`: the output of the trace, in blocks, with the same bits whatever was called before, from any thread."""

import hashlib
import os
import pickle
import subprocess
import sys
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from copy import deepcopy

import numpy as np
import pytest
from harness import Cube, assert_close

import retroprop as rp
from retroprop.core.prediction import FEW, LEAST, MANY

# Around every limit: of the memory order of a softmax, of a block of a wide layer, of one of a narrow layer.
SIZES = (1, 2, MANY - 1, MANY, 100, LEAST, LEAST + 1, 2 * LEAST + 7, 1311)


def network(*, n_in=6, n_out=3, dtype="float32", **options):
    options = {"hidden": "relu", "output": "softmax", "loss": "cross_entropy", **options}
    return rp.Network([n_in, 40, n_out], seed=1, dtype=dtype, backend="numpy", **options)


def rows(m, n_in=6):
    return np.random.default_rng(m).normal(size=(m, n_in))


@pytest.mark.parametrize("m", [*SIZES, 5000])
@pytest.mark.parametrize("n_out", [2, FEW, FEW + 1])
def test_the_output_is_that_of_the_trace(m, n_out, dtype):
    net, x = network(n_out=n_out, dtype=dtype), rows(m)
    found = net.predict(x)
    assert_close(found, net.forward(x).a[-1], backend=net.backend, dtype=dtype)
    assert found.flags.c_contiguous
    assert found.base is None, "memory of its own"


@pytest.mark.parametrize("name", [name for name, f in rp.activations.ACTIVATIONS.items() if f.elementwise])
def test_every_activation(name, dtype):
    net = rp.Network(
        [6, 300, 5, 1], hidden=["tanh", name], output=name, seed=2, dtype=dtype, backend="numpy", bias=False
    )
    x = 0.5 * rows(1200)
    assert_close(net.predict(x), net.forward(x).a[-1], backend=net.backend, dtype=dtype)


def test_several_softmaxes_and_model_axes(dtype):
    loss = rp.losses.GroupedCrossEntropy((2, 3))
    net = network(n_out=5, dtype=dtype, output=rp.activations.GroupedSoftmax((2, 3)), loss=loss)
    x = rows(700)
    assert_close(net.predict(x), net.forward(x).a[-1], backend=net.backend, dtype=dtype)
    many = rp.Network.from_parameters(
        [np.stack([theta] * 3) for theta in net.thetas],
        [np.stack([bias] * 3) for bias in net.biases],
        output=rp.activations.GroupedSoftmax((2, 3)),
        loss=loss,
    )
    assert many.predict(x).shape == (3, 700, 5)
    assert_close(many.predict(x)[1], net.predict(x), backend=net.backend, dtype=dtype)


DIGESTS = """
import hashlib, sys
import numpy as np
import retroprop as rp
net = rp.Network([6, 40, 3], hidden="relu", output="softmax", loss="cross_entropy", seed=1, backend="numpy")
for m in map(int, sys.argv[1:]):
    x = np.random.default_rng(m).normal(size=(m, 6))
    print(m, hashlib.sha256(net.predict(x).tobytes()).hexdigest())
"""


def digest(array):
    return hashlib.sha256(array.tobytes()).hexdigest()


def test_the_bits_depend_on_the_arguments_alone():
    net = network()
    rp.fit(network(), rows(600), np.arange(600) % 3, epochs=2, batch_size=32)
    first = {m: digest(net.predict(rows(m))) for m in SIZES}
    for _ in range(100):
        net.predict(rows(100))
    assert {m: digest(net.predict(rows(m))) for m in reversed(SIZES)} == first
    command = [sys.executable, "-c", DIGESTS, *map(str, reversed(SIZES))]
    said = subprocess.run(command, check=True, capture_output=True, text=True, env=os.environ).stdout
    assert {int(m): found for m, found in map(str.split, said.splitlines())} == first


def test_threads_share_nothing():
    net, sizes = network(), SIZES * 20
    wanted = {m: digest(net.predict(rows(m))) for m in SIZES}
    data = {m: rows(m) for m in SIZES}
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda m: digest(net.predict(data[m])), sizes))
    assert found == [wanted[m] for m in sizes]


def test_results_follow_the_parameters():
    net, x = network(dtype="float64"), rows(1500)
    before = net.predict(x)
    kept = before.copy()
    net.thetas[0][...] *= -1.0
    in_place = net.predict(x)
    assert not np.allclose(in_place, kept)
    net.biases = [bias + 1.0 for bias in net.biases]
    assert not np.allclose(net.predict(x)[:, 0], in_place[:, 0])
    assert_close(net.predict(x), net.forward(x).a[-1], backend=net.backend, dtype="float64")
    assert (before == kept).all(), "a result is the user's: no later call writes into it"


def test_a_custom_activation_may_change():
    class Scaled(Cube):
        scale = 1.0

        def value(self, z, xp):
            return self.scale * super().value(z, xp)

    custom = Scaled()
    net = rp.Network([6, 4, 1], hidden=custom, seed=0, dtype="float64", backend="numpy")
    net.biases = [np.zeros(4), np.zeros(1)]
    once = net.predict(rows(9))
    custom.scale = 2.0
    np.testing.assert_allclose(net.predict(rows(9)), 2.0 * once)


def test_copies_predict_the_same():
    net, x = network(), rows(40)
    wanted = net.predict(x)
    for other in (deepcopy(net), pickle.loads(pickle.dumps(net))):
        assert (other.predict(x) == wanted).all()
        other.thetas = [0.0 * theta for theta in other.thetas]
        assert not (other.predict(x) == wanted).any()
    assert (net.predict(x) == wanted).all()


def test_memory_is_that_of_a_block():
    net, x = network(), rows(200_000).astype("float32")
    net.predict(x[:10])
    tracemalloc.start()
    try:
        found = net.predict(x)
        held, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held < found.nbytes + 2**16, "nothing stays but the result"
    assert peak < found.nbytes + 2**23, "all activations at once would be 38 MB"
