"""Metrics of an epoch, as 0-d arrays on the device of the outputs."""

from abc import ABC, abstractmethod
from typing import Any, ClassVar

from retroprop.functions.losses import BinaryCrossEntropy, Loss
from retroprop.functions.names import from_name
from retroprop.functions.types import Array, Namespace


class Metric(ABC):
    """A figure of merit of outputs a against targets y.

    Attributes
    ----------
    name : str
        Its key in `History.metrics`.
    greater_is_better : bool
        Whether a larger value is better.
    takes_indices : bool
        Whether the targets may be class indices.
    """

    name: ClassVar[str]
    greater_is_better: ClassVar[bool]
    takes_indices: ClassVar[bool] = False

    @abstractmethod
    def __call__(self, a: Array, y: Array, weight: Array | None, xp: Namespace) -> Array:
        """Return the metric as a 0-d array.

        Parameters
        ----------
        a : array (m, n_L)
            The outputs of the network.
        y : array (m, n_L) or integer array (m,)
            The targets: rows, or class indices.
        weight : array (m,) or None
            The weights of the observations.
        xp : namespace
            The library of the arrays.
        """


def mean(values: Array, weight: Array | None, xp: Namespace) -> Array:
    """Return Σ w_i v_i / Σ w_i over the first axis (0, not 0/0, where the weights sum to 0)."""
    if weight is None:
        return xp.mean(values, axis=0)
    total = xp.sum(weight)
    total = total + xp.astype(total == 0.0, total.dtype)
    shape = (-1,) + (1,) * (values.ndim - 1)
    return xp.sum(values * xp.reshape(weight, shape), axis=0) / total


class Accuracy(Metric):
    """The fraction of the observations whose class is right.

    The class is the largest output; with a single output, or several independent labels, every output must be on the
    right side of a boundary.

    Parameters
    ----------
    threshold : bool
        Whether several outputs are independent labels, not the classes of one.
    boundary : float or None
        The value between the two classes of an output: ½ for targets 0 and 1, 0 for −1 and 1. None decides by the
        targets: 0 where one of them is below 0. `fit` decides by those of the training data, as other data may hold
        one class only.
    """

    name: ClassVar[str] = "accuracy"
    greater_is_better: ClassVar[bool] = True
    takes_indices: ClassVar[bool] = True

    def __init__(self, *, threshold: bool = False, boundary: float | None = None) -> None:
        self.threshold, self.boundary = threshold, boundary

    def _right(self, a: Array, y: Array, xp: Namespace) -> Array:
        if y.ndim == a.ndim - 1:
            return xp.astype(xp.argmax(a, axis=-1), y.dtype) == y
        if self.threshold or a.shape[-1] == 1:
            boundary = 0.5 * xp.astype(xp.all(y >= 0.0), a.dtype) if self.boundary is None else self.boundary
            return xp.all((a >= boundary) == (y >= boundary), axis=-1)
        return xp.argmax(a, axis=-1) == xp.argmax(y, axis=-1)

    def __call__(self, a: Array, y: Array, weight: Array | None, xp: Namespace) -> Array:
        return mean(xp.astype(self._right(a, y, xp), a.dtype), weight, xp)


class Error(Accuracy):
    """The fraction of the observations whose class is wrong: 1 − accuracy."""

    name: ClassVar[str] = "error"
    greater_is_better: ClassVar[bool] = False

    def __call__(self, a: Array, y: Array, weight: Array | None, xp: Namespace) -> Array:
        return mean(xp.astype(xp.logical_not(self._right(a, y, xp)), a.dtype), weight, xp)


class R2(Metric):
    """The coefficient of determination 1 − Σ (y − a)² / Σ (y − ȳ)², the mean over the outputs.

    As in scikit-learn, an output with a constant target scores 1 if every prediction is exact, else 0.
    """

    name: ClassVar[str] = "r2"
    greater_is_better: ClassVar[bool] = True

    def __call__(self, a: Array, y: Array, weight: Array | None, xp: Namespace) -> Array:
        residual = mean(xp.square(y - a), weight, xp)
        centre = mean(y, weight, xp)
        total = mean(xp.square(y - centre), weight, xp)
        # The mean of equal targets differs from them by a rounding error.
        rounding = xp.square(2.0 * float(xp.finfo(a.dtype).eps) * centre)
        constant = xp.astype(total <= rounding, a.dtype)
        missed = xp.astype(residual > 0.0, a.dtype)
        return xp.mean((1.0 - constant) * (1.0 - residual / (total + constant)) + constant * (1.0 - missed))


class MeanAbsoluteError(Metric):
    """The mean of |y − a| over observations and outputs, in units of y."""

    name: ClassVar[str] = "mean_absolute_error"
    greater_is_better: ClassVar[bool] = False

    def __call__(self, a: Array, y: Array, weight: Array | None, xp: Namespace) -> Array:
        return xp.mean(mean(xp.abs(y - a), weight, xp))


class RootMeanSquaredError(Metric):
    """√ of the mean of (y − a)² over observations and outputs, in units of y."""

    name: ClassVar[str] = "root_mean_squared_error"
    greater_is_better: ClassVar[bool] = False

    def __call__(self, a: Array, y: Array, weight: Array | None, xp: Namespace) -> Array:
        return xp.sqrt(xp.mean(mean(xp.square(y - a), weight, xp)))


METRICS: dict[str, type[Metric]] = {
    metric.name: metric for metric in (Accuracy, Error, R2, MeanAbsoluteError, RootMeanSquaredError)
}


def get(metric: Any, loss: Loss) -> Metric:
    """Return the metric of that name, suited to the targets of `loss`, or the object itself.

    Raises
    ------
    ValueError
        If no metric has that name; the message suggests one.
    TypeError
        If the object is not a metric.
    """
    if isinstance(metric, str):
        found: Metric = from_name("metric", metric, METRICS)
        if isinstance(found, Accuracy):
            labels = isinstance(loss, BinaryCrossEntropy)
            return type(found)(threshold=labels, boundary=0.5 if labels else None)
        return found
    if callable(metric) and hasattr(metric, "name") and hasattr(metric, "greater_is_better"):
        return metric  # type: ignore[no-any-return]
    raise TypeError(
        f"a metric must be a name or a callable (a, y, weight, xp) with a name and greater_is_better, not {metric!r}."
    )
