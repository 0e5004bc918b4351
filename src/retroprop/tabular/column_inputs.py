"""The inputs that one column becomes: a number and whether it was missing, a category, the parts of a date."""

from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

MOST_CATEGORIES = 100  # with an input of their own; rarer ones share one input
MISSING, UNKNOWN = -1, -2  # codes of a category
_DAY = 86400.0


class _Plain:
    """A description that JSON can hold; `kind` tells which class it is of."""

    kind: ClassVar[str]

    def to_plain(self) -> dict[str, Any]:
        """Return it as a dict, the argument of `inputs_from_plain`."""
        return {"kind": self.kind, **asdict(self)}  # type: ignore[call-overload]

    @classmethod
    def from_plain(cls, plain: dict[str, Any]) -> Self:
        """Rebuild it from the dict of `to_plain`."""
        return cls(**{key: tuple(value) if isinstance(value, list) else value for key, value in plain.items()})


@dataclass(frozen=True, kw_only=True)
class NumberInputs(_Plain):
    """A number, with the median of the training rows for a missing one, and an input that says that it was missing.

    Attributes
    ----------
    name : str
        The column.
    fill : float
        The median.
    indicator : bool
        Whether numbers were missing in training, so that there is an indicator.
    """

    kind: ClassVar[str] = "number"
    name: str
    fill: float
    indicator: bool

    @classmethod
    def fit(cls, name: str, values: NDArray[np.float64]) -> Self:
        """Estimate the median from values (m,), where NaN is missing."""
        missing = np.isnan(values)
        known = np.sort(values[~missing])
        # Halved before they are added: the middle two may be near the largest number.
        low, high = known[(len(known) - 1) // 2], known[len(known) // 2]
        fill = float(low) if low == high else float(low / 2.0 + high / 2.0)
        return cls(name=name, fill=fill, indicator=bool(missing.any()))

    def raw(self, values: NDArray[np.float64]) -> list[NDArray[np.float64]]:
        """Return the inputs of values (m,) before standardisation."""
        missing = np.isnan(values)
        filled = np.where(missing, self.fill, values) if missing.any() else values
        return [filled, missing.astype(np.float64)] if self.indicator else [filled]

    @property
    def names(self) -> list[str]:
        """The names of the inputs."""
        return [self.name, f"{self.name} is missing"] if self.indicator else [self.name]


@dataclass(frozen=True, kw_only=True)
class CategoryInputs(_Plain):
    """One-hot inputs of a category; a missing one is a category of its own, an unknown one counts as missing.

    Attributes
    ----------
    name : str
        The column.
    texts : tuple of str
        All categories of the schema, by their codes.
    kept : tuple of int
        The codes that have an input of their own: the most frequent ones of the training rows.
    other : bool
        Whether there is an input that all other categories share.
    missing : bool
        Whether there is an input for a missing one.
    """

    kind: ClassVar[str] = "category"
    name: str
    texts: tuple[str, ...]
    kept: tuple[int, ...]
    other: bool
    missing: bool

    @classmethod
    def fit(cls, name: str, texts: tuple[str, ...], codes: NDArray[np.intp]) -> Self:
        """Choose the categories from the codes (m,) of the training rows."""
        counts = np.bincount(codes[codes >= 0], minlength=len(texts))
        found = np.argsort(-counts, kind="stable")[: int((counts > 0).sum())]
        kept = np.sort(found[:MOST_CATEGORIES]).tolist()
        other = len(found) > MOST_CATEGORIES
        return cls(name=name, texts=texts, kept=tuple(kept), other=other, missing=bool((codes < 0).any()))

    def raw(self, codes: NDArray[np.intp]) -> list[NDArray[np.float64]]:
        """Return the inputs of codes (m,): 0 and 1."""
        # One row a code; the rows of the missing and the unknown are the last two, at the indices -1 and -2.
        inputs = np.zeros((len(self.texts) + 2, len(self.names)))
        inputs[list(self.kept), np.arange(len(self.kept))] = 1.0
        if self.other:
            others = np.ones(len(self.texts) + 2, dtype=bool)
            others[[*self.kept, MISSING, UNKNOWN]] = False
            inputs[others, len(self.kept)] = 1.0
        if self.missing:
            inputs[[MISSING, UNKNOWN], -1] = 1.0
        return list(inputs.T[:, codes])

    @property
    def names(self) -> list[str]:
        """The names of the inputs."""
        own = [f"{self.name} = {self.texts[code]}" for code in self.kept]
        rest = (("is another", self.other), ("is missing", self.missing))
        return own + [f"{self.name} {words}" for words, there in rest if there]


@dataclass(frozen=True, kw_only=True)
class DateInputs(_Plain):
    """The parts of a date: its days since 1970, and its place in the year, in the week and in the day, on circles.

    Attributes
    ----------
    name : str
        The column.
    fill : int
        Seconds since 1970 of the median date of the training rows, for a missing one.
    indicator : bool
        Whether dates were missing in training, so that there is an indicator.
    clock : bool
        Whether the training rows have times of day.
    """

    kind: ClassVar[str] = "date"
    name: str
    fill: int
    indicator: bool
    clock: bool

    @classmethod
    def fit(cls, name: str, dates: NDArray[np.datetime64]) -> Self:
        """Estimate the median from dates (m,), where NaT is missing."""
        missing = np.isnat(dates)
        seconds = np.sort(dates[~missing].astype("datetime64[s]").astype(np.int64))
        return cls(
            name=name,
            fill=int(seconds[len(seconds) // 2]),
            indicator=bool(missing.any()),
            clock=bool((seconds % int(_DAY)).any()),
        )

    def raw(self, dates: NDArray[np.datetime64]) -> list[NDArray[np.float64]]:
        """Return the inputs of dates (m,) before standardisation."""
        missing = np.isnat(dates)
        dates = np.where(missing, np.datetime64(self.fill, "s"), dates.astype("datetime64[s]"))
        seconds = dates.astype(np.int64)
        years = dates.astype("datetime64[Y]")
        of_year = (dates - years.astype("datetime64[s]")).astype(np.float64)
        next_years = years + np.timedelta64(1, "Y")
        length = (next_years.astype("datetime64[s]") - years.astype("datetime64[s]")).astype(np.float64)
        turns = [of_year / length, (seconds / _DAY + 3.0) % 7.0 / 7.0]  # 1970 began on a Thursday
        if self.clock:
            turns.append((seconds % int(_DAY)) / _DAY)
        circles = [f(2.0 * np.pi * turn) for turn in turns for f in (np.sin, np.cos)]
        return [seconds / _DAY, *circles, *([missing.astype(np.float64)] if self.indicator else [])]

    @property
    def names(self) -> list[str]:
        """The names of the inputs."""
        turns = ["year", "week", *(["day"] if self.clock else [])]
        parts = [f"{self.name}, {f} of the {turn}" for turn in turns for f in ("sine", "cosine")]
        return [f"{self.name}, days", *parts, *([f"{self.name} is missing"] if self.indicator else [])]


ColumnInputs = NumberInputs | CategoryInputs | DateInputs
_KINDS: dict[str, type[NumberInputs] | type[CategoryInputs] | type[DateInputs]] = {
    inputs.kind: inputs for inputs in (NumberInputs, CategoryInputs, DateInputs)
}


def inputs_from_plain(plain: dict[str, Any]) -> ColumnInputs:
    """Rebuild the inputs of a column from the dict of their `to_plain`."""
    return _KINDS[plain["kind"]].from_plain({key: value for key, value in plain.items() if key != "kind"})
