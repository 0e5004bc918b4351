"""solver="lbfgs": SciPy's L-BFGS-B on the host, as in scikit-learn; elsewhere retroprop's own L-BFGS, on the device."""

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
from retroprop.estimators.samples import Samples, chunk_rows, windows
from retroprop.estimators.watching import INTERRUPTED, Watching, warn
from retroprop.functions.types import Array
from retroprop.training.lbfgs import minimize
from retroprop.training.optimizers import LBFGS
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
    """

    def __init__(self, estimator: Any, watching: Watching, last: Parameters) -> None:
        self.estimator, self.watching, self.last = estimator, watching, last
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


def fit(estimator: Any, architecture: Architecture, samples: Samples, dtype: str, given: tuple[Any, Any, Any]) -> None:
    """Run L-BFGS over all the data: on the host SciPy's own routine, as scikit-learn; on a device ours."""
    e = estimator
    watching = Watching(e, e.max_iter, samples.n, given, incremental=False)
    minimise = fit_on_host if samples.backend == host_backend() else fit_on_device
    iterates = Iterates(e, watching, e._parameters())
    try:
        minimise(e, architecture, samples, iterates)
        e._settle(iterates.last, samples.backend, dtype)
    except KeyboardInterrupt:
        warn(INTERRUPTED)
        e._settle(iterates.last, samples.backend, dtype)
    except Exception:
        if e.n_iter_:
            e._store(iterates.last, samples.backend, dtype)
        raise
    finally:
        watching.end()


def fit_on_host(estimator: Any, architecture: Architecture, samples: Samples, iterates: Iterates) -> None:
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
        joined(iterates.last, numpy).astype("float64"),
        callback=iterated,
        method="L-BFGS-B",
        jac=True,
        options={"maxfun": e.max_fun, "maxiter": e.max_iter, "gtol": e.tol},
    )
    iterates.last = separated(result.x, shapes, numpy)
    e.n_iter_, e.loss_ = min(int(result.nit), e.max_iter), numpy.float64(result.fun)
    if result.status not in (0, STOPPED):
        _warn(e, f"(status={result.status}):\n{result.message}")


def fit_on_device(estimator: Any, architecture: Architecture, samples: Samples, iterates: Iterates) -> None:
    """Minimise the loss of all the data on their device; the arguments are those of `fit_on_host`."""
    e = estimator
    found = minimize(
        ChunkedLoss(architecture, samples),
        iterates.last,
        backend=samples.backend,
        rule=LBFGS(gradient_tol=e.tol),
        max_iterations=e.max_iter,
        max_evaluations=e.max_fun,
        callback=lambda so_far: iterates.reached(so_far.n_iterations, so_far.cost, so_far.parameters),
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
        demands = Demands(work=estimated_elements(architecture, EVALUATIONS * n, EVALUATIONS))
        bound = partial(bind_measure, samples.backend, penalties_of_sum=True, demands=demands)
        self.penalised, self.plain = bound(architecture), bound(architecture._replace(l2=0.0, l1=0.0))
        self.batch_of = samples.ordered(None)
        weight = samples.data.weight if samples.sparse else None  # on the host
        weighs = (window for window in self.windows if weight is None or weight[window].any())
        self.penalised_window = next(weighs)

    def __call__(self, parameters: Parameters) -> tuple[Array, Parameters]:
        """Return J and its gradient, which are valid until the next call."""
        with self.samples.backend.active():
            if len(self.windows) == 1:
                return self.penalised(parameters, self.batch_of(self.windows[0])[0])[:2]
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
