"""`fit`: the arguments of a training, checked, and the training that they describe."""

from contextlib import ExitStack
from typing import Any

from retroprop.backends import host
from retroprop.backends.backend import Demands
from retroprop.backends.replay.captured_step import CapturedStep
from retroprop.network import Network
from retroprop.training import arguments, checkpoint_options, lbfgs, optimizers, share
from retroprop.training import callbacks as hooks
from retroprop.training import parallel as parallel_engines
from retroprop.training.batches import Minibatches
from retroprop.training.beginning import beginning
from retroprop.training.callbacks import EarlyStopping
from retroprop.training.checkpoint_options import Checkpoint
from retroprop.training.fit_call import FitCall
from retroprop.training.history import History, kept
from retroprop.training.loop import Training
from retroprop.training.memory_advice import explained
from retroprop.training.optimizers import LBFGS
from retroprop.training.parallel import Parallel
from retroprop.training.progress import display
from retroprop.training.rows import taken
from retroprop.training.saver import opened
from retroprop.training.step import bind, estimated_elements


@arguments.with_pointers
def fit(
    net: Network,
    x: Any,
    y: Any,
    *,
    optimizer: Any = "adam",
    epochs: int = 20,
    batch_size: int | None = None,
    sample_weight: Any = None,
    shuffle: bool = True,
    seed: Any = None,
    validation_data: Any = None,
    metrics: Any = (),
    callbacks: Any = (),
    early_stopping: EarlyStopping | None = None,
    clip_norm: float | None = None,
    clip_value: float | None = None,
    progress: bool = False,
    precision: str = "highest",
    deterministic: bool = False,
    checkpoint: Checkpoint | None = None,
    resume_from: History | None = None,
    parallel: Parallel | None = None,
) -> History:
    """Train `net` in place.

    Parameters
    ----------
    net : Network
        The network to train.
    x : array (m, n_1)
        One observation a row. With a `batch_size`, uint8, int8, int16 and bool are cast batch by batch, and a
        `numpy.memmap` is read likewise: neither ever exists as floats in full.
    y : array (m, n_L), or (m,)
        Target rows; class indices for cross_entropy.
    optimizer : str or object
        "sgd", "rmsprop", "adam", "adamw", "lion", "lbfgs", or one of `retroprop.optimizers` with its own options.
    epochs : int
        The number of passes over all rows. With the full batch an epoch is one update, so it takes hundreds.
    batch_size : int, optional
        Rows per step; None is the full batch, as in the source text.
    sample_weight : array (m,), optional
        Weights of the observations, 0 or above.
    shuffle : bool
        Whether each epoch has its own order of the rows.
    seed : int, Generator or None
        Draws the orders and, before them, the key of the dropout masks, which are a function of the key and of the
        number of updates made. The same seed gives the same orders and masks on every backend.
    validation_data : tuple, optional
        (x, y) or (x, y, sample_weight), evaluated after every epoch.
    metrics : sequence of str or object
        "accuracy", "error", "r2", "mean_absolute_error", "root_mean_squared_error", or callables
        (a, y, weight, xp) with a `name` and `greater_is_better`.
    callbacks : sequence of object
        With any of `on_fit_begin(state)`, `on_epoch_end(state)`, `on_fit_end(state)`; True from `on_epoch_end`
        ends the training.
    early_stopping : EarlyStopping, optional
        Ends the training when the figure it monitors no longer improves.
    clip_norm, clip_value : float, optional
        The largest Euclidean norm of all gradients together, the largest absolute value of each element.
    progress : bool
        Whether a bar is shown, on standard error where that is a terminal.
    precision : str
        The precision of matrix products of float32 during training: "highest", or on a GPU "tf32" or "bf16", which
        round their operands to 10 or 7 bits of mantissa first. Sums and parameters stay in float32.
    deterministic : bool
        Whether the same training must give the same bits at each run on the same device.
    checkpoint : Checkpoint, optional
        Where the training is stored as it goes on, and whether it goes on from there; `epochs` counts from its
        beginning.
    resume_from : History, optional
        The history of a training with the same arguments, which goes on for `epochs` more, whatever parameters `net`
        has: the result is that of one training, bit for bit. `seed` need not be given again.
    parallel : Parallel, optional
        The engine that connects the processes of the training, as `retroprop.scale.MPI()`: every process makes the
        same call, `batch_size` counts the rows of all of them, and all end with the same network and history.

    Returns
    -------
    History
        The figures of each epoch, and the reason why the training ended.

    Raises
    ------
    TypeError, ValueError
        For bad arguments or data, and a history or a checkpoint of another training, before any work.
    DivergenceError
        If a cost is NaN or inf; the network then has the parameters of the end of the epoch before.
    OutOfDeviceMemoryError
        If the device has no memory for it; the message says which batch size would fit.
    Exception
        An error of a callback or another function of the user, with the finished epochs as its attribute `history`.

    Notes
    -----
    Ctrl-C ends the training with the current parameters, `stop_reason` "interrupted". If it arrives in the middle of an
    update, some of the parameters may be updated and others not.

    With callbacks or metrics the network has new parameters after each epoch, otherwise at the end of the training.
    """
    arguments.check_single(net)
    engine = parallel_engines.checked(parallel)
    with ExitStack() as stack:
        ranks = share.opened(
            engine, net.backend, deterministic=deterministic is True, checkpoints=checkpoint is not None
        )
        job = stack.enter_context(ranks)
        with share.preparing(job):
            arguments.check_counts(epochs=epochs, batch_size=batch_size)
            clips: dict[str, Any] = {
                name: arguments.clip(name, value)
                for name, value in (("clip_norm", clip_norm), ("clip_value", clip_value))
            }
            early_stopping, checkpoint = (
                arguments.early_stopping(early_stopping),
                checkpoint_options.checked(checkpoint),
            )
            demands = Demands(precision=precision, deterministic=deterministic)
            net.backend.check_demands(demands, net.dtype)
            # A full batch is cast once, not at each step.
            some = job is None or not job.shard  # else on any rank, as `Share` checks
            data = taken(net, x, y, sample_weight, as_stored=batch_size is not None, some=some)
            if data.x.ndim != 2:
                raise ValueError(
                    f"x must have two axes, (m, {net.layer_sizes[0]}), not the shape {tuple(data.x.shape)}."
                )
            rule = optimizers.get(optimizer)
            held_out = arguments.validation(net, validation_data)
            own = None if job is None else share.Share(job, net.backend, data, held_out)
            order = Minibatches(data.x.shape[0] if own is None else own.m, batch_size, shuffle=shuffle)
            if rule.full_batch and len(order.windows) > 1:
                raise ValueError(
                    f"the optimizer {rule.name!r} needs all {order.m} rows in each step: batch_size must be None or "
                    f"{order.m} or above, not {batch_size!r}."
                )
            measured = arguments.metrics(net, metrics, y=data.y, validation=held_out)
            rng, listed = host.generator(seed), hooks.check(callbacks)
            options = {
                "optimizer": rule,
                "batch_size": None if batch_size is None else order.batch_size,
                "shuffle": order.shuffle,
                "seed": seed,
                "metrics": measured,
                "early_stopping": early_stopping,
                **clips,
                "precision": precision,
                "deterministic": deterministic,
            }
            run = FitCall(net.architecture, net.backend, net.dtype, (x, y, sample_weight, validation_data), options)
            if checkpoint is not None:
                run.check()
            if own is not None:
                run = own.agreed(run, net, rng, data, held_out, epochs=epochs, callbacks=listed)
            saver = stack.enter_context(opened(*((checkpoint,) if own is None else own.saved(checkpoint))))
            begins_at = beginning(run, saver, resume_from) if own is None else own.beginning(run, saver, resume_from)
            # Of the first call, where there was one: the same loops, and so the same bits.
            elements = estimated_elements(net.architecture, epochs * order.m, epochs * len(order.windows))
            demands = demands._replace(work=begins_at.elements(elements))
            step: CapturedStep
            # An iteration of L-BFGS evaluates the cost several times: it is a step of its own, over the same epochs.
            if own is not None:
                step = own.step(net, rule, demands=demands, **clips)
            elif isinstance(rule, LBFGS):
                step = lbfgs.bind(net.backend, net.architecture, rule, **clips, demands=demands)
            else:
                step = bind(net.backend, net.architecture, rule, **clips, demands=demands)
            begins_at.check(step)
            training = Training(
                net,
                data,
                rule,
                step,
                order=order,
                rng=rng,
                validation=held_out,
                metrics=measured,
                callbacks=listed,
                early_stopping=early_stopping,
                progress=display(progress and (job is None or job.rank == 0)),
                begins_at=begins_at,
                arguments=run,
                elements=demands.work,
                saver=saver,
                share=own,
            )
        # Every error carries the finished epochs; one for lack of memory, the batch size that would fit.
        with kept(training.history), explained(net, rule, order.batch_size):
            return training.run(epochs + begins_at.further_from)
