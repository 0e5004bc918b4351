"""Run scikit-learn's own test_mlp.py, the installed one, against the estimators.

    python sklearn_suite.py [options of pytest]

The module takes its two classes from `sklearn.neural_network`; while pytest collects it, those names are ours there.
One of its tests calls a private method of scikit-learn's class: `_loss_grad_lbfgs` stands here, on the tests' side.
"""

import importlib
import inspect
import json
import sys
from pathlib import Path

import numpy as np
import pytest
import sklearn

from retroprop import estimators
from retroprop.backends import host_backend
from retroprop.core.backward import backward
from retroprop.core.forward import forward
from retroprop.core.parameters import Parameters
from retroprop.estimators import parameters

HOME = "sklearn.neural_network"
BUILT = {"MLPClassifier": 0, "MLPRegressor": 0}


class MLPRegressor(estimators.MLPRegressor):
    def __init__(self, loss="squared_error", hidden_layer_sizes=(100,), activation="relu", **options):
        BUILT["MLPRegressor"] += 1
        super().__init__(loss, hidden_layer_sizes, activation, **options)

    __init__.__signature__ = inspect.signature(estimators.MLPRegressor.__init__)


class MLPClassifier(estimators.MLPClassifier):
    def __init__(self, hidden_layer_sizes=(100,), activation="relu", **options):
        BUILT["MLPClassifier"] += 1
        super().__init__(hidden_layer_sizes, activation, **options)

    __init__.__signature__ = inspect.signature(estimators.MLPClassifier.__init__)

    def _loss_grad_lbfgs(self, packed, X, y, sample_weight, activations, deltas, coef_grads, intercept_grads):
        """Return J and its gradient, packed as scikit-learn packs them."""
        cut = np.cumsum([part.size for part in (*self.coefs_, *self.intercepts_)])
        parts = [p.reshape(a.shape) for p, a in zip(np.split(packed, cut[:-1]), self._leaves(), strict=True)]
        n = len(self.coefs_)
        found = Parameters(tuple(w.T for w in parts[:n]), tuple(parts[n:]))
        sizes, output = self._layer_sizes(), (self._output_activation(), self._loss())
        operations, architecture = host_backend().operations(), parameters.architecture_of(self, sizes, *output)
        trace, y = forward(operations, architecture, found, X), y.astype(float)
        g = backward(operations, architecture, found, trace, y, sample_weight, penalties_of_sum=True)
        return float(g.cost), np.hstack([*(theta.T.ravel() for theta in g.thetas), *g.biases])

    def _leaves(self):
        return [*self.coefs_, *self.intercepts_]


class Substitute:
    """A plugin of pytest: while the module is collected, the classes of `sklearn.neural_network` are ours."""

    def __init__(self):
        self.outcomes = {}

    def pytest_pycollect_makemodule(self, module_path, parent):
        class Module(pytest.Module):
            def _getobj(self):
                home = importlib.import_module(HOME)
                kept = home.MLPClassifier, home.MLPRegressor
                home.MLPClassifier, home.MLPRegressor = MLPClassifier, MLPRegressor
                try:
                    return super()._getobj()
                finally:
                    home.MLPClassifier, home.MLPRegressor = kept

        return Module.from_parent(parent, path=module_path) if Path(module_path).name == "test_mlp.py" else None

    def pytest_runtest_logreport(self, report):
        if report.when == "call" or report.outcome != "passed":
            self.outcomes[report.nodeid.partition("::")[2]] = report.outcome


def main(arguments):
    folder = Path(sklearn.__file__).parent
    plugin = Substitute()
    status = pytest.main(
        ["-q", "-p", "no:cacheprovider", "--disable-warnings", "-c", "/dev/null", f"--rootdir={folder}", *arguments,
         str(folder / "neural_network" / "tests" / "test_mlp.py")],
        plugins=[plugin],
    )  # fmt: skip
    print(json.dumps({"status": int(status), "built": BUILT, "outcomes": plugin.outcomes}))


if __name__ == "__main__":
    main(sys.argv[1:])
