"""scikit-learn's multilayer perceptron: whole trainings only, as a single step checks its input each time."""

import warnings
from typing import Any

from numpy.typing import NDArray

from retroprop.bench.contestant import Contestant
from retroprop.bench.workloads import Problem


def prepare(problem: Problem, device: str = "cpu", *, epochs: int = 1) -> Contestant:
    """Return `MLPClassifier.fit` with the settings of the timed `rp.fit`: no penalty, no early stopping."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.neural_network import MLPClassifier

    adam = problem.optimizer == "adam"
    model = MLPClassifier(
        problem.workload.layer_sizes[1:-1],
        solver="adam" if adam else "sgd",
        learning_rate_init=problem.learning_rate,
        momentum=0.0,
        nesterovs_momentum=False,
        alpha=0.0,
        batch_size=problem.workload.batch,
        max_iter=epochs,
        tol=0.0,
        n_iter_no_change=epochs + 1,
        random_state=0,
    )

    def fit() -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # the number of epochs is fixed
            model.fit(problem.x, problem.y)

    def now() -> list[NDArray[Any]]:
        return [W.T for W in model.coefs_] + list(model.intercepts_)

    return Contestant(kind="peer", name="scikit-learn", call=fit, parameters=now)
