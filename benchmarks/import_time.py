"""The time of an import over that of another: medians of fresh processes, in turns.

    python3 benchmarks/import_time.py [ROUNDS]

`import retroprop` over `import numpy`, and our `MLPClassifier` over scikit-learn's.
"""

import os
import statistics
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

SOURCE = str(Path(__file__).resolve().parents[1] / "src")
PAIRS = [("import retroprop", "import numpy")]
if find_spec("sklearn"):
    theirs = "from sklearn.neural_network import MLPClassifier"
    PAIRS.append(("from retroprop.estimators import MLPClassifier", theirs))


def seconds(statement: str) -> float:
    """Return the seconds of a fresh process that runs `statement` and ends."""
    # Bytecode is kept, as where the package is installed.
    environment = os.environ | {"PYTHONPATH": SOURCE, "PYTHONDONTWRITEBYTECODE": ""}
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", statement], check=True, env=environment)
    return time.perf_counter() - began


def main() -> None:
    """Print the medians and the ratio of each pair."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 15
    for pair in PAIRS:
        for statement in pair:  # compiled to bytecode, and read into the page cache
            seconds(statement)
        times = [[seconds(statement) for statement in pair] for _ in range(rounds)]
        ours, other = (statistics.median(column) for column in zip(*times, strict=True))
        print(f"{pair[0]} {1e3 * ours:.0f} ms, {pair[1]} {1e3 * other:.0f} ms: {ours / other:.2f} times")


if __name__ == "__main__":
    main()
