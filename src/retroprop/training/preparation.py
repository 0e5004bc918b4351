"""The preparation of a training: all arguments checked and the data taken in, before any work."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from retroprop.backends import host
from retroprop.backends.backend import Demands
from retroprop.backends.intake.batch import Batch
from retroprop.functions.metrics import Metric
from retroprop.functions.names import flag
from retroprop.functions.types import RandomGenerator
from retroprop.network import Network
from retroprop.training import arguments, block_shuffle, checkpoint_options, chosen_rows, lbfgs, optimizers
from retroprop.training import callbacks as hooks
from retroprop.training.batch_stream import BatchStream, check_alone, is_stream
from retroprop.training.batches import Minibatches
from retroprop.training.beginning import Beginning, beginning
from retroprop.training.callbacks import StoppingMonitor
from retroprop.training.checkpoint_options import Checkpoint
from retroprop.training.fit_call import FitCall
from retroprop.training.history import History, kept
from retroprop.training.intake import Intake
from retroprop.training.loop import Training
from retroprop.training.memory_advice import explained
from retroprop.training.optimizers import LBFGS, UpdateRule
from retroprop.training.progress import display
from retroprop.training.saver import opened
from retroprop.training.signals import StopSignals
from retroprop.training.step import bind, estimated_elements

if TYPE_CHECKING:
    from retroprop.backends.replay.captured_step import CapturedStep
    from retroprop.training.job import Job
    from retroprop.training.saver import Saver
    from retroprop.training.share import Share


@dataclass(frozen=True, kw_only=True)
class Options:
    """The options of one call of `fit`, as they were given; `fit` describes them."""

    optimizer: Any = "adam"
    epochs: Any = 20
    batch_size: Any = None
    shuffle: Any = True
    seed: Any = None
    metrics: Any = ()
    callbacks: Any = ()
    early_stopping: Any = None
    clip_norm: Any = None
    clip_value: Any = None
    progress: Any = False
    precision: Any = "highest"
    deterministic: Any = False
    checkpoint: Any = None
    resume_from: Any = None


@dataclass(frozen=True)
class Preparation:
    """A training whose arguments are checked.

    Attributes
    ----------
    net : Network
        The network to train.
    data : Batch or BatchStream
        All rows, on the network's backend; or batches from an iterator.
    rows : integer array or None
        The rows of the data that are trained on, on the host; None for all of them.
    rule : UpdateRule or LBFGS
        The optimizer.
    order : Minibatches or BatchStream
        The order of the rows.
    rng : Generator or RandomState
        The generator of the seed.
    validation : Batch or None
        The validation data.
    metrics, callbacks : list
        Checked.
    monitor : StoppingMonitor or None
        Early stopping.
    checkpoint, resume_from
        As `fit` describes them.
    clips : dict
        `clip_norm` and `clip_value`.
    epochs : int
        The number of epochs.
    progress : bool
        Whether progress is shown.
    demands : Demands
        On the step.
    call : FitCall
        The arguments as they were given.
    share : Share or None
        The part of this process, where several share the training.
    name : str
        The name that messages give the network, where there are several.
    """

    net: Network
    data: Batch | BatchStream
    rows: Any
    rule: UpdateRule | LBFGS
    order: Minibatches | BatchStream
    rng: RandomGenerator
    validation: Batch | None
    metrics: list[Metric]
    callbacks: list[Any]
    monitor: StoppingMonitor | None
    checkpoint: Checkpoint | None
    resume_from: Any
    clips: dict[str, Any]
    epochs: int
    progress: bool
    demands: Demands
    call: FitCall
    share: "Share | None" = None
    name: str = ""

    @property
    def stored(self) -> Batch:
        """All rows of a training that is not from an iterator."""
        assert isinstance(self.data, Batch)
        return self.data

    @property
    def elements(self) -> int:
        """The estimated work of all its epochs."""
        order = self.order
        return estimated_elements(self.net.architecture, self.epochs * order.m, self.epochs * len(order.windows))

    def train(self, signals: StopSignals | None = None) -> History:
        """Train the network, as `fit` describes it; `signals` of ranks end it too."""
        with opened(self.checkpoint, signals) as saver:
            begins_at = beginning(self.call, saver, self.resume_from)
            return self.run(self.training(saver, begins_at, signals), begins_at)

    def training(self, saver: "Saver | None", begins_at: Beginning, signals: StopSignals | None = None) -> Training:
        """Return the training with its step, which has not begun."""
        net, order = self.net, self.order
        # The work of the first call, where there was one: the same loops, and so the same bits.
        # The first steps of a form that come varied round differently: not in a training that may go on.
        varied = isinstance(self.data, BatchStream) and self.checkpoint is None and self.resume_from is None
        demands = self.demands._replace(work=begins_at.elements(self.elements), varied=varied)
        step = self._step(demands)
        begins_at.check(step)
        return Training(
            net,
            self.data,
            self.rule,
            step,
            order=order,
            rng=self.rng,
            validation=self.validation,
            metrics=self.metrics,
            callbacks=self.callbacks,
            monitor=self.monitor,
            progress=display(self.progress and (self.share is None or self.share.job.rank == 0)),
            begins_at=begins_at,
            arguments=self.call,
            elements=demands.work,
            saver=saver,
            rows=self.rows,
            share=self.share,
            signals=signals,
        )

    def run(self, training: Training, begins_at: Beginning) -> History:
        """Run a training to its end."""
        # Every error carries the finished epochs; one for lack of memory, the batch size that would fit.
        with kept(training.history), explained(self.net, self.rule, self.order.batch_size):
            return training.run(self.epochs + begins_at.further_from)

    def _step(self, demands: Demands) -> "CapturedStep":
        net, rule = self.net, self.rule
        if self.share is not None:
            return self.share.step(net, rule, demands=demands, **self.clips)
        # An iteration of L-BFGS evaluates the cost several times: it is a step of its own, over the same epochs.
        if isinstance(rule, LBFGS):
            return lbfgs.bind(net.backend, net.architecture, rule, **self.clips, demands=demands)
        return bind(net.backend, net.architecture, rule, **self.clips, demands=demands)


def prepared(
    net: Network,
    x: Any,
    y: Any,
    options: Options,
    *,
    sample_weight: Any = None,
    validation_data: Any = None,
    rows: Any = None,
    intake: Intake | None = None,
    job: "Job | None" = None,
) -> Preparation:
    """Check all arguments of a training, and take its data in.

    Parameters
    ----------
    net, x, y, sample_weight, validation_data
        As `fit` describes them.
    options : Options
        The others.
    rows : sequence of int, optional
        The rows of x, y and sample_weight that are trained on, None for all of them.
    intake : Intake, optional
        Shared by several trainings, it takes the same data in once.
    job : Job, optional
        The processes that share the training; it is then compared with theirs.

    Raises
    ------
    TypeError, ValueError
        For bad arguments or data.
    """
    arguments.check_counts(epochs=options.epochs, batch_size=options.batch_size)
    clips: dict[str, Any] = {name: arguments.clip(name, getattr(options, name)) for name in ("clip_norm", "clip_value")}
    early_stopping = arguments.early_stopping(options.early_stopping)
    checkpoint = checkpoint_options.checked(options.checkpoint)
    arguments.check_single(net)
    demands = Demands(precision=options.precision, deterministic=options.deterministic)
    net.backend.check_demands(demands, net.dtype)
    intake = Intake() if intake is None else intake
    rule = optimizers.get(options.optimizer)
    data: Batch | BatchStream
    order: Minibatches | BatchStream
    share: Share | None = None
    if is_stream(x, y):
        data = order = BatchStream(net, x)
        own, given = data.first.y, None  # nothing of it is stored
        unread = {"batch_size": options.batch_size, "sample_weight": sample_weight, "rows": rows}
        full_batch = rule.name if rule.full_batch else None
        check_alone(data, epochs=options.epochs, full_batch=full_batch, checkpoint=checkpoint, **unread)
    else:
        if y is None:
            raise TypeError(
                "y is missing: pass fit(net, x, y), or for x a function that returns the batches of an epoch."
            )
        # A full batch is cast once, not at each step.
        some = job is None or not job.shard  # else a weight above 0 on any rank, as `Share` checks
        data = intake.taken(net, x, y, sample_weight, as_stored=options.batch_size is not None, some=some)
        given = x
        if data.x.ndim != 2:
            raise ValueError(f"x must have two axes, (m, {net.layer_sizes[0]}), not the shape {tuple(data.x.shape)}.")
        rows = chosen_rows.checked(rows, data.x.shape[0])
        own = chosen_rows.targets(net, data, rows)
        if job is not None:
            from retroprop.training.share import Share as OfThisRank  # only where it is needed: imports take time

            share = OfThisRank(job, net.backend, data, intake.validation(net, validation_data))
        m = data.x.shape[0] if share is None else share.m
        m = m if rows is None else len(rows)
        order = block_shuffle.minibatches(m, options.batch_size, options.shuffle, data.x)
        if rule.full_batch and len(order.windows) > 1:
            raise ValueError(
                f"the optimizer {rule.name!r} needs all {order.m} rows in each step: batch_size must be None or "
                f"{order.m} or above, not {options.batch_size!r}."
            )
    held_out = intake.validation(net, validation_data)
    measured = arguments.metrics(net, options.metrics, y=own, validation=held_out)
    monitor = None
    if early_stopping is not None:
        monitor = early_stopping.start(validates=held_out is not None, metrics=measured)
    rng, listed = host.generator(options.seed), hooks.check(options.callbacks)
    described = {
        "optimizer": rule,
        "batch_size": None if options.batch_size is None else order.batch_size,
        "shuffle": block_shuffle.described(order),
        "seed": options.seed,
        "metrics": measured,
        "early_stopping": early_stopping,
        **clips,
        "precision": options.precision,
        "deterministic": options.deterministic,
    }
    call = FitCall(
        net.architecture, net.backend, net.dtype, (given, y, sample_weight, validation_data), described, rows
    )
    if checkpoint is not None:
        call.check()
    if share is not None:
        assert isinstance(data, Batch)
        call = share.agreed(call, net, rng, data, held_out, epochs=options.epochs, callbacks=listed)
    return Preparation(
        net,
        data,
        rows,
        rule,
        order,
        rng,
        held_out,
        measured,
        listed,
        monitor,
        checkpoint,
        options.resume_from,
        clips,
        options.epochs,
        flag("progress", options.progress),
        demands,
        call,
        share,
    )
