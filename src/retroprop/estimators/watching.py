"""Observers of a fit: scikit-learn's callbacks (1.9 and newer), a progress bar, and warnings."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy

from retroprop.core.parameters import Parameters
from retroprop.training.history import History
from retroprop.training.progress import Silence, display
from retroprop.training.user_warning import warn

try:
    from sklearn import callback
except ImportError:  # before scikit-learn 1.9
    callback = None

__all__ = ["INTERRUPTED", "Callbacks", "Watching", "warn", "warn_of_another_range", "watched"]

INTERRUPTED = "Training interrupted by user."


class _NoCallbacks:
    """Callbacks came with scikit-learn 1.9."""


def _as_it_is(method: Callable[..., Any]) -> Callable[..., Any]:
    """Return a fit method unchanged: there are no callbacks to clean up after it."""
    return method


Callbacks: Any = getattr(callback, "CallbackSupportMixin", _NoCallbacks)
watched: Any = getattr(callback, "with_callbacks", _as_it_is)


def warn_of_another_range(x: Any, x_val: Any) -> None:
    """Warn where a tenth of a feature's validation values lie a width of its range beyond those of the training."""
    if not all(isinstance(part, numpy.ndarray) for part in (x, x_val)):
        return  # a look at the values would wait for the device, or make sparse rows dense
    low, high = x.min(axis=0), x.max(axis=0)
    width = high - low
    far = ((x_val < low - width) | (x_val > high + width)).mean(axis=0)
    if far.max() > 0.1:
        warn(
            f"feature {int(far.argmax())} of X_val lies far outside the range of X. Was X scaled, and X_val not? In a "
            'Pipeline, Pipeline(..., transform_input=["X_val"]) passes X_val through the steps before.'
        )


@dataclass
class FitProgress:
    """The state of a fit as a progress bar displays it."""

    epochs: int
    epoch: int = 0
    history: History = field(default_factory=History)


class Watching:
    """Reports the epochs of an estimator's fit to its observers.

    Parameters
    ----------
    estimator : BaseMLP
        The estimator that is fitted.
    epochs : int
        The number of planned epochs.
    rows : int
        Samples per epoch.
    given : tuple
        X, y and the weights, as passed to `fit`.
    incremental : bool
        Whether it is a `partial_fit`: one epoch, nothing displayed.
    shows : bool
        Whether this process may display.

    Attributes
    ----------
    follows : bool
        Whether the fit has observers.
    """

    def __init__(
        self,
        estimator: Any,
        epochs: int,
        rows: int,
        given: tuple[Any, Any, Any],
        *,
        incremental: bool,
        shows: bool = True,
    ) -> None:
        self.estimator, self.rows, self.given, self.incremental = estimator, rows, given, incremental
        self.context: Any = None
        self.task: Any = None
        if getattr(estimator, "_skl_callbacks", None) and not incremental:
            self.context = estimator._init_callback_context(max_subtasks=epochs)
            self.context.call_on_fit_task_begin(estimator=estimator, **self._data())
        self.bar = display(bool(estimator.progress) and shows and not incremental)
        self.follows = self.context is not None or type(self.bar) is not Silence
        self.progress = FitProgress(epochs)
        self.bar.start(epochs, rows)

    def _data(self) -> dict[str, Any]:
        X, y, weight = self.given
        return {"X": X, "y": y, "metadata": None if weight is None else {"sample_weight": weight}}

    def epoch_begins(self) -> None:
        """Report that an epoch begins."""
        if self.context is not None:
            name = f"epoch {self.estimator.n_iter_}"
            self.task = self.context.subcontext(task_name=name, max_subtasks=0)
            self.task.call_on_fit_task_begin(estimator=self.estimator, **self._data())

    def epoch_ends(self, parameters: Callable[[], Parameters]) -> bool:
        """Report the end of an epoch, which has these parameters; return whether a callback requests to stop."""
        if not self.follows:
            return False
        e = self.estimator
        self.progress.epoch = e.n_iter_
        self.progress.history.cost.append(e.loss_)
        self.bar.advance(self.rows)
        self.bar.epoch(self.progress)
        if self.task is None:
            return False
        attributes = e._fitted_with(parameters())
        return bool(
            self.task.call_on_fit_task_end(estimator=e, reconstruction_attributes=lambda: attributes, **self._data())
        )

    def end(self) -> None:
        """End the display, and report the end of the fit."""
        self.bar.stop()
        if self.context is not None:
            attributes = {name: value for name, value in vars(self.estimator).items() if name.endswith("_")}
            self.context.call_on_fit_task_end(
                estimator=self.estimator, reconstruction_attributes=lambda: attributes, **self._data()
            )
