"""Names of the entries of a table: look-up with helpful errors, and an entry as plain data."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from typing import Any, ClassVar

# Names that other libraries use for entries of our tables. An error suggests the entry; none is accepted in its place.
SYNONYMS: dict[str, dict[str, str]] = {
    "activation": {
        "linear": "identity",
        "none": "identity",
        "logistic": "sigmoid",
        "hyperbolic_tangent": "tanh",
        "rectifier": "relu",
        "rectified_linear": "relu",
        "lrelu": "leaky_relu",
        "swish": "silu",
        "gelu_new": "gelu_tanh",
        "exponential": "exp",
    },
    "loss": {
        "mse": "squared_error",
        "mse_loss": "squared_error",
        "mean_squared_error": "squared_error",
        "rmse": "squared_error",
        "l2": "squared_error",
        "mae": "absolute_error",
        "mean_absolute_error": "absolute_error",
        "l1": "absolute_error",
        "l1_loss": "absolute_error",
        "smooth_l1": "huber",
        "smooth_l1_loss": "huber",
        "pinball": "quantile",
        "poisson_nll": "poisson",
        "bce": "binary_cross_entropy",
        "bce_loss": "binary_cross_entropy",
        "bce_with_logits": "binary_cross_entropy",
        "binary_crossentropy": "binary_cross_entropy",
        "sigmoid_cross_entropy": "binary_cross_entropy",
        "ce": "cross_entropy",
        "nll": "cross_entropy",
        "nll_loss": "cross_entropy",
        "log_loss": "cross_entropy",
        "crossentropy": "cross_entropy",
        "categorical_crossentropy": "cross_entropy",
        "sparse_categorical_crossentropy": "cross_entropy",
        "softmax_cross_entropy": "cross_entropy",
    },
    "optimizer": {
        "gd": "sgd",
        "gradient_descent": "sgd",
        "momentum": "sgd",
        "nesterov": "sgd",
        "nag": "sgd",
        "bfgs": "lbfgs",
        "l_bfgs_b": "lbfgs",
    },
    "initializer": {
        "xavier": "glorot_uniform",
        "xavier_uniform": "glorot_uniform",
        "xavier_normal": "glorot_normal",
        "kaiming": "he_normal",
        "kaiming_uniform": "he_uniform",
        "kaiming_normal": "he_normal",
        "gaussian": "normal",
        "random_normal": "normal",
        "random_uniform": "uniform",
        "lecun_normal": "lecun",
    },
    "metric": {
        "acc": "accuracy",
        "error_rate": "error",
        "r2_score": "r2",
        "mae": "mean_absolute_error",
        "absolute_error": "mean_absolute_error",
        "rmse": "root_mean_squared_error",
    },
}


class Named:
    """An entry of a table: equal to another of its class that has the same parameters."""

    name: ClassVar[str]

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and vars(other) == vars(self)

    def __hash__(self) -> int:
        return hash((type(self), *vars(self).values()))

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"


def unknown(kind: str, name: object, accepted: Iterable[str], synonyms: Mapping[str, str] | None = None) -> ValueError:
    """Return the error for a name that is not in a table, with a suggestion if there is one.

    Parameters
    ----------
    kind : str
        What the name should be the name of, as "loss".
    name : object
        The name that was given.
    accepted : iterable of str
        The names of the table.
    synonyms : mapping of str to str, optional
        Other libraries' names for entries of the table; those of `SYNONYMS` by default.
    """
    accepted = sorted(accepted)
    hint = suggestion(name, accepted, SYNONYMS.get(kind, {}) if synonyms is None else synonyms)
    return ValueError(f"unknown {kind} {name!r}.{hint} Accepted: {', '.join(accepted)}.")


def suggestion(name: object, accepted: Iterable[str], synonyms: Mapping[str, str]) -> str:
    """Return " Did you mean ...?" with the accepted name of the same meaning, or of nearly the same spelling.

    The text is empty if there is neither.
    """
    from difflib import get_close_matches

    by_folded = {_folded(one): one for one in accepted}
    folded = _folded(str(name))
    synonyms = {_folded(other): ours for other, ours in synonyms.items()}
    meant = synonyms.get(folded)
    if meant is None or _folded(meant) not in by_folded:
        near = get_close_matches(folded, by_folded, n=1)
        meant = by_folded[near[0]] if near else None
    return "" if meant is None else f" Did you mean {meant!r}?"


def _folded(name: str) -> str:
    """Return the name without the differences that libraries do not agree on: case, hyphens and underscores."""
    return name.lower().replace("-", "").replace("_", "").replace(" ", "")


def from_name(kind: str, name: object, table: Mapping[str, Any]) -> Any:
    """Return a default instance of the class that `table` holds under `name`.

    Raises
    ------
    TypeError
        If `name` is not a string.
    ValueError
        If the table has no such name; the message suggests one.
    """
    if not isinstance(name, str):
        if isinstance(name, type):
            raise TypeError(f"{kind} must be a name or an object, not a class: write {name.__name__}(...).")
        raise TypeError(f"{kind} must be a name or one of retroprop's own objects, not {name!r}.")
    if name not in table:
        raise unknown(kind, name, table)
    return table[name]()


def number(name: str, value: Any) -> float:
    """Return `value` as a Python float; raise TypeError, with its name, if it is not a number."""
    if isinstance(value, (bool, str)) or not hasattr(value, "__float__"):
        raise TypeError(f"{name} must be a number, not {value!r}.")
    return float(value)


def flag(name: str, value: Any) -> bool:
    """Return `value` as a Python bool; raise TypeError, with its name, if it is neither True nor False."""
    its_type = type(value).__name__  # "bool_" or "bool" is NumPy's
    if its_type not in ("bool", "bool_", "int") or value not in (0, 1):
        raise TypeError(f"{name} must be True or False, not {value!r}.")
    return bool(value)


def in_words(names: Sequence[str]) -> str:
    """Return the names of the layers in order, as a single name if all are the same."""
    return ", ".join(names if len(set(names)) > 1 else names[:1])


def plain_numbers(thing: Any) -> None:
    """Convert the NumPy scalars of a frozen dataclass to Python numbers.

    A NumPy scalar has a dtype and would promote float32 arrays to it; a Python float adopts the dtype of the array.
    """
    for f in fields(thing):
        value = getattr(thing, f.name)
        if hasattr(value, "item") and getattr(value, "ndim", None) == 0:
            object.__setattr__(thing, f.name, value.item())


def to_plain(thing: Any) -> dict[str, Any]:
    """Return the name and the parameters of an entry of a table, as a dictionary for JSON."""
    parameters = {f.name: getattr(thing, f.name) for f in fields(thing)} if is_dataclass(thing) else {}
    return {"name": thing.name, **parameters}


def from_plain(kind: str, plain: Mapping[str, Any], table: Mapping[str, Any]) -> Any:
    """Return the entry that `to_plain` described."""
    parameters = dict(plain)
    name = parameters.pop("name")
    if name not in table:
        raise unknown(kind, name, table)
    return table[name](**parameters)
