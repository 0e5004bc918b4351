"""The checkpoint of a search: the results of the fits that are finished, and the records of those in training."""

from collections.abc import Mapping, Sequence
from typing import Any

from joblib import hash as hashed

from retroprop.backends import host_backend
from retroprop.estimators.group_checkpoint import GroupCheckpoint
from retroprop.persistence.checkpoint_file import CheckpointError
from retroprop.training.description import described, difference, fingerprint
from retroprop.training.packing import NOT_OURS, Packing, Unpacking


class SearchCheckpoint:
    """The results of a search by the round and the place of the call, each with the description of the call.

    Parameters
    ----------
    group : GroupCheckpoint
        The folder, and the records.
    """

    def __init__(self, group: GroupCheckpoint) -> None:
        self.group = group
        self._round, self._calls = -1, list[dict[str, Any]]()

    def begin(self, calls: Sequence[Any]) -> dict[int, Any]:
        """Begin the next round; return the results of those of its calls that are finished, by their places.

        Raises
        ------
        CheckpointError
            If one is that of another call.
        """
        self._round += 1
        self._calls = [_described_call(call) for call in calls]
        return {i: self._result(i) for i in range(len(calls)) if self._name(i) in self.group.read}

    def fits(self, place: int, n: int) -> list[str]:
        """Return the names of the n fits of a call of the round."""
        return [f"{self._name(place)}.{k}" for k in range(n)]

    def finish(self, place: int, result: Any, n_fits: int = 0) -> None:
        """Note the result of a call of the round, in the place of the records of its fits."""
        plain = Packing(host_backend()).plain(_as_numbers(result), "result")
        self.group.finish(self._name(place), {"call": self._calls[place], "result": plain}, self.fits(place, n_fits))

    def _name(self, place: int) -> str:
        return f"{self._round}.{place}"

    def _result(self, place: int) -> Any:
        where, name = str(self.group.folder.path), self._name(place)
        try:
            plain = self.group.finished[name]
            differs = difference(plain["call"], self._calls[place])
            result = Unpacking(host_backend(), {}, {}).value(plain["result"])
        except NOT_OURS as error:
            raise CheckpointError(f"the checkpoint in {where!r} does not describe a search.") from error
        if differs:
            raise CheckpointError(f"{where!r} has the checkpoint of another search: of its fit {name}, {differs}.")
        return result


def of_search(search: Any, X: Any, y: Any, params: Mapping[str, Any]) -> dict[str, Any]:
    """Return all that the fits of a search have in common, as plain values."""
    return {
        "search": type(search).__name__,
        "x": hashed(X),
        "y": hashed(y),
        **{name: hashed(value) for name, value in params.items()},
        "return_train_score": bool(search.return_train_score),
    }


def _described_call(call: Any) -> dict[str, Any]:
    """Return the description of one call: the candidate, its rows, and its scores.

    Its own names are of several words, as those of the parameters of the estimator are any of one word.
    """
    _, (estimator, *_), keywords = call
    rows = {f"rows of {name}": fingerprint(host_backend(), keywords[name]) for name in ("train", "test")}
    options = {name: described(value) for name, value in estimator.get_params().items()}
    scorer = keywords["scorer"]
    scorers = getattr(scorer, "_scorers", scorer)  # of several metrics
    return {
        "the candidate": described(keywords["parameters"]),
        **rows,
        "the scoring": _named(scorers),
        "the error_score": described(keywords["error_score"]),
        "the estimator": type(estimator).__qualname__,
        # One by one, so that an error names the one that differs; objects last.
        **dict(sorted(options.items(), key=lambda item: isinstance(item[1], (dict, list)))),
    }


def _named(scorer: Any) -> Any:
    if isinstance(scorer, dict):
        return {name: _named(one) for name, one in scorer.items()}
    # The options of scikit-learn's scorers are in their text; that of a function has its place in memory.
    return described(scorer) if isinstance(described(scorer), str) else repr(scorer)


def _as_numbers(value: Any) -> Any:
    """Return a result of scikit-learn's, of dicts and numbers, with Python's own numbers."""
    if isinstance(value, dict):
        return {name: _as_numbers(part) for name, part in value.items()}
    return value.item() if hasattr(value, "item") else value
