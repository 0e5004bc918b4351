"""`fit`: the arguments of a training, checked, and the training that they describe."""

from collections.abc import Sequence

from retroprop.functions.literals import ArrayLike, Batches, MetricLike, MetricName, OptimizerName, Precision, Seed
from retroprop.network import Network
from retroprop.training import arguments
from retroprop.training.block_shuffle import Shuffle
from retroprop.training.callbacks import EarlyStopping
from retroprop.training.checkpoint_options import Checkpoint
from retroprop.training.history import History
from retroprop.training.optimizers import Optimizer
from retroprop.training.parallel import Parallel
from retroprop.training.pointers import with_pointers
from retroprop.training.preparation import Options, prepared


@with_pointers
def fit(
    net: Network,
    x: ArrayLike | Batches,
    y: ArrayLike | None = None,
    *,
    optimizer: OptimizerName | Optimizer = "adam",
    epochs: int = 20,
    batch_size: int | None = None,
    sample_weight: ArrayLike | None = None,
    shuffle: Shuffle = True,
    seed: Seed = None,
    validation_data: tuple[ArrayLike, ArrayLike] | tuple[ArrayLike, ArrayLike, ArrayLike | None] | None = None,
    metrics: MetricName | Sequence[MetricLike] = (),
    callbacks: Sequence[object] = (),
    early_stopping: EarlyStopping | None = None,
    clip_norm: float | None = None,
    clip_value: float | None = None,
    progress: bool = False,
    precision: Precision = "highest",
    deterministic: bool = False,
    checkpoint: Checkpoint | None = None,
    resume_from: History | None = None,
    parallel: Parallel | None = None,
) -> History:
    """Train `net` in place.

    Parameters
    ----------
    net : Network
        The network to train. All models of one with a model axis, `rp.stack(nets)`, are trained with these arguments.
    x : array (m, n_1)
        One observation a row. With a `batch_size`, uint8, int8, int16 and bool are cast batch by batch, and a
        `numpy.memmap` or a source, such as `rp.scale.Zarr`, is read likewise: neither ever exists as floats in full.
        Without y a function that returns an iterator of batches (x, y) or (x, y, sample_weight) for each epoch; or
        such an iterator, for one epoch.
    y : array (m, n_L), or (m,)
        Target rows; class indices for cross_entropy. Read as they are needed if x is, and they are in such a file too.
    optimizer : str or object
        "sgd", "rmsprop", "adam", "adamw", "lion", "lbfgs", or one of `retroprop.optimizers` with its own options.
    epochs : int
        The number of passes over all rows. With the full batch an epoch is one update, so it takes hundreds.
    batch_size : int, optional
        Rows per step; None is the full batch, as in the source text.
    sample_weight : array (m,), optional
        Weights of the observations, 0 or above.
    shuffle : bool, str or BlockShuffle
        Whether each epoch has its own order of the rows: a permutation of all, "rows", or one that reads whole blocks,
        "blocks", which is that of a source in chunks and may be `rp.scale.BlockShuffle(...)`.
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
        The figures of each epoch, and the reason why the training ended. Of a network with a model axis the means over
        the models, whose own histories are its attribute `models`.

    Raises
    ------
    TypeError, ValueError
        For bad arguments or data, and a history or a checkpoint of another training, before any work.
    DivergenceError
        If a cost is NaN or inf; the network then has the parameters of the end of the epoch before. Of a network with
        a model axis if all models diverged; if some did, their histories have the error as their attribute `error`.
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
    options = Options(
        optimizer=optimizer,
        epochs=epochs,
        batch_size=batch_size,
        shuffle=shuffle,
        seed=seed,
        metrics=metrics,
        callbacks=callbacks,
        early_stopping=early_stopping,
        clip_norm=clip_norm,
        clip_value=clip_value,
        progress=progress,
        precision=precision,
        deterministic=deterministic,
        checkpoint=checkpoint,
        resume_from=resume_from,
    )
    if parallel is not None:
        from retroprop.training.shared_fit import fit_shared

        return fit_shared(parallel, net, x, y, options, sample_weight=sample_weight, validation_data=validation_data)
    if arguments.is_stack(net):
        from retroprop.training.many.stacking import fit_stack

        return fit_stack(net, x, y, options, sample_weight=sample_weight, validation_data=validation_data)
    return prepared(net, x, y, options, sample_weight=sample_weight, validation_data=validation_data).train()
