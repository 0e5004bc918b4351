"""Messages about data: one line that steers no terminal, whatever stands in the file."""

from pathlib import Path

import pytest

from retroprop.tabular.errors import DataError, listed, near_match, need, printable, quoted
from retroprop.tabular.reading import read
from retroprop.tabular.schema import find_schema

WILD = {
    "\x1b[31mred": r"\x1b[31mred",
    "two\nlines\r\t": r"two\nlines\r\t",
    "\x9b2J": r"\x9b2J",
    "\u202ereversed": r"\u202ereversed",
    "\u2066isolated\u2069": r"\u2066isolated\u2069",
    "\x07bell\x7f": r"\x07bell\x7f",
    "\ud800": r"\ud800",
    "\ufeffmark": r"\ufeffmark",
    "[red]markup[/s]": "[red]markup[/s]",
    "=1+1": "=1+1",
    "Größe 漢字 🙂 اسم": "Größe 漢字 🙂 اسم",
}


@pytest.mark.parametrize(("text", "shown"), list(WILD.items()))
def test_control_characters_are_shown_not_sent(text, shown):
    assert printable(text) == shown
    assert printable(shown) == shown
    assert quoted(text) == f'"{shown}"'
    assert str(DataError(f'column "{text}"')) == f'column "{shown}"'
    assert listed([text, "b"]) == f"{shown}, b"
    assert near_match(text[:-1] or "x", [text]) in (f' Did you mean "{shown}"?', "")


def test_long_texts_are_cut():
    assert quoted("x" * 500) == '"' + "x" * 59 + '…"'
    assert listed(map(str, range(15))) == "0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11 and 3 more"


def test_a_missing_library_is_one_line():
    with pytest.raises(DataError, match=r'reading "a.csv" needs polers, .* pip install "retroprop\[data\]"'):
        need("polers", extra="data", purpose='reading "a.csv"')
    with pytest.raises(DataError, match="needs scikit-learn"):
        need("sklearn.nothing", extra="sklearn", purpose="x")


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("digitz", ['no data "digitz"', 'Did you mean "digits"?', ".parquet"]),
        ("flower.csv", ['no file "flower.csv"', 'Did you mean "flowers.csv"?']),
        ("nowhere/a.csv", ['no folder "nowhere"']),
        (".", ["is a folder"]),
        ("x" * 5000, ["too long"]),
        ("a\0b", ["no data"]),
        ("table.xlsx", ["Excel"]),
        ("table.pdf", ["a PDF document"]),
    ],
)
def test_no_such_data(tmp_path, monkeypatch, source, words):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "flowers.csv").write_text("a,b\n1,2\n")
    (tmp_path / "table.xlsx").write_bytes(b"PK\x03\x04[Content_Types].xml")
    (tmp_path / "table.pdf").write_bytes(b"%PDF-1.4")
    with pytest.raises(DataError) as refused:
        read(source)
    assert all(word in str(refused.value) for word in words), str(refused.value)
    assert str(refused.value).isprintable()


def test_a_file_that_cannot_be_read(tmp_path, monkeypatch):
    path = tmp_path / "a.csv"
    path.write_text("a,b\n1,2\n")

    opened = Path.open

    def refuses(self, *args, **kwargs):
        if self == path:
            raise PermissionError(13, "Permission denied")
        return opened(self, *args, **kwargs)

    monkeypatch.setattr(Path, "open", refuses)
    with pytest.raises(DataError, match=r"a\.csv\": cannot be read \(Permission denied\)"):
        read(str(path))


@pytest.mark.parametrize("text", [text for text in WILD if text != "\ud800"])
def test_names_and_cells_of_a_file_steer_nothing(tmp_path, text):
    pytest.importorskip("polars", reason="text files need polars")
    name = '"' + text + '"'
    path = tmp_path / "a.csv"
    path.write_bytes(f"id,{name},y\n1,5,u\n2,6,v\n3,{name},u\n4,7,w\n".encode())
    raw = read(str(path), header=True)
    assert list(raw.columns)[1] == text.strip()
    with pytest.raises(DataError, match=r"line [45], column") as refused:
        find_schema(raw, target="y")
    assert str(refused.value).isprintable()
    path.write_bytes(f"id,{name},{name},y\n1,5,1,u\n2,6,1,v\n3,6,1,v\n".encode())
    schema = find_schema(read(str(path), header=True), target="y")
    assert len(schema.notes) == 3
    assert all(note.isprintable() for note in schema.notes)
    path.write_bytes(f"{name},z\n5,1\n".encode())
    typed = schema.typed(read(str(path), layout=schema.layout), want_target=False)
    assert all(note.isprintable() for note in typed.notes)
