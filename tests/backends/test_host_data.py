"""Host data of every kind: real numbers are taken whatever holds them, everything else is refused by name."""

import numpy as np
import pytest

import retroprop as rp
from retroprop.backends import host

X = np.asarray([[0, 1], [1, 1], [2, 0], [3, 1]])
Y = [[1.0], [0.0], [2.0], [1.0]]


def network(backend="numpy"):
    return rp.Network([2, 1], seed=0, dtype="float64", backend=backend)


def with_rows(net, rows):
    """Yield every method of a network that takes inputs, as a function of none."""
    yield lambda: net.predict(rows)
    yield lambda: net.forward(rows)
    yield lambda: net.cost(rows, Y)
    yield lambda: net.gradient(rows, Y)
    yield lambda: rp.fit(net, rows, Y, epochs=1)
    yield lambda: rp.fit(net, rows, Y, epochs=1, batch_size=2)
    yield lambda: rp.fit(net, X, Y, epochs=1, validation_data=(rows, Y))


def pandas_frames(pandas):
    frame = pandas.DataFrame(X, columns=["a", "b"])
    yield from (frame.astype(dtype) for dtype in ("int8", "Int64", "Float64", "Float32", "UInt8", "float32"))
    yield frame.assign(b=frame.b.astype("boolean"))
    yield frame.assign(b=frame.b.astype(bool))
    yield frame.assign(a=frame.a.astype("Int64"), b=frame.b.astype("boolean"))
    yield frame.astype(pandas.SparseDtype("int64", 0))


def polars_frames(polars):
    frame = polars.DataFrame({"a": X[:, 0], "b": X[:, 1]})
    yield frame
    yield frame.with_columns(polars.col("b").cast(polars.Boolean))
    yield frame.with_columns(polars.col("a").cast(polars.UInt8), polars.col("b").cast(polars.Float32))


@pytest.mark.parametrize(("library", "frames"), [("pandas", pandas_frames), ("polars", polars_frames)])
def test_frames_of_numbers_and_booleans_are_taken(backend, library, frames):
    module = pytest.importorskip(library, reason=f"{library} is not installed")
    net = network(backend)
    expected = backend.to_numpy(net.predict(X))
    for frame in frames(module):
        np.testing.assert_array_equal(backend.to_numpy(net.predict(frame)), expected)
        one, other = network(backend), network(backend)
        assert rp.fit(one, frame, frame["a"], epochs=2, sample_weight=frame["b"]).cost == rp.fit(
            other, X, X[:, 0], epochs=2, sample_weight=X[:, 1]).cost  # fmt: skip


@pytest.mark.parametrize("dtype", ["Int64", "Float64", "boolean"])
def test_a_missing_value_of_pandas_is_refused_with_its_place(dtype):
    pandas = pytest.importorskip("pandas", reason="pandas is not installed")
    frame = pandas.DataFrame({"a": [1, 0, 1, 1], "b": [0, 1, 1, 0]}).astype(dtype)
    frame.loc[2, "b"] = pandas.NA
    for call in with_rows(network(), frame):
        with pytest.raises(ValueError, match=r"x must be finite; x\[2, 1\] is nan"):
            call()
    with pytest.raises(ValueError, match=r"y must be finite; y\[2"):
        rp.fit(network(), X, frame["b"])
    with pytest.raises(ValueError, match=r"sample_weight must be finite; sample_weight\[2\]"):
        network().cost(X, Y, sample_weight=frame["b"])


@pytest.mark.parametrize("values", [[True, None, False, True], [1, None, 2, 3]])
def test_a_null_of_polars_is_refused_with_its_place(values):
    polars = pytest.importorskip("polars", reason="polars is not installed")
    frame = polars.DataFrame({"a": values, "b": X[:, 1] > 0})
    for call in with_rows(network(), frame):
        with pytest.raises(ValueError, match=r"x must be finite; x\[1, 0\] is nan"):
            call()


def test_frames_of_other_columns_are_refused_by_the_name_of_the_column():
    pandas = pytest.importorskip("pandas", reason="pandas is not installed")
    number = pandas.Series([1, 2, 3, 4])
    days = pandas.Series(pandas.date_range("2020", periods=4))
    others = {
        "datetime64": days,
        "datetime64.* utc": days.dt.tz_localize("UTC"),
        "timedelta64": days - days[0],
        "period": days.dt.to_period("D"),
        "category": number.astype("category"),
        "interval": pandas.Series(pandas.interval_range(0, 4)),
        "complex128": number + 0j,
        "object": number.astype(object),
    }
    for dtype, column in others.items():
        with pytest.raises(TypeError, match=f"x must hold real numbers; its column 'b' is {dtype}"):
            network().predict(pandas.DataFrame({"a": number, "b": column}))
        with pytest.raises(TypeError, match="y must hold real numbers; its column "):
            rp.fit(network(), X, column)


def test_columns_of_polars_that_are_no_numbers_are_refused_by_name():
    polars = pytest.importorskip("polars", reason="polars is not installed")
    number = polars.Series([1, 2, 3, 4])
    for dtype in (polars.Date, polars.Datetime, polars.Duration, polars.Time, polars.String, polars.Decimal(10, 2)):
        with pytest.raises(TypeError, match="x must hold real numbers; its column 'b' is "):
            network().predict(polars.DataFrame({"a": number, "b": number.cast(dtype)}))


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (X.astype("datetime64[D]"), r"this is datetime64\[D\]"),
        (X.astype("timedelta64[s]"), r"this is timedelta64\[s\]"),
        ([[np.datetime64("2020"), np.datetime64("2021")]] * 4, "this is datetime64"),
        (np.ma.masked_equal(X, 3), "x is a masked array"),
        ([np.ma.masked_equal(row, 3) for row in X], "x is a masked array"),
        (X + 0j, "this is complex128"),
        (X.astype(str), "this is <U"),
        (X.astype(object), "this is ndarray of objects"),
        (set(), r"not builtins\.set"),
        ({"a": 1}, r"not builtins\.dict"),
    ],
)
def test_what_is_no_real_number_is_refused_by_name(rows, message):
    for call in with_rows(network(), rows):
        with pytest.raises(TypeError, match=message):
            call()


def test_masked_arrays_without_masked_entries_are_taken():
    expected = network().predict(X)
    for rows in (np.ma.masked_array(X), np.ma.masked_array(X, np.zeros(X.shape, bool)), list(np.ma.masked_array(X))):
        np.testing.assert_array_equal(network().predict(rows), expected)


@pytest.mark.filterwarnings("ignore:Sparse:UserWarning")
@pytest.mark.parametrize("live", ["numpy", "torch:cpu"])
@pytest.mark.parametrize("layout", ["sparse", "sparse_csr", "sparse_csc", "sparse_bsr"])
def test_sparse_tensors_are_refused_by_name(live, layout):
    torch = pytest.importorskip("torch", reason="torch is not installed")
    dense = torch.tensor(X, dtype=torch.float64)
    rows = dense.to_sparse_bsr((2, 2)) if layout == "sparse_bsr" else getattr(dense, f"to_{layout}")()
    for call in with_rows(network(live), rows):
        with pytest.raises(TypeError, match=rf"x is a sparse tensor, torch.{layout}.*: pass x.to_dense\(\)"):
            call()
    with pytest.raises(TypeError, match="y is a sparse tensor"):
        network(live).cost(X, rows)
    with pytest.raises(TypeError, match="sample_weight is a sparse tensor"):
        network(live).cost(X, Y, sample_weight=rows)


def batches():
    return [(X[:2], Y[:2]), (X[2:], Y[2:])]


@pytest.mark.parametrize("x", [batches(), tuple(batches()), [(*b, None) for b in batches()], [(X.tolist(), Y)]])
def test_batches_are_no_x_of_fit(x):
    for call in (lambda: rp.fit(network(), x), lambda: rp.fit(network(), x=x, y=None), lambda: rp.fit(network(), x, Y)):
        with pytest.raises(TypeError, match="of batches: pass a function that returns the batches of an epoch"):
            call()
    with pytest.raises(TypeError, match="of batches: pass a function"):
        rp.fit(network(), iter(batches()), Y)


def test_a_data_loader_is_no_x_of_fit():
    data = pytest.importorskip("torch.utils.data", reason="torch is not installed")
    with pytest.raises(TypeError, match="x is a DataLoader of batches: pass a function"):
        rp.fit(network(), data.DataLoader(list(zip(X, Y, strict=True)), batch_size=2))


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "longdouble"])
@pytest.mark.parametrize("shape", [(3, 4), (100, 64)])
def test_an_array_is_finite_where_every_number_is(dtype, shape):
    """Also where its squares are too large, where it has no rows, and where its rows are apart in memory."""
    with np.errstate(all="raise"):
        large = np.full(shape, np.finfo(dtype).max, dtype)
        assert host.all_finite(large)
        assert host.all_finite(-large[:, ::2])
        assert host.all_finite(large[:0])
        for wrong in (np.nan, np.inf, -np.inf):
            for place in ((0, 0), (-1, -1)):
                array = np.zeros(shape, dtype)
                array[place] = wrong
                assert not host.all_finite(array)
                assert not host.all_finite(array.T)
