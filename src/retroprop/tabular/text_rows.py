"""The rows of a text file as a frame of exact texts: every record checked, then read at once by polars."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from retroprop.tabular.comments import is_comment
from retroprop.tabular.errors import DataError, need
from retroprop.tabular.header_rows import HeaderRow
from retroprop.tabular.raw import Layout
from retroprop.tabular.records import Record, canonical, check_width, records_of


@dataclass(frozen=True, kw_only=True)
class TextRows:
    """The rows of a text file.

    Attributes
    ----------
    frame : polars.DataFrame of String
        The cells without outer white space, null where they are empty.
    lines : int64 array (m,)
        The line at which every row starts, from 1.
    notes : tuple of str
        One line for blank lines and comments among the rows.
    """

    frame: Any
    lines: NDArray[np.int64]
    notes: tuple[str, ...]


def read_rows(source: str, lines: list[str], separator: str, header: HeaderRow, layout: Layout | None) -> TextRows:
    """Return the rows below the header; a blank line among them is a row of missing values, in its place.

    Only where every second line is blank do the blank lines belong to the line ends.

    Raises
    ------
    DataError
        At the first record with more or fewer cells than the others, or if polars is missing.
    """
    delimiter = "\t" if separator == " " else separator
    blank = delimiter * (header.width - 1) or '""'
    texts, starts, blanks, n_comments = [], [], [], 0
    for record in records_of(source, lines, separator, header.first_row):
        text = record.text
        if not text.strip():
            texts.append(blank)
        elif is_comment(record, header.comment, header.width):
            n_comments += 1
            continue
        elif record.cells is None and not header.cut:
            check_width(source, record, record.width, header.width)
            texts.append(text)
        else:
            cells = _cells(record, separator, header)
            check_width(source, record, len(cells), header.width)
            texts.append(canonical(cells, delimiter) or blank)
        starts.append(record.line + 1)
        blanks.append(not text.strip() and delimiter not in text)
    spaced = _is_double_spaced(blanks)
    if spaced:
        texts = [text for text, empty in zip(texts, blanks, strict=True) if not empty]
        starts = [line for line, empty in zip(starts, blanks, strict=True) if not empty]
    n_blank = 0 if spaced else sum(blanks)
    frame = _trailing_dropped(_frame(source, texts, delimiter, header.width), header, layout)
    notes = [f"blank lines between the rows are rows of missing values: {n_blank}."] if n_blank else []
    notes += [f"comments among the rows were passed over: {n_comments}."] if n_comments else []
    return TextRows(frame=frame, lines=np.asarray(starts, dtype=np.int64), notes=tuple(notes))


def _is_double_spaced(blanks: list[bool]) -> bool:
    """Return whether every second line is blank, and no other: a way to end lines, not rows without values."""
    return len(blanks) > 4 and blanks in [[i % 2 == first for i in range(len(blanks))] for first in (0, 1)]


def _cells(record: Record, separator: str, header: HeaderRow) -> list[str]:
    """Return the cells of a row without the empty one behind a trailing separator."""
    cells = record.split(separator)
    return cells[:-1] if header.cut and len(cells) == header.width + 1 and not cells[-1] else cells


def _frame(source: str, texts: list[str], separator: str, width: int) -> Any:
    pl = need("polars", extra="data", purpose=f'reading "{source}"')
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
    return frame if width == frame.width else frame.select(frame.columns[:width])
