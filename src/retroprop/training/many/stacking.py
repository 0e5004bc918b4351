"""Several networks as one with a model axis, and its training."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from retroprop.network import Network
from retroprop.training.batch_stream import check_unshared
from retroprop.training.history import History
from retroprop.training.intake import Intake
from retroprop.training.many.running import run
from retroprop.training.preparation import Options, prepared


def stack(nets: Sequence[Network]) -> Network:
    """Return networks of one architecture as one network with a leading model axis.

    Θ^(l) is (K, n_{l+1}, n_l) and b^(l) (K, n_{l+1}). `predict`, `forward`, `cost` and `gradient` compute all K at
    once, and their results have the axis too; `fit`, `check_gradient`, `save` and `load` take such a network, and
    `net.unstack()` returns the K networks.

    Parameters
    ----------
    nets : sequence of Network
        Of equal layer sizes, functions, loss, penalties and dropout, dtype and backend; they are copied.

    Returns
    -------
    Network

    Raises
    ------
    TypeError, ValueError
        If there is no network, or one that differs, by what it differs in.
    """
    listed = list(nets)
    for k, net in enumerate(listed):
        if not isinstance(net, Network):
            raise TypeError(f"nets[{k}] must be a Network, not an object of {type(net).__name__}.")
    if not listed:
        raise ValueError("nets is empty: pass one network or more.")
    first = listed[0]
    for k, net in enumerate(listed):
        for name, value in _form(net).items():
            if value != _form(first)[name]:
                raise ValueError(
                    f"networks of one architecture can be stacked, and {name} of nets[{k}] is {value!r} where that of "
                    f"nets[0] is {_form(first)[name]!r}. rp.fit_many trains networks that differ."
                )
    stacked, xp = first.to(), first.backend.xp
    with first.backend.active():
        columns = zip(*(net.parameters.leaves for net in listed), strict=True)
        stacked.parameters = first.parameters.like(xp.stack(list(leaves)) for leaves in columns)
    return stacked


def _form(net: Network) -> dict[str, Any]:
    shapes = tuple(tuple(leaf.shape) for leaf in net.parameters.leaves)
    return net.architecture._asdict() | {"dtype": net.dtype, "backend": net.backend, "shapes": shapes}


def fit_stack(net: Network, x: Any, y: Any, options: Options, *, sample_weight: Any, validation_data: Any) -> History:
    """Train all models of a network with a model axis with the same arguments, and return their histories as one.

    A figure of an epoch is the mean over the models whose training had that epoch.

    Raises
    ------
    ValueError
        For a checkpoint or a history to go on from: those are of one model.
    DivergenceError
        If all models diverged, that of the first.
    """
    for name in ("checkpoint", "resume_from"):
        if getattr(options, name) is not None:
            raise ValueError(
                f"{name} is of one network, and this one holds several: rp.fit_many(net.unstack(), ..., {name}=[...]) "
                "takes one for each."
            )
    models, intake = net.unstack(), Intake()
    check_unshared([x] * len(models))
    data = {"sample_weight": sample_weight, "validation_data": validation_data, "intake": intake}
    trainings = [prepared(model, x, y, options, **data) for model in models]
    histories = run([replace(one, name=f"models[{k}]") for k, one in enumerate(trainings)])
    net.parameters = stack(models).parameters
    errors = [one.error for one in histories]
    if errors[0] is not None and None not in errors:
        raise errors[0]
    # One that Ctrl-C came before has no figures.
    begun = [one for one in histories if one.metrics] or histories
    return History(
        cost=_mean([one.cost for one in histories]),
        validation_cost=_mean([one.validation_cost for one in histories]),
        metrics={name: _mean([one.metrics[name] for one in begun]) for name in begun[0].metrics},
        learning_rate=_mean([one.learning_rate for one in histories]),
        seconds=_mean([one.seconds for one in histories]),
        stop_reason=", ".join(sorted({one.stop_reason for one in histories})),
        peak_memory=histories[0].peak_memory,
        models=list(histories),
    )


def _mean(series: Sequence[Sequence[float]]) -> list[float]:
    epochs = [[one[e] for one in series if e < len(one)] for e in range(max(map(len, series)))]
    return [sum(values) / len(values) for values in epochs]
