"""The benchmark: the time of a training step over its bare matrix products, and over other libraries' steps."""

from retroprop.bench.results import Results, ResultsError, read, to_json
from retroprop.bench.settings import FULL, QUICK, STANDARD, Settings, chosen
from retroprop.bench.suite import run

__all__ = ["FULL", "QUICK", "STANDARD", "Results", "ResultsError", "Settings", "chosen", "read", "run", "to_json"]
