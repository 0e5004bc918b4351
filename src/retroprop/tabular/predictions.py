"""The predictions of a model for every row of a table."""

import csv
from collections.abc import Callable
from dataclasses import dataclass
from io import StringIO
from typing import Any

import numpy as np
from numpy.typing import NDArray

from retroprop.tabular.spreadsheets import guarded


@dataclass(frozen=True, kw_only=True)
class Predictions:
    """The predictions of a model for every row of a table, in place.

    Attributes
    ----------
    values : array (m,)
        The predicted labels, as they stood in the training data, or float64 numbers.
    classes : tuple
        The classes of the model; empty for a regression.
    probabilities : float64 array (m, k) or None
        The probability of every class; None for a regression.
    std : float64 array (m,) or None
        Of an ensemble, the standard deviation over its members of the predicted number, or of the probability of the
        predicted class.
    true : list or None
        The target of every row, None where it is missing; None as a whole where the data do not contain the target.
    scores : dict or None
        The figures on the rows whose target is known.
    notes : tuple of str
        Columns that were ignored, values that were filled or unknown.
    """

    values: NDArray[Any]
    classes: tuple[Any, ...]
    probabilities: NDArray[np.float64] | None
    std: NDArray[np.float64] | None
    true: list[Any] | None
    scores: dict[str, float | None] | None
    notes: tuple[str, ...]

    def to_csv(self, *, proba: bool = False, exact: bool = False) -> str:
        """Return the predictions as the text of a .csv file, one row per line, with `std` where there is one.

        Parameters
        ----------
        proba : bool
            Whether the probability of every class is written too.
        exact : bool
            Whether classes are written as they are, also those that a spreadsheet program would run as formulas. By
            default these have an apostrophe before them, which `retroprop.tabular.unguarded` takes off.
        """
        cell: Callable[[Any], str] = str if exact else lambda label: guarded(str(label))
        text = StringIO()
        writer = csv.writer(text, lineterminator="\n")
        cells = self.values.tolist()
        columns = [("prediction", [cell(label) for label in cells] if self.classes else list(map(str, cells)))]
        if self.std is not None:
            columns.append(("std", list(map(str, self.std.tolist()))))
        if proba and self.probabilities is not None:
            shares = self.probabilities.T.tolist()
            columns += [(f"probability_{a}", list(map(str, b))) for a, b in zip(self.classes, shares, strict=True)]
        names, texts = zip(*columns, strict=True)
        writer.writerow(names)
        writer.writerows(zip(*texts, strict=True))
        return text.getvalue()
