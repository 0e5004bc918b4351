"""The validation cost and the metrics of an epoch."""

from collections.abc import Sequence

from retroprop.backends import Backend
from retroprop.backends.intake.batch import Batch
from retroprop.core.architecture import Architecture
from retroprop.core.backward import evaluate
from retroprop.core.parameters import Parameters
from retroprop.functions.metrics import Metric


def evaluated(
    backend: Backend,
    architecture: Architecture,
    parameters: Parameters,
    validation: Batch | None,
    metrics: Sequence[Metric],
    seen: tuple[Batch, ...],
) -> tuple[float | None, dict[str, float]]:
    """Return the validation cost and the metrics: of the validation data, else of the outputs `seen` in the epoch."""
    xp, to_numpy, cost = backend.xp, backend.to_numpy, None
    if validation is not None:
        cost_array, a = evaluate(backend.operations(), architecture, parameters, *validation)
        cost = float(to_numpy(cost_array))
        outputs = Batch(a, validation.y, validation.weight)
    elif metrics:
        # The outputs of the batches, in the order they ran in, as if they were of one batch.
        columns = map(list, zip(*seen, strict=True))
        outputs = Batch(*(None if column[0] is None else xp.concat(column, axis=0) for column in columns))
    return cost, {metric.name: float(to_numpy(metric(*outputs, xp))) for metric in metrics}
