"""solver="lbfgs": SciPy's L-BFGS-B on the host, as in scikit-learn; elsewhere retroprop's own L-BFGS, on the device."""

from functools import partial
from typing import Any

import numpy
import scipy.optimize
from sklearn.exceptions import ConvergenceWarning

from retroprop.backends.backend import Demands
from retroprop.backends.intake.batch import Batch
from retroprop.core.architecture import Architecture
from retroprop.core.parameters import Parameters, joined, separated
from retroprop.estimators.samples import Samples, chunk_rows, windows
from retroprop.estimators.watching import Watching, warn
from retroprop.functions.types import Array
from retroprop.training.lbfgs import Minimum, minimize
from retroprop.training.optimizers import LBFGS
from retroprop.training.step import Measured, bind_measure, estimated_elements

STOPPED = 99  # SciPy's status after a callback has ended it
EVALUATIONS = 200  # of a typical run, by which a backend decides whether to compile

_ADVICE = (
    "\nYou might also want to scale the data as shown in:\n"
    "    https://scikit-learn.org/stable/modules/preprocessing.html"
)


def fit_on_host(
    estimator: Any, architecture: Architecture, parameters: Parameters, samples: Samples, watching: Watching
) -> Parameters:
    """Minimise the loss of all the data with SciPy; return the parameters of the minimum, float64 as SciPy works in.

    Parameters
    ----------
    estimator : BaseMLP
        Its `n_iter_` and `loss_` are updated.
    architecture, parameters
        The network, and its initial parameters.
    samples : Samples
        The data, on the host, float64.
    watching : Watching
        The observers of the iterations, which may stop them.
    """
    e, objective = estimator, ChunkedLoss(architecture, samples)
    start = joined(parameters, numpy).astype("float64")

    def value_and_gradient(flat: Array) -> tuple[float, Array]:
        cost, gradient = objective(separated(flat, parameters.shapes, numpy))
        return float(cost), joined(gradient, numpy)

    def iterated(intermediate_result: Any) -> None:
        at = separated(intermediate_result.x, parameters.shapes, numpy)
        if _reported(e, watching, e.n_iter_ + 1, float(intermediate_result.fun), at):
            raise StopIteration

    e.n_iter_ = 0
    watching.epoch_begins()
    result = scipy.optimize.minimize(
        value_and_gradient,
        start,
        callback=iterated if watching.follows else None,
        method="L-BFGS-B",
        jac=True,
        options={"maxfun": e.max_fun, "maxiter": e.max_iter, "gtol": e.tol},
    )
    e.n_iter_, e.loss_ = min(int(result.nit), e.max_iter), numpy.float64(result.fun)
    if result.status not in (0, STOPPED):
        _warn(e, f"(status={result.status}):\n{result.message}")
    return separated(result.x, parameters.shapes, numpy)


def fit_on_device(
    estimator: Any, architecture: Architecture, parameters: Parameters, samples: Samples, watching: Watching
) -> Parameters:
    """Minimise the loss of all the data on their device; the arguments are those of `fit_on_host`."""
    e, objective = estimator, ChunkedLoss(architecture, samples)

    def iterated(so_far: Minimum) -> bool:
        return _reported(e, watching, so_far.n_iterations, so_far.cost, so_far.parameters)

    e.n_iter_ = 0
    watching.epoch_begins()
    found = minimize(
        objective,
        parameters,
        backend=samples.backend,
        rule=LBFGS(gradient_tol=e.tol),
        max_iterations=e.max_iter,
        max_evaluations=e.max_fun,
        callback=iterated if watching.follows else None,
    )
    e.n_iter_, e.loss_ = found.n_iterations, numpy.float64(found.cost)
    if found.reason not in ("converged", "callback"):
        _warn(e, f"({found.reason}).")
    return found.parameters


def _reported(estimator: Any, watching: Watching, n_iterations: int, cost: float, parameters: Parameters) -> bool:
    """Report an iteration to the observers of the fit; return whether a callback requests to stop."""
    estimator.n_iter_, estimator.loss_ = n_iterations, cost
    stops = watching.epoch_ends(lambda: parameters)
    if not stops and n_iterations < estimator.max_iter:
        watching.epoch_begins()
    return stops


def _warn(estimator: Any, how: str) -> None:
    """Warn as scikit-learn does."""
    e = estimator
    message = f"lbfgs failed to converge after {e.n_iter_} iteration(s) {how}\n"
    if e.n_iter_ == e.max_iter:
        message += f"\nIncrease the number of iterations to improve the convergence (max_iter={e.max_iter})."
    warn(message + _ADVICE, ConvergenceWarning)


class ChunkedLoss:
    """J of all the data and its gradient; sparse rows are converted to dense chunk by chunk.

    J is Σ_chunks W_c J_c / Σ W_c, and so is its gradient; the penalties, λ/Σw in J, go with the first chunk: λ/W_1.
    """

    def __init__(self, architecture: Architecture, samples: Samples) -> None:
        self.samples, n = samples, samples.n
        size = chunk_rows(architecture.layer_sizes) if samples.sparse else n
        self.windows = list(windows(n, size))
        demands = Demands(work=estimated_elements(architecture, EVALUATIONS * n, EVALUATIONS))
        bound = partial(bind_measure, samples.backend, penalties_of_sum=True, demands=demands)
        self.first, self.others = bound(architecture), bound(architecture._replace(l2=0.0, l1=0.0))
        self.batch_of = samples.ordered(None)

    def __call__(self, parameters: Parameters) -> tuple[Array, Parameters]:
        """Return J and its gradient, which are valid until the next call."""
        with self.samples.backend.active():
            if len(self.windows) == 1:
                return self.first(parameters, self.batch_of(self.windows[0])[0])[:2]
            parts: list[list[Array]] = []
            shares = []
            for window in self.windows:
                batch = self.batch_of(window)[0]
                share = self._share(batch)
                parts.append(_scaled((self.others if parts else self.first)(parameters, batch), share))
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
