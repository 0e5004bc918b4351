"""Evaluation of validation data after each epoch."""

from collections.abc import Callable
from copy import copy
from math import nan
from typing import Any

import numpy
from scipy import sparse
from sklearn.utils import _safe_indexing

from retroprop.core.architecture import Architecture
from retroprop.core.backward import evaluate
from retroprop.core.parameters import Parameters
from retroprop.estimators.arrays import to_host
from retroprop.estimators.samples import Samples, chunk_rows, windows
from retroprop.estimators.targets import Targets
from retroprop.functions.types import Array

Score = Callable[[float, Array, Parameters], float]
"""A function of the loss, the outputs on the host and the parameters; greater is better."""


class Validation:
    """The rows that a model is evaluated on.

    Parameters
    ----------
    samples : Samples
        The data that contain them.
    rows : integer array or None
        Their indices; None is all rows.
    score : callable
        The score of the model on them.
    """

    def __init__(self, samples: Samples, rows: Array | None, score: Score) -> None:
        self.samples, self.rows, self.score = samples, rows, score

    def measure(self, architecture: Architecture, parameters: Parameters) -> tuple[float, float]:
        """Return the loss without penalties, and the score."""
        samples, bare = self.samples, architecture._replace(l2=0.0, l1=0.0)
        backend, operations = samples.backend, samples.backend.operations()
        batch_of, n = samples.ordered(self.rows), samples.n if self.rows is None else len(self.rows)
        total, weights, outputs = 0.0, 0.0, []
        for window in windows(n, chunk_rows(architecture.layer_sizes)):
            batch, rows = batch_of(window)
            if rows is not None:
                batch = type(batch)(*(operations.gather(part, rows) for part in batch))
            cost, a = evaluate(operations, bare, parameters, *batch)
            share = float(window.stop - window.start)
            if batch.weight is not None:
                share = float(backend.to_numpy(backend.xp.sum(batch.weight)))
            total, weights = total + share * float(backend.to_numpy(cost)), weights + share
            outputs.append(backend.to_numpy(a))
        loss = total / weights if weights else 0.0
        return loss, self.score(loss, numpy.concatenate(outputs), parameters)


def score_of(
    estimator: Any, targets: Targets, weight: Array | None, rows: Array | None, given: tuple[Any, Any, Any]
) -> Score:
    """Return the score of an estimator, as its parameter `scoring` defines it: None is accuracy or R².

    Where a scorer refuses outputs because they are NaN or inf, the score is NaN, as where `scoring` is None.

    Parameters
    ----------
    estimator : BaseMLP
        The estimator that is fitted.
    targets, weight
        Of all rows.
    rows : integer array or None
        The rows that are scored; None is all.
    given : tuple
        X, y and the weights, in the form that a scorer takes.
    """
    scoring = estimator.scoring
    if scoring == "loss":
        return lambda loss, outputs, parameters: -loss
    if scoring is None:
        y, w = (part if part is None or rows is None else part[rows] for part in (targets.scored, weight))
        return lambda loss, outputs, parameters: estimator._validation_score(outputs, y, w)
    from sklearn.metrics import check_scoring

    scorer = check_scoring(estimator, scoring)
    if sparse.issparse(given[0]):
        given = (given[0].tocsr(), *given[1:])  # not every sparse format can be indexed by rows
    X, y, w = (part if part is None or rows is None else _safe_indexing(part, rows) for part in map(to_host, given))
    weights = {} if w is None else {"sample_weight": w}
    fitted = copy(estimator)

    def score(loss: float, outputs: Array, parameters: Parameters) -> float:
        # On the host, as scikit-learn's scorers accept nothing else.
        for name, arrays in estimator._fitted_with(parameters).items():
            setattr(fitted, name, [to_host(array) for array in arrays])
        try:
            return float(scorer(fitted, X, y, **weights))
        except ValueError:
            if numpy.isfinite(outputs).all():
                raise
            return nan

    return score
