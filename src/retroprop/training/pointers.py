"""Keyword arguments that other libraries have and `fit` does not: refused with a pointer to the right ones."""

from collections.abc import Callable, Iterable
from functools import wraps
from inspect import signature
from typing import Any, ParamSpec, TypeVar

from retroprop.functions.names import suggestion
from retroprop.training.arguments import refuse_batches, shortened
from retroprop.training.parallel import Parallel

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
        For such an argument, before any work; with `parallel`, on all ranks.
    """
    accepted = signature(function).parameters

    @wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            _check_names(function.__name__, accepted, kwargs)
            refuse_batches(*(kwargs.get(name, args[i] if len(args) > i else None) for i, name in ((1, "x"), (2, "y"))))
        except TypeError:
            engine = kwargs.get("parallel")
            if isinstance(engine, Parallel):
                from retroprop.training.share import ready  # only where it is needed: imports take time

                with ready(engine):
                    raise
            raise
        return function(*args, **kwargs)

    return call


def _check_names(called: str, accepted: Iterable[str], given: dict[str, Any]) -> None:
    for name in given:
        if name not in accepted:
            advice = POINTERS.get(name, f"it takes {', '.join(accepted)}")
            meant = "" if name in POINTERS else suggestion(name, accepted, {})
            raise TypeError(f"{called} has no argument {name}={shortened(given[name])}: {advice}.{meant}")
