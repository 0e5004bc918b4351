"""GridSearchCV, RandomizedSearchCV and the halving searches: scikit-learn's, with another backend of joblib."""

from typing import Any

from joblib import parallel_config
from joblib.parallel import get_active_backend
from sklearn import model_selection
from sklearn.experimental import enable_halving_search_cv

from retroprop.estimators.group_checkpoint import opened_for_group
from retroprop.model_selection.candidate import network_of
from retroprop.model_selection.joblib_backend import TogetherBackend
from retroprop.model_selection.search_checkpoint import SearchCheckpoint, of_search
from retroprop.model_selection.search_report import SearchReport
from retroprop.training.checkpoint_options import Checkpoint, checked

assert enable_halving_search_cv  # its import adds the halving searches to scikit-learn


class _TrainedTogether:
    """A search of scikit-learn whose fits are trained together where they can be.

    Attributes
    ----------
    report_ : SearchReport
        How much of the work was trained together.
    memory_budget : int
        The most bytes that the fits of one group may take; more fits are several groups.
    """

    memory_budget = 2**30
    estimator: Any
    report_: SearchReport

    def fit(self, X: Any, y: Any = None, *, checkpoint: Checkpoint | None = None, **params: Any) -> Any:
        """Run the search; as the method of scikit-learn's own class.

        Ctrl-C ends it with what is finished: fits that are not have NaN for a score, and the best of the others is
        refitted. A second one ends it at once.

        Parameters
        ----------
        X, y, **params
            As for scikit-learn's class.
        checkpoint : Checkpoint, optional
            A folder for the results of finished fits, and for the records of those in training: `every` so many of
            their epochs, or `every_seconds`. With `resume=True` the search goes on from there.

        Raises
        ------
        CheckpointError
            If the folder has the checkpoint of another search, by what differs.
        """
        network = network_of(self.estimator)
        if isinstance(getattr(network, "checkpoint", None), Checkpoint):
            raise ValueError(
                "checkpoint of the estimator must be None: candidates and folds cannot share a folder. Pass it to the "
                "search, as in fit(X, y, checkpoint=rp.Checkpoint('search'))."
            )
        if getattr(network, "parallel", None) is not None:
            raise ValueError(
                "parallel of the estimator must be None: a search trains its fits together in one process. Ranks share "
                "the fits of scikit-learn's own search, with n_jobs=None."
            )
        self.report_ = SearchReport()
        rule = checked(checkpoint)
        with opened_for_group(rule, lambda: of_search(self, X, y, params)) as group:
            kept = None if group is None else SearchCheckpoint(group)
            with parallel_config(backend=TogetherBackend(self.report_, self.memory_budget, kept)):
                return super().fit(X, y, **params)  # type: ignore[misc]

    def _run_search(self, evaluate_candidates: Any, callback_ctx: Any = None) -> None:
        # Not an attribute: a search is copied to the processes that share its fits.
        backend: Any = get_active_backend()[0]
        with backend.searching():
            contexts = {} if callback_ctx is None else {"callback_ctx": callback_ctx}
            super()._run_search(evaluate_candidates, **contexts)  # type: ignore[misc]


class GridSearchCV(_TrainedTogether, model_selection.GridSearchCV):  # type: ignore[misc]
    """scikit-learn's `GridSearchCV`, whose candidates and folds are trained together.

    All its parameters, attributes and results are those of scikit-learn's class. Fits of `MLPClassifier` and
    `MLPRegressor` of `retroprop.estimators`, alone or as the last step of a `Pipeline`, are trained together; the steps
    before are fitted once for each fold and setting of theirs. On NumPy `n_jobs` processes share them, each trains its
    part together; arrays of a device, and a search with a checkpoint, stay in this process. All other estimators are
    fitted as scikit-learn fits them, by `n_jobs` processes. `report_` has the numbers and the reasons.
    """


class RandomizedSearchCV(_TrainedTogether, model_selection.RandomizedSearchCV):  # type: ignore[misc]
    """scikit-learn's `RandomizedSearchCV`, whose candidates and folds are trained together; see `GridSearchCV`."""


class HalvingGridSearchCV(_TrainedTogether, model_selection.HalvingGridSearchCV):  # type: ignore[misc]
    """scikit-learn's `HalvingGridSearchCV`, each of whose rounds is trained together; see `GridSearchCV`."""


class HalvingRandomSearchCV(_TrainedTogether, model_selection.HalvingRandomSearchCV):  # type: ignore[misc]
    """scikit-learn's `HalvingRandomSearchCV`, each of whose rounds is trained together; see `GridSearchCV`."""
