"""Evaluation of a trained model on a part of the rows, beside a model that always says the same."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from retroprop.tabular.classification_metrics import calibration, classification_figures, confusion, per_class
from retroprop.tabular.errors import quoted
from retroprop.tabular.regression_metrics import regression_figures
from retroprop.tabular.targets import TargetColumn

# R² up to here is no better than the mean of the target.
_LEAST_R2 = 0.01


@dataclass(frozen=True, kw_only=True)
class EvaluatedPart:
    """The outputs of a network for a part of the rows, and the true targets.

    Attributes
    ----------
    target : TargetColumn
        The target of the training.
    outputs : array (m, n_L)
        The outputs of the network.
    encoded : array (m,)
        The true targets as `target.encode` returns them, all known.
    members : array (k, m, n_L) or None
        The outputs of the members of an ensemble, of which `outputs` are the mean.
    """

    target: TargetColumn
    outputs: NDArray[Any]
    encoded: NDArray[Any]
    members: NDArray[Any] | None = None

    @property
    def n_rows(self) -> int:
        """m, the number of rows."""
        return len(self.encoded)

    @property
    def probabilities(self) -> NDArray[np.float64]:
        """The probabilities of the classes (m, k)."""
        return self.target.probabilities(self.outputs)

    @property
    def predicted(self) -> NDArray[Any]:
        """The predicted class indices (m,), or numbers (m,) in the unit of the target."""
        if self.target.classes:
            return np.asarray(np.argmax(self.probabilities, axis=1))
        return self.target.numbers(self.outputs)

    @property
    def true(self) -> NDArray[Any]:
        """The true class indices (m,), or numbers (m,) in the unit of the target."""
        return self.encoded if self.target.classes else self.target.numbers(self.encoded[:, None])

    def scores(self) -> dict[str, float | None] | None:
        """Return the figures by name, or None for a part without rows."""
        if not self.n_rows:
            return None
        if self.target.classes:
            return classification_figures(self.probabilities, self.true)
        return regression_figures(self.predicted, self.true)

    def member_scores(self) -> dict[str, float | None] | None:
        """Return the means of the figures over the members of an ensemble; None without members or rows."""
        if self.members is None or not self.n_rows:
            return None
        found = [replace(self, outputs=outputs, members=None).scores() or {} for outputs in self.members]
        columns = {name: [one[name] for one in found] for name in found[0]}
        return {
            name: None if any(value is None for value in values) else float(np.mean(np.asarray(values, dtype=float)))
            for name, values in columns.items()
        }

    def baseline(self, always: Any) -> dict[str, float | None] | None:
        """Return the figures of a model that always predicts the class or number `always`."""
        if not self.n_rows:
            return None
        if not self.target.classes:
            return regression_figures(np.full(self.n_rows, always), self.true)
        rows = np.bincount(self.true, minlength=len(self.target.classes))
        accuracy = float(rows[always] / self.n_rows)
        # A probability of 1 for the same class in every row has no meaningful loss or calibration.
        return {
            "accuracy": accuracy,
            "error": 1.0 - accuracy,
            "balanced_accuracy": float(rows[always] > 0) / int((rows > 0).sum()),
            "roc_auc": 0.5 if (rows > 0).all() else None,
            "log_loss": None,
            "calibration_error": None,
        }

    def counts(self) -> NDArray[np.intp]:
        """Return the confusion matrix of a classification."""
        return confusion(self.predicted, self.true, len(self.target.classes))

    def classes(self) -> list[dict[str, Any]]:
        """Return rows, precision and recall of each class; empty for a regression."""
        rows = per_class(self.counts()) if self.target.classes and self.n_rows else []
        return [{"class": label, **row} for label, row in zip(self.target.classes, rows, strict=bool(rows))]

    def calibration(self) -> dict[str, Any] | None:
        """Return the calibration of a classification; see `classification_metrics.calibration`."""
        return calibration(self.probabilities, self.true) if self.target.classes and self.n_rows else None


def usual(target: TargetColumn, encoded: NDArray[Any]) -> Any:
    """Return the best constant prediction for training targets: the index of the commonest class, or the mean."""
    if target.classes:
        return int(np.argmax(np.bincount(encoded, minlength=len(target.classes))))
    return float(target.unit.back(encoded[:, None]).mean())


def verdict(part: EvaluatedPart, always: Any) -> str | None:
    """Return a sentence where a part shows the model to be no better than a constant prediction; else None."""
    found, plain = part.scores(), part.baseline(always)
    if found is None or plain is None:
        return None
    if not part.target.classes:
        r2 = found["r2"]
        if r2 is None or r2 > _LEAST_R2:
            return None
        return (
            f"No better than always saying the mean, {always:.6g}: R² is {r2:.3f}, and the mean absolute error "
            f"{found['mean_absolute_error']:.4g} against {plain['mean_absolute_error']:.4g}."
        )
    label = part.target.classes[always]
    counts = part.counts()
    rows = counts.sum(axis=1)
    recall = (np.diagonal(counts) / np.maximum(rows, 1))[rows > 0]
    chance = 1.0 / len(recall)
    # The standard error of balanced accuracy: within it, chance explains the figure.
    error = float(np.sqrt((recall * (1.0 - recall) / rows[rows > 0]).sum())) / len(recall)
    accuracy, balanced = found["accuracy"] or 0.0, found["balanced_accuracy"] or 0.0
    said = (
        f"always saying {quoted(str(label))}, the majority class: balanced accuracy is {100 * balanced:.1f} % with a "
        f"standard error of {100 * error:.1f} %, chance is {100 * chance:.1f} %, and accuracy {100 * accuracy:.1f} % "
        f"against {100 * (plain['accuracy'] or 0.0):.1f} %."
    )
    if len(recall) > 1 and balanced <= chance + error:
        return f"No better than {said}"
    if len(recall) > 1 and accuracy < (plain["accuracy"] or 0.0):
        return f"Less accurate than {said} It does tell the classes apart."
    return None
