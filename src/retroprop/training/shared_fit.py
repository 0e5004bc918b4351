"""`fit` of processes that share one training."""

from contextlib import ExitStack
from typing import Any

from retroprop.network import Network
from retroprop.training import arguments, share
from retroprop.training.batch_stream import is_stream
from retroprop.training.history import History
from retroprop.training.parallel import Parallel, checked
from retroprop.training.preparation import Options, prepared


def fit_shared(
    parallel: Parallel,
    net: Network,
    x: Any,
    y: Any,
    options: Options,
    *,
    sample_weight: Any,
    validation_data: Any,
) -> History:
    """Train a network with the other processes that `parallel` connects; the further arguments are those of `prepared`.

    Raises
    ------
    TypeError, ValueError
        As `fit` does; for a network with a model axis, and for batches from an iterator.
    """
    engine, checkpoints = checked(parallel), options.checkpoint is not None
    fixed = options.deterministic is True
    with ExitStack() as stack:
        job = stack.enter_context(share.opened(engine, net.backend, deterministic=fixed, checkpoints=checkpoints))
        # An error before the training is that of all.
        with share.preparing(job):
            if arguments.is_stack(net):
                raise ValueError(
                    "parallel is for one network, and this one holds several: call rp.fit_many(net.unstack(), ...), "
                    "which divides them."
                )
            if is_stream(x, y):
                raise ValueError("parallel needs all rows, to divide them: pass x and y, or train alone on batches.")
            data = {"sample_weight": sample_weight, "validation_data": validation_data}
            found = prepared(net, x, y, options, job=job, **data)
            if found.share is None:
                return found.train()
            saver = stack.enter_context(found.share.opened(found.checkpoint))
            begins_at = found.share.beginning(found.call, saver, found.resume_from)
            training = found.training(saver, begins_at)
        return found.run(training, begins_at)
