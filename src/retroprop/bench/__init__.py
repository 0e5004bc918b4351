"""The benchmark: how near a training step comes to its bare matrix products, and how it compares with others'."""

from retroprop.bench.results import Results, ResultsError, read, to_json
from retroprop.bench.settings import FULL, QUICK, STANDARD, Settings, chosen
from retroprop.bench.suite import run

__all__ = ["FULL", "QUICK", "STANDARD", "Results", "ResultsError", "Settings", "chosen", "read", "run", "to_json"]
