"""The arguments of `fit` other than the training data, checked before any work."""

from collections.abc import Callable, Mapping, Sequence, Set
from functools import wraps
from inspect import signature
from math import inf
from typing import Any, NoReturn, ParamSpec, TypeVar

from retroprop.backends import host
from retroprop.backends.intake.arrays import holds
from retroprop.backends.intake.batch import Batch
from retroprop.backends.intake.mapped_file import Mapped
from retroprop.functions import metrics as metric_table
from retroprop.functions.losses import BinaryCrossEntropy, CrossEntropy, GroupedCrossEntropy
from retroprop.functions.metrics import Accuracy, Error, Metric
from retroprop.functions.names import number, suggestion
from retroprop.functions.types import Array
from retroprop.network import Network
from retroprop.training.callbacks import EarlyStopping

P = ParamSpec("P")
R = TypeVar("R")

_RATE = "the learning rate belongs to the optimizer, as in optimizer=rp.optimizers.Adam(0.001)"
_EPOCHS = "the number of passes over the data is epochs"
_SEED = "the order of the batches and the dropout masks are drawn from seed"
POINTERS = {
    "validation_split": "split the data and pass the second part as validation_data=(x, y)",
    "validation_fraction": "split the data and pass the second part as validation_data=(x, y)",
    "class_weight": "pass sample_weight=, the weight of each row's class, or train an MLPClassifier(class_weight=...)",
    "learning_rate": _RATE,
    "lr": _RATE,
    "learning_rate_init": _RATE,
    "momentum": "it belongs to the optimizer, as in optimizer=rp.optimizers.SGD(0.1, momentum=0.9)",
    "weight_decay": "it belongs to the optimizer, as in optimizer=rp.optimizers.AdamW(0.001, weight_decay=0.01)",
    "l2": "the penalties belong to the network, as in rp.Network(..., l2=1e-4)",
    "alpha": "the penalties belong to the network, as in rp.Network(..., l2=1e-4)",
    "dropout": "it belongs to the network, as in rp.Network(..., dropout=0.5)",
    "loss": "it belongs to the network, as in rp.Network(..., loss='cross_entropy')",
    "verbose": "a bar is shown by progress=True; anything else is a callback, as in callbacks=[...]",
    "n_epochs": _EPOCHS,
    "num_epochs": _EPOCHS,
    "nb_epoch": _EPOCHS,
    "max_iter": _EPOCHS,
    "random_state": _SEED,
    "patience": "pass early_stopping=rp.EarlyStopping(patience=...)",
    "device": "the network lives on its backend; net.to(...) is a copy on another",
    "backend": "the network lives on its backend; net.to(...) is a copy on another",
}
"""Arguments that other libraries have and `fit` does not, and where to find them here."""


def with_pointers(function: Callable[P, R]) -> Callable[P, R]:
    """Return a function that refuses keyword arguments it does not have with a pointer to the right ones.

    Raises
    ------
    TypeError
        For such an argument, before any work.
    """
    accepted = signature(function).parameters

    @wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        for name, value in kwargs.items():
            if name not in accepted:
                advice = POINTERS.get(name, f"it takes {', '.join(accepted)}")
                meant = "" if name in POINTERS else suggestion(name, accepted, {})
                raise TypeError(f"{function.__name__} has no argument {name}={shortened(value)}: {advice}.{meant}")
        refuse_batches(*(kwargs.get(name, args[at] if len(args) > at else None) for at, name in ((1, "x"), (2, "y"))))
        return function(*args, **kwargs)

    return call


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
    if isinstance(y, Mapped):
        raise ValueError(
            f"the metric {metric.name!r} looks at all targets to tell classes, and y is read from a file as it is "
            "needed: pass validation_data, a loss of classes (cross_entropy, binary_cross_entropy), or y in memory."
        )
    with backend.active():
        # Targets that are all 1 do not say what the other class is: then the outputs of tanh do.
        signs = not holds(backend, y >= 0.0) or (output.activation.range == (-1.0, 1.0) and holds(backend, y == 1.0))
        low = -1.0 if signs else 0.0
        for name, rows in (("y", y), ("y of validation_data", None if validation is None else validation.y)):
            if rows is not None and not holds(backend, (rows == low) | (rows == 1.0)):
                _refuse_numbers(metric.name, name, backend.to_numpy(rows))
        one_hot = y.shape[1] > 1 and holds(backend, backend.xp.sum(y, axis=1) == 1.0 + low * (y.shape[1] - 1))
    return type(metric)(threshold=not one_hot, boundary=0.5 * (low + 1.0))


def _refuse_numbers(metric: str, name: str, y: Array) -> NoReturn:
    """Raise ValueError for targets on the host that are not classes; the message shows the first that is none."""
    xp = host.xp
    others = [place for low in (0.0, -1.0) for place in xp.argwhere((y != low) & (y != 1.0))[:1].tolist()]
    place = max(others)  # up to there they could be 0 and 1, or −1 and 1
    at = place if y.shape[1] > 1 else place[:1]
    raise ValueError(
        f"the metric {metric!r} counts classes, and y holds other numbers: {name}{at} is {y[tuple(place)]:g}, and "
        f"classes are 0 and 1, or -1 and 1, in every column. Take 'r2' or another metric of numbers."
    )
