"""Nothing is taken that was not seen to do what the plan says: to the precision of its products, however it ends."""

import logging

import numpy as np
import pytest
from cuda_on_the_host import COMPILER, CudaOnTheHost, HostRuntime
from test_cuda_captured import assert_same_training, data, trained

import retroprop as rp
from retroprop.backends.cuda import ways
from retroprop.backends.cuda.rewrites.product_calls import Choice, ProductCall
from retroprop.backends.masks import MaskStream

pytestmark = pytest.mark.skipif(COMPILER is None, reason="no C++ compiler")
SIZES = (6, 32, 16, 3)
PRECISIONS = {"tf32": {"precision": "tf32"}, "bf16": {"precision": "bf16"},
              "operands in bf16": {"precision": "bf16", "rounds": True}}  # fmt: skip


def calls(backend):
    taken = [
        one.ways[one.taken] if isinstance(one, Choice) else (one,) for one in backend.step._last.program.instructions
    ]
    return [part.kind for way in taken for part in way if isinstance(part, ProductCall)]


@pytest.mark.parametrize("optimizer", ["adam", rp.optimizers.SGD(0.05)], ids=["adam", "sgd"])
@pytest.mark.parametrize("hidden", ["relu", "gelu_tanh"])
@pytest.mark.parametrize("precision", PRECISIONS)
def test_what_differs_by_rounding_is_the_same(precision, hidden, optimizer, caplog):
    """Products with more in them add in another order, and what is rounded: Adam's first step makes ±η of any of it."""
    backend = CudaOnTheHost(epilogues=True, choice=1, **PRECISIONS[precision])
    options = {"sizes": SIZES, "epochs": 1, "batch_size": 59, "optimizer": optimizer}
    with caplog.at_level(logging.WARNING, "retroprop"):
        trained(backend, net_options={"hidden": hidden}, **options)
    assert caplog.text == ""
    assert calls(backend) == (["relu_bias"] * 2 if hidden == "relu" else [])


@pytest.mark.parametrize("optimizer", ["adam", rp.optimizers.SGD(0.05)], ids=["adam", "sgd"])
@pytest.mark.parametrize("precision", PRECISIONS)
def test_what_is_tried_with_dropout_has_the_masks_of_the_launches(precision, optimizer, caplog, monkeypatch):
    """Drawn on the device at the head of each way: relu is in the products of the layer without, the graph is taken."""
    monkeypatch.setattr(MaskStream, "drawn", lambda *given: pytest.fail("masks were drawn on the host"))
    backend = CudaOnTheHost(epilogues=True, choice=1, **PRECISIONS[precision])
    options = {"sizes": SIZES, "epochs": 2, "batch_size": 20, "optimizer": optimizer}
    with caplog.at_level(logging.INFO, "retroprop"):
        trained(backend, net_options={"dropout": [0.0, 0.5]}, **options)
    assert caplog.text == ""
    assert backend.runtime.log["graph"] > 0
    assert calls(backend) == ["relu_bias"]


@pytest.mark.parametrize("optimizer", ["adam", rp.optimizers.SGD(0.05)], ids=["adam", "sgd"])
@pytest.mark.parametrize("precision", ["highest", *PRECISIONS])
def test_what_is_left_out_of_a_sum_is_not(precision, optimizer, caplog, monkeypatch):
    """A tenth of the rows is more than any rounding."""
    whole = HostRuntime.finished

    def wrong(self, found, epilogue, dtype):
        found = whole(self, found, epilogue, dtype)
        if epilogue is not None:
            found[-6:] = 0.0
        return found

    monkeypatch.setattr(HostRuntime, "finished", wrong)

    backend = CudaOnTheHost(epilogues=True, choice=1, **PRECISIONS.get(precision, {}))
    with caplog.at_level(logging.WARNING, "retroprop"):
        trained(backend, sizes=SIZES, epochs=1, batch_size=59, optimizer=optimizer)
    assert "relu within products changed the results of a step" in caplog.text
    assert calls(backend) == []


def test_what_is_not_written_is_missed(caplog, monkeypatch):
    """The results of the launches must not be taken for those of a call: here the rows that it leaves as they are."""
    whole = HostRuntime.product

    def forgetful(self, first, second, result, epilogue=None):
        few = slice(None) if epilogue is None else slice(0, -6)
        return whole(self, first[few], second, result[few], epilogue)

    monkeypatch.setattr(HostRuntime, "product", forgetful)
    backend = CudaOnTheHost(epilogues=True, choice=1, **PRECISIONS["operands in bf16"])
    with caplog.at_level(logging.WARNING, "retroprop"):
        trained(backend, sizes=(6, 8, 3), epochs=1, batch_size=59)
    assert "relu within products changed the results of a step" in caplog.text
    assert calls(backend) == []


@pytest.mark.parametrize("limit", [ways.ROUNDED, 1e-6], ids=["fixed", "measured"])
def test_products_that_round_in_another_way_are_taken(limit, caplog, monkeypatch):
    """Epilogues whose operands are cut off, not rounded to the nearest: right, and a per cent or more apart by Adam.

    Where the fixed limit is not enough the step without rounding is done, and a multiple of its distance is.
    """
    exact, whole = [], HostRuntime.exact
    monkeypatch.setattr(HostRuntime, "exact", lambda self: exact.append(1) or whole(self))
    monkeypatch.setattr(ways, "ROUNDED", limit)
    product = HostRuntime.product

    def cut(x):
        bits = np.ascontiguousarray(x).view("uint32")
        return (bits >> 13 << 13).astype("uint32").view("float32")

    def other(self, first, second, result, epilogue=None):
        if epilogue is None or self.precision == "highest":
            return product(self, first, second, result, epilogue)
        copies = first.copy(), second.copy()
        launch = product(self, *copies, result, epilogue)

        def work():
            for copy, operand in zip(copies, (first, second), strict=True):
                copy[...] = cut(operand)
            launch()

        return self.launched(launch.kind, work)

    monkeypatch.setattr(HostRuntime, "product", other)
    backend = CudaOnTheHost(epilogues=True, choice=1, precision="tf32")
    with caplog.at_level(logging.INFO, "retroprop"):
        trained(backend, sizes=(6, 128, 64, 3), epochs=1, batch_size=59)
    assert caplog.text == ""
    assert calls(backend) == ["relu_bias"] * 2
    assert len(exact) == (limit < 1e-3)


@pytest.mark.parametrize("precision", PRECISIONS)
def test_a_step_without_rounding_has_the_batch_and_the_masks_of_the_trial(precision, caplog, monkeypatch):
    """Were it of other rows or masks, it would be so far apart that it allowed anything."""
    monkeypatch.setattr(ways, "ROUNDED", 1e-6)
    near, allowed = ways.CudaTrial._near, {}

    def measured(self, apart):
        if self._exact is None:
            allowed[self] = self._rounded
        return near(self, apart) and self._exact is None

    monkeypatch.setattr(ways.CudaTrial, "_near", measured)
    backend = CudaOnTheHost(epilogues=True, choice=1, **PRECISIONS[precision])
    with caplog.at_level(logging.INFO, "retroprop"):
        trained(backend, sizes=SIZES, epochs=1, batch_size=20, net_options={"dropout": [0.0, 0.5]})
    assert caplog.text == ""
    assert len(allowed) == 2, "once for each batch size"
    assert all(1e-6 < limit < ways.MOST for limit in allowed.values())


def test_the_distance_to_a_step_without_rounding_is_no_excuse(caplog, monkeypatch):
    """Without room for that step the fixed limit holds; what is wrong by more than either is left out."""
    whole = HostRuntime.finished

    def wrong(self, found, epilogue, dtype):
        finished = whole(self, found, epilogue, dtype)
        return finished * 1.5 if epilogue is not None and epilogue.kind == "relu_bias" else finished

    def full(self):
        raise MemoryError("full")

    monkeypatch.setattr(HostRuntime, "finished", wrong)
    options = {"sizes": SIZES, "epochs": 1, "batch_size": 59, "optimizer": rp.optimizers.SGD(0.05)}
    for exact in (HostRuntime.exact, full):
        monkeypatch.setattr(HostRuntime, "exact", exact)
        caplog.clear()
        backend = CudaOnTheHost(epilogues=True, choice=1, precision="tf32")
        with caplog.at_level(logging.INFO, "retroprop"):
            assert_same_training(trained(backend, **options), trained("numpy", **options))
        assert "relu within products changed the results of a step" in caplog.text
        assert ("a step without rounding is not compared: MemoryError: full" in caplog.text) == (exact is full)


@pytest.mark.parametrize("at", [1, 2, 5])
@pytest.mark.parametrize("error", [KeyboardInterrupt, MemoryError])
def test_what_ends_a_trial_leaves_what_was_there(error, at, monkeypatch):
    """Ctrl-C gives the parameters of the last step; without memory to compare, steps are launched from then on."""
    x, y = data(19)
    whole, many = HostRuntime.distance, []

    def distance(self, *arrays):
        # The last batch, of three, is another form: it is tried with the parameters of two steps in place.
        many.append(1)
        if len(many) == a_trial + at:
            raise error("enough")
        return whole(self, *arrays)

    monkeypatch.setattr(HostRuntime, "distance", distance)
    options = {"sizes": (6, 8, 3), "epochs": 1, "batch_size": 8, "shuffle": False, "optimizer": rp.optimizers.SGD(0.05)}

    def fitted(backend, rows):
        net = rp.Network(options["sizes"], output="softmax", loss="cross_entropy", seed=0, backend=backend)
        history = rp.fit(net, x[:rows], y[:rows], **{k: v for k, v in options.items() if k != "sizes"})
        return net, history

    a_trial = 10**6
    fitted(CudaOnTheHost(tiles=True, choice=1), 16)
    a_trial, many = len(many), []
    (net, history), (expected, _) = (
        fitted(CudaOnTheHost(tiles=True, choice=1), 19),
        fitted("numpy", 16 if error is KeyboardInterrupt else 19),
    )
    assert history.stop_reason == ("interrupted" if error is KeyboardInterrupt else "epochs")
    assert len(many) >= a_trial + at
    for found, wanted in zip(net.parameters.leaves, expected.parameters.leaves, strict=True):
        np.testing.assert_allclose(found, wanted, rtol=0.0, atol=1e-6)


def sums(operations, x, w):
    """Two results and nothing that stays."""
    y = operations.xp.matmul(x, w)
    return (operations.xp.sum(y * y), y)


def test_what_does_not_stay_is_compared_too_and_comes_from_the_launches(caplog, monkeypatch):
    """A graph that gives other gradients is not taken, as of L-BFGS; the first results are those of the launches."""
    whole = HostRuntime.graph_of
    rng = np.random.default_rng(0)
    x, w = rng.normal(size=(5, 4)), rng.normal(size=(4, 3))
    backend = CudaOnTheHost()
    step = backend.capture(sums)

    def graph_of(self, launches):
        graph = whole(self, launches)

        def wrong():
            graph()
            step._last.program.left[1][...] *= 2.0

        return wrong

    monkeypatch.setattr(HostRuntime, "graph_of", graph_of)
    with caplog.at_level(logging.WARNING, "retroprop"):
        cost, y = step(x, w)
    assert "a graph did not leave the results of its launches" in caplog.text
    np.testing.assert_allclose(y, x @ w, rtol=1e-12)
    np.testing.assert_allclose(cost, np.sum((x @ w) ** 2), rtol=1e-12)
