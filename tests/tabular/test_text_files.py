"""Text files as people have them: every small table has its right outcome, or one clear line."""

import json

import pytest

pytest.importorskip("polars", reason="text files need polars")

from tables import learned, written
from text_cases import CASES

from retroprop.tabular.errors import DataError
from retroprop.tabular.raw import Layout
from retroprop.tabular.reading import read
from retroprop.tabular.schema import Schema


@pytest.mark.parametrize("case", [case for _, case in CASES], ids=[name for name, _ in CASES])
def test_a_small_table_has_its_right_outcome(tmp_path, case):
    path = written(tmp_path, case.content)
    wishes = {"target": "-1", **case.wishes}
    if isinstance(case.outcome, tuple):
        with pytest.raises(DataError) as refused:
            learned(str(path), reading=case.reading, **wishes)
        message = str(refused.value)
        assert all(word in message for word in case.outcome), message
        assert "\n" not in message
        assert "data.csv" in message or "=" in message
        return
    raw, schema, values = learned(str(path), reading=case.reading, **wishes)
    assert values == case.outcome
    assert {type(v) for v in values[schema.target]} == {type(v) for v in case.outcome[schema.target]}
    # The schema survives its file, and reads the same file in the same way, guessing nothing.
    again = Schema.from_plain(json.loads(json.dumps(schema.to_plain())))
    assert again == schema
    assert Layout.from_plain(json.loads(json.dumps(raw.layout.to_plain()))) == raw.layout
    later = read(str(path), layout=again.layout, **case.reading)
    assert list(later.columns) == list(raw.columns)
    assert later.n_rows == raw.n_rows


@pytest.mark.parametrize(
    ("cells", "note"),
    [
        (["12 km", "13 km"], 'numbers with more, such as "12 km"'),
        (["1", "2A", "3B", "4C"], 'numbers and texts such as "2A"'),
        (["31/12/20", "01/02/20"], 'no dates of a known form, such as "01/02/20"'),
        (["12:30:01", "13:30:05"], 'no dates of a known form, such as "12:30:01"'),
        (["01", "2"], 'leading zeros ("01")'),
        (["1,5", "2,5"], "decimal comma"),
        (["9007199254740993", "5"], "beyond 2**53"),
        (["x", "y"], ""),
        (["p1", "p2"], ""),
    ],
)
def test_an_unusual_reading_is_noted(tmp_path, cells, note):
    path = written(tmp_path, "a;b\n" + "".join(f"{cell};{i % 2}\n" for i, cell in enumerate(cells)))
    notes = learned(str(path), reading={"header": True})[1].notes
    assert len(notes) == (note != "")
    assert note in "".join(notes)
    assert not note or '"a"' in notes[0]


def test_columns_left_out_are_noted(tmp_path):
    rows = "".join(f"{i + 1},p{i}x,7,,{i % 3},{i % 2}\n" for i in range(12))
    path = written(tmp_path, "PassengerId,who,k,e,x,y\n" + rows)
    schema = learned(str(path))[1]
    assert [column.kind for column in schema.columns] == ["identifier"] * 2 + ["constant", "empty", "number", "number"]
    assert schema.notes == (
        "left out, as identifiers, which tell rows apart and teach nothing: PassengerId, who.",
        "left out, as columns with one value in all rows: k.",
        "left out, as columns without values: e.",
    )


@pytest.mark.parametrize(
    ("name", "numbers", "is_identifier"),
    [
        ("id", range(1, 13), True),
        ("id", range(12), True),
        ("Row Number", reversed(range(12)), True),
        ("customer_id", range(15634602, 15634626, 2), True),
        ("CustomerId", [7, *range(20, 31)], True),
        ("#", range(1, 13), True),
        ("#", range(20, 32), False),
        ("customer_id", [1, 1, *range(10)], False),
        ("id", [0.5, *range(11)], False),
        ("x", range(12), False),
        ("humid", range(12), False),
        ("paid", range(12), False),
        ("index of price", range(12), False),
    ],
)
def test_numbers_that_tell_rows_apart_are_identifiers_by_name(tmp_path, name, numbers, is_identifier):
    rows = "".join(f"{number},{i % 5},{i % 2}\n" for i, number in enumerate(numbers))
    path = str(written(tmp_path, f"{name},x2,y\n" + rows))
    schema = learned(path)[1]
    assert (schema.columns[0].kind == "identifier") == is_identifier
    assert any(name in note for note in schema.notes) == is_identifier
    assert learned(path, numeric=[name])[1].columns[0].kind == "number"
    assert learned(path, target=name)[1].columns[0].kind == "number"
