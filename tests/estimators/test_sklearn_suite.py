"""scikit-learn's own tests of its MLP, and its checks of every estimator, each in a process of its own."""

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
import sklearn

HERE = Path(__file__).parent


def run(*arguments, **environment):
    found = subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, env=os.environ | environment, check=False
    )
    assert found.stdout, found.stderr
    return json.loads(found.stdout.splitlines()[-1]), found.stdout


@pytest.mark.skipif(
    not sklearn.__version__.startswith("1.9."),
    reason=f"written against scikit-learn 1.9.1's test_mlp.py, and {sklearn.__version__} is installed",
)
def test_scikit_learns_own_tests_of_its_mlp():
    found, output = run(str(HERE / "sklearn_suite.py"))
    assert found["status"] == 0, output
    assert Counter(found["outcomes"].values()) == Counter(passed=len(found["outcomes"]))
    assert len(found["outcomes"]) >= 57  # 59; two of them need pandas
    assert min(found["built"].values()) > 30  # the classes tested were ours
