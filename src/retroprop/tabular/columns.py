"""One column of the schema: its kind, and how its cells are written."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from retroprop.tabular.number_texts import NumberFormat

KINDS = ("number", "category", "boolean", "date", "identifier", "constant", "empty")
USED = ("number", "category", "boolean", "date")


@dataclass(frozen=True, kw_only=True)
class Column:
    """One column of a table.

    Attributes
    ----------
    name : str
        Its name, or its position in data without names.
    kind : str
        One of `KINDS`. The last three hold nothing to learn from: texts or numbers that tell rows apart, one value in
        all rows, no value at all.
    format : NumberFormat or None
        How the numbers of a text file are written; None for other kinds.
    categories : tuple of str
        The exact texts of a category, sorted; the texts for false and true of a boolean.
    missing : tuple of str
        The texts that stood for a missing value.
    date_format : str or None
        The order of year, month and day: "ymd", "dmy" or "mdy".
    labels : str
        The Python type of a target's labels: "text", "number" (int or float, whichever is written back as it stood)
        or "boolean".
    """

    name: str
    kind: str
    format: NumberFormat | None = None
    categories: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    date_format: str | None = None
    labels: str = "text"

    @property
    def is_used(self) -> bool:
        """Whether the column is a feature or target to learn from."""
        return self.kind in USED

    def to_plain(self) -> dict[str, Any]:
        """Return the column as a dict that JSON can hold, the argument of `from_plain`; defaults are left out."""
        plain: dict[str, Any] = {"name": self.name, "kind": self.kind}
        if self.labels != "text":
            plain["labels"] = self.labels
        if self.format is not None:
            plain["format"] = {} if self.format == NumberFormat() else self.format.to_plain()
        if self.categories:
            plain["categories"] = list(self.categories)
        if self.missing:
            plain["missing"] = list(self.missing)
        if self.date_format is not None:
            plain["date_format"] = self.date_format
        return plain

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> Self:
        """Rebuild the column from the dict of `to_plain`."""
        format = plain.get("format")
        return cls(
            name=plain["name"],
            kind=plain["kind"],
            labels=plain.get("labels", "text"),
            format=None if format is None else NumberFormat.from_plain(format),
            categories=tuple(plain.get("categories", ())),
            missing=tuple(plain.get("missing", ())),
            date_format=plain.get("date_format"),
        )
