"""The validation cost and the metrics of an epoch, where ranks share the rows."""

from collections.abc import Sequence

from retroprop.backends import Backend, host
from retroprop.backends.intake.batch import Batch
from retroprop.core.architecture import Architecture
from retroprop.core.backward import evaluate
from retroprop.core.parameters import Parameters
from retroprop.functions.metrics import Metric
from retroprop.training.batches import in_order
from retroprop.training.division import Division
from retroprop.training.evaluation import evaluated
from retroprop.training.gathering import gathered
from retroprop.training.job import Job
from retroprop.training.parallel import sum_on_host


class SplitEvaluation:
    """The validation data of a training on one of its ranks.

    Parameters
    ----------
    job : Job
        The ranks.
    division : Division
        Which of the m rows are this rank's.
    validation : Batch
        The rows of this rank if each passes its own, else all.
    m : int
        The rows of all ranks.
    """

    def __init__(self, job: Job, division: Division, validation: Batch, m: int) -> None:
        self.job, self.division, self.validation, self.m = job, division, validation, m

    def __call__(
        self, backend: Backend, architecture: Architecture, parameters: Parameters, metrics: Sequence[Metric]
    ) -> tuple[float, dict[str, float]]:
        """Return the cost of all rows, penalties included, and the metrics of all rows."""
        operations, bare, ranks = backend.operations(), architecture._replace(l2=0.0, l1=0.0), self.job.ranks
        places, found, sums = self.division.places(None, slice(0, self.m)), list[Batch](), list[tuple[float, float]]()
        for window in self._windows():
            part = in_order(self.validation, window)
            sums.append((0.0, 0.0))
            if window.stop > window.start:
                cost, a = evaluate(operations, bare, parameters, *part)
                rows = float(window.stop - window.start)
                share = rows if part.weight is None else float(backend.to_numpy(backend.xp.sum(part.weight)))
                sums[-1] = share * float(backend.to_numpy(cost)), share
                found.append(part._replace(x=a))
        # In pairs, as a deterministic training adds up its gradients.
        both = host.xp.asarray(sums)
        while len(both) > 1:
            both = both[::2] + both[1::2]
        loss, total = sum_on_host(ranks, backend, both[0]).tolist()
        penalty = operations.penalty(parameters.thetas, architecture.penalties)
        cost = loss / (total or 1.0) + float(backend.to_numpy(penalty) if hasattr(penalty, "dtype") else penalty)
        seen = (gathered(ranks, backend, parameters, found, self.validation, places, self.m),) if metrics else ()
        return cost, evaluated(backend, architecture, parameters, None, metrics, seen)[1]

    def _windows(self) -> list[slice]:
        return self.division.spans(self.m) if self.division.rows is None else [slice(0, self.division.rows.own)]
