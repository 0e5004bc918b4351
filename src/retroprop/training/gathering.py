"""Rows of all ranks on each of them: outputs, targets and weights, of which metrics are computed."""

from collections.abc import Sequence
from typing import Any

from retroprop.backends import Backend, host
from retroprop.backends.intake.batch import INDEX_DTYPE, Batch
from retroprop.core.parameters import Parameters
from retroprop.training.parallel import Ranks, sum_on_host


def gathered(
    ranks: Ranks, backend: Backend, parameters: Parameters, own: Sequence[Batch], like: Batch, places: Any, m: int
) -> Batch:
    """Return the outputs, targets and weights of m rows, by one sum.

    Parameters
    ----------
    ranks, backend, parameters
        Of the training.
    own : sequence of Batch
        The rows of this rank, with outputs in place of inputs.
    like : Batch
        Data whose targets and weights have the same form.
    places : slice or integer array
        The places of the rank's rows among the m, in order.
    m : int
        The rows of all ranks.
    """
    theta, indices = parameters.thetas[-1], like.y.ndim == 1
    n_outputs = theta.shape[0]
    ends = [n_outputs, n_outputs + (1 if indices else like.y.shape[1])]
    # Each row is written by one rank, and zeros add nothing to it.
    whole = host.xp.zeros((m, ends[1] + (like.weight is not None)), dtype=backend.dtype_name(theta))
    if own:
        columns = ([backend.to_numpy(part) for part in column if part is not None] for column in zip(*own, strict=True))
        concat = host.xp.concat
        whole[places] = concat([concat(c).reshape(sum(map(len, c)), -1) for c in columns if c], axis=1)
    split = host.xp.split(sum_on_host(ranks, backend, whole.reshape(-1)).reshape(whole.shape), ends, axis=1)
    a, y, weight = map(host.in_rows, split)
    targets = backend.asarray(y[:, 0], INDEX_DTYPE) if indices else backend.asarray(y)
    return Batch(backend.asarray(a), targets, None if like.weight is None else backend.asarray(weight[:, 0]))
