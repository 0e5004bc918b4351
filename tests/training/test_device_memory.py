"""A device that is too small: what the error says, and predictions in parts."""

import numpy as np
import pytest

import retroprop as rp
from retroprop.backends.backend import DeviceMemory
from retroprop.backends.numpy_backend import NumpyBackend
from retroprop.backends.replay.captured_step import CapturedStep
from retroprop.inference import in_parts
from retroprop.training.memory_advice import OutOfDeviceMemoryError, rows_that_fit


class Small(NumpyBackend):
    """NumPy on a device of so many bytes, whose steps ask for too much."""

    def __init__(self, free):
        super().__init__()
        self.free = free

    def memory(self):
        return DeviceMemory(self.free, 2 * self.free, 7)

    def capture(self, step, **options):
        def hungry(operations, *arguments):
            if any(getattr(a, "x", X[:0]).shape[0] * 1000 > self.free for a in arguments):
                raise MemoryError("asked for 123 bytes")
            return step(operations, *arguments)

        return CapturedStep(hungry, self.operations())


def network(backend):
    return rp.Network([6, 50, 3], output="softmax", loss="cross_entropy", seed=0, backend=backend)


X, Y = np.ones((1000, 6)), np.zeros(1000, int)


def test_the_error_names_what_is_free_and_what_fits_and_that_does_fit():
    net = network(Small(600_000))
    with pytest.raises(OutOfDeviceMemoryError, match=r"1000 rows a step: asked for 123 bytes\. 0\.6 MiB of 1\.1 MiB"
                       r" were free; batch_size=\d+ should fit") as caught:  # fmt: skip
        rp.fit(net, X, Y, epochs=1)
    assert isinstance(caught.value.__cause__, MemoryError)
    fitting = int(str(caught.value).partition("batch_size=")[2].partition(" ")[0])
    assert 1 <= fitting <= 500
    assert fitting == min(rows_that_fit(net, rp.optimizers.Adam(), 600_000), 500)
    history = rp.fit(net, X[:fitting], Y[:fitting], epochs=1, shuffle=False)
    assert history.peak_memory == 7


def test_a_mask_is_a_number_more_for_each_neuron():
    """float32: 4 of input, 3 for each of 8 hidden and 3 outputs, 5 times 67 parameters; 8 more with dropout."""
    free = 5 * 67 * 4 + 4 * (4 + 3 * 11 + 8) * 100
    plain, masked = (rp.Network([4, 8, 3], dropout=p, dtype="float32", backend="numpy") for p in (0.0, 0.5))
    assert plain.n_parameters == 67
    sgd = rp.optimizers.SGD(0.1)
    found = [rows_that_fit(net, sgd, round(free / 0.8)) for net in (plain, masked)]
    assert found[1] in (99, 100)  # what is free is rounded
    assert found[0] == pytest.approx(found[1] * 45 / 37, abs=1.5)


def test_a_network_that_is_too_large_for_the_device_is_told_so():
    net = network(Small(1000))
    with pytest.raises(OutOfDeviceMemoryError, match="the network itself is too large"):
        rp.fit(net, X, Y, epochs=1)


def test_an_optimizer_that_needs_all_rows_is_told_so():
    net = network(Small(600_000))
    with pytest.raises(OutOfDeviceMemoryError, match="'lbfgs' needs all rows at once"):
        rp.fit(net, X, Y, epochs=1, optimizer="lbfgs")


def test_an_error_where_there_is_no_memory_apart_comes_through():
    class Full:
        def on_fit_begin(self, state):
            raise MemoryError("no more")

    net = network("numpy")
    with pytest.raises(MemoryError, match=r"^no more"):
        rp.fit(net, X, Y, epochs=1, callbacks=[Full()])
    assert rp.fit(net, X, Y, epochs=1).peak_memory is None


def test_many_rows_are_computed_in_parts():
    sizes = []

    def function(rows):
        sizes.append(rows.shape[0])
        return rows * 2.0

    backend, x = Small(10 * 2**20), np.arange(300.0).reshape(100, 3)
    np.testing.assert_array_equal(in_parts(backend, function, x, 2**20), 2.0 * x)
    assert sizes == [5] * 20
    sizes.clear()
    np.testing.assert_array_equal(in_parts(rp.get_backend("numpy"), function, x, 2**20), 2.0 * x)
    np.testing.assert_array_equal(in_parts(backend, function, x, 8), 2.0 * x)
    assert sizes == [100, 100]


def test_predict_in_parts_is_predict(monkeypatch):
    from retroprop import inference as memory

    monkeypatch.setattr(memory, "SMALL", 0)
    x = np.random.default_rng(0).normal(size=(1000, 6))
    one, other = network(Small(20_000)).predict(x), network("numpy").predict(x)
    np.testing.assert_allclose(one, other, rtol=1e-6)
    assert one.shape == other.shape
