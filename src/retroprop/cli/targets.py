"""The target of a training: classes or numbers, encoded for the network and decoded from its outputs."""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from retroprop.cli.errors import CommandError, listed
from retroprop.cli.table import DataTable

TASKS = ("classification", "regression")
# Whole numbers are classes if there are few of them, each seen several times.
_MOST_WHOLE_NUMBERS = 20
_ROWS_A_CLASS = 3


def choose_task(table: DataTable, task: str | None) -> str:
    """Return "classification" or "regression": `task` if given, else the task that fits the values of the target.

    Text and a few whole numbers mean classification, anything else regression.

    Raises
    ------
    CommandError
        If the target does not suit the task, or is the same in every row.
    """
    y = _target(table)
    values = np.unique(y)
    if len(values) < 2:
        raise CommandError(f'{_where(table)}: the target is "{values[0]}" in every row; there is nothing to learn.')
    text = y.dtype.kind == "U"
    if task == "regression" and text:
        raise CommandError(f'{_where(table)}: --task regression needs numbers; this column holds "{values[0]}".')
    if task is None:
        whole = not text and bool((values == np.floor(values)).all())
        few = len(values) <= min(_MOST_WHOLE_NUMBERS, table.n_rows / _ROWS_A_CLASS)
        task = "classification" if text or (whole and few) else "regression"
    if task == "classification" and len(values) > max(2, table.n_rows / 2):
        raise CommandError(
            f"{_where(table)}: {len(values)} different values in {table.n_rows} rows are too many to be classes."
            + ("" if text else " --task regression learns them as numbers.")
        )
    return task


@dataclass(frozen=True, kw_only=True)
class TargetColumn:
    """The target of a training.

    Attributes
    ----------
    name : str
        The name of its column.
    task : str
        One of `TASKS`.
    classes : tuple of str, int or float
        The classes in order; empty for a regression.
    mean, scale : float
        Mean and standard deviation that standardise a regression target.
    """

    name: str
    task: str
    classes: tuple[Any, ...] = ()
    mean: float = 0.0
    scale: float = 1.0

    @classmethod
    def of_classes(cls, table: DataTable) -> Self:
        """Return the target of a classification, with the classes of the whole table."""
        values = np.unique(_target(table)).tolist()
        whole = all(isinstance(value, float) and value.is_integer() for value in values)
        classes = tuple(int(value) for value in values) if whole else tuple(values)
        return cls(name=table.target_name or "target", task="classification", classes=classes)

    @classmethod
    def of_numbers(cls, table: DataTable, rows: NDArray[np.intp], *, standardised: bool) -> Self:
        """Return the target of a regression, with mean and standard deviation of the given rows if standardised."""
        y = _target(table)[rows]
        with np.errstate(over="ignore", invalid="ignore"):
            mean, scale = (float(y.mean()), float(y.std())) if standardised else (0.0, 1.0)
        if not np.isfinite([mean, scale]).all():
            raise CommandError(f"{_where(table)}: numbers up to {np.abs(y).max():g} are too large.")
        return cls(name=table.target_name or "target", task="regression", mean=mean, scale=scale or 1.0)

    @staticmethod
    def check_not_negative(table: DataTable, loss: str) -> None:
        """Raise CommandError if a target is below 0, where the loss is not defined."""
        y = _target(table)
        if (y < 0.0).any():
            row = int(np.argmax(y < 0.0))
            raise CommandError(
                f"{_where(table)}: --loss {loss} needs numbers of 0 or above; {table.place(row)} has {y[row]:g}."
            )

    def encode(self, table: DataTable) -> NDArray[Any]:
        """Return the target of every row: int64 class indices (m,), or standardised numbers, float64 (m,).

        Raises
        ------
        CommandError
            If a row has a class that did not occur in training, or text in place of a number.
        """
        y = _target(table)
        if self.task == "regression":
            if y.dtype.kind == "U":
                raise CommandError(f'{_where(table)}: the model predicts numbers; this column holds "{y[0]}".')
            return np.asarray((y - self.mean) / self.scale)
        index = {_plain(value): i for i, value in enumerate(self.classes)}
        values, inverse = np.unique(y, return_inverse=True)
        positions = np.asarray([index.get(_plain(value), -1) for value in values.tolist()])
        encoded = positions[inverse]
        if (encoded < 0).any():
            row = int(np.argmax(encoded < 0))
            raise CommandError(
                f'{table.source}, {table.place(row)}, column "{table.target_name}": "{_plain(y[row])}" is not one of '
                f"the model's classes: {listed(map(str, self.classes))}."
            )
        return encoded

    def decode(self, outputs: NDArray[Any]) -> NDArray[Any]:
        """Return the predictions for outputs (m, n_L): class indices (m,), or numbers (m,) in their original units."""
        if self.task == "regression":
            return np.asarray(outputs[:, 0].astype(np.float64) * self.scale + self.mean)
        return np.asarray(np.argmax(self.probabilities(outputs), axis=1))

    def probabilities(self, outputs: NDArray[Any]) -> NDArray[Any]:
        """Return class probabilities (m, k); a single output is the probability of the second class."""
        return np.concatenate([1.0 - outputs, outputs], axis=1) if outputs.shape[1] == 1 else outputs

    def to_plain(self) -> dict[str, Any]:
        """Return the target as a dict that JSON can hold, the argument of `from_plain`."""
        return {
            "name": self.name,
            "task": self.task,
            "classes": list(self.classes),
            "mean": self.mean,
            "scale": self.scale,
        }

    @classmethod
    def from_plain(cls, plain: dict[str, Any]) -> Self:
        """Rebuild the target from the dict of `to_plain`."""
        return cls(**{**plain, "classes": tuple(plain["classes"])})


def _target(table: DataTable) -> NDArray[Any]:
    if table.y is None:
        raise CommandError(f"{table.source} has no target.")
    return table.y


def _where(table: DataTable) -> str:
    return f'{table.source}, column "{table.target_name}"'


def _plain(value: Any) -> str:
    """Return a class as text, the same for 3, 3.0 and "3"."""
    try:
        number = float(value)
    except ValueError:
        return str(value)
    return str(int(number)) if number.is_integer() else str(number)
