"""The columns of a table that a schema asks for: by name in any order, or by position."""

from collections.abc import Sequence

from retroprop.tabular.errors import DataError, counted, listed, near_match
from retroprop.tabular.raw import RawTable


def matched(
    raw: RawTable,
    names: Sequence[str],
    needed: Sequence[str],
    *,
    target: str,
    dropped: Sequence[str],
    named: bool,
    width: int,
) -> tuple[dict[str, str], list[str]]:
    """Return the column of `raw` for every column that is needed, and for the target where it is there; and notes.

    Parameters
    ----------
    raw : RawTable
        The table.
    names : sequence of str
        All columns of the training data, in order.
    needed : sequence of str
        Those that must be there.
    target, dropped : str, sequence of str
        Those that may be missing.
    named : bool
        Whether the training data had names.
    width : int
        The number of features, for the message.

    Raises
    ------
    DataError
        If a column is missing, or the number of columns does not fit.
    """
    if (named and raw.named) or (raw.named and set(needed) <= set(raw.columns)):
        missing = [name for name in needed if name not in raw.columns]
        known = set(names)
        extra = [name for name in raw.columns if name not in known]
        if missing:
            near = near_match(missing[0], extra) if extra else ""
            raise DataError(
                f"{raw.source} lacks columns that the model was trained on: {listed(missing)}.{near} "
                f"Its columns: {listed(raw.columns)}."
            )
        notes = [f"columns not known to the model were ignored: {listed(extra)}."] if extra else []
        return {name: name for name in names if name in raw.columns}, notes
    return _by_position(raw, names, needed, target, dropped), _position_notes(raw, named=named)


def _position_notes(raw: RawTable, *, named: bool) -> list[str]:
    if not named and not raw.named:
        return []
    side = "the training data" if raw.named else raw.source
    return [f"{side} had no names of columns; columns were taken by their position."]


def _by_position(
    raw: RawTable, names: Sequence[str], needed: Sequence[str], target: str, dropped: Sequence[str]
) -> dict[str, str]:
    """Return the columns by position; the file may leave out the target, those dropped, or all that is not needed."""
    given = [name for name in raw.columns if name != raw.target]
    own = {} if raw.target is None else {target: raw.target}
    without, left_out = {target} if own else set(), set(dropped)
    choices = [
        [name for name in names if name not in without],
        [name for name in names if name != target],
        [name for name in names if name not in left_out and name not in without],
        [name for name in names if name not in left_out and name != target],
        list(needed),
    ]
    for choice in choices:
        if len(choice) == len(given):
            return {**dict(zip(choice, given, strict=True)), **own}
    raise DataError(
        f"{raw.source} has {counted(len(given), 'feature column')}, and the model was trained on {len(choices[-2])}."
    )
