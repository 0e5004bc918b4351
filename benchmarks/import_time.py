"""The time of `import retroprop` over `import numpy`: a ratio of medians, interleaved, in fresh processes.

python3 benchmarks/import_time.py [ROUNDS]
"""

import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

SOURCE = str(Path(__file__).resolve().parents[1] / "src")


def seconds(statement: str) -> float:
    """Return the seconds of a fresh process that runs `statement` and ends."""
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", statement], check=True, env=os.environ | {"PYTHONPATH": SOURCE})
    return time.perf_counter() - began


def main() -> None:
    """Print both medians and their ratio."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 15
    seconds("import retroprop")  # compiled to bytecode, and read into the page cache
    pairs = [(seconds("import numpy"), seconds("import retroprop")) for _ in range(rounds)]
    numpy, retroprop = (statistics.median(column) for column in zip(*pairs, strict=True))
    print(
        f"import numpy {1e3 * numpy:.0f} ms, import retroprop {1e3 * retroprop:.0f} ms: {retroprop / numpy:.2f} times"
    )


if __name__ == "__main__":
    main()
