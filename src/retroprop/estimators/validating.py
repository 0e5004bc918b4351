"""The validation of parameters on every rank."""

from contextlib import AbstractContextManager
from typing import Any

from retroprop.training.job import Job
from retroprop.training.parallel import Parallel
from retroprop.training.share import ready


def validating(estimator: Any) -> AbstractContextManager[Job | None]:
    """Return the context in which an estimator validates its parameters: an error on one rank is that of all."""
    given = getattr(estimator, "parallel", None)
    return ready(given if isinstance(given, Parallel) else None)
