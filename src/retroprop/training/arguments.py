"""What `fit` is given beside the data of the training, looked at before any work."""

from math import inf
from typing import Any

from retroprop.backends.intake.arrays import holds
from retroprop.backends.intake.batch import Batch
from retroprop.functions import metrics as metric_table
from retroprop.functions.metrics import Metric
from retroprop.functions.names import number
from retroprop.functions.types import Array
from retroprop.network import Network


def check_counts(**counts: Any) -> None:
    """Raise unless each is a whole number of 1 or above; `batch_size` may be None.

    Raises
    ------
    TypeError, ValueError
        If one is not.
    """
    for name, value in counts.items():
        optional = name == "batch_size"
        if value is None and optional:
            continue
        if isinstance(value, bool) or not hasattr(value, "__index__"):
            raise TypeError(f"{name} must be a whole number{' or None' if optional else ''}, not {value!r}.")
        if value < 1:
            raise ValueError(f"{name} must be 1 or above, not {value!r}.")


def clip(name: str, value: Any) -> float | None:
    """Return the limit of a gradient, None for none.

    Raises
    ------
    TypeError, ValueError
        Unless it is a number above 0.
    """
    if value is None:
        return None
    held_to = number(name, value)
    if not 0.0 < held_to < inf:
        raise ValueError(f"{name} must be above 0 and finite, or None, not {value!r}.")
    return held_to


def validation(net: Network, validation_data: Any) -> Batch | None:
    """Return the validation data as the network takes them, None for none.

    Raises
    ------
    TypeError, ValueError
        If they are no data of this network.
    """
    if validation_data is None:
        return None
    if not isinstance(validation_data, (tuple, list)) or len(validation_data) not in (2, 3):
        raise TypeError("validation_data must be (x, y) or (x, y, sample_weight).")
    try:
        return net.batch(*validation_data, check=True)
    except (TypeError, ValueError) as error:
        raise type(error)(f"validation_data: {error}") from error


def metrics(net: Network, given: Any, *, y: Array) -> list[Metric]:
    """Return the metrics asked for, each fit for the targets `y`.

    Raises
    ------
    TypeError, ValueError
        If one is unknown, has no meaning for `y`, or shares its name with another.
    """
    wanted = [given] if isinstance(given, str) else list(given)
    found = [metric_table.get(metric, net.architecture.output.loss) for metric in wanted]
    for metric in found:
        # A metric from outside looks after itself.
        if y.ndim == 1 and not getattr(metric, "takes_indices", True):
            raise ValueError(f"the metric {metric.name!r} compares numbers, and y holds class indices: try 'accuracy'.")
        counts = isinstance(metric, metric_table.Accuracy) and not metric.threshold
        if counts and y.ndim == 2 and y.shape[1] == 1 and not _are_two_classes(net, y):
            raise ValueError(f"the metric {metric.name!r} counts classes, and y holds other numbers: try 'r2'.")
    names = [metric.name for metric in found]
    if len(set(names)) < len(names) or {"cost", "validation_cost"} & set(names):
        raise ValueError(f"metrics must have names of their own, none of them 'cost': {', '.join(names)}.")
    return found


def _are_two_classes(net: Network, y: Array) -> bool:
    """Return whether one column of targets holds 0 and 1, or −1 and 1."""
    xp = net.backend.xp
    with net.backend.active():
        return holds(net.backend, (xp.abs(y) <= 1.0) & (y == xp.floor(y)))
