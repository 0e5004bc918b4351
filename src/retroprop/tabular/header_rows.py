"""The lines of a text file above its rows: title, comments and names; and the number of cells of every row."""

from collections.abc import Sequence
from dataclasses import dataclass

from retroprop.tabular.errors import DataError, listed, quoted
from retroprop.tabular.headers import is_header
from retroprop.tabular.number_texts import looks_numeric
from retroprop.tabular.raw import Layout
from retroprop.tabular.records import Record, records_of
from retroprop.tabular.separators import common_width

_SAMPLE_ROWS = 200
_SAMPLE_CELLS = 80_000
COMMENTS = ("#", "%")


@dataclass(frozen=True, kw_only=True)
class HeaderRow:
    """The form of the lines above the rows, and of the rows.

    Attributes
    ----------
    names : list of str
        The names of the columns, "" for one without; empty where the file has none.
    first_row : int
        The index of the line at which the rows begin.
    width : int
        The number of cells of every row.
    cut : bool
        Whether every row ends with a separator that the names do not end with.
    comment : str
        The character that begins a comment line, or "".
    title_lines : int
        The number of lines of the title.
    notes : tuple of str
        One line for everything that was passed over.
    """

    names: list[str]
    first_row: int
    width: int
    cut: bool = False
    comment: str = ""
    title_lines: int = 0
    notes: tuple[str, ...] = ()

    def is_comment(self, record: Record, separator: str) -> bool:
        """Return whether a line among the rows is a comment.

        It begins like the comments above the rows, or with # where it has not the number of cells of a row.
        """
        if self.comment:
            return record.text.startswith(self.comment)
        return record.text.startswith("#") and len(record.split(separator)) != self.width


def find_header(source: str, lines: list[str], separator: str, layout: Layout | None, wanted: bool | None) -> HeaderRow:
    """Return the form of the lines above the rows.

    A title is a line of one cell above a table of more. Lines at the top that begin with # or % are comments; the last
    one holds the names where it has as many cells as the rows, and no other line holds names. The first row holds names
    where the user says so (`wanted`), where it holds names of the training file (`layout`), else by `is_header`; a file
    follows a layout without names.

    Raises
    ------
    DataError
        If the names and the rows do not have the same number of cells.
    """
    top = _top(source, lines, separator)
    sample = _sample(source, lines, separator, top.first_row)
    if not sample:
        raise DataError(f"{source} has no rows of data: it holds comments only.")
    cells = [record.split(separator) for record in sample]
    width = common_width(cells[1:] or cells)
    skipped = _title_rows(cells, width)
    first, below = cells[skipped], [row for row in cells[skipped + 1 :] if any(row)]
    n_titles = top.n_titles + skipped
    notes = [f"lines of comments were passed over: they begin with {top.comment}."] if top.comment else []
    if skipped:
        notes.append(f"the title was passed over: {quoted(sample[0].text.strip())}.")
    names: list[str] = []
    start = sample[skipped].line
    if _has_names(first, below, layout, wanted):
        names, start = first, _after(sample, skipped, len(lines))
    elif top.names and len(top.names) == width and not any(map(looks_numeric, top.names)) and wanted is not False:
        names = top.names
        notes = [f"the names were taken from the comment above the rows: {listed(names)}."]
    elif len(first) != width and below:
        raise DataError(
            f"{source}, line {start + 1}: {len(first)} cells, where the table has {width}: "
            f"{quoted(sample[skipped].text)}."
        )
    names, width, cut = _aligned(source, sample[skipped], names, below, width, separator)
    return HeaderRow(
        names=names,
        first_row=start,
        width=width,
        cut=cut,
        comment=top.comment,
        title_lines=n_titles,
        notes=tuple(notes),
    )


@dataclass(frozen=True)
class _Top:
    """The lines at the top without cells: the first line behind them, the comment character, names in a comment."""

    first_row: int
    comment: str
    names: list[str]
    n_titles: int


def _top(source: str, lines: list[str], separator: str) -> _Top:
    i, comment, names, n_titles = 0, "", [], 0
    begins = [next((c for c in COMMENTS if line.startswith(c)), "") for line in lines[:_SAMPLE_ROWS] if line.strip()]
    # Where most lines begin with #, it is part of the data, such as a colour.
    commented = 0 < sum(map(bool, begins)) <= len(begins) / 2
    while i < len(lines):
        line = lines[i]
        if line.strip() and i == 0 and line.lower().startswith("sep=") and len(line.strip()) == 5:
            n_titles += 1
        elif commented and line.startswith(COMMENTS):
            comment = line[0]
            words = line.lstrip("#% ")
            names = next(records_of(source, [words], separator)).split(separator) if words and '"' not in words else []
        elif line.strip():
            break
        i += 1
    return _Top(i, comment, names, n_titles)


def _sample(source: str, lines: list[str], separator: str, start: int) -> list[Record]:
    """Return the first records: up to 200, fewer of a wide file."""
    sample, size = [], 0
    for record in records_of(source, lines, separator, start):
        sample.append(record)
        size += len(record.text) // 5 if record.cells is None else len(record.cells)
        if len(sample) > _SAMPLE_ROWS or (size > _SAMPLE_CELLS and len(sample) > 3):
            break
    return sample


def _after(sample: list[Record], i: int, n_lines: int) -> int:
    """Return the index of the line behind record i of the sample."""
    return sample[i + 1].line if i + 1 < len(sample) else n_lines


def _title_rows(cells: list[list[str]], width: int) -> int:
    """Return the number of records at the top with one cell, above a table of more."""
    if width < 2:
        return 0
    for i, row in enumerate(cells[:10]):
        full = [cell for cell in row if cell]
        alone = len(full) <= 1 and (len(row) < width or _heads(cells, i, width))
        if not alone:
            return i
    return 0


def _heads(cells: list[list[str]], i: int, width: int) -> bool:
    """Return whether record i, one cell and empty ones, stands above names: a title with trailing separators."""
    following = cells[i + 1 : i + 40]
    if len(following) < 2 or not cells[i][0] or width < 3 or looks_numeric(cells[i][0]):
        return False
    return all(following[0]) and len(following[0]) == width and is_header(following[0], following[1:])


def _has_names(first: list[str], below: list[list[str]], layout: Layout | None, wanted: bool | None) -> bool:
    if wanted is not None:
        return wanted
    if layout is not None and layout.names:
        known = set(layout.names)
        same = sum(cell in known for cell in first if cell)
        if 2 * same >= min(len(first), layout.width):
            return True
    if layout is not None and layout.format == "text" and not layout.header:
        return False
    return is_header(first, below)


def _aligned(
    source: str, record: Record, names: list[str], below: Sequence[list[str]], width: int, separator: str
) -> tuple[list[str], int, bool]:
    """Return the names and the number of cells, equal; and whether the rows end with one separator more."""
    if not below or not names or len(names) == width:
        return names, len(names) or width, False
    if len(names) == width - 1 and all(len(row) < width or not row[-1] for row in below):
        return names, width - 1, True
    if len(names) == width - 1 and separator in (" ", "\t") and len({row[0] for row in below}) == len(below):
        return ["", *names], width, False  # R writes the names of the rows without a name above them
    if len(names) > width and not any(names[width:]):
        return names[:width], width, False
    raise DataError(
        f"{source}, line {record.line + 1}: {len(names)} names, and the rows below have {width} cells; give every "
        f"column one name, or say that the line is no header (header=...)."
    )
