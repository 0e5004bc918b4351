"""`fit` from an iterator of batches: data larger than memory, or generated on demand."""

from collections.abc import Iterator
from itertools import chain
from typing import Any

from sklearn.utils import check_random_state

from retroprop.estimators import arrays, parameters
from retroprop.estimators.moving import unchanged_before_an_update
from retroprop.estimators.prepared_fit import PreparedFit
from retroprop.estimators.samples import Samples, Stream
from retroprop.training.arguments import are_batches


def is_stream(X: Any, y: Any) -> bool:
    """Return whether X is an iterator of batches, or a function that returns one, not an array of data.

    Raises
    ------
    TypeError
        For a list of batches or another iterable of them, such as PyTorch's DataLoader.
    """
    streams = callable(X) or hasattr(X, "__next__")
    if y is None and not streams and are_batches(X):
        raise TypeError(
            f"X is a {type(X).__name__} of batches: pass a function that returns the batches of an epoch, as in "
            "fit(lambda: iter(batches))."
        )
    return y is None and streams


def fit_stream(
    estimator: Any,
    source: Any,
    sample_weight: Any,
    *,
    classes: Any = None,
    validation: tuple[Any, Any, Any] = (None, None, None),
) -> Any:
    """Fit an estimator batch by batch.

    Parameters
    ----------
    estimator : BaseMLP
        The estimator to fit.
    source : iterator or callable
        Batches (X, y) or (X, y, sample_weight); an iterator is one epoch, a function is called for each epoch.
    sample_weight : None
        The weights are part of each batch.
    classes : array or None
        All classes, for a classifier.
    validation : tuple
        X_val, y_val, sample_weight_val.

    Raises
    ------
    ValueError
        For options that need all data at once: solver="lbfgs", a validation split, balanced classes, weights.
    """
    with unchanged_before_an_update(estimator):
        return _fitted(estimator, source, sample_weight, classes, validation)


def _fitted(e: Any, source: Any, sample_weight: Any, classes: Any, validation: tuple[Any, Any, Any]) -> Any:
    if sample_weight is not None:
        raise ValueError("sample_weight goes with X and y; where X gives batches, give (X, y, sample_weight).")
    parameters.check_together(e, incremental=False, validation=validation)
    if e.parallel is not None:
        raise ValueError("parallel needs all rows, to divide them: pass X and y, or train alone on batches.")
    if e.batch_size != "auto":
        raise ValueError(f"batch_size={e.batch_size!r} would not be read: X gives batches of its own sizes.")
    if e.solver == "lbfgs":
        raise ValueError("solver='lbfgs' needs all the data at once: pass X and y, or use another solver.")
    if e.early_stopping and validation[0] is None:
        raise ValueError(
            "early_stopping=True cannot split an iterator of batches for validation: pass X_val and y_val."
        )
    once = hasattr(source, "__next__")
    if once and e.checkpoint is not None:
        raise ValueError(
            "checkpoint needs batches that can be read again, and X is an iterator: pass a function that returns one, "
            "as in fit(lambda: iter(batches))."
        )
    opened = source if once else iter(source())
    first = _first(opened)
    first_pass = not hasattr(e, "coefs_") or not e.warm_start
    e._set_classes(classes, _parts(first)[1], reset=first_pass)
    x, lives_on, targets, _ = e._taken(*_parts(first), role="batch", reset=first_pass)
    backend = arrays.working_backend(e.device, lives_on)
    dtype = str(x.dtype).rpartition(".")[2]
    rng = check_random_state(e.random_state)
    architecture = e._prepared(x, targets, backend, dtype, rng, first_pass=first_pass)
    waiting = [chain([first], opened)]  # the first epoch has begun

    def batches() -> Iterator[Samples]:
        weighs = False
        for given in waiting.pop() if waiting else _begun(source()):
            x, _, targets, weight = e._taken(*_parts(given), role="batch", reset=False)
            weighs = weighs or weight is None or weight.any()
            yield Samples(backend, dtype, x, e._check_outputs(targets, "batch").y, weight)
        if not weighs:
            raise ValueError("all rows of all batches have weight 0: one at least must have another.")

    with backend.active():
        held_out = None if validation[0] is None else e._given_validation(validation, backend, dtype)
    stream = Stream(backend, dtype, batches)
    PreparedFit(e, stream, stream, architecture, rng, held_out, once=once).train()
    return e


def _begun(opened: Any) -> Iterator[Any]:
    """Return all batches of an epoch; raise ValueError if there is none."""
    opened = iter(opened)
    return chain([_first(opened)], opened)


def _first(opened: Any) -> Any:
    first = next(opened, None)
    if first is None:
        raise ValueError("X gives no batch: each epoch needs one at least, (X, y) or (X, y, sample_weight).")
    return first


def _parts(given: Any) -> tuple[Any, Any, Any]:
    if not isinstance(given, (tuple, list)) or len(given) not in (2, 3):
        raise ValueError(f"a batch must be (X, y) or (X, y, sample_weight), not {type(given).__name__}.")
    return (*given, None) if len(given) == 2 else tuple(given)
