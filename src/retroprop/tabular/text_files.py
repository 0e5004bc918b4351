"""Reading text files: separator, comments, title, header and rows, found once and remembered in the layout."""

from dataclasses import dataclass

from retroprop.tabular.cells import Cells
from retroprop.tabular.decoding import decode
from retroprop.tabular.errors import DataError, listed
from retroprop.tabular.files import SourceFile
from retroprop.tabular.header_rows import HeaderRow, find_header
from retroprop.tabular.headers import unique_names
from retroprop.tabular.raw import Layout, RawTable
from retroprop.tabular.records import lines_of, records_of
from retroprop.tabular.separators import find_separator
from retroprop.tabular.text_rows import read_rows


@dataclass(frozen=True, kw_only=True)
class TextOptions:
    """The user's choices for a text file; None leaves each to be found, or to the layout."""

    header: bool | None = None
    separator: str | None = None
    encoding: str | None = None


def read_text(file: SourceFile, options: TextOptions, layout: Layout | None) -> RawTable:
    """Read a text file of records, by the layout of the training file where there is one.

    Cells are texts without outer white space. Blank lines at the end are no rows; a blank line between rows is a row
    of missing values, in its place.

    Raises
    ------
    DataError
        If polars is missing or the file has a fault; the message names the line.
    """
    known = layout if layout is not None and layout.format == "text" else None
    text, encoding = decode(file.source, file.data, options.encoding, known.encoding if known else None)
    lines = lines_of(text)
    if not any(map(str.strip, lines)):
        raise DataError(f"{file.source} is empty.")
    _refuse_other_formats(file.source, text[:1000].lstrip())
    separator = _separator(file.source, lines, options, layout)
    while separator != "\t" and not lines[-1].strip():
        lines.pop()
    header = find_header(file.source, lines, separator, layout, options.header)
    rows = read_rows(file.source, lines, separator, header, layout)
    frame = rows.frame
    names, duplicates = _names(header, frame.width)
    frame.columns = names
    notes = [*header.notes, *rows.notes]
    if duplicates and header.names:
        notes.append(f"names that stood more than once were numbered: {listed(duplicates)}.")
    unnamed = [names[i] for i, name in enumerate(header.names[: frame.width]) if not name]
    if unnamed:
        notes.append(f"columns without a name are called by their position: {listed(unnamed)}.")
    return RawTable(
        source=file.source,
        columns={name: Cells(frame.to_series(i)) for i, name in enumerate(names)},
        n_rows=frame.height,
        named=bool(header.names),
        layout=Layout(
            format="text",
            separator=separator,
            encoding=encoding,
            header=bool(header.names),
            names=tuple(header.names[: frame.width]),
            width=frame.width,
            comment=header.comment,
            title_lines=header.title_lines,
        ),
        duplicates=tuple(duplicates),
        notes=tuple(notes),
        lines=rows.lines,
    )


def _refuse_other_formats(source: str, text: str) -> None:
    """Raise DataError where a text is none of cells: a page of the web, JSON, the pointer to a file."""
    kinds = {"<!doctype": "a page of the web", "<html": "a page of the web", "<?xml": "XML", '{"': "JSON", "[{": "JSON"}
    kinds["version https://git-lfs"] = "a pointer of Git LFS, not the data"
    for begin, kind in kinds.items():
        if text.lower().startswith(begin):
            raise DataError(f'"{source}": {kind}; a table has rows of cells.')


def _separator(source: str, lines: list[str], options: TextOptions, layout: Layout | None) -> str:
    if options.separator is not None:
        given = {"\\t": "\t", "tab": "\t", "space": " ", "whitespace": " "}.get(options.separator, options.separator)
        if len(given) != 1 or given in '"\r\n':
            raise DataError(f'separator="{options.separator}" must be one character, or "tab" or "whitespace".')
        return given
    first = next(line for line in lines if line.strip())
    if first.lower().startswith("sep=") and len(first.strip()) == 5:  # Excel's own line
        return first.strip()[4]
    sample = _sample(lines)
    known = layout.separator if layout is not None else None
    if known is not None and layout is not None and _fits(source, sample, known, layout):
        return known
    return find_separator(source, [line for line in sample if not line.startswith("#")] or sample)


def _sample(lines: list[str]) -> list[str]:
    """Return the first lines that are not blank: up to 100, fewer of a wide file."""
    sample, size = [], 0
    for line in lines:
        if line.strip():
            sample.append(line)
            size += len(line)
        if len(sample) >= 100 or (size > 500_000 and len(sample) >= 4):
            break
    return sample


def _fits(source: str, sample: list[str], separator: str, layout: Layout) -> bool:
    """Return whether the separator of the training gives this file the columns of the training, by name or number."""
    try:
        rows = [record.split(separator) for record in records_of(source, sample, separator)]
    except DataError:
        return False
    if layout.names:
        return any(len(set(row) & set(layout.names)) * 2 >= min(len(row), layout.width) for row in rows[:5])
    return bool(rows) and all(len(row) == len(rows[0]) for row in rows) and layout.width - 1 <= len(rows[0])


def _names(header: HeaderRow, width: int) -> tuple[list[str], list[str]]:
    """Return unique names, and those that stood more than once."""
    if header.names:
        return unique_names(header.names[:width])
    return [str(i) for i in range(width)], []
