"""Reading text files: separator, comments, title, header and rows, found once and remembered in the layout."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from retroprop.tabular.cells import Cells
from retroprop.tabular.decoding import decode
from retroprop.tabular.errors import DataError, listed, need
from retroprop.tabular.files import SourceFile
from retroprop.tabular.header_rows import HeaderRow, find_header
from retroprop.tabular.headers import unique_names
from retroprop.tabular.raw import Layout, RawTable
from retroprop.tabular.records import canonical, check_width, lines_of, records_of
from retroprop.tabular.separators import find_separator


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
    pl = need("polars", extra="data", purpose=f'reading "{file.source}"')
    known = layout if layout is not None and layout.format == "text" else None
    text, encoding = decode(file.source, file.data, options.encoding, known.encoding if known else None)
    lines = lines_of(text)
    if not lines:
        raise DataError(f"{file.source} is empty.")
    separator = _separator(file.source, lines, options, layout)
    header = find_header(file.source, lines, separator, layout, options.header)
    frame, starts, n_blank = _rows(pl, file.source, lines, separator, header)
    frame = _trailing_dropped(frame, header, layout)
    names, duplicates = _names(header, frame.width)
    frame.columns = names
    notes = [*header.notes]
    if duplicates and header.names:
        notes.append(f"names that stood more than once were numbered: {listed(duplicates)}.")
    unnamed = [names[i] for i, name in enumerate(header.names[: frame.width]) if not name]
    if unnamed:
        notes.append(f"columns without a name are called by their position: {listed(unnamed)}.")
    if n_blank:
        notes.append(f"{n_blank} blank lines between the rows are rows of missing values.")
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
        lines=starts,
    )


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


def _rows(
    pl: Any, source: str, lines: list[str], separator: str, header: HeaderRow
) -> tuple[Any, NDArray[np.int64], int]:
    """Return a frame of texts with one row per record, the line of each row, and the number of blank lines."""
    blank, width = header.width - 1, header.width
    delimiter = "\t" if separator == " " else separator
    texts, starts, n_blank = [], [], 0
    plain = not header.cut
    for record in records_of(source, lines, separator, header.first_row):
        text = record.text
        if not text.strip():
            n_blank += 1
            texts.append(delimiter * blank if blank else '""')
        elif header.is_comment(record, separator):
            continue
        elif record.cells is None and plain:
            check_width(source, record, text.count(separator) + 1, width)
            texts.append(text)
        else:
            cells = _cut(record.split(separator), header)
            check_width(source, record, len(cells), width)
            texts.append(canonical(cells, delimiter) or '""')
        starts.append(record.line + 1)
    return _frame(pl, source, texts, delimiter, width), np.asarray(starts, dtype=np.int64), n_blank


def _cut(cells: list[str], header: HeaderRow) -> list[str]:
    """Return the cells of a row without the empty one behind a trailing separator."""
    return cells[:-1] if header.cut and len(cells) == header.width + 1 and not cells[-1] else cells


def _frame(pl: Any, source: str, texts: list[str], separator: str, width: int) -> Any:
    if not texts:
        return pl.DataFrame([pl.Series(str(i), [], dtype=pl.String) for i in range(width)])
    whole = "\n".join(texts)
    try:
        frame = pl.read_csv(whole.encode(), has_header=False, infer_schema=False, separator=separator)
    except pl.exceptions.PolarsError as error:
        raise DataError(f"{source}: {str(error).splitlines()[0]}.") from error
    if frame.shape != (len(texts), width):
        raise DataError(f"{source}: {len(texts)} records of {width} cells were read as {frame.shape}.")
    if '"' in whole or " " in whole or not whole.isascii() or (separator != "\t" and "\t" in whole):
        stripped = pl.all().str.strip_chars()
        frame = frame.select(pl.when(stripped.str.len_bytes() > 0).then(stripped).name.keep())
    return frame


def _trailing_dropped(frame: Any, header: HeaderRow, layout: Layout | None) -> Any:
    """Return the frame without the empty, nameless columns that trailing separators make."""
    width = frame.width
    least = layout.width if layout is not None and not header.names else 1
    while width > least and not (header.names and header.names[width - 1]):
        if frame.height == 0 or frame.to_series(width - 1).null_count() < frame.height:
            break
        width -= 1
    return frame.select(frame.columns[:width])


def _names(header: HeaderRow, width: int) -> tuple[list[str], list[str]]:
    """Return unique names, and those that stood more than once."""
    if header.names:
        return unique_names(header.names[:width])
    return [str(i) for i in range(width)], []
