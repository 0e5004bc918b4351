"""What only a GPU can say: products of every kind, graphs that are used, parts switched off, streams, memory, bits."""

import logging

import numpy as np
import pytest
from harness import mapped, needing, open_backend, tolerance

import retroprop as rp
from retroprop.backends.cuda import switches
from retroprop.training import rows
from retroprop.training.memory_advice import OutOfDeviceMemoryError

pytestmark = pytest.mark.gpu
RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(300, 20)), RNG.integers(0, 5, 300)


@pytest.fixture(params=[needing("cupy")])
def cupy(request):
    """CuPy, its backend's device current."""
    request.node.user_properties.append(("backend", "cupy"))
    backend = open_backend("cupy")
    import cupy

    with backend.active():
        yield cupy


@pytest.fixture
def no_warnings(caplog):
    """Fail if something fast was given up on the way."""
    yield
    # By now what `caplog` itself shows is of the end of the test, when nothing is said.
    said = [record for record in caplog.get_records("call") if record.name == "retroprop"]
    assert [record.getMessage() for record in said if record.levelno >= logging.WARNING] == []


def trained(backend, *, sizes=(20, 64, 48, 5), dtype="float32", hidden="relu", dropout=0.0, **options):
    net = rp.Network(
        sizes,
        hidden=hidden,
        output="softmax",
        loss="cross_entropy",
        dropout=dropout,
        seed=0,
        dtype=dtype,
        backend=backend,
    )
    options = {"optimizer": rp.optimizers.Adam(0.0002), "epochs": 3, "batch_size": 16, "seed": 1} | options
    return net, rp.fit(net, options.pop("x", X), Y, **options)


def assert_same(one, other, factor=1.0):
    (net, history), (expected, reference) = one, other
    limit = factor * tolerance(expected.dtype)
    for found, wanted in zip(net.parameters.leaves, expected.parameters.leaves, strict=True):
        found = net.backend.to_numpy(found)
        np.testing.assert_allclose(found, expected.backend.to_numpy(wanted), rtol=0.0, atol=limit)
    np.testing.assert_allclose(history.cost, reference.cost, rtol=limit)


@pytest.mark.parametrize("turned", [(False, False), (True, False), (False, True), (True, True)])
@pytest.mark.parametrize("shape", [(128, 784, 256), (1, 5, 3), (33, 17, 10), (256, 10, 784)])
@pytest.mark.parametrize(
    ("dtype", "precision", "error"),
    [("float64", "highest", 1e-13), ("float32", "highest", 5e-6), ("float32", "tf32", 2e-3), ("float32", "bf16", 2e-2)],
)
def test_products(cupy, turned, shape, dtype, precision, error):
    from retroprop.backends.cuda.cupy_runtime import CupyRuntime

    runtime = CupyRuntime(precision=precision)
    m, k, n = shape
    first, second = (RNG.normal(size=s).astype(dtype) for s in ((m, k), (k, n)))
    x, y = (
        cupy.asarray(np.ascontiguousarray(a.T)).T if turn else cupy.asarray(a)
        for a, turn in zip((first, second), turned, strict=True)
    )
    result = cupy.full((m, n), cupy.nan, dtype)
    runtime.product(x, y, result)()
    expected = first.astype("float64") @ second.astype("float64")
    found = cupy.asnumpy(result).astype("float64")
    assert np.linalg.norm(found - expected) <= error * np.linalg.norm(expected)


@pytest.mark.parametrize("turned", [(False, False), (True, False), (False, True), (True, True)])
@pytest.mark.parametrize("shape", [(128, 784, 256), (1, 5, 3), (33, 17, 10), (256, 10, 784), (4, 8, 8)])
@pytest.mark.parametrize("result", ["float32", "uint16"])
def test_products_of_bfloat16(cupy, turned, shape, result):
    """Whole numbers, which it holds exactly: what is left is the rounding of a result that is bfloat16 too."""
    from retroprop.backends.cuda.cupy_runtime import CupyRuntime
    from retroprop.backends.cuda.rewrites.bfloat16 import upper_half

    runtime = CupyRuntime(precision="bf16")
    assert runtime.rounds
    m, k, n = shape
    first, second = (np.rint(4.0 * RNG.normal(size=s)).astype("float32") for s in ((m, k), (k, n)))
    x, y = (
        cupy.asarray(upper_half(np.ascontiguousarray(a.T))).T if turn else cupy.asarray(upper_half(a))
        for a, turn in zip((first, second), turned, strict=True)
    )
    out = cupy.full((m, n), 7, result)
    runtime.product(x, y, out)()
    found, expected = cupy.asnumpy(out), first @ second
    found = (found.astype("uint32") << 16).view("float32") if result == "uint16" else found
    np.testing.assert_allclose(found, expected, rtol=2.0**-8 if result == "uint16" else 1e-6, atol=1e-6)


@pytest.mark.parametrize("hidden", ["relu", "tanh", "gelu"])
@pytest.mark.parametrize("choice", [0, -1], ids=["the first way", "the last"])
def test_a_training_in_bfloat16_is_that_of_numpy_with_operands_rounded(cupy, no_warnings, monkeypatch, hidden, choice):
    from cuda_on_the_host import RoundedNumpy

    from retroprop.backends.cuda.cupy_runtime import CupyRuntime

    monkeypatch.setattr(CupyRuntime, "fastest", lambda self, ways: choice % len(ways))
    options = {"hidden": hidden, "optimizer": rp.optimizers.SGD(0.05), "precision": "bf16"}
    reference = RoundedNumpy(within=choice == -1)
    assert_same(trained("cupy", **options), trained(reference, **options), factor=4.0)


def test_cublaslt_is_used(cupy):
    from retroprop.backends.cuda.products.cupy_products import products_here

    found = products_here(cupy.cuda.runtime.getDevice())
    assert found.lt is not None, found.report
    assert found.report.startswith("cublasLt")


@pytest.mark.parametrize("hidden", ["relu", "tanh", "gelu", "sigmoid"])
@pytest.mark.parametrize("optimizer", [rp.optimizers.SGD(0.05), rp.optimizers.Adam(0.0002)], ids=["sgd", "adam"])
def test_a_training_is_numpys_and_nothing_is_given_up(cupy, no_warnings, hidden, optimizer, dtype):
    options = {"hidden": hidden, "optimizer": optimizer, "dtype": dtype}
    assert_same(trained("cupy", **options), trained("numpy", **options), factor=2.0)


@pytest.mark.parametrize("batch_size", [16, None])
def test_a_training_with_dropout_is_numpys_and_draws_nothing_on_the_host(cupy, no_warnings, batch_size, monkeypatch):
    from retroprop.backends.masks import MaskStream

    options = {"dropout": [0.3, 0.0], "batch_size": batch_size}
    expected = trained("numpy", **options)
    monkeypatch.setattr(MaskStream, "drawn", None)
    assert_same(trained("cupy", **options), expected, factor=2.0)


def test_masks_are_the_bits_of_the_host(cupy, dtype):
    from retroprop.backends.cuda.cupy_runtime import CupyRuntime
    from retroprop.backends.cuda.kernels.philox import mask_launch, stream_of
    from retroprop.backends.masks import Masks, MaskStream

    net = rp.Network([20, 64, 47, 5], dropout=[0.3, 0.6], dtype=dtype, backend="numpy")
    masks = Masks(MaskStream(net.backend, net.architecture, dtype, np.random.default_rng(1)), 2**33, 129)
    arrays = [cupy.full((129, one.n), cupy.nan, dtype) for one in masks.form.layers]
    stream, tick = cupy.asarray(stream_of(masks.stream.key, masks.step - 4)), cupy.asarray(4, "int64")
    mask_launch(CupyRuntime(), masks.form, list(zip(masks.form.layers, arrays, strict=True)), stream, tick)()
    for found, expected in zip(arrays, masks.drawn(), strict=True):
        np.testing.assert_array_equal(cupy.asnumpy(found), expected)


@pytest.mark.parametrize("choice", [0, 1, -1], ids=["apart", "second", "last"])
@pytest.mark.parametrize("hidden", ["relu", "gelu_tanh"])
def test_every_way_of_a_layer_is_the_same_to_its_precision(cupy, no_warnings, monkeypatch, hidden, choice):
    from retroprop.backends.cuda.cupy_runtime import CupyRuntime

    monkeypatch.setattr(CupyRuntime, "fastest", lambda self, ways: choice % len(ways))
    _, history = trained("cupy", hidden=hidden, precision="tf32")
    _, reference = trained("numpy", hidden=hidden)
    np.testing.assert_allclose(history.cost, reference.cost, rtol=5e-3)


@pytest.mark.parametrize("hidden", ["relu", "tanh", "gelu_tanh"])
@pytest.mark.parametrize("sizes", [(20, 64, 48, 5), (20, 33, 17, 7), (20, 100, 20, 5)])
def test_a_training_by_tiles_is_numpys(cupy, no_warnings, caplog, monkeypatch, hidden, sizes, dtype):
    from retroprop.backends.cuda.cupy_runtime import CupyRuntime

    monkeypatch.setattr(CupyRuntime, "fastest", lambda self, ways: len(ways) - 1)
    options = {"hidden": hidden, "sizes": sizes, "dtype": dtype, "optimizer": rp.optimizers.SGD(0.05)}
    with caplog.at_level(logging.INFO, "retroprop"):
        assert_same(trained("cupy", **options), trained("numpy", **options), factor=2.0)
    assert "left out" not in caplog.text
    assert "not one launch" not in caplog.text


@pytest.mark.parametrize("precision", ["highest", "tf32"])
@pytest.mark.parametrize("choice", [1, -1], ids=["relu", "tiles"])
def test_relu_has_the_derivative_0_at_0(cupy, monkeypatch, precision, choice):
    """Rows of zeros and biases of 0: z is exactly 0, so that only the output's bias moves."""
    from retroprop.backends.cuda.cupy_runtime import CupyRuntime

    monkeypatch.setattr(CupyRuntime, "fastest", lambda self, ways: choice % len(ways))
    net = rp.Network([20, 32, 32, 5], output="softmax", loss="cross_entropy", seed=0, backend="cupy")
    before = [net.backend.to_numpy(leaf).copy() for leaf in (*net.thetas, *net.biases)]
    options = {"optimizer": rp.optimizers.SGD(0.5), "epochs": 3, "batch_size": 16, "precision": precision}
    rp.fit(net, np.zeros((64, 20), "float32"), np.arange(64) % 4, **options)
    *hidden, output = zip((*net.thetas, *net.biases), before, strict=True)
    for leaf, was in hidden:
        np.testing.assert_array_equal(net.backend.to_numpy(leaf), was)
    assert np.any(net.backend.to_numpy(output[0]) != output[1])


@pytest.mark.needs("torch:cuda")
def test_steps_of_pytorch_are_graphs(no_warnings, monkeypatch):
    backend = open_backend("torch:cuda")
    from retroprop.backends.cuda import torch_graph as torch_graphs

    whole, replayed = torch_graphs.cuda_graph, []

    def counted(work, device):
        replay, results = whole(work, device)
        return lambda: replayed.append(1) or replay(), results

    monkeypatch.setattr(torch_graphs.GraphedStep.__init__, "__defaults__", (counted,))
    assert_same(trained(backend), trained("numpy"), factor=2.0)
    assert len(replayed) > 3 * 18 - 2


def test_steps_are_graphs_and_wait_for_nothing(cupy, no_warnings, monkeypatch):
    """A capture refuses whatever would wait for the device, so that a step that is a graph waits for nothing."""
    from retroprop.backends.cuda.cupy_runtime import CupyRuntime

    whole, replayed = CupyRuntime.graph_of, []

    def counted(self, launches):
        graph = whole(self, launches)
        return lambda: replayed.append(1) or graph()

    monkeypatch.setattr(CupyRuntime, "graph_of", counted)
    trained("cupy", epochs=1)
    # 18 batches of 16, eight a graph, and one of 12; the first of each is tried as a graph by itself.
    assert len(replayed) == 1 + 2 + 1 + 1


@pytest.mark.parametrize("listed", [*switches.PARTS, "graph,lt,epilogue,kernels"])
def test_each_part_can_be_switched_off(cupy, listed, monkeypatch):
    from retroprop.backends.cuda.products.cupy_products import products_here

    expected = trained("numpy")
    monkeypatch.setenv(switches.ENVIRONMENT_VARIABLE, listed)
    products_here.cache_clear()
    try:
        found = trained("cupy")
    finally:
        products_here.cache_clear()
    assert_same(found, expected)


@pytest.mark.parametrize(("precision", "digits"), [("tf32", 3e-2), ("bf16", 2e-1)])
def test_less_precision_is_less_and_not_nothing(cupy, no_warnings, precision, digits):
    """A relu whose z rounds to the other side of 0 changes a whole row of δ, so that few digits are left."""
    options = {"optimizer": rp.optimizers.SGD(0.05), "epochs": 2, "sizes": (20, 256, 256, 5)}
    (exact, _), (rounded, _) = trained("cupy", **options), trained("cupy", precision=precision, **options)
    differences = [
        float(cupy.max(cupy.abs(one - other)) / cupy.max(cupy.abs(one)))
        for one, other in zip(exact.thetas, rounded.thetas, strict=True)
    ]
    assert 0.0 < max(differences) < digits


def test_deterministic_gives_the_same_bits(cupy, no_warnings):
    options = {"sizes": (20, 512, 512, 5), "deterministic": True, "precision": "tf32", "epochs": 2}
    (one, _), (other, _) = trained("cupy", **options), trained("cupy", **options)
    for found, wanted in zip(one.parameters.leaves, other.parameters.leaves, strict=True):
        assert bool((found == wanted).all())


def test_another_stream_than_the_default(cupy, no_warnings):
    expected = trained("cupy", deterministic=True)
    stream = cupy.cuda.Stream(non_blocking=True)
    with stream:
        found = trained("cupy", deterministic=True)
    stream.synchronize()
    assert_same(found, expected, factor=0.01)


BYTES = RNG.integers(0, 256, (300, 20)).astype("uint8")


@pytest.mark.parametrize("stored", ["uint8", "int8", "int16", "bool"])
def test_whole_numbers_are_cast_within_the_gather(cupy, no_warnings, stored):
    x = (BYTES > 100) if stored == "bool" else (BYTES // 2).astype(stored)
    found, expected = (trained("cupy", x=given, deterministic=True) for given in (x, x.astype("float32")))
    assert_same(found, expected, factor=0.01)


@pytest.mark.parametrize(
    "options", [{}, {"shuffle": False}, {"metrics": ["accuracy"]}], ids=["", "in order", "metrics"]
)
@pytest.mark.parametrize("dtype", ["uint8", "float64"])
@pytest.mark.parametrize("listed", ["", "pinned"])
def test_a_mapped_file_is_trained_on_as_the_array(cupy, no_warnings, listed, dtype, options, tmp_path, monkeypatch):
    monkeypatch.setenv(switches.ENVIRONMENT_VARIABLE, listed)
    monkeypatch.setattr(rows, "STRETCH", 3 * 16 * 20)
    x = BYTES if dtype == "uint8" else X
    found, expected = (
        trained("cupy", x=given, deterministic=True, **options) for given in (mapped(tmp_path / "x", x), x)
    )
    assert_same(found, expected, factor=0.01)


def test_copies_and_steps_do_not_meet(cupy, no_warnings, tmp_path, monkeypatch):
    """Many short turns of large rows: a copy that came too early or too late would be seen."""
    monkeypatch.setattr(rows, "STRETCH", 2**22)
    x, y = RNG.integers(0, 256, (16384, 2048)).astype("uint8"), RNG.integers(0, 5, 16384)
    file, costs = mapped(tmp_path / "x", x), []
    for given in (file, x):
        net = rp.Network((2048, 512, 5), output="softmax", loss="cross_entropy", seed=0, backend="cupy")
        rule = rp.optimizers.SGD(1e-6)
        costs.append(rp.fit(net, given, y, optimizer=rule, epochs=4, batch_size=512, seed=0, deterministic=True).cost)
    np.testing.assert_allclose(costs[0], costs[1], rtol=1e-5)


def test_memory_goes_with_the_training(cupy):
    import gc

    pool = cupy.get_default_memory_pool()
    trained("cupy")
    gc.collect()
    before = pool.used_bytes()
    for _ in range(3):
        trained("cupy")
    gc.collect()
    assert pool.used_bytes() <= before + 2**20


@pytest.mark.parametrize("sizes", [(784, 100, 10), (784, 256, 256, 10)])
def test_digits_are_learnt_as_on_numpy(cupy, no_warnings, sizes):
    """Whole trainings part ways in their last digits; where they end does not."""
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(10, 784))
    y = rng.integers(0, 10, 4000)
    x = 0.15 * centres[y] + rng.normal(size=(4000, 784))
    found = {}
    for backend in ("cupy", "numpy"):
        net = rp.Network(sizes, output="softmax", loss="cross_entropy", seed=0, backend=backend)
        rp.fit(net, x[:3000], y[:3000], epochs=4, batch_size=128, seed=0)
        labels = np.argmax(net.backend.to_numpy(net.predict(x[3000:])), axis=1)
        found[backend] = float(np.mean(labels == y[3000:]))
    assert abs(found["cupy"] - found["numpy"]) < 0.02
    assert found["cupy"] > 0.5


@pytest.mark.parametrize("shape", [(128, 784, 256), (37, 20, 100), (256, 64, 130)])
@pytest.mark.parametrize("biased", [True, False])
def test_relu_within_a_product(cupy, shape, biased):
    from retroprop.backends.cuda.cupy_runtime import CupyRuntime
    from retroprop.backends.cuda.products.cublaslt import Epilogue

    m, n_in, n_out = shape
    a, theta, bias = RNG.normal(size=(m, n_in)), RNG.normal(size=(n_out, n_in)), RNG.normal(size=n_out)
    on_a, on_theta, on_bias = (cupy.asarray(x.astype("float32")) for x in (a, theta, bias))
    out = cupy.full((m, n_out), cupy.nan, "float32")
    epilogue = Epilogue("relu_bias", on_bias.data.ptr) if biased else Epilogue("relu")
    CupyRuntime(precision="tf32").product(on_a, on_theta.T, out, epilogue)()
    z = a @ theta.T + (bias if biased else 0.0)
    np.testing.assert_allclose(cupy.asnumpy(out), np.maximum(z, 0.0), rtol=0.0, atol=4e-3 * np.abs(z).max())


@pytest.mark.parametrize("choice", [0, 1])
@pytest.mark.parametrize("bias", [True, False])
def test_a_training_with_relu_in_products_and_without(cupy, no_warnings, choice, bias, monkeypatch):
    from retroprop.backends.cuda.cupy_runtime import CupyRuntime

    monkeypatch.setattr(CupyRuntime, "fastest", lambda self, ways: choice)
    found = {}
    for precision in ("highest", "tf32"):
        net = rp.Network((20, 256, 128, 5), output="softmax", loss="cross_entropy", bias=bias, seed=0, backend="cupy")
        rp.fit(net, X, Y, optimizer=rp.optimizers.SGD(0.05), epochs=2, batch_size=32, seed=1, precision=precision)
        found[precision] = net
    for one, other in zip(found["highest"].parameters.leaves, found["tf32"].parameters.leaves, strict=True):
        assert float(cupy.max(cupy.abs(one - other))) < 1e-2


def test_what_the_backend_says_of_itself(cupy):
    backend = rp.get_backend("cupy")
    memory = backend.memory()
    assert 0 < memory.free <= memory.total
    said = backend.report()
    assert said["products"].startswith("cublasLt")
    assert said["device"]
    _, history = trained("cupy", epochs=1)
    assert history.peak_memory > 32 * 2**20  # the products' workspace


def test_a_training_that_does_not_fit_says_what_would(cupy):
    import gc

    gc.collect()
    pool = cupy.get_default_memory_pool()
    pool.free_all_blocks()
    # Room for the network, a copy and Adam's state, 64 MiB each, and for no step.
    pool.set_limit(size=pool.used_bytes() + 280 * 2**20)
    try:
        net = rp.Network((20, 4096, 4096, 5), output="softmax", loss="cross_entropy", seed=0, backend="cupy")
        with pytest.raises(OutOfDeviceMemoryError, match="no memory to train with 300 rows"):
            rp.fit(net, X, Y, epochs=1)
    finally:
        pool.set_limit(size=0)
