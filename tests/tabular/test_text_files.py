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
