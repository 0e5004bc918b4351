"""The arguments of `fit` other than the training data, checked before any work."""

from collections.abc import Callable, Mapping, Sequence, Set
from math import inf
from typing import Any, NoReturn

from retroprop.backends import host
from retroprop.backends.intake.arrays import holds
from retroprop.backends.intake.batch import Batch
from retroprop.functions import metrics as metric_table
from retroprop.functions.losses import BinaryCrossEntropy, CrossEntropy, GroupedCrossEntropy
from retroprop.functions.metrics import Accuracy, Error, Metric
from retroprop.functions.names import number
from retroprop.functions.types import Array
from retroprop.network import Network
from retroprop.training.callbacks import EarlyStopping
from retroprop.training.target_rows import parts_of


def shortened(value: Any) -> str:
    """Return a value as an error message can show it."""
    shown = repr(value)
    return shown if len(shown) <= 40 else f"{shown[:36]} ..."


def are_batches(x: Any) -> bool:
    """Return whether `x` is a list of batches (X, y), or an iterable that is no array, such as PyTorch's DataLoader."""
    if isinstance(x, (list, tuple)):
        first = x[0] if x else None
        return (
            isinstance(first, (list, tuple))
            and len(first) in (2, 3)
            and getattr(first[0], "ndim", 1) > 0
            and (hasattr(first[0], "__len__") and not isinstance(first[0], (str, bytes)))
        )
    arrays = hasattr(x, "shape") or isinstance(x, (str, bytes, Sequence, Mapping, Set))
    return hasattr(x, "__iter__") and not arrays


def refuse_batches(x: Any, y: Any) -> None:
    """Raise TypeError for batches in the place of data, but for an iterator of them without y."""
    if are_batches(x) and not (y is None and hasattr(x, "__next__")):
        raise TypeError(
            f"x is a {type(x).__name__} of batches: pass a function that returns the batches of an epoch, as in "
            "rp.fit(net, lambda: iter(batches)); or all rows as one array, as a numpy.memmap if they are larger than "
            "memory, and batch_size=."
        )


def early_stopping(given: Any) -> EarlyStopping | None:
    """Return the rule of early stopping, None for none.

    Raises
    ------
    TypeError
        If it is anything else.
    """
    if given is None or isinstance(given, EarlyStopping):
        return given
    raise TypeError(
        f"early_stopping must be an EarlyStopping or None, not {given!r}: leave it out for none, pass "
        "early_stopping=rp.EarlyStopping() with validation_data=(x, y), or rp.EarlyStopping(monitor='cost') without."
    )


def is_stack(net: Any) -> bool:
    """Return whether an argument is a network with one model axis."""
    return isinstance(net, Network) and net.parameters.thetas[0].ndim == 3


def check_single(net: Network) -> None:
    """Raise TypeError for anything but a network, ValueError for a network with model axes."""
    if not isinstance(net, Network):
        raise TypeError(f"fit takes the network first, rp.fit(net, x, y), not an object of {type(net).__name__}.")
    shape = tuple(net.parameters.thetas[0].shape)
    if len(shape) != 2:
        raise ValueError(
            f"fit trains one network, and this one holds several: its first theta has the shape {shape}, where "
            f"{shape[-2:]} is a single model and {shape[:-2]} are the model axes. Pass net.unstack()."
        )


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
    """Return a limit of the gradients, None for none.

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
    """Return the validation data, checked and on the network's backend, None for none.

    Raises
    ------
    TypeError, ValueError
        If they do not fit the network.
    """
    if validation_data is None:
        return None
    if not isinstance(validation_data, (tuple, list)) or len(validation_data) not in (2, 3):
        raise TypeError(
            f"validation_data must be (x, y) or (x, y, sample_weight), not {type(validation_data).__name__}"
            + (f" of {len(validation_data)}." if isinstance(validation_data, (tuple, list)) else ".")
        )
    try:
        return net.batch(*validation_data, check=True)
    except (TypeError, ValueError) as error:
        raise type(error)(f"validation_data: {error}") from error


def metrics(net: Network, given: Any, *, y: Array, validation: Batch | None = None) -> list[Metric]:
    """Return the metrics, each of them defined for the targets `y`, and for those of the validation data.

    Raises
    ------
    TypeError, ValueError
        If one is unknown, is not defined for the targets, or has a name that is taken.
    """
    wanted = [given] if isinstance(given, str) else list(given)
    found = [metric_table.get(metric, net.architecture.output.loss) for metric in wanted]
    for i, metric in enumerate(found):
        # A user's metric checks its targets itself.
        if y.ndim == 1 and not getattr(metric, "takes_indices", True):
            raise ValueError(f"the metric {metric.name!r} compares numbers, and y holds class indices: try 'accuracy'.")
        if isinstance(metric, Accuracy) and y.ndim == 2:
            found[i] = _counting(net, metric, y, validation)
    names = [metric.name for metric in found]
    for name in names:
        if name in ("cost", "validation_cost"):
            raise ValueError(
                f"a metric is named {name!r}, and history.{name} is the training's own: give the metric another name."
            )
        if names.count(name) > 1:
            raise ValueError(
                f"metrics has {names.count(name)} metrics named {name!r}, and history.metrics has one list for each "
                "name: pass each once, or give them different names."
            )
    return found


def _counting(net: Network, metric: Accuracy, y: Array, validation: Batch | None) -> Accuracy:
    """Return an accuracy or error for targets in rows, which must be classes; of a cross-entropy, also probabilities.

    Raises
    ------
    ValueError
        For other numbers, in one column or in several, and for several softmaxes side by side.
    """
    output, backend = net.architecture.output, net.backend
    if metric.boundary is not None or type(metric) not in (Accuracy, Error):  # the user's own
        return metric
    if isinstance(output.loss, GroupedCrossEntropy):
        raise ValueError(
            f"the metric {metric.name!r} counts one class a row, and the loss {output.loss.name!r} has several: pass a "
            "callable (a, y, weight, xp) that compares each group of outputs."
        )
    if isinstance(output.loss, BinaryCrossEntropy | CrossEntropy):
        return metric
    xp, n_out = backend.xp, y.shape[1]

    def all_are(rows: Array, condition: Callable[[Array], Array]) -> bool:
        return all(holds(backend, condition(part)) for _, part in parts_of(backend, rows))

    with backend.active():
        # Targets that are all 1 do not say what the other class is: then the outputs of tanh do.
        signs = not all_are(y, lambda part: part >= 0.0) or (
            output.activation.range == (-1.0, 1.0) and all_are(y, lambda part: part == 1.0)
        )
        low = -1.0 if signs else 0.0
        for name, rows in (("y", y), ("y of validation_data", None if validation is None else validation.y)):
            for first, part in () if rows is None else parts_of(backend, rows):
                if not holds(backend, (part == low) | (part == 1.0)):
                    _refuse_numbers(metric.name, name, backend.to_numpy(part), first)
        one_hot = n_out > 1 and all_are(y, lambda part: xp.sum(part, axis=1) == 1.0 + low * (n_out - 1))
    return type(metric)(threshold=not one_hot, boundary=0.5 * (low + 1.0))


def _refuse_numbers(metric: str, name: str, y: Array, first: int) -> NoReturn:
    """Raise ValueError for targets on the host that are not classes; the message shows the first that is none.

    `first` is the place of the first row of `y` among all.
    """
    xp = host.xp
    others = [place for low in (0.0, -1.0) for place in xp.argwhere((y != low) & (y != 1.0))[:1].tolist()]
    place = max(others)  # up to there they could be 0 and 1, or −1 and 1
    row = [place[0] + first]
    at = row + place[1:] if y.shape[1] > 1 else row
    raise ValueError(
        f"the metric {metric!r} counts classes, and y holds other numbers: {name}{at} is {y[tuple(place)]:g}, and "
        f"classes are 0 and 1, or -1 and 1, in every column. Take 'r2' or another metric of numbers."
    )
