"""`fit_many`: many trainings in one call."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from typing import Any

from retroprop.network import Network
from retroprop.training.batch_stream import check_unshared
from retroprop.training.checkpoint_options import Checkpoint
from retroprop.training.history import History
from retroprop.training.intake import Intake
from retroprop.training.many.per_model import per_model
from retroprop.training.many.running import run
from retroprop.training.pointers import with_pointers
from retroprop.training.preparation import Options, Preparation, prepared


@with_pointers
def fit_many(
    nets: Sequence[Network],
    x: Any,
    y: Any = None,
    *,
    rows: Any = None,
    optimizer: Any = "adam",
    epochs: Any = 20,
    batch_size: Any = None,
    sample_weight: Any = None,
    shuffle: Any = True,
    seed: Any = None,
    validation_data: Any = None,
    metrics: Any = (),
    callbacks: Any = (),
    early_stopping: Any = None,
    clip_norm: Any = None,
    clip_value: Any = None,
    progress: Any = False,
    precision: Any = "highest",
    deterministic: Any = False,
    checkpoint: Any = None,
    resume_from: Any = None,
    parallel: Any = None,
) -> list[History]:
    """Train K networks in place, each as `fit` would: K calls of `fit` in one.

    Every argument of `fit` is one value for all networks, or a list of K values, one for each.

    Parameters
    ----------
    nets : sequence of Network
        K different networks, of any shapes.
    x, y, sample_weight : array, or list of K arrays
        As for `fit`. A list or tuple of arrays, or of functions that return batches, is one for each network; lists of
        numbers are data. The same object for several networks is taken in and held once.
    rows : sequence of int, or list of K such sequences, optional
        The rows of x, y and sample_weight that a network is trained on, as indices; None for all of them. So folds and
        bootstrap samples share one array: the network k is trained as by `fit(nets[k], x[rows[k]], y[rows[k]], ...)`.
    validation_data : tuple, or list of K tuples, optional
        As for `fit`, but always as a tuple; an element of a list may be None.
    metrics, callbacks : sequence, or list of K sequences
        As for `fit`. A list whose elements are lists or tuples is one for each network.
    optimizer, epochs, batch_size, shuffle, seed, early_stopping, clip_norm, clip_value, precision, deterministic
        As for `fit`; a list, tuple, range or 1-D array of K values is one for each network. With one seed for all,
        all have the same order of rows and the same dropout masks.
    progress : bool
        As for `fit`.
    checkpoint : Checkpoint or list of K, optional
        As for `fit`: a folder for each network, so one value serves a single network only.
    resume_from : list of K History, optional
        As for `fit`: the histories that an earlier call returned.
    parallel : Parallel, optional
        The engine that connects processes, as `retroprop.scale.MPI()`: every process makes the same call, trains its
        part of the networks, with all their rows, and ends with all networks and histories. Networks that are
        trained one by one, or whose steps are compiled as a whole, have the bits of a single process; of others sums
        round by the number of networks that one step trains. Those that share a generator are trained by one process.

    Returns
    -------
    list of History
        One for each network. A network whose training diverged has the parameters that `fit` would leave; its history
        has the `stop_reason` "diverged", and the error as its attribute `error`. After Ctrl-C the trainings that had
        ended are complete, and the others "interrupted".

    Raises
    ------
    TypeError, ValueError
        For bad arguments or data, a list of another length than K, and one network given twice: before any work.
    Exception
        An error of a callback or another function of the user, with the histories as its attribute `histories`.
    """
    given = {name: value for name, value in locals().items() if name not in ("nets", "parallel")}
    return fit_named(nets, given, parallel=parallel)


def fit_named(
    nets: Sequence[Network], given: Mapping[str, Any], *, parallel: Any = None, names: Sequence[str] | None = None
) -> list[History]:
    """Train networks that messages name by other `names` than their places; `given` are arguments of `fit_many`."""
    if parallel is not None:
        from retroprop.training.many.shared_many import run_shared

        return run_shared(parallel, lambda: _prepared(nets, given, names), checkpoints=bool(given.get("checkpoint")))
    return run(_prepared(nets, given, names))


def _prepared(nets: Sequence[Network], given: Mapping[str, Any], names: Sequence[str] | None) -> list[Preparation]:
    """Return the trainings, all their arguments checked.

    Raises
    ------
    TypeError, ValueError
        For bad arguments; the message begins with the name of the network, unless the argument is bad for all.
    """
    nets = _networks(nets)
    k = len(nets)
    columns = {name: per_model(name, value, k) for name, value in given.items()}
    checkpoints = columns.get("checkpoint", [])
    folders = [os.path.realpath(one.folder) for one in checkpoints if isinstance(one, Checkpoint)]
    if len(set(folders)) < len(folders):
        raise ValueError(
            "checkpoint is one folder for several networks: pass a list, as in "
            'checkpoint=[rp.Checkpoint(f"run/{k}") for k in range(len(nets))].'
        )
    check_unshared(columns["x"])
    options, intake, found = [field.name for field in fields(Options)], Intake(), []
    for i, net in enumerate(nets):
        one = {name: column[i] for name, column in columns.items()}
        own = Options(**{name: one.pop(name) for name in options if name in one})
        called = f"nets[{i}]" if names is None else names[i]
        try:
            found.append(replace(prepared(net, one.pop("x"), one.pop("y"), own, intake=intake, **one), name=called))
        except (TypeError, ValueError) as error:
            raise type(error)(f"{called}: {error}") from error
    return found


def _networks(nets: Any) -> list[Network]:
    """Return the networks as a list.

    Raises
    ------
    TypeError, ValueError
        Unless they are one or more, and different ones.
    """
    if isinstance(nets, Network) or not hasattr(nets, "__iter__"):
        raise TypeError(f"fit_many takes a list of networks first, not an object of {type(nets).__name__}.")
    listed = list(nets)
    if not listed:
        raise ValueError("nets is empty: pass one network or more.")
    at: dict[int, int] = {}
    for i, net in enumerate(listed):
        if not isinstance(net, Network):
            raise TypeError(f"nets[{i}] must be a Network, not an object of {type(net).__name__}.")
        if at.setdefault(id(net), i) != i:
            raise ValueError(
                f"nets[{i}] is the same network as nets[{at[id(net)]}], and each is trained in place: pass a copy, "
                "net.to()."
            )
    return listed
