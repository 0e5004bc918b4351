"""The example "Compare Stochastic learning strategies for MLPClassifier" of scikit-learn's gallery, to six decimals."""

import pytest
import sklearn
from sklearn import datasets, neural_network
from sklearn.preprocessing import MinMaxScaler

from retroprop.estimators import MLPClassifier

SGD = {"solver": "sgd", "learning_rate_init": 0.2}
STRATEGIES = {
    "constant": {**SGD, "learning_rate": "constant", "momentum": 0},
    "constant with momentum": {**SGD, "learning_rate": "constant", "momentum": 0.9, "nesterovs_momentum": False},
    "constant with Nesterov's momentum": {**SGD, "learning_rate": "constant", "momentum": 0.9},
    "inv-scaling": {**SGD, "learning_rate": "invscaling", "momentum": 0},
    "inv-scaling with momentum": {**SGD, "learning_rate": "invscaling", "momentum": 0.9, "nesterovs_momentum": False},
    "inv-scaling with Nesterov's momentum": {**SGD, "learning_rate": "invscaling", "momentum": 0.9},
    "adam": {"solver": "adam", "learning_rate_init": 0.01},
}  # fmt: skip
DATA = {
    "iris": datasets.load_iris(return_X_y=True),
    "digits": datasets.load_digits(return_X_y=True),
    "circles": datasets.make_circles(noise=0.2, factor=0.5, random_state=1),
    "moons": datasets.make_moons(noise=0.3, random_state=0),
}


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.skipif(
    not sklearn.__version__.startswith("1.9."), reason=f"compared with 1.9.1; {sklearn.__version__} is installed"
)
@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("data", DATA)
def test_the_lines_of_the_example(data, strategy):
    X, y = DATA[data]
    X = MinMaxScaler().fit_transform(X)
    options = {"random_state": 0, "max_iter": 15 if data == "digits" else 400, **STRATEGIES[strategy]}
    lines = []
    for kind in (MLPClassifier, neural_network.MLPClassifier):
        mlp = kind(**options).fit(X, y)
        lines.append(f"score {mlp.score(X, y):.6f} loss {mlp.loss_:.6f}")
    assert lines[0] == lines[1]
