"""Reading .csv files: polars for speed, the csv module to locate the line of a fault."""

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

from retroprop.cli.data_frames import table_of_frame
from retroprop.cli.errors import CommandError, need
from retroprop.cli.table import DataTable, Selection

SEPARATORS = ",;\t|"


@dataclass(frozen=True)
class CsvText:
    """The text of a .csv file, read record by record: for its header, and to locate a fault."""

    source: str
    text: str
    separator: str

    def records(self) -> Iterator[tuple[int, list[str]]]:
        """Yield the line at which a record starts (from 1) and its cells; empty records are skipped.

        Raises
        ------
        CommandError
            If a quotation mark is never closed; the message names its line.
        """
        reader = csv.reader(StringIO(self.text, newline=""), delimiter=self.separator, strict=True)
        line = 1
        try:
            for cells in reader:
                stripped = [cell.strip() for cell in cells]
                if any(stripped):
                    yield line, stripped
                line = reader.line_num + 1
        except csv.Error as error:
            fault = "a quotation mark is never closed" if "end of data" in str(error) else str(error)
            raise CommandError(f"{self.source}, line {line}: {fault}.") from error

    def check_lengths(self) -> None:
        """Raise CommandError at the first record with more or fewer cells than the first one."""
        width = 0
        for line, cells in self.records():
            width = width or len(cells)
            if len(cells) != width:
                raise CommandError(
                    f"{self.source}, line {line}: {len(cells)} {'cell' if len(cells) == 1 else 'cells'}, where "
                    f"the first line has {width}."
                )

    def line_of(self, row: int) -> int:
        """Return the line at which the record of index `row` starts."""
        return next(line for i, (line, _) in enumerate(self.records()) if i == row)


def read_csv(path: Path, source: str, selection: Selection) -> DataTable:
    """Read a .csv file.

    The separator is the most frequent one in the first line: comma, semicolon, tab or vertical bar. Cells are
    stripped and empty lines skipped. A first line of numbers is data, not names, unless it merely numbers the
    columns (0, 1, 2, ...).

    Raises
    ------
    CommandError
        If polars is missing or the file has a fault; the message names the line and the column.
    """
    pl = need("polars", extra="data", purpose=f'reading "{source}"')
    text = _decoded(path, source)
    csv_text = CsvText(source, text, _separator(text))
    _, first = next(csv_text.records(), (0, []))
    if not first:
        raise CommandError(f"{source} is empty.")
    frame = _frame(pl, csv_text, len(first))
    header = not _is_data(first) if selection.header is None else selection.header
    names = _names(first, selection, source) if header else [str(i) for i in range(len(first))]
    frame = frame.slice(1 if header else 0)
    frame.columns = names
    skipped = 1 if header else 0

    def place(row: int) -> str:
        return f"line {csv_text.line_of(row + skipped)}"

    try:
        return table_of_frame(frame, source, selection, place=place, named=header)
    except CommandError:
        csv_text.check_lengths()  # a line with too few cells is the better explanation of a missing value
        raise


def _decoded(path: Path, source: str) -> str:
    data = path.read_bytes()
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise CommandError(f"{source}, line {line}: not UTF-8 text; save the file as UTF-8.") from error


def _separator(text: str) -> str:
    first = text.lstrip().partition("\n")[0]
    unquoted = "".join(first.split('"')[::2])
    return max(SEPARATORS, key=unquoted.count)


def _frame(pl: Any, csv_text: CsvText, width: int) -> Any:
    """Return a polars frame of text, one row per record: cells stripped, empty ones null."""
    try:
        frame = pl.read_csv(
            csv_text.text.encode(),
            has_header=False,
            infer_schema=False,
            separator=csv_text.separator,
        )
    except pl.exceptions.PolarsError as error:
        csv_text.check_lengths()
        raise CommandError(f"{csv_text.source}: {str(error).splitlines()[0]}.") from error
    if frame.width != width:
        csv_text.check_lengths()
    text = pl.all().str.strip_chars()
    frame = frame.select(pl.when(text.str.len_bytes() > 0).then(text))
    return frame.filter(~pl.all_horizontal(pl.all().is_null()))


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return any(character.isdigit() for character in cell)  # "nan" and "inf" may be column names


def _is_data(first: list[str]) -> bool:
    """Return whether the first line is data: it holds numbers, and does not merely number the columns."""
    numbers = [cell for cell in first if _is_number(cell)]
    if not numbers:
        return False
    if all(cell.isdigit() for cell in numbers):
        counted = [str(i) for i in range(len(first) + 1)]
        return len(numbers) == len(first) and first not in (counted[:-1], counted[1:])
    return True


def _names(first: list[str], selection: Selection, source: str) -> list[str]:
    """Return the names in the first line; a column without a name, such as pandas' index, must be dropped."""
    names = [name or f"unnamed {i}" for i, name in enumerate(first)]
    for i, name in enumerate(names):
        if not first[i] and not {name, str(i)} & {*selection.drop, *selection.ignored}:
            raise CommandError(
                f"{source}, line 1: column {i + 1} of {len(names)} has no name: leave it out with --drop {i}, give "
                f"it a name, or say --no-header if the first line is data."
            )
        if name in names[:i]:
            raise CommandError(
                f'{source}, line 1: the name "{name}" appears twice (columns {names.index(name) + 1} and {i + 1}).'
            )
    return names
