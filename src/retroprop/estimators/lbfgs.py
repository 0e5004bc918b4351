"""solver="lbfgs": SciPy's L-BFGS-B for host data, so that it gives what scikit-learn's gives."""

import warnings
from functools import partial
from typing import Any

import numpy
import scipy.optimize
from sklearn.exceptions import ConvergenceWarning

from retroprop.backends import host_backend
from retroprop.backends.batch import Batch
from retroprop.core.architecture import Architecture
from retroprop.core.parameters import Parameters
from retroprop.estimators.samples import Samples, chunk_rows, windows
from retroprop.functions.types import Array
from retroprop.training.step import bind_gradient

STEPS_GUESSED = 200  # evaluations of a run that converges, for a backend that asks whether to compile


def fit_on_host(
    estimator: Any, architecture: Architecture, parameters: Parameters, x: Any, y: Array, weight: Array | None
) -> Parameters:
    """Minimise the loss of all the data; return the parameters of the minimum, float64 as SciPy works in.

    Parameters
    ----------
    estimator : BaseMLP
        Whose `n_iter_` and `loss_` are written.
    architecture, parameters
        The network, and where it starts.
    x, y, weight
        The data, on the host.
    """
    e = estimator
    samples = Samples(host_backend(), "float64", x, y, weight)
    objective = Objective(architecture, samples)
    start = numpy.concatenate([leaf.astype("float64").ravel() for leaf in parameters.leaves])

    def value_and_gradient(flat: Array) -> tuple[float, Array]:
        cost, gradient = objective(unflattened(flat, parameters))
        return cost, numpy.concatenate([leaf.ravel() for leaf in gradient.leaves])

    result = scipy.optimize.minimize(
        value_and_gradient,
        start,
        method="L-BFGS-B",
        jac=True,
        options={"maxfun": e.max_fun, "maxiter": e.max_iter, "gtol": e.tol},
    )
    e.n_iter_ = min(int(result.nit), e.max_iter)
    e.loss_ = float(result.fun)
    if result.status != 0:
        warn_not_converged(e, f"(status={result.status}):\n{result.message}\n")
    return unflattened(result.x, parameters)


def warn_not_converged(estimator: Any, how: str) -> None:
    """Warn as scikit-learn does."""
    e = estimator
    message = f"lbfgs failed to converge after {e.n_iter_} iteration(s) {how}"
    if e.n_iter_ == e.max_iter:
        message += f"\nIncrease the number of iterations to improve the convergence (max_iter={e.max_iter})."
    message += (
        "\nYou might also want to scale the data as shown in:\n"
        "    https://scikit-learn.org/stable/modules/preprocessing.html"
    )
    warnings.warn(message, ConvergenceWarning, stacklevel=5)


class Objective:
    """J of all the data and its gradient; sparse rows are made dense a chunk at a time.

    J is Σ_chunks W_c J_c / Σ W_c, and so is its gradient; the penalties, λ/Σw in J, go with the first chunk.
    """

    def __init__(self, architecture: Architecture, samples: Samples) -> None:
        self.samples, n = samples, samples.n
        size = chunk_rows(architecture.layer_sizes) if samples.sparse else n
        self.windows = list(windows(n, size))
        work = STEPS_GUESSED * n * float(sum(architecture.layer_sizes))
        bound = partial(bind_gradient, samples.backend, penalties_of_sum=True, work=work)
        self.first, self.others = bound(architecture), bound(architecture._replace(l2=0.0, l1=0.0))
        self.batch_of = samples.ordered(None)

    def __call__(self, parameters: Parameters) -> tuple[float, Parameters]:
        """Return J and ∂J/∂ parameters."""
        with self.samples.backend.active():
            if len(self.windows) == 1:
                cost, gradient = self.first(parameters, self.batch_of(self.windows[0])[0])
                return float(cost), gradient
            costs: list[float] = []
            gradients, shares = [], []
            for window in self.windows:
                batch = self.batch_of(window)[0]
                cost, gradient = (self.others if costs else self.first)(parameters, batch)
                shares.append(share(batch))
                costs.append(float(cost) * shares[-1])
                gradients.append([leaf * shares[-1] for leaf in gradient.leaves])
        total = sum(shares)
        return sum(costs) / total, parameters.like(sum(leaves) / total for leaves in zip(*gradients, strict=True))


def share(batch: Batch) -> float:
    """Return Σw of a batch, its rows where it has no weights."""
    return float(batch.x.shape[0] if batch.weight is None else batch.weight.sum())


def unflattened(flat: Array, like: Parameters) -> Parameters:
    """Return a row of numbers as parameters of that form: views."""
    parts, at = [], 0
    for leaf in like.leaves:
        parts.append(flat[at : at + leaf.size].reshape(leaf.shape))
        at += leaf.size
    return like.like(parts)
