"""The target of a training: classes or numbers, encoded for the network and decoded from its outputs.

The task follows from the target by fixed rules. Texts and booleans are classes. Whole numbers are classes where there
are at most 20 different ones and at most one for every 3 rows. All else is a regression.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from retroprop.functions.losses import Loss
from retroprop.tabular.errors import DataError, listed, quoted
from retroprop.tabular.labels import exact, ordered
from retroprop.tabular.raw_target import RawTarget
from retroprop.tabular.standardisation import IDENTITY, Standardisation

TASKS = ("classification", "regression")
_MOST_WHOLE_NUMBERS = 20
_ROWS_A_CLASS = 3
_MANY_CLASSES = 100  # from here on a remark says why

# (row, column name) -> the position of a cell, for messages.
Where = Callable[[int, str], str]


def choose_task(target: RawTarget, task: str | None, source: str) -> tuple[str, str | None]:
    """Return the task, `task` if given, and a remark where the guess may be wrong; `source` names the data in messages.

    Raises
    ------
    DataError
        If the target does not suit the task, has fewer than two values, or too many to be classes.
    """
    n_rows = int((~target.missing).sum())
    where = f"{source}: the target {quoted(target.name)}"
    # Neighbouring integers of 64 bits are one float64: where the numbers do not differ, the labels may.
    different: Any = () if target.values is None else np.unique(target.values[~target.missing])
    numeric, whole = target.values is not None, bool((different == np.floor(different)).all())
    if len(different) < 2 or task == "classification":
        different = classes_of(target)
    if len(different) < 2:
        some = f"is {quoted(str(different[0]))} in every row" if len(different) else "is missing in every row"
        raise DataError(f"{where} {some}; there is nothing to learn.")
    if task == "regression" and not numeric:
        raise DataError(
            f"{where}: a regression needs numbers; this column holds {quoted(str(different[0]))}. "
            f"task must be classification."
        )
    remark = None
    if task is None:
        few = len(different) <= n_rows / _ROWS_A_CLASS
        task = (
            "classification"
            if not numeric or (whole and few and len(different) <= _MOST_WHOLE_NUMBERS)
            else "regression"
        )
        if numeric and whole and few and len(different) > 2:
            read, other = ("classes", "numbers") if task == "classification" else ("a quantity", "classes")
            remark = (
                f"{where} holds {len(different)} different whole numbers, read as {read}; "
                f"task={'regression' if other == 'numbers' else 'classification'} learns them as {other}."
            )
    if task == "classification" and len(different) > max(2, n_rows / 2):
        shown = listed(map(str, different), 3)
        raise DataError(
            f"{where}: {len(different)} different values in {n_rows} rows are too many to be classes, as {shown}. "
            + (
                "task=regression learns them as numbers."
                if numeric
                else "Choose another target, or merge its values into fewer classes."
            )
        )
    if task == "classification" and not numeric and len(different) > _MANY_CLASSES:
        remark = f"{where} holds texts, so they are classes: {len(different)} of them, a neuron each in the last layer."
    return task, remark


@dataclass(frozen=True, kw_only=True)
class TargetColumn:
    """The target of a training.

    Attributes
    ----------
    name : str
        The name of its column.
    task : str
        One of `TASKS`.
    classes : tuple of str, int, float or bool
        The classes in order, as they stood in the data; empty for a regression.
    unit : Standardisation
        The map, in float64, between the numbers of a regression and outputs of the network.
    """

    name: str
    task: str
    classes: tuple[Any, ...] = ()
    unit: Standardisation = IDENTITY

    @classmethod
    def of_classes(cls, target: RawTarget) -> Self:
        """Return the target of a classification, with the classes of all rows."""
        return cls(name=target.name, task="classification", classes=classes_of(target))

    @classmethod
    def of_numbers(cls, target: RawTarget, rows: NDArray[np.intp], loss: Loss, where: Where) -> Self:
        """Return the target of a regression, its unit estimated from the given rows.

        It is standardised, but for a loss of numbers of 0 or above, as poisson, divided by the mean alone.

        Raises
        ------
        DataError
            If a number is infinite, or below 0 where the loss is not defined.
        """
        values = numbers_in(target)
        lowest = loss.target_range[0]
        for wrong, fault in (
            (np.isinf(values), "is not a finite number"),
            ((values < 0.0) & (lowest == 0.0), f"is below 0: loss {loss.name} needs numbers of 0 or above"),
        ):
            if wrong.any():
                row = int(np.argmax(wrong))
                raise DataError(f"{where(row, target.name)}: {values[row]:g} {fault}.")
        unit = Standardisation.fit(values[rows, None])
        if lowest == 0.0:
            unit = Standardisation(unit=unit.unit, mean=(0.0,), scale=(unit.mean[0] or 1.0,))
        return cls(name=target.name, task="regression", unit=unit)

    def encode(self, target: RawTarget) -> NDArray[Any]:
        """Return the target of every row: class indices (m,), -1 where not known; or numbers, NaN where missing."""
        if self.task == "regression":
            return self.unit(np.where(target.missing, np.nan, numbers_in(target))[:, None])[:, 0]
        index = {label: i for i, label in enumerate(self.classes)}
        # A file of an earlier version may hold the classes as numbers of another type.
        encoded = [
            -1 if gone else index.get(label, -1) for label, gone in zip(target.labels, target.missing, strict=True)
        ]
        return np.asarray(encoded, dtype=np.intp)

    def probabilities(self, outputs: NDArray[Any]) -> NDArray[np.float64]:
        """Return class probabilities (m, k) that sum to 1; a single output is the probability of the second class."""
        outputs = outputs.astype(np.float64)
        if outputs.shape[1] == 1:
            return np.concatenate([1.0 - outputs, outputs], axis=1)
        total = outputs.sum(axis=1, keepdims=True)
        # Independent sigmoids may all be 0.
        return np.asarray(np.where(total > 0.0, outputs, 1.0) / np.where(total > 0.0, total, outputs.shape[1]))

    def numbers(self, outputs: NDArray[Any]) -> NDArray[np.float64]:
        """Return the numbers (m,) of a regression in their own unit, for outputs (m, 1)."""
        return self.unit.back(outputs.astype(np.float64))[:, 0]

    def decode(self, outputs: NDArray[Any]) -> NDArray[Any]:
        """Return the predictions (m,) for outputs (m, n_L): labels as they stood in the data, or numbers."""
        if self.task == "regression":
            return self.numbers(outputs)
        labels = exact(self.classes)[np.argmax(self.probabilities(outputs), axis=1)]
        return np.asarray(labels)

    def to_plain(self) -> dict[str, Any]:
        """Return the target as a dict that JSON can hold, the argument of `from_plain`."""
        return {"name": self.name, "task": self.task, "classes": list(self.classes), "unit": self.unit.to_plain()}

    @classmethod
    def from_plain(cls, plain: dict[str, Any]) -> Self:
        """Rebuild the target from the dict of `to_plain`."""
        return cls(
            name=plain["name"],
            task=plain["task"],
            classes=tuple(plain["classes"]),
            unit=Standardisation.from_plain(plain["unit"]),
        )


def classes_of(target: RawTarget) -> tuple[Any, ...]:
    """Return the different labels: of numbers in their order, else sorted."""
    labels = [label for label, gone in zip(target.labels, target.missing, strict=True) if not gone]
    if target.values is None:
        return ordered(labels)
    # Labels of numbers may be texts, as "1.50": they stand in the order of their numbers.
    values = dict(zip(labels, target.values[~target.missing].tolist(), strict=True))
    return tuple(sorted(values, key=lambda label: (label if isinstance(label, int) else values[label], str(label))))


def numbers_in(target: RawTarget) -> NDArray[np.float64]:
    """Return the numbers of a target, float64 (m,).

    Raises
    ------
    DataError
        If it has none.
    """
    if target.values is None:
        raise DataError(f"the target {quoted(target.name)} holds no numbers, and the model predicts numbers.")
    return target.values
