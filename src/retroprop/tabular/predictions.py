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
    true: list[Any] | None
    scores: dict[str, float | None] | None
    notes: tuple[str, ...]

    def to_csv(self, *, proba: bool = False, exact: bool = False) -> str:
        """Return the predictions as the text of a .csv file, one row per line.

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
        wide = proba and self.probabilities is not None
        writer.writerow(["prediction", *(f"probability_{label}" for label in self.classes if wide)])
        cells = self.values.tolist()
        texts = [cell(label) for label in cells] if self.classes else list(map(str, cells))
        if wide and self.probabilities is not None:
            writer.writerows(
                [first, *map(str, row)] for first, row in zip(texts, self.probabilities.tolist(), strict=True)
            )
        else:
            writer.writerows([first] for first in texts)
        return text.getvalue()
