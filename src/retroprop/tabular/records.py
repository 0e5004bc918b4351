"""From the text of a file to records: line ends, quotation marks and separators."""

import csv
import re
from collections.abc import Iterator
from typing import NamedTuple

from retroprop.tabular.errors import DataError, counted, quoted

# A cell of a file separated by white space: quoted, or without white space.
_WORD = re.compile(r'"(?:[^"]|"")*"(?=\s|$)|\S+')


class Record(NamedTuple):
    """One record: the index of its first line, its number of cells, its text, and its cells if it was taken apart.

    A record whose quotation marks stand where every reader expects them is not taken apart.
    """

    line: int
    width: int
    text: str
    cells: list[str] | None = None

    def split(self, separator: str) -> list[str]:
        """Return the cells, without outer white space."""
        if self.cells is not None:
            cells = self.cells
        elif '"' in self.text:
            cells = next(_unlimited(csv.reader([self.text], delimiter=separator)))
        else:
            cells = self.text.split(separator)
        return [cell.strip() for cell in cells]


def lines_of(text: str) -> list[str]:
    """Return the lines of a text, ended by LF, CR LF, CR CR LF or CR alone, without the blank ones at its end.

    A carriage return between quotation marks is part of its cell, unless all lines end with it.
    """
    if "\r" in text and ("\n" not in text or '"' not in text):
        text = text.replace("\r\r\n", "\n").replace("\r\n", "\n").replace("\r", "\n")
    lines = text.split("\n")
    while lines and not lines[-1].strip(" \r"):
        lines.pop()
    return lines


def records_of(source: str, lines: list[str], separator: str, start: int = 0) -> Iterator[Record]:
    """Yield the records of `lines` from index `start`.

    A cell may be quoted; then it may hold the separator, line ends and doubled quotation marks. A quotation mark within
    an unquoted cell is part of its text.

    Raises
    ------
    DataError
        If a quotation mark is never closed, or text follows a closed one; the message names the line.
    """
    s = re.escape(separator)
    quoted_cell = re.compile(rf'(?:(?<={s})|^)"(?:[^"]|"")*"(?={s}|$)')
    i = start
    while i < len(lines):
        line = lines[i].rstrip("\r")
        bare = line if '"' not in line or separator == " " else quoted_cell.sub("", line)
        used = 1
        if separator == " ":
            words = _words(line)
            yield Record(i, len(words), line, words)
        elif '"' not in bare:
            yield Record(i, bare.count(separator) + 1, line)
        else:
            cells, used = _quoted_record(source, lines, i, separator)
            yield Record(i, len(cells), line, cells)
        i += used


def _unlimited(reader: Iterator[list[str]]) -> Iterator[list[str]]:
    """Yield the records of a csv reader without its limit on the length of a cell, which is one of the process."""
    limit = csv.field_size_limit(2**31 - 1)
    try:
        yield next(reader)
    finally:
        csv.field_size_limit(limit)


def _words(line: str) -> list[str]:
    words = _WORD.findall(line)
    if '"' not in line:
        return words
    return [word[1:-1].replace('""', '"') if len(word) > 1 and word[0] == word[-1] == '"' else word for word in words]


def _quoted_record(source: str, lines: list[str], i: int, separator: str) -> tuple[list[str], int]:
    """Return the cells of the record that begins at line index i, and its number of lines."""

    def following() -> Iterator[str]:
        for j in range(i, len(lines)):
            yield lines[j] + "\n"

    reader = csv.reader(following(), delimiter=separator, skipinitialspace=True, strict=True)
    try:
        cells = next(_unlimited(reader))
    except csv.Error as error:
        fault = str(error)
        if "end of data" in fault:
            fault = "a quotation mark is never closed"
        elif "expected after" in fault:
            fault = "text follows a closing quotation mark; double the marks within a quoted cell"
        elif "new-line" in fault:
            fault = "a carriage return within a line"
        raise DataError(f"{source}, line {i + 1}: {fault}.") from error
    return cells, reader.line_num


def canonical(cells: list[str], separator: str) -> str:
    """Return a record as text that every reader understands alike."""
    special = re.compile(f'["\r\n{re.escape(separator)}]')
    return separator.join('"' + cell.replace('"', '""') + '"' if special.search(cell) else cell for cell in cells)


def check_width(source: str, record: Record, found: int, width: int) -> None:
    """Raise DataError where a record has not `width` cells."""
    if found != width:
        raise DataError(
            f"{source}, line {record.line + 1}: {counted(found, 'cell')}, where the table has {width}: "
            f"{quoted(record.text)}."
        )
