"""A search for the options of a training: a grid, cross-validated in rounds, of which the best third goes on."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from math import inf
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

import retroprop as rp
from retroprop.tabular.evaluation import EvaluatedPart
from retroprop.tabular.targets import TargetColumn
from retroprop.tabular.training import arguments_for, network_for, outputs_of, targets_for
from retroprop.tabular.training_options import TrainingOptions
from retroprop.training.many.fit_many import fit_named
from retroprop.training.progress import Line, on_terminal

FOLDS = 3
KEPT = 3  # one of so many candidates goes on to the next round, with so many times the epochs
ROUNDS = 3
_SLOWER = 1.0 / 3.0  # of the default learning rate
CRITERIA = {"classification": "log_loss", "regression": "root_mean_squared_error"}
"""The figure by which candidates are compared, the lower the better."""


@dataclass
class SearchCandidate:
    """One setting of the options, with its figures of the last round it was in.

    Attributes
    ----------
    options : TrainingOptions
        The setting.
    values : dict
        The options that differ between candidates.
    rounds : int
        The rounds it was in.
    epochs : int
        The epochs of the last of them.
    scores : list of dict
        The figures of each fold in it.
    """

    options: TrainingOptions
    values: dict[str, Any]
    rounds: int = 0
    epochs: int = 0
    scores: list[dict[str, float | None]] = field(default_factory=list)

    @property
    def words(self) -> str:
        """The options that differ between candidates, but for defaults of None, as the command line takes them."""
        given = {name: value for name, value in self.values.items() if value is not None}
        texts = {name: ",".join(map(str, value)) for name, value in given.items() if isinstance(value, tuple)}
        return ", ".join(f"{name}={texts.get(name, value)}" for name, value in given.items())

    def figures(self, name: str) -> tuple[float, float]:
        """Return the mean of a figure over the folds and its standard error; inf for one that diverged in a fold."""
        values = [one.get(name) for one in self.scores]
        known = [value for value in values if value is not None]
        if len(known) < FOLDS:
            return inf, 0.0
        return float(np.mean(known)), float(np.std(known, ddof=1) / len(known) ** 0.5)


@dataclass
class Search:
    """The candidates of a search, the best first.

    Attributes
    ----------
    criterion : str
        The figure by which they are compared.
    candidates : list of SearchCandidate
        Those of later rounds come first.
    fits : int
        The number of trainings.
    seconds : float
        Their duration.
    interrupted : bool
        Whether Ctrl-C ended the search: the best of what was finished is taken.
    """

    criterion: str
    candidates: list[SearchCandidate]
    fits: int = 0
    seconds: float = 0.0
    interrupted: bool = False

    @property
    def best(self) -> TrainingOptions:
        """The options of the best candidate."""
        return self.candidates[0].options

    def rank(self) -> None:
        """Put the candidates in order."""
        self.candidates.sort(key=lambda one: (-one.rounds, one.figures(self.criterion)[0]))

    def to_plain(self) -> dict[str, Any]:
        """Return the search as JSON can hold it."""
        rows = []
        for one in self.candidates:
            mean, error = one.figures(self.criterion)
            figures = {"mean": mean, "standard_error": error} if mean < inf else {"mean": None, "standard_error": None}
            rows.append({**one.values, "rounds": one.rounds, "epochs": one.epochs, **figures})
        return {
            "criterion": self.criterion,
            "folds": FOLDS,
            "fits": self.fits,
            "seconds": self.seconds,
            "interrupted": self.interrupted,
            "candidates": rows,
        }


def searched(options: TrainingOptions, target: TargetColumn, x: NDArray[np.float64], y: NDArray[Any]) -> Search:
    """Cross-validate candidates on training rows, in rounds: few epochs for all, all epochs for the best.

    Parameters
    ----------
    options : TrainingOptions
        The options that have other than their default values stay as they are.
    target : TargetColumn
        The task, and the classes.
    x : float64 array (m, n_1)
        The inputs of the training rows.
    y : array (m,)
        Their encoded targets.

    Raises
    ------
    KeyboardInterrupt
        If Ctrl-C comes before a candidate is finished.
    """
    began = perf_counter()
    search = Search(CRITERIA[target.task], candidates_of(options))
    folds = list(_folds(target, y, options.seed))
    alive = search.candidates
    shown = on_terminal(transient=True) if options.progress else None
    total = sum(KEPT**r * max(len(alive) // KEPT**r, 1) for r in range(ROUNDS))
    done = 0
    try:
        for r in range(ROUNDS):
            divisor = KEPT ** (ROUNDS - 1 - r)
            for group in _of_one_form(alive):
                found = _scores(group, target, x, y, folds, divisor)
                search.fits += len(group) * FOLDS
                for one, (epochs, scores) in zip(group, found, strict=True):
                    if scores is None:
                        search.interrupted = True
                    else:
                        one.rounds, one.epochs, one.scores = r + 1, epochs, scores
                if search.interrupted:
                    break
                done += KEPT**r * len(group)
                _show(shown, search, done / total, r)
            search.rank()
            if search.interrupted or search.candidates[0].figures(search.criterion)[0] == inf:
                break  # where all diverge, more epochs do not help: the training itself reports it
            alive = search.candidates[: max(len(alive) // KEPT, 1)]
    finally:
        if shown is not None:
            shown.stop()
    search.seconds = perf_counter() - began
    if not search.candidates[0].rounds:
        raise KeyboardInterrupt
    return search


def candidates_of(options: TrainingOptions) -> list[SearchCandidate]:
    """Return the candidates: every combination of the values of the options that have their defaults."""
    rule: Any = rp.optimizers.get(options.optimizer)
    grid: dict[str, tuple[Any, ...]] = {"hidden": ((100,), (32,), (100, 50)), "l2": (1e-3, 1e-2), "dropout": (0.0, 0.2)}
    if isinstance(options.activation, (list, tuple)):  # one for each hidden layer
        del grid["hidden"]
    defaults = TrainingOptions()
    free = {name: values for name, values in grid.items() if getattr(options, name) == getattr(defaults, name)}
    if options.learning_rate is None and not rule.full_batch:
        free["learning_rate"] = (None, rule.learning_rate * _SLOWER)
    if rule.full_batch:
        free.pop("dropout", None)
    found = [dict(zip(free, values, strict=True)) for values in product(*free.values())]
    return [SearchCandidate(replace(options, progress=False, **values), values) for values in found]


def _folds(target: TargetColumn, y: NDArray[Any], seed: int) -> Iterator[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    """Yield training and test rows of each fold; of classes each fold has its fraction."""
    rng = np.random.default_rng((seed, 3))
    order = rng.permutation(len(y))
    if target.classes:
        order = order[np.argsort(y[order], kind="stable")]
    for k in range(FOLDS):
        test = np.zeros(len(y), dtype=bool)
        test[order[k::FOLDS]] = True
        yield np.flatnonzero(~test), np.flatnonzero(test)


def _of_one_form(candidates: Sequence[SearchCandidate]) -> Iterator[list[SearchCandidate]]:
    """Yield the candidates of each network form, which train as one."""
    forms = dict.fromkeys((tuple(one.options.hidden), one.options.dropout > 0.0) for one in candidates)
    for hidden, drops in forms:
        yield [one for one in candidates if (tuple(one.options.hidden), one.options.dropout > 0.0) == (hidden, drops)]


def _scores(
    group: Sequence[SearchCandidate],
    target: TargetColumn,
    x: NDArray[np.float64],
    y: NDArray[Any],
    folds: Sequence[tuple[NDArray[np.intp], NDArray[np.intp]]],
    divisor: int,
) -> Iterator[tuple[int, list[dict[str, float | None]] | None]]:
    """Train the candidates of a group on all folds; yield the epochs and the figures of each, None for unfinished."""
    nets, columns, names = [], [], []
    for one in group:
        for k, (train, _) in enumerate(folds, start=1):
            net = network_for(one.options, x.shape[1], target)
            arguments, _ = arguments_for(one.options, net, target, y[train])
            epochs = -(-arguments["epochs"] // divisor)
            # The learning rate falls to 0 within the epochs of the round.
            shorter = replace(one.options, epochs=epochs)
            arguments = arguments_for(shorter, net, target, y[train])[0]
            weight = arguments.pop("sample_weight")
            nets.append(net)
            names.append(f"candidate {one.words}, fold {k} of {FOLDS}")
            columns.append(
                arguments | {"rows": train, "seed": one.options.seed, "sample_weight": _all(weight, y, train)}
            )
    given: dict[str, Any] = {name: [column[name] for column in columns] for name in columns[0]}
    if all(weight is None for weight in given["sample_weight"]):
        del given["sample_weight"]
    given |= {"x": x, "y": targets_for(nets[0], target, y)}
    histories = fit_named(nets, given, parallel=group[0].options.parallel, names=names)
    for i in range(len(group)):
        own = slice(i * FOLDS, (i + 1) * FOLDS)
        ended = histories[own]
        if any(history.stop_reason in ("interrupted", "terminated") for history in ended):
            yield columns[own][0]["epochs"], None
            continue
        scores: list[dict[str, float | None]] = []
        for net, history, (_, test) in zip(nets[own], ended, folds, strict=True):
            part = EvaluatedPart(target=target, outputs=outputs_of(net, x[test]), encoded=y[test])
            scores.append({} if history.stop_reason == "diverged" else part.scores() or {})
        yield columns[own][0]["epochs"], scores


def _all(weight: NDArray[np.float64] | None, y: NDArray[Any], train: NDArray[np.intp]) -> NDArray[np.float64] | None:
    """Return the weights of some rows as weights of all rows."""
    if weight is None:
        return None
    found = np.zeros(len(y))
    found[train] = weight
    return found


def _show(shown: Line | None, search: Search, share: float, r: int) -> None:
    if shown is not None:
        best = min(one.figures(search.criterion)[0] for one in search.candidates)
        words = f"best {search.criterion.replace('_', ' ')} {best:.4g}"
        shown.show(share, f"search: round {r + 1} of {ROUNDS}, {search.fits} fits", words)
