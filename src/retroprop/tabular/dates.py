"""Dates as people write them: the format of a column, found once on all its texts."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray

from retroprop.tabular.errors import quoted
from retroprop.tabular.numbers import CellFault

_CLOCK = r"(?:[T ]+\d{1,2}:\d{2}(?::\d{2}(?:[.,]\d+)?)?(?: ?[AaPp][Mm])?(?: ?(?:Z|UTC|[+-]\d{2}:?\d{2}))?)?"
_MONTH = r"(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)[a-z]*\.?"
# The order of year, month and day by the look of a date. With slashes or dashes and the year last, the whole column
# decides between day and month.
_LOOKS = {
    "ymd": re.compile(rf"\d{{4}}([-/.])\d{{1,2}}\1\d{{1,2}}{_CLOCK}"),
    "dmy.": re.compile(rf"\d{{1,2}}\.\d{{1,2}}\.\d{{4}}{_CLOCK}"),
    "d/m or m/d": re.compile(rf"\d{{1,2}}([-/])\d{{1,2}}\1\d{{4}}{_CLOCK}"),
    "d month y": re.compile(rf"\d{{1,2}}[-. ]*{_MONTH}[-, ]*\d{{4}}{_CLOCK}", re.IGNORECASE),
    "month d y": re.compile(rf"{_MONTH} *\d{{1,2}},? +\d{{4}}{_CLOCK}", re.IGNORECASE),
}
_ORDERS = {"dmy.": "dmy", "d month y": "dmy", "month d y": "mdy"}
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_TIME = re.compile(
    r"[T ]+(\d{1,2}):(\d{2})(?::(\d{2})(?:[.,]\d+)?)?(?: ?([AaPp])[Mm])?(?: ?(Z|UTC|([+-])(\d{2}):?(\d{2})))?$"
)


def looks_like_a_date(text: str) -> bool:
    """Return whether a text has the look of a date in some order."""
    return any(pattern.fullmatch(text) for pattern in _LOOKS.values())


def find_date_format(texts: Sequence[str]) -> str | None:
    """Return the order of year, month and day ("ymd", "dmy" or "mdy") in which all texts are dates, else None.

    Recognised are 2024-03-01 (also with / or .), 31.12.2024, 31/12/2024 and 12/31/2024 (also with -), 31 Dec 2024 and
    Dec 31, 2024, each with or without a time of day, AM or PM and a zone.

    Raises
    ------
    CellFault
        If 03/04/2024 may be March or April in every row, or day and month change places, or there is no such day; if
        most texts are dates and one is not, or is one in another form.
    """
    if not texts:
        return None
    others = [text for text in texts if not looks_like_a_date(text)]
    if 2 * len(others) >= len(texts):
        return None
    if others:
        raise CellFault(others[0], f"{quoted(others[0])} is not a date, unlike most of this column")
    look = next(name for name, pattern in _LOOKS.items() if pattern.fullmatch(texts[0]))
    for text in texts:
        if not _LOOKS[look].fullmatch(text):
            raise CellFault(text, f"{quoted(text)} and {quoted(texts[0])} are dates in two forms; write them in one")
    order = _ORDERS.get(look) or ("ymd" if look == "ymd" else _day_or_month_first(texts))
    for text in texts:
        if seconds(text, order) is None:
            raise CellFault(text, f"{quoted(text)} is no date of the calendar")
    return order


def _day_or_month_first(texts: Sequence[str]) -> str:
    pairs = [(int(a), int(b)) for a, b in (re.split("[-/]", text)[:2] for text in texts)]
    first = next((i for i, (a, _) in enumerate(pairs) if a > 12), None)
    second = next((i for i, (_, b) in enumerate(pairs) if b > 12), None)
    if first is not None and second is not None:
        raise CellFault(
            texts[second], f"{quoted(texts[second])} has the month first and {quoted(texts[first])} the day"
        )
    if first is None and second is None:
        raise CellFault(texts[0], f"{quoted(texts[0])} may have the day or the month first; write dates as 2024-12-31")
    return "dmy" if second is None else "mdy"


def seconds(text: str, order: str) -> int | None:
    """Return the seconds since 1970 (UTC where a zone stands) of a date, or None where it is not one in this order."""
    clock = _TIME.search(text)
    found = re.findall(r"\d+|[A-Za-z]{3,}", text[: clock.start()] if clock else text)
    if len(found) != 3 or not looks_like_a_date(text):
        return None
    by_letter = dict(zip(order, found, strict=True))
    month = by_letter["m"].lower()[:3]
    try:
        number = _MONTHS.index(month) + 1 if month.isalpha() else int(month)
        hour, minute, second, zone = _time_of_day(clock)
        moment = datetime(int(by_letter["y"]), number, int(by_letter["d"]), hour, minute, second, tzinfo=UTC)
    except ValueError:
        return None
    return int(moment.timestamp()) - zone


def _time_of_day(clock: re.Match[str] | None) -> tuple[int, int, int, int]:
    """Return hour, minute, second and the seconds by which the zone is ahead of UTC."""
    if clock is None:
        return 0, 0, 0, 0
    hour, half = int(clock[1]), (clock[4] or "").lower()
    if half and not 1 <= hour <= 12:
        raise ValueError
    if half:
        hour = hour % 12 + 12 * (half == "p")
    zone = 0 if clock[6] is None else int(f"{clock[6]}1") * (3600 * int(clock[7]) + 60 * int(clock[8]))
    return hour, int(clock[2]), int(clock[3] or 0), zone


def dates_of(texts: Sequence[str], order: str) -> NDArray[np.datetime64]:
    """Return the dates of `texts`, datetime64[s]; NaT where a text is not a date in this order."""
    moments = [seconds(text, order) for text in texts]
    return np.asarray(
        [np.datetime64("NaT", "s") if moment is None else np.datetime64(moment, "s") for moment in moments],
        dtype="datetime64[s]",
    )
