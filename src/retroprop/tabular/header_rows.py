"""The lines of a text file above its rows: title, comments and names; and the number of cells of every row."""

from collections.abc import Sequence
from dataclasses import dataclass

from retroprop.tabular.comments import find_top, is_comment
from retroprop.tabular.errors import DataError, counted, listed, quoted
from retroprop.tabular.headers import SURE, header_votes, is_header
from retroprop.tabular.number_texts import looks_numeric
from retroprop.tabular.raw import Layout
from retroprop.tabular.records import Record, records_of
from retroprop.tabular.separators import common_width

_SAMPLE_ROWS = 200
_SAMPLE_CELLS = 80_000


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


def find_header(source: str, lines: list[str], separator: str, layout: Layout | None, wanted: bool | None) -> HeaderRow:
    """Return the form of the lines above the rows.

    A title is a line of one text above a table of more columns. The last comment above the table holds the names where
    it has as many cells as the rows, none of them a number, and no other line holds names. The first row holds names
    where the user says so (`wanted`), where it holds names of the training file (`layout`), else by `header_votes`; a
    file follows a layout without names.

    Raises
    ------
    DataError
        If the names and the rows do not have the same number of cells.
    """
    top = find_top(source, lines, separator)
    sample = _sample(source, lines, separator, top.first)
    if not sample:
        raise DataError(f"{source} has no rows of data: it holds comments only.")
    # What is a comment among the rows depends on their width, which is that of the lines without #.
    bare = [record for record in sample if record.text.strip() and not record.text.startswith("#")] or sample
    width = common_width([record.split(separator) for record in bare[1:] or bare])
    records, sample = sample, [record for record in sample if not is_comment(record, top.comment, width)] or sample
    cells = [record.split(separator) for record in sample]
    skipped = _title_rows(cells, width, layout)
    first, below = cells[skipped], [row for row in cells[skipped + 1 :] if any(row)]
    n_titles = top.n_titles + skipped
    notes = [f"lines of comments were passed over: they begin with {top.comment}."] if top.comment else []
    if skipped and sample[0].text.strip():
        notes.append(f"the title was passed over: {quoted(sample[0].text.strip())}.")
    names: list[str] = []
    start = sample[skipped].line
    decided = _decided(first, layout, wanted)
    votes = header_votes(first, below) if decided is None else 0.0
    if decided or votes > 0:
        behind = (record.line for record in records if record.line > start)
        names, start = first, next(behind, len(lines))
    elif top.names and len(top.names) == width and not any(map(looks_numeric, top.names)) and wanted is not False:
        names = top.names
        notes = [f"the names were taken from the comment above the rows: {listed(names)}."]
    elif len(first) != width and below:
        raise DataError(
            f"{source}, line {start + 1}: {counted(len(first), 'cell')}, where the table has {width}: "
            f"{quoted(sample[skipped].text)}."
        )
    if decided is None and below and abs(votes) < SURE and not (names and names is top.names):
        taken = f"names: {listed(names)}" if names else "data"
        notes.append(f"the first row was taken as {taken}; say so if that is wrong (header=...).")
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


def _sample(source: str, lines: list[str], separator: str, start: int) -> list[Record]:
    """Return the first records: up to 200, fewer of a wide file."""
    sample, size = [], 0
    for record in records_of(source, lines, separator, start):
        sample.append(record)
        size += record.width
        if len(sample) > _SAMPLE_ROWS or (size > _SAMPLE_CELLS and len(sample) > 3):
            break
    return sample


def _title_rows(cells: list[list[str]], width: int, layout: Layout | None) -> int:
    """Return the number of records at the top that are a title: texts in fewer cells than the table has columns.

    A title of several cells stands above names. Blank lines may follow it. Of a later file without names no row is a
    title unless the training file had one: it could be a row to predict.
    """
    if width < 2 or (layout is not None and not layout.names and not layout.title_lines):
        return 0
    titled = False
    for i, row in enumerate(cells[:10]):
        full = [cell for cell in row if cell]
        if not full:
            continue
        short = len(row) < width and (len(full) == 1 or _heads(cells, i, width))
        if any(map(looks_numeric, full)) or not (short or (len(full) == 1 and _heads(cells, i, width))):
            # Rows of empty cells alone are above the table only if names follow.
            return i if titled or (i and (_decided(row, layout, None) or is_header(row, cells[i + 1 :]))) else 0
        titled = True
    return 0


def _heads(cells: list[list[str]], i: int, width: int) -> bool:
    """Return whether record i stands above names, or above other lines of a title that do."""
    following = [row for row in cells[i + 1 : i + 40] if len([cell for cell in row if cell]) > 1 and len(row) == width]
    if len(following) < 2 or not cells[i][0] or width < 3:
        return False
    return all(following[0]) and is_header(following[0], following[1:])


def _decided(first: list[str], layout: Layout | None, wanted: bool | None) -> bool | None:
    """Return whether the first row holds names where the user or the layout says so, else None."""
    if wanted is not None:
        return wanted
    if layout is not None and layout.names:
        known = set(layout.names)
        same = sum(cell in known for cell in first if cell)
        if 2 * same >= min(len(first), layout.width):
            return True
    return False if layout is not None and layout.format == "text" and not layout.header else None


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
        f"{source}, line {record.line + 1}: {counted(len(names), 'name')}, and the rows below have "
        f"{counted(width, 'cell')}; give every column one name, or say that the line is no header (header=...)."
    )
