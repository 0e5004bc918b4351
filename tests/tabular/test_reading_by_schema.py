"""Data to predict, read by the schema of the training: nothing is guessed anew, and every row keeps its place."""

import gzip
import io
import json
import sys
from datetime import date

import pytest

pytest.importorskip("polars", reason="text files need polars")

import polars as pl
from tables import learned, plain, written

from retroprop.tabular.errors import DataError
from retroprop.tabular.reading import read
from retroprop.tabular.schema import Schema

TRAINING = (
    "size,deck,open,since,price,kind\n"
    '1.5,1,true,2020-01-01,"1,200",x\n'
    '2,2A,false,2020-02-01,"90,500",y\n'
    '?,3B,true,,"300",x\n'
    '4,none,TRUE,2021-05-05,"1,000,000",y\n'
)


@pytest.fixture
def schema(tmp_path):
    found = learned(str(written(tmp_path, TRAINING)), target="kind")[1]
    return Schema.from_plain(json.loads(json.dumps(found.to_plain())))


@pytest.fixture
def later(tmp_path, schema):
    """Read a later file, or frame, by the schema; return the plain values and the notes."""

    def by_schema(content, *, want_target=False, **options):
        source = str(written(tmp_path, content, "later.csv")) if isinstance(content, (str, bytes)) else content
        typed = schema.typed(read(source, layout=schema.layout, **options), want_target=want_target)
        return plain(typed, schema), " ".join(typed.notes)

    return by_schema


ONE = {"size": [3.0], "deck": ["1"], "open": [False], "since": ["2020-03-01T00:00:00"], "price": [2000.0]}


@pytest.mark.parametrize(
    "content",
    [
        'size,deck,open,since,price\n3,1,false,2020-03-01,"2,000"\n',
        'price,since,open,deck,size\n"2,000",2020-03-01,FALSE,1,3.0\n',
        "size;deck;open;since;price\n3;1;False;2020-03-01;2,000\n",
        "size\tdeck\topen\tsince\tprice\r3\t1\t0\t2020-03-01 00:00\t2000\r",
        "\n# later\nsize,deck,open,since,price,kind\n3,1,false,2020/03/01,2000,\n",
    ],
)
def test_one_row_in_any_order_and_form(later, content):
    assert later(content) == (ONE, later(content)[1])


def test_rows_without_values_keep_their_place(later):
    values, notes = later("size,deck,open,since,price\n1,1,true,,\n\n,,,,\n2,2A,?,,5\n\n")
    assert values["size"] == [1.0, None, None, 2.0]
    assert values["deck"] == ["1", None, None, "2A"]
    assert values["open"] == [True, None, None, None]
    assert "blank lines" in notes


def test_extra_columns_are_named_and_ignored(later):
    values, notes = later("age,size,deck,open,since,price\n9,3,1,false,2020-03-01,2000\n")
    assert values == ONE
    assert "not known to the model were ignored: age" in notes


def test_unknown_texts_are_known_as_such(tmp_path, schema):
    path = written(tmp_path, "size,deck,open,since,price\n1,1,true,,\n1,9Z,true,,\n1,9Z,perhaps,,\n", "later.csv")
    typed = schema.typed(read(str(path), layout=schema.layout), want_target=False)
    assert typed.codes["deck"].tolist() == [0, -2, -2]
    assert typed.unknown == {"deck": {"9Z": 1}, "open": {"perhaps": 2}}
    assert typed.place(2) == "line 4"


def test_the_target_is_read_where_it_is_there(later):
    values, _ = later("size,deck,open,since,price,kind\n1,1,true,,,y\n1,1,true,,,\n1,1,true,,,z\n")
    assert values["kind"] == ["y", None, "z"]
    assert "kind" not in later("size,deck,open,since,price,kind\n1,1,true,,,\n")[0]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("siez,deck,open,since,price\n1,1,true,,\n", ["lacks", "size", 'Did you mean "siez"?']),
        ("size,deck,open,since,price\n1,1,true,,\ntall,1,true,,\n", ["line 3", '"size"', '"tall"', "not a number"]),
        ('size,deck,open,since,price\n"1,5",1,true,,\n', ["line 2", '"size"', '"1,5"', "not a number"]),
        ("size,deck,open,since,price\n1e999,1,true,,\n", ["line 2", '"size"', "too large"]),
        ("size;deck;open;since;price\n1;1;true;;1.5,0\n", ["line 2", '"price"', "thousands separator"]),
        ("size,deck,open,since,price\n1,1,true,01/02/2020,\n", ["line 2", '"since"', "not a date"]),
        ("size,deck,open,since,price\n1,1,true,2020 1 2,\n", ["line 2", '"since"', "not a date"]),
        (f"size,deck,open,since,price\n1,1,true,{'9' * 400}-1-2,\n", ["line 2", '"since"', "not a date"]),
        ("size,deck,open,since,price\n1,1,true\n", ["line 1", "5 names", "3 cells"]),
        ("1,1,true\n2,1,false\n", ["3 feature columns", "trained on 5"]),
    ],
)
def test_what_does_not_fit_is_refused(later, content, words):
    with pytest.raises(DataError) as refused:
        later(content)
    assert all(word in str(refused.value) for word in words), str(refused.value)


def test_a_file_without_names_is_read_by_position_with_a_note(later):
    values, notes = later("3,1,false,2020-03-01,2000\n4,1,false,2020-03-01,2000\n")
    assert values["size"] == [3.0, 4.0]
    assert "by their position" in notes
    assert later("size,deck,open,since,price\n")[0]["size"] == []


def test_a_target_that_is_wanted_must_be_there(later):
    with pytest.raises(DataError, match='the target "kind" is missing'):
        later("size,deck,open,since,price\n1,1,true,,\n", want_target=True)


def test_frames_are_read_by_the_schema_of_a_file(later):
    frame = {"deck": [1], "open": [False], "price": [2000], "size": [3], "since": [date(2020, 3, 1)]}
    assert later(pl.DataFrame(frame))[0] == ONE
    pd = pytest.importorskip("pandas", reason="frames of pandas are read where it is installed")
    assert later(pd.DataFrame(frame))[0] == ONE
    assert later(pd.DataFrame({**frame, "open": ["False"], "deck": ["1"], "price": ["2,000"]}))[0] == ONE
    # pandas makes floats of whole numbers with a missing one.
    floats = pd.DataFrame(
        {"deck": [1, None], "open": [True, None], "price": [1, 2], "size": [3, 4], "since": [None, None]}
    )
    values, _ = later(floats)
    assert values["deck"] == ["1", None]
    assert values["open"] == [True, None]
    assert values["since"] == [None, None]


@pytest.mark.parametrize(
    ("training", "header", "content", "n_rows"),
    [
        ("p,x,yes\nq,y,no\nr,z,no\n", False, "p,x\nq,y\nr,z\n", 3),
        ("p,x,yes\nq,y,no\nr,z,no\n", False, "p,x,no\nq,y,yes\n", 2),
        ("2019,2020,up\n.1,.2,y\n.4,.5,n\n.3,.3,y\n.2,.7,n\n", None, "2019,2020\n.1,.2\n.4,.5\n", 2),
        ("2019,2020,up\n.1,.2,y\n.4,.5,n\n.3,.3,y\n.2,.7,n\n", None, "2020,2019\n.1,.2\n", 1),
        ("x,y\n0.1,a\n0.2,b\n", None, "x\n0.5\n10.5\n", 2),
        ("x;w;y\n1,5;2,5;a\n2,5;7,5;b\n", None, "x;w\n10,05;2,25\n", 1),
        ("x\ty\n1,5\ta\n2,5\tb\n", None, "x\n1,5\n2,5\n", 2),
    ],
)
def test_the_header_is_remembered(tmp_path, training, header, content, n_rows):
    schema = learned(str(written(tmp_path, training)), reading={"header": header})[1]
    raw = read(str(written(tmp_path, content, "later.csv")), layout=schema.layout)
    assert schema.typed(raw, want_target=False).n_rows == n_rows


def test_standard_input_and_gzip(tmp_path, monkeypatch):
    content = b'size,deck,open,since,price\n3,1,false,2020-03-01,"2,000"\n'
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))
    raw = read("-")
    assert raw.source == "standard input"
    assert raw.n_rows == 1
    path = written(tmp_path, gzip.compress(content[:20]) + gzip.compress(content[20:]), "a.csv.gz")
    assert read(str(path)).n_rows == 1
    path.write_bytes(gzip.compress(b"0" * 10**6))
    with pytest.raises(DataError, match="limit"):
        read(str(path), max_bytes=10**5)
    path.write_bytes(gzip.compress(content)[:-9])
    with pytest.raises(DataError, match="truncated"):
        read(str(path))
