"""Data in files train as the same numbers in memory do, in the same order to the bit; and what is wrong is said."""

import os
import pickle
import re
import threading
import tracemalloc
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from harness import mapped
from stored_formats import FORMATS, parquet, stored

import retroprop as rp
from retroprop import tabular
from retroprop.estimators import MLPClassifier
from retroprop.training import block_shuffle, rows
from retroprop.training.file_rows import FileRows
from retroprop.training.intake import Intake

RNG = np.random.default_rng(0)
M = 53
X, Y = RNG.normal(size=(M, 6)).astype("float32"), RNG.integers(0, 3, M)
ONE_HOT, BYTES = np.eye(3)[Y], (100 * X).astype("int8")
W = np.linspace(0.5, 2.0, M)
ORDERS = {"blocks": rp.scale.BlockShuffle(block_rows=8, buffer_blocks=2), "rows": "rows", "as stored": False}


@pytest.fixture(autouse=True)
def small_stretches(monkeypatch):
    """Three batches of float32 at a time."""
    monkeypatch.setattr(rows, "STRETCH", 3 * 8 * 6 * 4)
    monkeypatch.setattr("retroprop.scale.npy_file.BLOCK", 8 * 6 * 4)


def network(loss="cross_entropy", **options):
    output = {"cross_entropy": "softmax"}.get(loss, "identity")
    return rp.Network([6, 5, 3], output=output, loss=loss, seed=0, **{"backend": "numpy", **options})


def trained(x, y=Y, net=None, **options):
    net = network() if net is None else net
    history = rp.fit(net, x, y, **{"epochs": 2, "batch_size": 7, "seed": 1, **options})
    return b"".join(net.backend.to_numpy(leaf).tobytes() for leaf in net.parameters.leaves), history.cost


def readers():
    return [thread for thread in threading.enumerate() if thread.name.startswith("retroprop-")]


def test_the_blocks_of_the_next_buffer_are_read_ahead():
    """Of an order, whose look-ahead is sampled: all blocks of a buffer are there before one of its rows is needed."""
    size, n_blocks, began = 256, 8, []
    table = np.arange(size * n_blocks, dtype="int32")

    class Recorded:
        shape, ndim, dtype, chunk_rows = table.shape, 1, table.dtype, size

        def read(self, rows, into):
            began.append(rows.start // size)
            into[...] = table[rows]

    blocks = rp.scale.BlockShuffle(block_rows=size, buffer_blocks=4)
    order, half = blocks.order(len(table), np.random.default_rng(0)), len(table) // 2
    first, second = ({*(part // size).tolist()} for part in (order[:half], order[half:]))
    source, into = FileRows(Recorded(), blocks), np.empty(64, table.dtype)
    with ThreadPoolExecutor(1) as loader:
        with source.open(loader):
            source.read(order, slice(0, 64), into)
            loader.submit(bool).result()  # the loads before it are done
            assert {*began[:4]} == first
            assert {*began[4:]} == second
        assert (into == table[order[:64]]).all()
        assert len(began) == n_blocks


# The same training -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("order", list(ORDERS))
@pytest.mark.parametrize("kind", [*FORMATS, "memmap"])
def test_files_train_as_memory_does(kind, order, tmp_path):
    for x, y, options in ((X, Y, {"sample_weight": W}), (BYTES, ONE_HOT, {"metrics": ["accuracy"]})):
        if kind == "memmap":
            there = mapped(tmp_path / "x", x), mapped(tmp_path / "y", y)
        else:
            there = (stored(kind, tmp_path / str(x.dtype), name, a, n) for name, a, n in (("x", x, 8), ("y", y, 5)))
        options |= {"shuffle": ORDERS[order]}
        assert trained(*there, **options) == trained(x, y, **options)
    assert readers() == []


def test_on_every_backend(backend, tmp_path):
    there = (stored("npy", tmp_path, name, a) for name, a in (("x", X), ("y", Y)))
    found, expected = (
        trained(*data, network(dropout=0.2, backend=backend), shuffle=ORDERS["blocks"]) for data in (there, (X, Y))
    )
    np.testing.assert_allclose(found[1], expected[1], rtol=1e-5)
    assert found == expected or backend.name == "jax"


@pytest.mark.parametrize("y", [X[:, :3], Y.astype("float64"), Y.astype("uint8"), Y > 0])
def test_targets_of_any_form(y, tmp_path):
    loss = "squared_error" if y.ndim == 2 else "cross_entropy"
    x, there = stored("npy", tmp_path, "x", X), stored("npy", tmp_path, "y", y)
    kept = {"shuffle": ORDERS["blocks"]}
    assert trained(x, there, network(loss), **kept) == trained(X, y, network(loss), **kept)


def test_one_output_has_targets_in_one_axis(tmp_path):
    x, y = stored("npy", tmp_path, "x", X), stored("npy", tmp_path, "y", X[:, 0])
    a, b = (rp.Network([6, 4, 1], seed=0, backend="numpy") for _ in range(2))
    assert trained(x, y, a, shuffle=False) == trained(X, X[:, 0], b, shuffle=False)


def test_the_accuracy_of_targets_that_are_read(tmp_path, monkeypatch):
    monkeypatch.setattr("retroprop.training.target_rows.PART", 8 * 3 * 8)
    x, y = stored("npy", tmp_path, "x", X), stored("npy", tmp_path, "y", 2.0 * ONE_HOT - 1.0)
    options = {"metrics": ["accuracy"], "batch_size": 7, "seed": 1, "epochs": 2, "shuffle": False}
    nets = [rp.Network([6, 5, 3], output="tanh", seed=0, backend="numpy") for _ in range(2)]
    found, expected = rp.fit(nets[0], x, y, **options), rp.fit(nets[1], X, 2.0 * ONE_HOT - 1.0, **options)
    assert found.metrics == expected.metrics
    numbers = ONE_HOT.copy()
    numbers[40, 1] = 0.5
    with pytest.raises(ValueError, match=r"y\[40, 1\] is 0.5"):
        rp.fit(nets[0], x, stored("npy", tmp_path, "z", numbers), **options)


def test_the_default_order_of_chunks_is_one_of_blocks_and_of_a_memmap_one_of_rows(tmp_path):
    x = stored("zarr", tmp_path, "x", X)
    assert trained(x) == trained(X, shuffle=rp.scale.BlockShuffle(block_rows=8))
    assert trained(mapped(tmp_path / "m", X)) == trained(X)


def test_what_is_needed_in_memory_is_loaded(tmp_path):
    x, y, w = (stored("npy", tmp_path, name, a) for name, a in (("x", X), ("y", Y), ("w", W)))
    assert trained(x, y, batch_size=None) == trained(X, Y, batch_size=None)
    assert trained(X, y) == trained(X, Y)
    both = {"validation_data": (x[:20], y[:20]), "sample_weight": w}
    assert trained(x, y, shuffle=False, **both) == trained(X, Y, shuffle=False, validation_data=(X[:20], Y[:20]),
                                                           sample_weight=W)  # fmt: skip


@pytest.mark.parametrize("kind", FORMATS)
def test_a_source_gives_the_rows_that_are_asked_for(kind, tmp_path):
    x = stored(kind, tmp_path, "x", X)
    some, into = np.array([40, 0, 52, 40]), np.empty((4, 6), "float32")
    x.read(some, into)
    np.testing.assert_array_equal(into, X[some])
    part = x[16:50][3:]
    assert (part.shape, part.ndim, len(part), part.dtype) == ((31, 6), 2, 31, X.dtype)
    np.testing.assert_array_equal(np.asarray(part), X[19:50])
    np.testing.assert_array_equal(np.asarray(pickle.loads(pickle.dumps(part)), "float64"), X[19:50].astype("float64"))
    assert isinstance(x, rp.scale.RowSource)
    with pytest.raises(TypeError, match=r"a source gives a range of rows"):
        x[3]


def test_a_source_of_the_users_own_needs_four_attributes():
    class Squares:
        shape, ndim, dtype = (40, 6), 2, np.dtype("int64")

        def read(self, rows, into):
            at = np.arange(rows.start, rows.stop) if isinstance(rows, slice) else rows
            into[...] = at[:, None] % 7

    x = np.repeat(np.arange(40)[:, None] % 7, 6, axis=1)
    assert isinstance(Squares(), rp.scale.RowSource)
    for shuffle in (True, "blocks", False):
        assert trained(Squares(), Y[:40], shuffle=shuffle) == trained(x, Y[:40], shuffle=shuffle)


def test_many_networks_train_from_a_file_one_by_one(tmp_path):
    x, y = stored("npy", tmp_path, "x", X), stored("npy", tmp_path, "y", Y)
    nets = [network(), rp.Network([6, 4, 3], output="softmax", loss="cross_entropy", seed=3, backend="numpy")]
    histories = rp.fit_many(nets, x, y, epochs=2, batch_size=7, seed=[1, 2], shuffle=ORDERS["blocks"])
    assert histories[0].cost == trained(X, shuffle=ORDERS["blocks"])[1]


def test_batches_for_others(tmp_path):
    x, y = stored("npy", tmp_path, "x", X), stored("npy", tmp_path, "y", Y)
    batches = rp.scale.Batches(x, y, batch_size=7, shuffle=ORDERS["blocks"], seed=1)
    first, second = ([(a.copy(), b) for a, b in batches()] for _ in range(2))
    assert [len(a) for a, _ in first] == [7] * 7 + [4]
    order = block_shuffle.minibatches(M, 7, ORDERS["blocks"], X).draw(np.random.default_rng(1))
    np.testing.assert_array_equal(np.concatenate([a for a, _ in first]), X[order])
    np.testing.assert_array_equal(np.concatenate([b for _, b in first]), Y[order])
    assert not np.array_equal(first[0][0], second[0][0])
    options = {"hidden_layer_sizes": (4,), "max_iter": 2, "random_state": 0}
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Stochastic Optimizer")
        again = rp.scale.Batches(x, y, batch_size=7, shuffle=ORDERS["blocks"], seed=1)
        model = MLPClassifier(**options).fit(again, classes=[0, 1, 2])
    assert model.n_iter_ == 2
    begun = again()
    next(begun)
    begun.close()  # the rest is never read
    assert readers() == []


# The order -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("m", "rows_", "mixed"), [(53, 8, 2), (64, 8, 3), (5, 8, 2), (100, 1, 4), (17, 17, 1)])
def test_the_block_shuffle_has_each_row_once_and_few_blocks_at_a_time(m, rows_, mixed):
    blocks = rp.scale.BlockShuffle(block_rows=rows_, buffer_blocks=mixed)
    one, same, other = (blocks.order(m, np.random.default_rng(seed)) for seed in (0, 0, 1))
    np.testing.assert_array_equal(one, same)
    assert m < 6 or not np.array_equal(one, other)
    np.testing.assert_array_equal(np.sort(one), np.arange(m))
    # Consecutive rows of the order are of one buffer, and of no more than two where one ends.
    for at in range(m - rows_ + 1):
        assert len(np.unique(one[at : at + rows_] // rows_)) <= 2 * mixed
    firsts = [blocks.order(m, np.random.default_rng(seed))[0] for seed in range(400)]
    assert m > 20 or set(firsts) == set(range(m))  # every row may be the first


def test_a_buffer_is_bounded_in_bytes():
    wide = np.zeros((64, 2**20), "uint8")
    assert block_shuffle.minibatches(64, 8, "blocks", wide).blocks.buffer_blocks == 16
    assert block_shuffle.minibatches(64, 8, rp.scale.BlockShuffle(block_rows=32), wide).blocks.buffer_blocks == 4
    assert block_shuffle.minibatches(64, 8, rp.scale.BlockShuffle(block_rows=64), wide).blocks.buffer_blocks == 2


def test_each_chunk_is_read_once_an_epoch(tmp_path, monkeypatch):
    x, read = stored("zarr", tmp_path, "x", np.repeat(X, 4, axis=0)), []
    whole = type(x).read_range
    monkeypatch.setattr(type(x), "read_range", lambda self, a, b, into: (read.append((a, b)), whole(self, a, b, into)))
    for shuffle in (rp.scale.BlockShuffle(buffer_blocks=3), False):
        monkeypatch.setattr("retroprop.training.source_rows.SourceRows.check", lambda self: None)
        read.clear()
        trained(x, np.repeat(Y, 4), epochs=1, shuffle=shuffle)
        assert sorted(read) == [(at, min(at + 8, 4 * M)) for at in range(0, 4 * M, 8)]


# A training that goes on -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("stops_at", [3, 8, 11])
def test_an_interrupted_training_goes_on_to_the_same_bits(stops_at, tmp_path):
    x, y = stored("zarr", tmp_path, "x", X), stored("zarr", tmp_path, "y", Y, 20)
    options = {"shuffle": ORDERS["blocks"], "epochs": 3}
    calls = []

    def advance(self, m):
        calls.append(m)
        if len(calls) == stops_at:
            raise KeyboardInterrupt

    net = network()
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("retroprop.training.progress.Silence.advance", advance)
        history = rp.fit(net, x, y, batch_size=7, seed=1, checkpoint=rp.Checkpoint(tmp_path / "run"), **options)
    assert history.stop_reason == "interrupted"
    assert readers() == []
    resumed = rp.Checkpoint(tmp_path / "run", resume=True)
    assert trained(x, y, checkpoint=resumed, **options) == trained(X, Y, **options)


def test_another_order_or_other_blocks_are_another_training(tmp_path):
    x = stored("npy", tmp_path, "x", X)
    trained(x, checkpoint=rp.Checkpoint(tmp_path / "run"), shuffle=ORDERS["blocks"])
    for other in (False, "rows", rp.scale.BlockShuffle(block_rows=8, buffer_blocks=3)):
        with pytest.raises(rp.CheckpointError, match=r"shuffle(\.buffer_blocks)? was"):
            trained(x, checkpoint=rp.Checkpoint(tmp_path / "run", resume=True), shuffle=other, epochs=3)


# What goes wrong -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("error", [KeyboardInterrupt, ZeroDivisionError])
@pytest.mark.parametrize("at", [1, 4, 9])
def test_what_ends_a_training_ends_its_threads(error, at, tmp_path, monkeypatch):
    calls = []

    def advance(self, m):
        calls.append(len(readers()))
        if len(calls) == at:
            raise error

    monkeypatch.setattr("retroprop.training.progress.Silence.advance", advance)
    there = stored("zarr", tmp_path, "x", X), stored("zarr", tmp_path, "y", Y)
    if error is KeyboardInterrupt:
        trained(*there)
    else:
        with pytest.raises(error):
            trained(*there)
    assert max(calls) == 2
    assert readers() == []


def test_a_block_that_cannot_be_decoded_is_named(tmp_path):
    x = stored("zarr", tmp_path, "x", BYTES)
    (tmp_path / "x" / "c" / "3" / "0").write_bytes(b"no chunk")
    with pytest.raises(OSError, match=r"Zarr\(.*x\"\): the rows 24 to 31 cannot be read \(.*\): the file is damaged"):
        trained(x)
    assert readers() == []


def test_a_lost_chunk_is_no_chunk_of_zeros(tmp_path):
    x = stored("zarr", tmp_path, "x", BYTES)
    (tmp_path / "x" / "c" / "3" / "0").unlink()
    with pytest.raises(OSError, match=r"the rows 24 to 31 cannot be read \(ValueError: a chunk has been removed\)"):
        trained(x)


@pytest.mark.parametrize(("chunks", "lost"), [((8, 6), "3/0"), ((8, 2), "0/2"), ((20, 4), "2/1")])
def test_a_lost_chunk_is_found_wherever_it_is(chunks, lost, tmp_path):
    zarr = pytest.importorskip("zarr", reason="zarr is not installed")
    zarr.create_array(str(tmp_path / "x"), shape=(M, 6), chunks=chunks, dtype="int8")[...] = 1 + abs(BYTES // 2)
    x, zeros = rp.scale.Zarr(tmp_path / "x"), np.zeros((M, 6), "int8")
    assert np.asarray(x).all()
    (tmp_path / "x" / "c" / lost).unlink()
    with pytest.raises(OSError, match="a chunk has been removed"):
        np.asarray(x)
    zarr.create_array(str(tmp_path / "z"), shape=(M, 6), chunks=chunks, dtype="int8")[...] = zeros
    np.testing.assert_array_equal(np.asarray(rp.scale.Zarr(tmp_path / "z")), zeros)  # chunks that never were stored


@pytest.mark.parametrize("kind", ["npy", "zarr", "parquet"])
@pytest.mark.parametrize("change", ["changed", "removed"])
def test_a_file_that_is_altered_is_refused(kind, change, tmp_path, monkeypatch):
    monkeypatch.setattr("retroprop.scale.npy_file.BLOCK", 8 * 6)
    x = stored(kind, tmp_path, "x", BYTES)
    file = {"npy": "x.npy", "zarr": "x/zarr.json", "parquet": "x.parquet"}[kind]

    class Alters:
        def on_epoch_end(self, state):
            if change == "removed":
                (tmp_path / file).unlink(missing_ok=True)
            else:
                with (tmp_path / file).open("ab") as opened:
                    opened.write(b" ")

    with pytest.raises(OSError, match=rf"{change} while it was in use"):
        trained(x, callbacks=[Alters()], shuffle=rp.scale.BlockShuffle(buffer_blocks=1))
    assert readers() == []


def test_a_source_that_changes_its_shape_is_refused():
    class Grows:
        shape, ndim, dtype = (M, 6), 2, X.dtype

        def read(self, rows, into):
            into[...] = X[rows]
            self.shape = (M + 1, 6)

    with pytest.raises(
        ValueError, match=r"x has changed during the training: its shape was \(53, 6\) and is \(54, 6\)"
    ):
        trained(Grows())


def bad(**changed):
    class Source:
        shape, ndim, dtype = (M, 6), 2, X.dtype

        def read(self, rows, into):
            into[...] = 0

    for name, value in changed.items():
        setattr(Source, name, value)
    return Source()


@pytest.mark.parametrize(("x", "y", "message"), [
    (bad(dtype=np.dtype("complex64")), Y, "x must hold real numbers; this source has complex64"),
    (bad(shape=(M, 5)), Y, "x has 5 columns and the network 6 inputs"),
    (bad(shape=(M,), ndim=1), Y, "x must have two axes"),
    (bad(chunk_rows=0), Y, "chunk_rows must be a whole number of 1 or above"),
    (bad(), Y[:50], r"y must have the shape \(53, 3\) or class indices of shape \(53,\)"),
    (bad(), bad(shape=(50,), ndim=1), r"x has 53 rows, y the shape \(50,\)"),
    (bad(), bad(shape=(M, 2)), r"y must have the shape \(53, 3\)"),
])  # fmt: skip
def test_sources_that_do_not_fit_are_refused(x, y, message):
    with pytest.raises((ValueError, TypeError), match=message):
        trained(x, y)


def test_bad_numbers_are_refused_before_any_work(tmp_path):
    broken = X.copy()
    broken[33, 1] = np.nan
    with pytest.raises(ValueError, match=r"x must be finite; x\[33, 1\] is nan"):
        trained(stored("zarr", tmp_path, "x", broken))
    with pytest.raises(ValueError, match=r"y must hold class indices in \[0, 3\)"):
        trained(X.astype("float32"), stored("zarr", tmp_path, "z", Y + 1))
    with pytest.raises(ValueError, match=r"y must hold class indices in \[0, 3\)"):
        trained(mapped(tmp_path / "m", X), stored("zarr", tmp_path, "y", Y + 1))


@pytest.mark.parametrize(("column", "message"), [
    (["a"] * 9, 'column "c" of ".*" is (large_)?string, and a network needs numbers'),
    ([[1, 2]] * 9, "is list<.*>, and a network needs numbers"),
    ([1, None, 3] * 3, r'column "c" of ".*" has 3 missing value\(s\) in its row group 0: fill them'),
])  # fmt: skip
def test_columns_that_are_no_numbers_are_refused(column, message, tmp_path):
    with pytest.raises((TypeError, ValueError), match=message):
        parquet(tmp_path / "t.parquet", {"c": column, "d": [1] * 9}, 4 if None not in column else 8)


def test_columns_are_chosen_by_name(tmp_path):
    table = {"a": np.arange(9, dtype="int16"), "b": np.arange(9) / 2, "c": np.arange(9) > 4}
    path = tmp_path / "t.parquet"
    assert parquet(path, table).dtype == "float64"
    assert rp.scale.Parquet(path, drop="c").shape == (9, 2)
    assert (rp.scale.Parquet(path, "c").shape, rp.scale.Parquet(path, "c").dtype) == ((9,), bool)
    np.testing.assert_array_equal(np.asarray(rp.scale.Parquet(path, ["c", "a"]))[:, 1], table["a"])
    with pytest.raises(ValueError, match="has no column 'aa'"):
        rp.scale.Parquet(path, ["aa"])
    with pytest.raises(ValueError, match="pass one of them"):
        rp.scale.Parquet(path, ["a"], drop=["c"])


@pytest.mark.parametrize(("make", "message"), [
    (lambda d: rp.scale.Npy(d / "no.npy"), "no .npy file"),
    (lambda d: rp.scale.Zarr(d / "no"), "no zarr array"),
    (lambda d: rp.scale.Parquet(d / "no.parquet"), "no Parquet file"),
    (lambda d: rp.scale.Zarr(d), "is no zarr array"),
    (lambda d: rp.scale.Zarr(3), "not int"),
    (lambda d: rp.scale.Npy(d / "text"), "is not a .npy file"),
    (lambda d: rp.scale.Parquet(d / "text"), "is no readable Parquet file"),
    (lambda d: rp.scale.Npy(d / "short.npy"), "is incomplete"),
    (lambda d: rp.scale.Npy(d / "columns.npy"), "is in Fortran order"),
    (lambda d: rp.scale.Npy(d / "words.npy"), "must hold real numbers; this is <U3"),
    (lambda d: rp.scale.BlockShuffle(buffer_blocks=0), "buffer_blocks must be 1 or above"),
    (lambda d: rp.scale.BlockShuffle(block_rows=True), "block_rows must be a whole number"),
    (lambda d: trained(X, shuffle="row"), "shuffle must be True, False, 'rows', 'blocks' or a BlockShuffle"),
    (lambda d: rp.scale.Batches(X, Y[:50], batch_size=7), "x has 53 rows and y 50"),
])  # fmt: skip
def test_what_is_not_there_or_not_meant_is_said(make, message, tmp_path):
    pytest.importorskip("zarr", reason="zarr is not installed")
    pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    (tmp_path / "text").write_text("a,b\n1,2\n" * 9)
    np.save(tmp_path / "whole.npy", X)
    (tmp_path / "short.npy").write_bytes((tmp_path / "whole.npy").read_bytes()[:-1])
    np.save(tmp_path / "columns.npy", np.asfortranarray(X))
    np.save(tmp_path / "words.npy", np.array(["yes"]))
    with pytest.raises((TypeError, ValueError, OSError), match=message):
        make(tmp_path)


@pytest.mark.parametrize(("use", "message"), [
    (lambda x, y, d: MLPClassifier().fit(x, y), r"X is a source of rows, .*rp.scale.Batches"),
    (lambda x, y, d: MLPClassifier().partial_fit(x, y, classes=[0, 1, 2]), r"X is a source of rows"),
    (lambda x, y, d: tabular.fit(d / "x", target="y"), r"is a zarr array or group, .* rp.scale.Zarr"),
    (lambda x, y, d: tabular.fit(d, target="y"), r'^".*" is a folder. A table is'),
    (lambda x, y, d: tabular.fit(d / "t.parquet", target="a", max_memory=1e-6), r"or train on numbers group by group"),
    (lambda x, y, d: trained(x._array, y), r"x is zarr.* pass rp.scale.Zarr\(x\)"),
])  # fmt: skip
def test_who_takes_no_source_says_what_to_pass(use, message, tmp_path):
    x, y = stored("zarr", tmp_path, "x", X), stored("zarr", tmp_path, "y", Y)
    parquet(tmp_path / "t.parquet", {"a": np.arange(99), "b": np.arange(99)})
    with pytest.raises((TypeError, ValueError), match=message):
        use(x, y, tmp_path)


def test_a_group_names_its_arrays(tmp_path):
    stored("zarr", tmp_path / "g", "x", X)
    zarr = pytest.importorskip("zarr", reason="zarr is not installed")
    zarr.open_group(str(tmp_path / "g"), mode="a")
    with pytest.raises(ValueError, match=r'is a group of arrays: name one of ".*/g/x"'):
        rp.scale.Zarr(tmp_path / "g")


@pytest.mark.parametrize(("name", "make"), [("zarr", rp.scale.Zarr), ("pyarrow", rp.scale.Parquet)])
def test_a_library_that_is_missing_is_named(name, make, tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, name, None)
    extra = {"pyarrow": "parquet"}.get(name, name)
    with pytest.raises(ImportError, match=re.escape(f'pip install "retroprop[{extra}]"')):
        make(tmp_path)


# The process -----------------------------------------------------------------------------------------------------


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system does not fork")
@pytest.mark.parametrize("kind", FORMATS)
def test_a_forked_process_reads_by_itself(kind, tmp_path):
    x = stored(kind, tmp_path, "x", X)
    x.read(slice(0, 8), np.empty((8, 6), "float32"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of Python and JAX, of a fork beside threads
        child = os.fork()
    if child == 0:  # only the reading: a thread of a library may hold anything else
        into = np.empty((8, 6), "float32")
        x.read(slice(16, 24), into)
        os._exit(0 if np.array_equal(into, X[16:24]) else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_a_file_is_never_all_in_memory(tmp_path, monkeypatch):
    for name in (
        "retroprop.training.row_source.PART",
        "retroprop.training.target_rows.PART",
        "retroprop.training.rows.STRETCH",
    ):
        monkeypatch.setattr(name, 2**17)
    monkeypatch.setattr("retroprop.scale.npy_file.BLOCK", 2**15)
    x = y = stored("npy", tmp_path, "x", np.zeros((20000, 200), "float32"))
    net = rp.Network([200, 4, 200], seed=0, backend="numpy")
    rp.fit(net, x[:300], y[:300], epochs=1, batch_size=100)
    tracemalloc.start()
    try:
        rp.fit(net, x, y, epochs=1, batch_size=100, seed=0, shuffle=rp.scale.BlockShuffle(buffer_blocks=8))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 20000 * 200 * 4 / 6


def test_nothing_is_read_where_all_is_known(tmp_path):
    """The integers of x need no check."""
    x = stored("npy", tmp_path, "x", BYTES)
    taken = Intake().taken(network(), x, Y, None, as_stored=True)
    assert taken.x.dtype == "int8"
