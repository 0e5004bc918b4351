"""Looking at validation data after each epoch."""

import numpy

from retroprop.core.architecture import Architecture
from retroprop.core.backward import evaluate
from retroprop.core.parameters import Parameters
from retroprop.estimators.samples import Samples, chunk_rows, windows
from retroprop.functions.types import Array


class Validation:
    """Rows a model is measured on.

    Parameters
    ----------
    samples : Samples
        The data they are among.
    rows : integer array or None
        Which; None is all of them.
    y : array
        Their targets, as the estimator scores them, on the host.
    weight : array or None
        Their weights, on the host.
    """

    def __init__(self, samples: Samples, rows: Array | None, y: Array, weight: Array | None) -> None:
        self.samples, self.rows, self.y, self.weight = samples, rows, y, weight

    def measure(self, architecture: Architecture, parameters: Parameters) -> tuple[float, Array]:
        """Return the loss without penalties, and the outputs on the host."""
        samples = self.samples
        backend, operations = samples.backend, samples.backend.operations()
        batch_of, n = samples.ordered(self.rows), samples.n if self.rows is None else len(self.rows)
        total, weights, outputs = 0.0, 0.0, []
        for window in windows(n, chunk_rows(architecture.layer_sizes)):
            batch, rows = batch_of(window)
            if rows is not None:
                batch = type(batch)(*(operations.gather(part, rows) for part in batch))
            cost, a = evaluate(operations, architecture._replace(l2=0.0, l1=0.0), parameters, *batch)
            share = float(window.stop - window.start)
            if batch.weight is not None:
                share = float(backend.to_numpy(backend.xp.sum(batch.weight)))
            total += share * float(backend.to_numpy(cost))
            weights += share
            outputs.append(backend.to_numpy(a))
        return total / weights if weights else 0.0, numpy.concatenate(outputs) if len(outputs) > 1 else outputs[0]
