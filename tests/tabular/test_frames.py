"""Parquet files and frames of pandas and polars: every data type as what it is, and what it cannot be."""

from datetime import UTC, date, datetime
from decimal import Decimal

import numpy as np
import pytest

pytest.importorskip("polars", reason="parquet files and frames of texts need polars")

import polars as pl
from tables import learned

from retroprop.tabular.errors import DataError
from retroprop.tabular.reading import read
from retroprop.tabular.schema import find_schema

COLUMNS = {
    "n": [1, None, 3],
    "f": [0.5, 1.5, None],
    "b": [True, False, None],
    "t": [" p ", "", "q"],
    "d": [date(2020, 1, 1), None, date(2021, 1, 1)],
    "m": [datetime(2020, 1, 1, 5), datetime(2020, 1, 2), None],
    "y": [2**53 + 1, 2**53, 2**53 + 2],
}
VALUES = {
    "n": [1.0, None, 3.0],
    "f": [0.5, 1.5, None],
    "b": [True, False, None],
    "t": ["p", None, "q"],
    "d": ["2020-01-01T00:00:00", None, "2021-01-01T00:00:00"],
    "m": ["2020-01-01T05:00:00", "2020-01-02T00:00:00", None],
    "y": [2**53 + 1, 2**53, 2**53 + 2],
}


def test_polars():
    frame = pl.DataFrame(COLUMNS)
    assert learned(frame)[2] == VALUES
    kind = pl.Series("k", ["u", None, "v"], dtype=pl.Categorical)
    money = pl.Series("e", [Decimal("1.10"), None, Decimal("2.25")])
    zone = pl.Series("z", [datetime(2020, 1, 1, tzinfo=UTC)] * 2 + [None]).dt.convert_time_zone("Asia/Tokyo")
    values = learned(frame.with_columns(kind, money, zone), target="y")[2]
    assert values["k"] == ["u", None, "v"]
    assert values["e"] == [1.1, None, 2.25]
    assert values["z"] == ["2020-01-01T00:00:00"] * 2 + [None]


def test_parquet(tmp_path):
    path = str(tmp_path / "data.parquet")
    pl.DataFrame({**COLUMNS, "__index_level_0__": [0, 1, 2]}).write_parquet(path)
    raw, schema, values = learned(path)
    assert values == VALUES
    assert any("index was left out" in note for note in schema.notes)
    assert raw.place(2) == "row 2"


def test_pandas():
    pd = pytest.importorskip("pandas", reason="frames of pandas are read where it is installed")
    frame = pd.DataFrame(COLUMNS)
    assert learned(frame)[2] == VALUES
    assert learned(frame.convert_dtypes())[2] == VALUES
    frame["y"] = frame["y"].astype(object)
    frame["t"] = frame["t"].astype("category")
    frame["m"] = frame["m"].dt.tz_localize("UTC").dt.tz_convert("Asia/Tokyo")
    assert learned(frame)[2] == VALUES
    mixed = {"a": ["x", 1, "y", 2.5], "y": ["u", True, 1, "v"]}
    assert learned(pd.DataFrame(mixed))[2] == {name: list(map(str, values)) for name, values in mixed.items()}
    unnamed = learned(pd.DataFrame(np.arange(6).reshape(3, 2)))
    assert not unnamed[0].named
    twice = pd.DataFrame([[1, 2, 0], [3, 4, 1]], columns=["a", "a", "y"])
    assert list(read(twice).columns) == ["a", "a.1", "y"]


def test_dicts():
    assert learned({"a": [1, None, 3], "y": ["u", "v", "u"]})[2] == {"a": [1, None, 3], "y": ["u", "v", "u"]}
    raw = read({"x": np.ones((3, 2)), "y": np.arange(3)})
    assert raw.target == "y"
    with pytest.raises(DataError, match="different numbers of rows: 1, 2"):
        read({"a": [1], "y": ["u", "v"]})


@pytest.mark.parametrize(
    ("column", "words"),
    [
        (pl.Series("a", [[1], [2]]), "List(Int64) is neither"),
        (pl.Series("a", [b"x", b"y"]), "Binary is neither"),
        (pl.Series("a", [{"p": 1}, {"p": 2}]), "Struct"),
        (pl.Series("a", [1.0, float("inf")]), "row 1, column"),
    ],
)
def test_columns_that_cannot_be_used(column, words):
    frame = pl.DataFrame([column, pl.Series("c", [1, 2]), pl.Series("y", [1, 2])])
    with pytest.raises(DataError) as refused:
        find_schema(read(frame), target="y")
    assert words in str(refused.value)
    assert find_schema(read(frame), target="y", drop=["a"]).dropped == ("a",)


def test_a_parquet_file_is_refused_by_its_announced_size(tmp_path):
    path = str(tmp_path / "data.parquet")
    pl.select(pl.repeat(1, 10**6).alias("a"), pl.repeat("x" * 100, 10**6).alias("y")).write_parquet(path)
    with pytest.raises(DataError, match=r"the table would take 15\.3 MiB of memory, and the limit is 1 MiB"):
        read(path, max_bytes=2**20)
    assert read(path).n_rows == 10**6


def test_a_parquet_file_of_long_texts_or_lists_is_refused_by_its_size(tmp_path):
    """A text that is stored once, or a list of equal values, takes no room in the file, and gigabytes in memory."""
    path = tmp_path / "data.parquet"
    pl.select(pl.repeat("x" * 10**5, 300).alias("a"), pl.int_range(300).alias("y")).write_parquet(path)
    assert path.stat().st_size < 20_000
    with pytest.raises(DataError, match=r"the table would take 28\.7 MiB"):
        read(str(path), max_bytes=2**24)
    pl.DataFrame({"a": [[0] * 10**5] * 20, "y": range(20)}).write_parquet(path)
    with pytest.raises(DataError, match=r"the table would take 15\.3 MiB"):
        read(str(path), max_bytes=2**20)


def test_a_panic_of_the_engine_is_one_line(tmp_path, capfd, monkeypatch):
    class PanicException(BaseException):
        pass

    def panics(file):
        import os

        os.write(2, b"thread panicked")
        raise PanicException("assertion failed\nat line 3")

    path = str(tmp_path / "data.parquet")
    pl.DataFrame(COLUMNS).write_parquet(path)
    monkeypatch.setattr(pl, "read_parquet", panics)
    with pytest.raises(DataError, match=r"not a readable \.parquet file \(assertion failed\)"):
        read(path)
    assert capfd.readouterr().err == ""

    def interrupted(file):
        raise KeyboardInterrupt

    monkeypatch.setattr(pl, "read_parquet", interrupted)
    with pytest.raises(KeyboardInterrupt):
        read(path)
