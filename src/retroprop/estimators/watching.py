"""What follows a fit: scikit-learn's callbacks (1.9 and newer), a progress bar, and warnings."""

import sys
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from retroprop.core.parameters import Parameters
from retroprop.training.history import History
from retroprop.training.progress import Silence, display

try:
    from sklearn import callback
except ImportError:  # before scikit-learn 1.9
    callback = None


class _NoCallbacks:
    """Callbacks came with scikit-learn 1.9."""


def _as_it_is(method: Callable[..., Any]) -> Callable[..., Any]:
    """Return a fit method as it is: there are no callbacks to put away after it."""
    return method


Callbacks: Any = getattr(callback, "CallbackSupportMixin", _NoCallbacks)
watched: Any = getattr(callback, "with_callbacks", _as_it_is)


def warn(message: str, category: type[Warning] = UserWarning) -> None:
    """Warn, and show the line that called the fit: wrappers are ours and scikit-learn's, as many as its version has."""
    frame, level = sys._getframe(1), 2
    while frame.f_back is not None and frame.f_globals.get("__name__", "").startswith(("retroprop.", "sklearn.")):
        frame, level = frame.f_back, level + 1
    warnings.warn(message, category, stacklevel=level)


@dataclass
class Seen:
    """What a progress bar is shown."""

    epochs: int
    epoch: int = 0
    history: History = field(default_factory=History)


class Watching:
    """Tells whatever follows an estimator's fit of its epochs.

    Parameters
    ----------
    estimator : BaseMLP
        What is fitted.
    epochs : int
        How many are planned.
    rows : int
        Samples an epoch.
    given : tuple
        X, y and the weights, as `fit` was given them.
    incremental : bool
        Whether it is a `partial_fit`: one epoch, nothing shown.
    """

    def __init__(
        self, estimator: Any, epochs: int, rows: int, given: tuple[Any, Any, Any], *, incremental: bool
    ) -> None:
        self.estimator, self.rows, self.given, self.incremental = estimator, rows, given, incremental
        self.context: Any = None
        self.task: Any = None
        if getattr(estimator, "_skl_callbacks", None) and not incremental:
            self.context = estimator._init_callback_context(max_subtasks=epochs)
            self.context.call_on_fit_task_begin(estimator=estimator, **self._data())
        self.bar = display(bool(estimator.progress) and not incremental)
        self.course = Seen(epochs)
        self.bar.start(epochs, rows)

    @property
    def follows(self) -> bool:
        """Whether anything follows the fit."""
        return self.context is not None or type(self.bar) is not Silence

    def _data(self) -> dict[str, Any]:
        X, y, weight = self.given
        return {"X": X, "y": y, "metadata": None if weight is None else {"sample_weight": weight}}

    def epoch_begins(self) -> None:
        """Tell that an epoch begins."""
        if self.context is not None:
            name = f"epoch {self.estimator.n_iter_}"
            self.task = self.context.subcontext(task_name=name, max_subtasks=0)
            self.task.call_on_fit_task_begin(estimator=self.estimator, **self._data())

    def epoch_ends(self, parameters: Parameters) -> bool:
        """Tell that an epoch has ended with these parameters; return whether a callback asks to stop."""
        e = self.estimator
        self.course.epoch = e.n_iter_
        self.course.history.cost.append(e.loss_)
        self.bar.advance(self.rows)
        self.bar.epoch(self.course)
        if self.task is None:
            return False
        attributes = e._fitted_with(parameters)
        return bool(
            self.task.call_on_fit_task_end(estimator=e, reconstruction_attributes=lambda: attributes, **self._data())
        )

    def end(self) -> None:
        """End what is shown, and tell that the fit has ended."""
        self.bar.stop()
        if self.context is not None:
            attributes = {name: value for name, value in vars(self.estimator).items() if name.endswith("_")}
            self.context.call_on_fit_task_end(
                estimator=self.estimator, reconstruction_attributes=lambda: attributes, **self._data()
            )
