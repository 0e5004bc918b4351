"""Whole numbers stay what they are, and files stay files, until a step needs their rows: and nothing else changes."""

import threading
import tracemalloc
from contextlib import closing

import numpy as np
import pytest
from harness import assert_close, mapped, open_backend, tolerance

import retroprop as rp
from retroprop.backends.intake.batch import take_inputs
from retroprop.backends.intake.mapped_file import Mapped
from retroprop.training import rows
from retroprop.training.intake import Intake
from retroprop.training.rows import Resident, Streamed, source_of

RNG = np.random.default_rng(0)
X, Y = RNG.integers(0, 256, (53, 6)).astype("uint8"), RNG.integers(0, 3, 53)
OPTIONS = {
    "shuffled": {},
    "float64": {"dtype": "float64"},
    "in order": {"shuffle": False},
    "weighted": {"sample_weight": np.linspace(0.5, 2.0, 53)},
    "with dropout": {"dropout": 0.3},
    "with metrics": {"metrics": ["accuracy"]},
    "one batch": {"batch_size": 60},
    "full batch": {"batch_size": None},
    "lbfgs": {"optimizer": "lbfgs", "batch_size": 60},
}


@pytest.fixture(autouse=True)
def small_stretches(monkeypatch):
    """Three batches of eight at a time of bytes, one of float32."""
    monkeypatch.setattr(rows, "STRETCH", 3 * 8 * 6)


def network(backend, dtype="float32", **options):
    return rp.Network(
        [6, 5, 3], output="softmax", loss="cross_entropy", seed=0, dtype=dtype, backend=backend, **options
    )


def trained(backend, x, dtype="float32", dropout=0.0, **options):
    net = network(backend, dtype, dropout=dropout)
    options = {"optimizer": rp.optimizers.Adam(1e-3), "epochs": 2, "batch_size": 8, "seed": 1} | options
    return net, rp.fit(net, x, Y, **options)


def assert_same(found, expected, *, to_the_bit=True):
    (net, history), (reference, other) = found, expected
    rtol = 0.0 if to_the_bit else tolerance(net.dtype)
    for one, wanted in zip(net.parameters.leaves, reference.parameters.leaves, strict=True):
        assert_close(one, net.backend.to_numpy(wanted), backend=net.backend, dtype=net.dtype, rtol=rtol)
    np.testing.assert_allclose(history.cost, other.cost, rtol=rtol)
    assert history.metrics.keys() == other.metrics.keys()
    for name, numbers in history.metrics.items():
        np.testing.assert_allclose(numbers, other.metrics[name], rtol=rtol)


# Whole numbers ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", list(OPTIONS))
def test_bytes_train_as_the_same_numbers_do(case, backend):
    as_floats = X.astype(OPTIONS[case].get("dtype", "float32"))
    assert_same(trained(backend, X, **OPTIONS[case]), trained(backend, as_floats, **OPTIONS[case]))


@pytest.mark.parametrize("stored", ["bool", "int8", "int16"])
def test_other_whole_numbers_do(stored, backend):
    x = (X > 100) if stored == "bool" else (X.astype("int16") - 128).astype(stored)
    expected = trained(backend, x.astype("float32"))
    assert_same(trained(backend, x), expected)
    assert_same(trained(backend, backend.asarray(x)), expected)


@pytest.mark.parametrize(("given", "kept"), [
    ("uint8", "uint8"), ("bool", "bool"), ("int16", "int16"), ("int64", "float32"), ("float64", "float32"),
])  # fmt: skip
def test_what_keeps_its_dtype(given, kept, backend):
    net = network(backend)
    data = Intake().taken(net, X.astype(given), Y, None, as_stored=True)
    assert backend.owns(data.x)
    assert backend.dtype_name(data.x) == kept
    for batch in (net.batch(X, Y), Intake().taken(net, X, Y, None, as_stored=False)):
        assert backend.dtype_name(batch.x) == "float32"


def a_part_of_wider_rows(x):
    return np.repeat(x, 2, axis=1)[:, ::2]


@pytest.mark.parametrize("dtype", ["uint8", "float32", "float64"])
@pytest.mark.parametrize("lie", [np.asfortranarray, a_part_of_wider_rows])
def test_rows_are_gathered_of_what_lies_row_by_row(lie, dtype):
    """`take` of anything else would copy all of it at each step."""
    x, y, weight = X.astype(dtype), np.eye(3, dtype="float32")[Y], np.linspace(0.5, 1.0, 53, dtype="float32")
    given = lie(x), lie(y), np.repeat(weight, 2)[::2]
    assert not any(part.flags.c_contiguous for part in given)
    for part in Intake().taken(network("numpy"), *given, as_stored=True):
        assert part.flags.c_contiguous
    assert_same(trained("numpy", given[0]), trained("numpy", x))


def test_a_full_batch_stays_where_it_lies():
    turned = np.asfortranarray(X.astype("float32"))
    assert np.shares_memory(Intake().taken(network("numpy"), turned, Y, None, as_stored=False).x, turned)


def peak_of_a_fit(net, x, y):
    """Return the most bytes that a training took at once."""
    tracemalloc.start()
    try:
        rp.fit(net, x, y, epochs=2, batch_size=100, seed=0)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    return peak


@pytest.mark.parametrize("loops", [False, True])
def test_bytes_take_a_quarter_of_the_memory(loops, monkeypatch):
    if loops:
        pytest.importorskip("numba", reason="Numba is not installed")
        monkeypatch.setenv("RETROPROP_NUMBA", "1")
    x, y = np.zeros((20000, 200), "uint8"), np.zeros(20000, "int32")
    net = rp.Network([200, 4, 3], output="softmax", loss="cross_entropy", seed=0, backend="numpy")
    rp.fit(net, x[:300], y[:300], epochs=1, batch_size=100)  # what is loaded and compiled once
    assert peak_of_a_fit(net, x, y) < x.nbytes / 2  # as float32 it would be four times that of x


# Mapped files ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", list(OPTIONS))
def test_a_mapped_file_trains_as_the_array_does(case, backend, tmp_path):
    x = X / 100.0
    found = trained(backend, mapped(tmp_path / "x", x), **OPTIONS[case])
    # XLA compiles another program for data of another shape, which may add in another order.
    assert_same(found, trained(backend, x, **OPTIONS[case]), to_the_bit=backend.name != "jax")


@pytest.mark.parametrize("order", ["C", "F"])
def test_a_mapped_file_of_bytes_does(order, backend, tmp_path):
    found = trained(backend, mapped(tmp_path / "x", X, order))
    assert_same(found, trained(backend, X), to_the_bit=backend.name != "jax")


def test_a_file_saved_by_numpy_and_a_part_of_it_are_mapped_files(tmp_path):
    np.save(tmp_path / "x.npy", X)
    file = np.load(tmp_path / "x.npy", mmap_mode="r")
    assert isinstance(Intake().taken(network("numpy"), file, Y, None, as_stored=True).x, Mapped)
    part = Intake().taken(network("numpy"), file[3:20], Y[3:20], None, as_stored=True)
    into = np.empty((2, 6), "uint8")
    part.x.read(np.array([4, 0]), into)
    np.testing.assert_array_equal(into, X[[7, 3]])


def test_a_mapped_file_is_never_all_in_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(rows, "STRETCH", 2**18)
    monkeypatch.setattr("retroprop.backends.intake.mapped_file.PART", 2**18)
    x, y = mapped(tmp_path / "x", np.zeros((20000, 200), "float32")), np.zeros(20000, "int32")
    net = rp.Network([200, 4, 3], output="softmax", loss="cross_entropy", seed=0, backend="numpy")
    rp.fit(net, x[:300], y[:300], epochs=1, batch_size=100)
    assert peak_of_a_fit(net, x, y) < x.nbytes / 8


@pytest.mark.parametrize("windows", [
    [slice(0, 8), slice(8, 16), slice(16, 24), slice(24, 32), slice(32, 37)],
    [slice(0, 50)],
    [slice(10, 20), slice(0, 5), slice(5, 10)],
])  # fmt: skip
@pytest.mark.parametrize("shuffled", [False, True])
def test_stretches_hold_the_rows_of_their_windows(windows, shuffled, backend, tmp_path):
    net, weight = network(backend), np.linspace(1.0, 2.0, 53)
    source = source_of(backend, Intake().taken(net, mapped(tmp_path / "x", X), Y, weight, as_stored=True))
    assert isinstance(source, Streamed)
    order = np.random.default_rng(1).permutation(53) if shuffled else None
    for _ in range(2):
        seen = []
        with closing(source.stretches(order, windows)) as stretches:
            for stretch in stretches:
                assert len(stretch.windows) == 1 or stretch.data.x.shape[0] <= 24
                for window in stretch.windows:
                    part = window if stretch.order is None else backend.to_numpy(stretch.order)[window]
                    seen.append([backend.to_numpy(of)[part].copy() for of in stretch.data])
        whole = np.arange(53) if order is None else order
        assert len(seen) == len(windows)
        for (x, y, w), window in zip(seen, windows, strict=True):
            np.testing.assert_array_equal(x, X[whole[window]])
            np.testing.assert_array_equal(y, Y[whole[window]])
            np.testing.assert_array_equal(w, weight[whole[window]].astype("float32"))


def test_data_in_memory_are_one_stretch():
    backend = open_backend("numpy")
    data = network(backend).batch(X, Y)
    source, windows = source_of(backend, data), [slice(0, 8), slice(8, 16)]
    assert isinstance(source, Resident)
    (stretch,) = source.stretches(None, windows)
    assert stretch.data is data
    assert stretch[1:] == (None, windows)


# What goes wrong -------------------------------------------------------------------------------------------------


def readers():
    return [thread for thread in threading.enumerate() if thread.name.startswith("retroprop-rows")]


@pytest.mark.parametrize("read_at", [1, 2, 6])
def test_an_error_while_reading_is_raised_and_no_thread_stays(read_at, tmp_path, monkeypatch):
    whole, reads = Mapped.read, []

    def fails(self, some, into):
        reads.append(some)
        if len(reads) == read_at:
            raise OSError("the disk is gone")
        whole(self, some, into)

    monkeypatch.setattr(Mapped, "read", fails)
    with pytest.raises(OSError, match="the disk is gone"):
        trained("numpy", mapped(tmp_path / "x", X))
    assert len(reads) == read_at
    assert readers() == []


@pytest.mark.parametrize("error", [KeyboardInterrupt, ZeroDivisionError])
def test_what_ends_a_step_ends_the_reading(error, tmp_path):
    class Ends:
        name, greater_is_better = "ends", True
        calls = 0

        def advance(self, m):
            self.calls += 1
            if self.calls == 4:
                assert len(readers()) == 1
                raise error

    ends = Ends()
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("retroprop.training.progress.Silence.advance", lambda self, m: ends.advance(m))
        if error is KeyboardInterrupt:
            net, history = trained("numpy", mapped(tmp_path / "x", X))
            assert history.stop_reason == "interrupted"
            assert history.cost == []
            assert np.isfinite(net.thetas[0]).all()
        else:
            with pytest.raises(error):
                trained("numpy", mapped(tmp_path / "x", X))
    assert readers() == []


def test_a_training_that_diverges_leaves_no_thread(tmp_path):
    with pytest.raises(rp.DivergenceError):
        trained("numpy", mapped(tmp_path / "x", X * 1e30), optimizer=rp.optimizers.SGD(1e30), epochs=9)
    assert readers() == []


@pytest.mark.parametrize(("x", "message"), [
    (np.zeros((53, 5), "uint8"), r"x has 5 columns and the network 6 inputs"),
    (np.zeros(53, "uint8"), r"x must have two axes, one observation a row: shape \(m, 6\)"),
    (np.zeros((2, 53, 6), "uint8"), r"y must have the shape \(2, 53, 3\) or class indices of shape \(2, 53\)"),
    (np.zeros((52, 6), "uint8"), r"y must have the shape \(52, 3\) or class indices of shape \(52,\)"),
    (np.full((53, 6), np.nan), r"x must be finite; x\[0, 0\] is nan"),
    (np.full((53, 6), 1e300), r"x\[0, 0\] is 1e\+300, too large for float32"),
])  # fmt: skip
@pytest.mark.parametrize("where", ["memory", "file"])
def test_bad_data_are_refused_before_any_work(x, message, where, tmp_path):
    net = network("numpy")
    before = net.thetas[0].copy()
    with pytest.raises(ValueError, match=message):
        rp.fit(net, mapped(tmp_path / "x", x) if where == "file" else x, Y, batch_size=8)
    np.testing.assert_array_equal(net.thetas[0], before)


def test_a_masked_array_of_bytes_is_refused():
    with pytest.raises(TypeError, match="x is a masked array"):
        rp.fit(network("numpy"), np.ma.masked_equal(X, 3), Y, batch_size=8)


def test_only_a_training_keeps_what_is_stored(backend):
    net = network(backend)
    x = take_inputs(backend, net.architecture, net.dtype, X)
    assert backend.dtype_name(x) == "float32"
