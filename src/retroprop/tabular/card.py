"""The metadata of a model file: all that turns raw rows into inputs, and outputs into labels."""

import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from math import isfinite
from typing import Any, Self

from retroprop.persistence import TABULAR_KEY
from retroprop.persistence.bounded_json import parse
from retroprop.tabular.errors import DataError
from retroprop.tabular.preprocessing import Preprocessing
from retroprop.tabular.reading import read
from retroprop.tabular.report import Report
from retroprop.tabular.schema import Schema, find_column
from retroprop.tabular.targets import TargetColumn
from retroprop.tabular.typed import Typed
from retroprop.tabular.version_1 import upgraded

_VERSION = 2
_MOST_ITEMS = 1_000_000  # four times those of 20,000 columns


@dataclass(frozen=True, kw_only=True)
class ModelCard:
    """A description of the training data, stored with the network.

    Attributes
    ----------
    data : str
        The name of the training data as the user typed it.
    schema : Schema
        The columns of the data, and the form of the file.
    preprocessing : Preprocessing
        Turns columns into inputs.
    target : TargetColumn
        Turns outputs into predictions.
    missing : str
        "fill" or "refuse".
    report : Report or None
        The results of the training; None in files of version 1.
    """

    data: str
    schema: Schema
    preprocessing: Preprocessing
    target: TargetColumn
    missing: str = "fill"
    report: Report | None = None

    def with_report(self, report: Report) -> Self:
        """Return the card with a report."""
        return replace(self, report=report)

    def to_metadata(self) -> dict[str, str]:
        """Return the card as metadata for `rp.save`."""
        plain = {
            "version": _VERSION,
            "data": self.data,
            "schema": self.schema.to_plain(),
            "preprocessing": self.preprocessing.to_plain(),
            "target": self.target.to_plain(),
            "missing": self.missing,
            "report": None if self.report is None else _finite(self.report.numbers),
        }
        return {TABULAR_KEY: json.dumps(plain)}

    @classmethod
    def from_metadata(cls, metadata: Mapping[str, str], path: str) -> Self:
        """Return the card of a model file; `path` names it in messages.

        Raises
        ------
        DataError
            If the file holds a network alone, is altered, or was written by a newer version.
        """
        if TABULAR_KEY not in metadata:
            raise DataError(
                f'"{path}" holds a network but not the columns and scaling it was trained with: it was not '
                f"written by retroprop train. In Python: retroprop.load(...).predict(x)."
            )
        try:
            plain = parse(metadata[TABULAR_KEY], most_items=_MOST_ITEMS)
            if plain["version"] == 1:
                plain = upgraded(plain)
            if plain["version"] <= _VERSION:
                return cls(
                    data=plain["data"],
                    schema=Schema.from_plain(plain["schema"]),
                    preprocessing=Preprocessing.from_plain(plain["preprocessing"]),
                    target=TargetColumn.from_plain(plain["target"]),
                    missing=plain["missing"],
                    report=None if plain["report"] is None else Report(plain["report"]),
                )
        except (ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RecursionError) as error:
            raise DataError(f'"{path}" is altered: its description of the training data is unreadable.') from error
        raise DataError(f'"{path}" was written by a newer retroprop; upgrade: pip install -U retroprop')


def _finite(value: Any) -> Any:
    """Return plain data with None for NaN and infinity, which JSON lacks: a score of rows that have none."""
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not isfinite(value) else value


def reading_options(
    *, header: bool | None, separator: str | None, encoding: str | None, max_memory: float | None
) -> dict[str, Any]:
    """Return the options of `read`, with the memory in bytes.

    Raises
    ------
    ValueError
        If the memory is not above 0.
    """
    if max_memory is not None and not max_memory > 0.0:
        raise ValueError(f"max_memory must be above 0, in GiB, not {max_memory!r}.")
    return {
        "header": header,
        "separator": separator,
        "encoding": encoding,
        "max_bytes": None if max_memory is None else int(max_memory * 2**30),
    }


def read_by(
    card: ModelCard,
    data: Any,
    *,
    features: str | None = None,
    target: str | None = None,
    drop: Iterable[str | int] = (),
    header: bool | None = None,
    separator: str | None = None,
    encoding: str | None = None,
    max_memory: float | None = None,
) -> tuple[Typed, tuple[str, ...]]:
    """Read data by the schema of a card; return them with the notes of the reading.

    Raises
    ------
    DataError
        If the data cannot be read, lack a column, or hold a value that cannot be used.
    """
    form = reading_options(header=header, separator=separator, encoding=encoding, max_memory=max_memory)
    raw = read(data, layout=card.schema.layout, features=features, target=target, **form)
    left_out = {
        find_column(name, list(raw.columns), option="drop", source=raw.source) for name in columns_of(drop, raw.columns)
    }
    if left_out:
        raw = replace(raw, columns={name: cells for name, cells in raw.columns.items() if name not in left_out})
    typed = card.schema.typed(raw, want_target=False)
    return typed, typed.notes


def columns_of(given: str | int | Iterable[str | int], names: Collection[str]) -> list[str]:
    """Return columns as texts: each a name or position, or several separated by commas where no name is so."""
    one = isinstance(given, (str, int))
    found: list[str] = []
    for text in map(str, [given] if one else given):  # type: ignore[arg-type]
        found += [text] if text in names else [part.strip() for part in text.split(",")]
    return found
