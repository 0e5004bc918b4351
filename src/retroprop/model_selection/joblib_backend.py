"""A backend of joblib that takes all fits of a search before it does one, and trains together those that it can."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from joblib import effective_n_jobs, parallel_config
from joblib.parallel import FallbackToBackend, ParallelBackendBase, get_active_backend
from sklearn.utils.parallel import Parallel

from retroprop.model_selection.evaluation import Alone, UnfinishedError, evaluated
from retroprop.model_selection.search_checkpoint import SearchCheckpoint
from retroprop.model_selection.search_report import SearchReport

AT_ONCE = 100_000  # joblib hands over as many calls as there are workers, and takes no larger number of them


class TogetherBackend(ParallelBackendBase):  # type: ignore[misc]
    """The backend of one search; whatever else runs in parallel during it has the backend from before.

    Parameters
    ----------
    report : SearchReport
        Is written.
    budget : int
        The most bytes of a group.
    checkpoint : SearchCheckpoint or None
        Takes the results.
    """

    supports_retrieve_callback = True
    supports_sharedmem = True

    def __init__(self, report: SearchReport, budget: int, checkpoint: SearchCheckpoint | None) -> None:
        super().__init__(nesting_level=0)
        self.report, self.budget, self.checkpoint = report, budget, checkpoint
        self.before: tuple[Any, Any] = get_active_backend()
        self._waiting: list[tuple[Any, Callable[[Any], None]]] = []
        self._searches = self._taken = False
        self._rounds = 0

    @contextmanager
    def searching(self) -> Iterator[None]:
        """Take the calls of the search, not those of the refit; end the search where Ctrl-C has ended a round."""
        self._searches = True
        try:
            yield
        except UnfinishedError:
            if not self._rounds:
                raise KeyboardInterrupt from None
        finally:
            self._searches = False

    def configure(self, n_jobs: Any = 1, parallel: Any = None, **options: Any) -> int:
        """Return the number of workers to the `Parallel` of the search; any other gets the backend from before."""
        if self._taken:
            raise FallbackToBackend(self.before[0])
        self._taken, self.parallel = True, parallel
        return AT_ONCE

    def effective_n_jobs(self, n_jobs: Any) -> int:
        """Return the number of calls that are handed over at once."""
        return AT_ONCE if self._searches else int(self.before[0].effective_n_jobs(n_jobs))

    def submit(self, func: Any, callback: Callable[[Any], None]) -> None:
        """Take calls, which are not done yet."""
        self._waiting.append((func, callback))

    apply_async = submit  # its name before joblib 1.5

    @contextmanager
    def retrieval_context(self) -> Iterator[None]:
        """Do all that was taken, before joblib waits for the first result."""
        backend, n_jobs = self.before
        with parallel_config(backend=backend, n_jobs=n_jobs):
            while self._waiting:  # a callback may hand over further calls
                taken, self._waiting = self._waiting, []
                self._do(taken)
        yield

    def retrieve_result_callback(self, out: Any) -> Any:
        """Return the results of some calls."""
        return out

    def _do(self, taken: list[tuple[Any, Callable[[Any], None]]]) -> None:
        calls = [call for batched, _ in taken for call in batched.items]
        alone = Alone(self._alone, effective_n_jobs(self.parallel.n_jobs))
        ready = iter(evaluated(calls, alone, self.report, self.budget, self.checkpoint))
        self._rounds += 1
        for batched, callback in taken:
            callback([next(ready) for _ in batched.items])

    def _alone(self, calls: list[Any]) -> list[Any]:
        """Do calls as scikit-learn's own search does them."""
        # Of `Parallel`, not of the backend before: `n_jobs` is the user's.
        return list(Parallel(n_jobs=self.parallel.n_jobs, pre_dispatch=self.parallel.pre_dispatch)(calls))
