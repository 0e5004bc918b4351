"""solver="lbfgs": SciPy's L-BFGS-B on the host, as in scikit-learn; on a device and with checkpoints, our own."""

from functools import partial
from typing import Any

import numpy
import scipy.optimize
from sklearn.exceptions import ConvergenceWarning

from retroprop.backends import host_backend
from retroprop.backends.backend import Demands
from retroprop.backends.intake.batch import Batch
from retroprop.core.architecture import Architecture
from retroprop.core.parameters import Parameters, joined, separated
from retroprop.estimators.checkpointing import EstimatorCall, Keeper
from retroprop.estimators.minimisation import course_of, minimum_at
from retroprop.estimators.samples import Samples, chunk_rows, windows
from retroprop.estimators.watching import INTERRUPTED, Watching, warn
from retroprop.functions.types import Array
from retroprop.training.course import Course
from retroprop.training.lbfgs import Minimum, minimize
from retroprop.training.optimizers import LBFGS
from retroprop.training.saver import opened
from retroprop.training.signals import StopRequested
from retroprop.training.step import Measured, bind_measure, estimated_elements

STOPPED = 99  # SciPy's status after a callback has ended it
EVALUATIONS = 200  # of a typical run, by which a backend decides whether to compile

_ADVICE = (
    "\nYou might also want to scale the data as shown in:\n"
    "    https://scikit-learn.org/stable/modules/preprocessing.html"
)


class Iterates:
    """The parameters that a minimisation has come to, and the reports to the observers of the fit.

    Parameters
    ----------
    estimator : BaseMLP
        Its `n_iter_` and `loss_` are those of the last iteration.
    watching : Watching
        The observers, which may stop the iterations.
    last : Parameters
        The initial parameters; then those of the last iteration.
    keeper : Keeper or None
        Its checkpoints.
    """

    def __init__(self, estimator: Any, watching: Watching, last: Parameters, keeper: Keeper | None = None) -> None:
        self.estimator, self.watching, self.last, self.keeper = estimator, watching, last, keeper
        self._course: Course | None = None
        estimator.n_iter_ = 0
        watching.epoch_begins()

    def reached(self, n_iterations: int, cost: float, parameters: Parameters) -> bool:
        """Take an iteration; return whether a callback requests to stop."""
        e, self.last = self.estimator, parameters
        e.n_iter_, e.loss_ = n_iterations, numpy.float64(cost)
        stops = self.watching.epoch_ends(lambda: parameters)
        if not stops and n_iterations < e.max_iter:
            self.watching.epoch_begins()
        return stops

    def stood(self, so_far: Minimum) -> bool:
        """Take an iteration of our own L-BFGS, with the checkpoint that is due; return whether to stop."""
        self._course = course_of(so_far)
        stops = self.reached(so_far.n_iterations, so_far.cost, so_far.parameters)
        if self.keeper is not None and self.keeper.saver.is_due(so_far.n_iterations):
            self.save()
        return stops

    def goes_on(self, after: Minimum | None) -> Minimum | None:
        """Go on where a minimisation stood, None for the beginning; return it."""
        if after is not None:
            e, self.last, self._course = self.estimator, after.parameters, course_of(after)
            e.n_iter_, e.loss_ = after.n_iterations, numpy.float64(after.cost)
        if self.keeper is not None:
            self.keeper.saver.begin(self.estimator.n_iter_, 0)
        return after

    def save(self) -> None:
        """Write a checkpoint of the last iteration, if there are any."""
        if self.keeper is not None and self._course is not None:
            self.keeper.write(self._course)


def fit(estimator: Any, architecture: Architecture, samples: Samples, dtype: str, given: tuple[Any, Any, Any]) -> None:
    """Run L-BFGS over all the data: SciPy's routine on the host, as scikit-learn; ours on a device.

    SciPy's has no state that could be stored, so a fit with checkpoints is by ours.
    """
    e = estimator
    with opened(e.checkpoint) as saver:
        keeper = None if saver is None else Keeper(saver, EstimatorCall(e, architecture, samples, None))
        watching = Watching(e, e.max_iter, samples.n, given, incremental=False)
        minimise = fit_by_scipy if keeper is None and samples.backend == host_backend() else fit_by_ours
        begin = e._parameters()
        begin = begin.like([samples.backend.asarray(leaf, samples.dtype) for leaf in begin.leaves])
        iterates = Iterates(e, watching, begin, keeper)
        try:
            minimise(e, architecture, samples, iterates)
            if not numpy.isfinite(e.loss_):
                raise ValueError(
                    f"the loss is {e.loss_} at the initial weights, so L-BFGS cannot begin: scale X and y."
                )
            e._settle(iterates.last, samples.backend, dtype)
        except (KeyboardInterrupt, StopRequested) as request:
            if keeper is not None and getattr(request, "reason", "interrupted") == "terminated":
                keeper.saver.signals.answered = False  # it is sent again when the estimator is fitted
            warn(INTERRUPTED)
            e._settle(iterates.last, samples.backend, dtype)
        except Exception:
            if e.n_iter_:
                e._store(iterates.last, samples.backend, dtype)
            raise
        finally:
            iterates.save()
            watching.end()


def fit_by_scipy(estimator: Any, architecture: Architecture, samples: Samples, iterates: Iterates) -> None:
    """Minimise the loss of all the data with SciPy, in float64.

    Parameters
    ----------
    estimator : BaseMLP
        Its parameters are those of the minimisation.
    architecture : Architecture
        The network.
    samples : Samples
        The data, on the host, float64.
    iterates : Iterates
        Begins at the initial parameters, and ends at those of the minimum.
    """
    e, objective, shapes = estimator, ChunkedLoss(architecture, samples), iterates.last.shapes

    def value_and_gradient(flat: Array) -> tuple[float, Array]:
        cost, gradient = objective(separated(flat, shapes, numpy))
        return float(cost), joined(gradient, numpy)

    def iterated(intermediate_result: Any) -> None:
        at = separated(intermediate_result.x.copy(), shapes, numpy)
        if iterates.reached(e.n_iter_ + 1, float(intermediate_result.fun), at):
            raise StopIteration

    result = scipy.optimize.minimize(
        value_and_gradient,
        joined(iterates.last, numpy),
        callback=iterated,
        method="L-BFGS-B",
        jac=True,
        options={"maxfun": e.max_fun, "maxiter": e.max_iter, "gtol": e.tol},
    )
    iterates.last = separated(result.x, shapes, numpy)
    e.n_iter_, e.loss_ = min(int(result.nit), e.max_iter), numpy.float64(result.fun)
    if result.status not in (0, STOPPED):
        _warn(e, f"(status={result.status}):\n{result.message}")


def fit_by_ours(estimator: Any, architecture: Architecture, samples: Samples, iterates: Iterates) -> None:
    """Minimise the loss of all the data where they live; the arguments are those of `fit_by_scipy`."""
    e, keeper = estimator, iterates.keeper
    rule, objective = LBFGS(gradient_tol=e.tol), ChunkedLoss(architecture, samples)
    after = None
    if keeper is not None:
        keeper.bound(objective.penalised, objective.work)
        after = minimum_at(keeper, samples.backend, iterates.last, rule)
    found = minimize(
        objective,
        iterates.last,
        backend=samples.backend,
        rule=rule,
        max_iterations=e.max_iter,
        max_evaluations=e.max_fun,
        callback=iterates.stood,
        after=iterates.goes_on(after),
    )
    iterates.last = found.parameters
    e.n_iter_, e.loss_ = found.n_iterations, numpy.float64(found.cost)
    if found.reason not in ("converged", "callback"):
        _warn(e, f"({found.reason}).")


def _warn(estimator: Any, how: str) -> None:
    """Warn as scikit-learn does."""
    e = estimator
    message = f"lbfgs failed to converge after {e.n_iter_} iteration(s) {how}\n"
    if e.n_iter_ == e.max_iter:
        message += f"\nIncrease the number of iterations to improve the convergence (max_iter={e.max_iter})."
    warn(message + _ADVICE, ConvergenceWarning)


class ChunkedLoss:
    """J of all the data and its gradient; sparse rows are converted to dense chunk by chunk.

    J is Σ_chunks W_c J_c / Σ W_c, and so is its gradient; the penalties, λ/Σw in J, go with one chunk whose W is not 0:
    λ/W_c.
    """

    def __init__(self, architecture: Architecture, samples: Samples) -> None:
        self.samples, n = samples, samples.n
        size = chunk_rows(architecture.layer_sizes) if samples.sparse else n
        self.windows = list(windows(n, size))
        self.work = estimated_elements(architecture, EVALUATIONS * n, EVALUATIONS)
        bound = partial(bind_measure, samples.backend, penalties_of_sum=True, demands=Demands(work=self.work))
        self.penalised, self.plain = bound(architecture), bound(architecture._replace(l2=0.0, l1=0.0))
        self.batch_of = samples.ordered(None)
        weight = samples.data.weight if samples.sparse else None  # on the host
        weighs = (window for window in self.windows if weight is None or weight[window].any())
        self.penalised_window = next(weighs)

    def __call__(self, parameters: Parameters) -> tuple[Array, Parameters]:
        """Return J and its gradient, which are valid until the next call."""
        with self.samples.backend.active():
            if len(self.windows) == 1:
                cost, gradient, _ = self.penalised(parameters, self.batch_of(self.windows[0])[0])
                return cost, gradient
            parts: list[list[Array]] = []
            shares = []
            for window in self.windows:
                batch = self.batch_of(window)[0]
                share = self._share(batch)
                measure = self.penalised if window == self.penalised_window else self.plain
                parts.append(_scaled(measure(parameters, batch), share))
                shares.append(share)
            total = sum(shares)
            cost, *leaves = (sum(column) / total for column in zip(*parts, strict=True))
        return cost, parameters.like(leaves)

    def _share(self, batch: Batch) -> Any:
        """Return Σw of a batch, its rows where it has no weights."""
        return float(batch.x.shape[0]) if batch.weight is None else self.samples.backend.xp.sum(batch.weight)


def _scaled(measured: Measured, share: Any) -> list[Array]:
    """Return J and its gradient times the share of a batch."""
    return [part * share for part in (measured.cost, *measured.gradients.leaves)]
