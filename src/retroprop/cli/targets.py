"""What is learned: classes or a number, as the targets of a network, and back."""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from retroprop.cli.errors import CommandError, listed
from retroprop.cli.table import Table

TASKS = ("classification", "regression")
# Whole numbers are classes if there are few of them, each seen several times.
_MOST_WHOLE_NUMBERS = 20
_ROWS_A_CLASS = 3


def choose_task(table: Table, task: str | None) -> str:
    """Return "classification" or "regression": as asked for, or as the target looks.

    Text and a few whole numbers are classes, all else is a quantity.

    Raises
    ------
    CommandError
        If the target cannot be what is asked for, or is the same in every row.
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
            f"{_where(table)}: {len(values)} different values in {table.n_rows} rows are no classes (too few rows "
            f"each)." + ("" if text else " --task regression learns them as numbers.")
        )
    return task


@dataclass(frozen=True, kw_only=True)
class Target:
    """The target of a training.

    Attributes
    ----------
    name : str
        Its column.
    task : str
        One of `TASKS`.
    classes : tuple of str, int or float
        The classes in order, empty for regression.
    mean, scale : float
        What a regression target is standardised by.
    """

    name: str
    task: str
    classes: tuple[Any, ...] = ()
    mean: float = 0.0
    scale: float = 1.0

    @classmethod
    def of_classes(cls, table: Table) -> Self:
        """Return the target of a classification; its classes are those of the whole table."""
        values = np.unique(_target(table)).tolist()
        whole = all(isinstance(value, float) and value.is_integer() for value in values)
        classes = tuple(int(value) for value in values) if whole else tuple(values)
        return cls(name=table.target_name or "target", task="classification", classes=classes)

    @classmethod
    def of_numbers(cls, table: Table, rows: NDArray[np.intp], *, standardised: bool) -> Self:
        """Return the target of a regression, standardised by its mean and deviation in the given rows."""
        y = _target(table)[rows]
        with np.errstate(over="ignore", invalid="ignore"):
            mean, scale = (float(y.mean()), float(y.std())) if standardised else (0.0, 1.0)
        if not np.isfinite([mean, scale]).all():
            raise CommandError(f"{_where(table)}: numbers up to {np.abs(y).max():g} are too large.")
        return cls(name=table.target_name or "target", task="regression", mean=mean, scale=scale or 1.0)

    @staticmethod
    def check_not_negative(table: Table, loss: str) -> None:
        """Raise CommandError if a target is below 0, which the loss has no meaning for."""
        y = _target(table)
        if (y < 0.0).any():
            row = int(np.argmax(y < 0.0))
            raise CommandError(
                f"{_where(table)}: --loss {loss} needs numbers of 0 or above; {table.place(row)} has {y[row]:g}."
            )

    def encode(self, table: Table) -> NDArray[Any]:
        """Return the target of every row: int64 class indices (m,), or standardised numbers, float64 (m,).

        Raises
        ------
        CommandError
            If a row has a class that is none of the training's, or text for a number.
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
                f'{table.source}, {table.place(row)}, column "{table.target_name}": "{_plain(y[row])}" is none of '
                f"the model's classes: {listed(map(str, self.classes))}."
            )
        return encoded

    def decode(self, outputs: NDArray[Any]) -> NDArray[Any]:
        """Return what the outputs (m, n_L) of a network say: class indices (m,), or numbers (m,) as they were."""
        if self.task == "regression":
            return np.asarray(outputs[:, 0].astype(np.float64) * self.scale + self.mean)
        return np.asarray(np.argmax(self.probabilities(outputs), axis=1))

    def probabilities(self, outputs: NDArray[Any]) -> NDArray[Any]:
        """Return the outputs of a classification, (m, k); a single one is the probability of the second class."""
        return np.concatenate([1.0 - outputs, outputs], axis=1) if outputs.shape[1] == 1 else outputs

    def to_plain(self) -> dict[str, Any]:
        """Return what `from_plain` takes, as JSON can hold it."""
        return {
            "name": self.name,
            "task": self.task,
            "classes": list(self.classes),
            "mean": self.mean,
            "scale": self.scale,
        }

    @classmethod
    def from_plain(cls, plain: dict[str, Any]) -> Self:
        """Return what `to_plain` was called on."""
        return cls(**{**plain, "classes": tuple(plain["classes"])})


def _target(table: Table) -> NDArray[Any]:
    if table.y is None:
        raise CommandError(f"{table.source} has no target.")
    return table.y


def _where(table: Table) -> str:
    return f'{table.source}, column "{table.target_name}"'


def _plain(value: Any) -> str:
    """Return a class as text, the same for 3, 3.0 and "3"."""
    try:
        number = float(value)
    except ValueError:
        return str(value)
    return str(int(number)) if number.is_integer() else str(number)
