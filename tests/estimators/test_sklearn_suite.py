"""scikit-learn's own tests of its MLP, and its checks of every estimator, each in a process of its own."""

import json
import os
import subprocess
import sys
from collections import Counter
from importlib.util import find_spec
from pathlib import Path

import pytest
import sklearn

pytestmark = pytest.mark.skipif(
    not sklearn.__version__.startswith("1.9."),
    reason=f"written against scikit-learn 1.9.1's tests, and {sklearn.__version__} is installed",
)

HERE = Path(__file__).parent


def run(*arguments, **environment):
    found = subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, env=os.environ | environment, check=False
    )
    assert found.stdout, found.stderr
    return json.loads(found.stdout.splitlines()[-1]), found.stdout


def test_scikit_learns_own_tests_of_its_mlp():
    found, output = run(str(HERE / "sklearn_suite.py"))
    assert found["status"] == 0, output
    assert Counter(found["outcomes"].values()) == Counter(passed=len(found["outcomes"]))
    assert len(found["outcomes"]) >= 57  # 59; two of them need pandas
    assert min(found["built"].values()) > 30  # the classes tested were ours


CHECKS = """
import json, sys, warnings
from sklearn.utils.estimator_checks import check_estimator
from retroprop.estimators import MLPClassifier, MLPRegressor
warnings.simplefilter("ignore")
found = []
for estimator in (MLPClassifier(**json.loads(sys.argv[1])), MLPRegressor(**json.loads(sys.argv[2]))):
    results = check_estimator(estimator, on_fail=None, on_skip=None)
    found.append([[r["check_name"], r["status"], str(r["exception"])] for r in results])
print(json.dumps(found))
"""


ADAM, LBFGS = '{"max_iter": 20}', '{"max_iter": 20, "solver": "lbfgs"}'


# scikit-learn puts its own arrays on a device that is not there, where PyTorch was built for CUDA.
NO_DRIVER = "CUDA driver version is insufficient"


# One process for both, as the imports take longer than the checks.
@pytest.mark.parametrize("options", [(ADAM, LBFGS), pytest.param((LBFGS, ADAM), marks=pytest.mark.long)])
def test_scikit_learns_checks_of_every_estimator(options):
    found, _ = run("-c", CHECKS, *options, SCIPY_ARRAY_API="1")
    for results in found:
        failed = [r for r in results if r[1] not in ("passed", "skipped")]  # none is expected to fail either
        assert [r for r in failed if not (r[0].startswith("check_array_api") and NO_DRIVER in r[2])] == []
        array_api = Counter(r[1] for r in results if r[0].startswith("check_array_api"))
        # NumPy and array-api-strict, one of namespaces; with PyTorch two of its dtypes, and one of mixed inputs.
        least = 4 + 3 * (find_spec("torch") is not None)
        assert array_api["passed"] >= least, "the checks of the Array API did not run"
