"""Any table of numbers, texts and missing cells is read back exactly; a damaged file is read, or refused in a line."""

import gzip
import io
import random
import zlib

import numpy as np
import pytest

pytest.importorskip("polars", reason="text files need polars")

import csv

import polars as pl
from damage import damaged
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tables import plain

from retroprop.tabular.errors import DataError
from retroprop.tabular.reading import read
from retroprop.tabular.schema import find_schema

# Texts with what breaks files: separators, quotation marks, line ends, other scripts. A letter keeps them texts.
LETTERS = st.text(alphabet="abcxyzÄß漢 ,;|\t\"'\n#%=-[]", min_size=0, max_size=8).map(lambda text: f"{text}t".strip())
NAMES = st.lists(LETTERS.map(lambda text: f"n{text}"), min_size=3, max_size=6, unique=True)
FLOATS = st.floats(allow_nan=False, allow_infinity=False, width=64)
CELLS = {
    "float": st.one_of(FLOATS, FLOATS, FLOATS, st.none()),
    "int": st.one_of(st.integers(-(2**53), 2**53), st.integers(0, 9), st.none()),
    "text": st.one_of(LETTERS, LETTERS, st.none()),
    "bool": st.sampled_from([True, False, None]),
}


@st.composite
def tables(draw):
    """Names, the kind of every column, and the rows; the last column is the target."""
    names = draw(NAMES)
    kinds = [draw(st.sampled_from(sorted(CELLS))) for _ in names]
    # Ten rows at most: in more, texts that all differ would be identifiers.
    rows = draw(st.lists(st.tuples(*(CELLS[kind] for kind in kinds)), min_size=2, max_size=10))
    return names, kinds, rows


def text_of(names, rows, separator, end):
    file = io.StringIO(newline="")
    writer = csv.writer(file, delimiter=separator, lineterminator=end)
    writer.writerow(names)
    writer.writerows([["" if cell is None else str(cell) for cell in row] for row in rows])
    return file.getvalue()


def as_plain(cell, kind):
    return float(cell) if kind in ("float", "int") and cell is not None else cell


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@settings(
    max_examples=60,
    deadline=None,
    database=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(table=tables(), separator=st.sampled_from(",;\t|"))
def test_any_table_is_read_back_exactly(tmp_path, end, table, separator):
    names, kinds, rows = table
    path = tmp_path / "t.csv"
    path.write_bytes(text_of(names, rows, separator, end).encode())
    given = list(zip(*rows, strict=True))
    raw = read(str(path), separator=separator, header=True)
    assert list(raw.columns) == names
    assert raw.n_rows == len(rows)
    if all(len(set(cells)) == 1 for cells in given[:-1]) or set(given[-1]) == {None}:
        with pytest.raises(DataError, match=r"no feature column|no value"):
            find_schema(raw, target=names[-1])
        return
    schema = find_schema(raw, target=names[-1])
    values = plain(schema.typed(raw, want_target=True), schema)
    for name, kind, cells in zip(names[:-1], kinds, given, strict=False):
        wanted = [as_plain(cell, kind) for cell in cells]
        if name in values:
            assert values[name] == wanted
        else:
            assert len(set(wanted)) == 1
    # Later, the rows stand in another order of columns, and each is where it was.
    order = sorted(range(len(names) - 1), key=lambda i: names[i][::-1])
    later = text_of([names[i] for i in order], [[row[i] for i in order] for row in rows], separator, end)
    path.write_bytes(later.encode())
    again = plain(schema.typed(read(str(path), layout=schema.layout), want_target=False), schema)
    assert again == {name: values[name] for name in again}
    assert len(again) == len(schema.features)


def samples(folder):
    """Return a file of every kind, as bytes by suffix."""
    rng = np.random.default_rng(0)
    x, y = rng.random((40, 3)), rng.integers(0, 3, 40)
    frame = pl.DataFrame(
        {
            "a": x[:, 0],
            "b": ["u", "v"] * 20,
            "d": [None, True] * 20,
            "e": [f"long text {i}" * 5 for i in range(40)],
            "y": y,
        }
    )
    found = {}
    for suffix, write in {
        ".npy": lambda path: np.save(path, x),
        ".npz": lambda path: np.savez(path, X=x, y=y),
        "2.npz": lambda path: np.savez_compressed(path, X=x, y=y),
        ".csv": frame.write_csv,
        **{
            f"{i}.parquet": lambda path, name=name: frame.write_parquet(path, compression=name)
            for i, name in enumerate(["zstd", "snappy", "gzip", "uncompressed"])
        },
    }.items():
        path = folder / f"sample{suffix}"
        write(path)
        found[suffix] = path.read_bytes()
    found["2.csv"] = b'a,"b c",y\n' + b"".join(b'%d,"x, ""%d""\n",u\n' % (i, i) for i in range(30))
    lines = [f" {i / 7:.3f}   {i % 5} ? 'two words' 2020-01-{i % 28 + 1:02d}\n" for i in range(40)]
    found[".txt"] = ("# made by x\n" + "".join(lines)).replace("'", '"').encode("utf-16")
    rows = [f"{i};{i / 7:.3f}".replace(".", ",") + f";$ {i + 1}.000,50\n\n" for i in range(40)]
    found["3.csv"] = ("Title\n\n;2019;2020\n" + "".join(rows)).encode()
    found[".csv.gz"] = gzip.compress(found[".csv"])
    return found


def read_or_refused(path, schema=None):
    """Return whether the file at `path` was read, by a schema or anew; the error of one that was not is one line."""
    try:
        raw = read(str(path), layout=None if schema is None else schema.layout)
        schema = schema or find_schema(raw, target=raw.target or "-1")
        schema.typed(raw, want_target=False)
    except DataError as error:
        message = str(error)
    else:
        return True
    assert "\n" not in message
    assert 10 < len(message) < 500
    return False


@pytest.mark.parametrize("n", [150, pytest.param(4000, marks=pytest.mark.long)])
def test_a_damaged_file_is_refused_in_one_line_or_read(tmp_path, capfd, n):
    whole, rng = samples(tmp_path), random.Random(n)
    schemas = {}
    for suffix, data in whole.items():
        (tmp_path / f"whole{suffix}").write_bytes(data)
        raw = read(str(tmp_path / f"whole{suffix}"))
        schemas[suffix] = find_schema(raw, target=raw.target or "-1")
    n_read = 0
    for _ in range(n):
        suffix = rng.choice(sorted(whole))
        path = tmp_path / f"damaged{suffix}"
        path.write_bytes(damaged(whole[suffix], rng))
        n_read += read_or_refused(path)
        read_or_refused(path, schemas[suffix])
    assert 0 < n_read < n / 2
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize(
    "data",
    [
        b"\x1f\x8b" + zlib.compress(b"a,b\n1,2\n"),
        b"PK\x03\x04",
        b"\x93NUMPY",
        b"\x93NUMPY\x01\x00\x06\x00{'a':\n",
        b"\x93NUMPY\x01\x00\x10\x00(((((((((((((((\n",
        b"PAR1",
        b"PAR1" + b"\xff" * 30 + b"\x10\x00\x00\x00PAR1",
        b"\xff\xfe\x00",
        b"\xef\xbb\xbf",
        b'"',
        b",",
        b",,\n,,\n",
    ],
)
@pytest.mark.parametrize("suffix", [".csv", ".npy", ".npz", ".parquet"])
def test_rubbish_is_refused_in_one_line(tmp_path, data, suffix):
    path = tmp_path / f"rubbish{suffix}"
    path.write_bytes(data)
    assert not read_or_refused(path)
