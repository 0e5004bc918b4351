"""The course of a training: its whole state as one immutable value."""

from typing import Any, NamedTuple

from retroprop.backends import Backend
from retroprop.backends.intake.arrays import holds
from retroprop.backends.intake.batch import Batch
from retroprop.core.parameters import Parameters, joined
from retroprop.functions.types import Array, Namespace, RandomGenerator


class Course(NamedTuple):
    """Everything that a training changes, after some step of it.

    With the arguments of the training, from which the step, the data and the order of the batches follow again, it
    determines all that is to come, bit for bit. Arrays live with the network, except `order`, which is on the host.
    Some are memory of the captured step, valid until its next call.

    Attributes
    ----------
    parameters : Parameters
        The current parameters.
    state : tuple
        The state of the optimizer.
    n_updates : int
        How many updates were made.
    schedule : tuple of float
        The state of the learning rate, `Schedule.run_state`.
    generator : dict or None
        The state of the generator after all that was drawn, as NumPy's bit generators have it.
    epoch_generator : dict or None
        Its state before the order of the current epoch was drawn, if that is to be stored in place of the order.
    mask_key : tuple of int or None
        The key of the dropout masks, None without dropout.
    stopping : tuple or None
        The state of early stopping: best figure, patience used, parameters of the best epoch.
    epoch : int
        How many epochs are finished.
    last, good : array (n,) or None
        The parameters at the end of the last epoch, and those at the end of the one before that, joined. `good` are the
        last that a finite cost was measured at.
    order : integer array or None
        The rows in the order of the current epoch, None for the order they are stored in.
    n_batches : int
        How many batches of the current epoch are done.
    costs : tuple of array
        J of those batches, each before its update: 0-d arrays and, of runs of steps, 1-D arrays.
    weights : tuple of array
        The sums of their weights, likewise; empty where batches count by their rows.
    batch_sizes : tuple of int
        Their numbers of rows.
    seen : tuple of Batch
        Their outputs, targets and weights; empty unless metrics are computed of them.
    """

    parameters: Parameters
    state: tuple[Any, ...] = ()
    n_updates: int = 0
    schedule: tuple[float, ...] = ()
    generator: Any = None
    epoch_generator: Any = None
    mask_key: tuple[int, int] | None = None
    stopping: Any = None
    epoch: int = 0
    last: Array | None = None
    good: Array | None = None
    order: Array | None = None
    n_batches: int = 0
    costs: tuple[Array, ...] = ()
    weights: tuple[Array, ...] = ()
    batch_sizes: tuple[int, ...] = ()
    seen: tuple[Batch, ...] = ()

    def compact(self, xp: Namespace, *, keeps_order: bool) -> "Course":
        """Return the same course in few arrays, to be stored.

        Without `keeps_order` the order, as large as the data may be long, is left out: it is drawn again.
        """

        def one(arrays: tuple[Array, ...]) -> tuple[Array, ...]:
            return (xp.concat(arrays, axis=None),) if arrays else ()

        columns = [[part for part in column if part is not None] for column in zip(*self.seen, strict=True)]
        outputs = Batch(*(xp.concat(column, axis=0) if column else None for column in columns)) if columns else None
        found = self._replace(
            costs=one(self.costs), weights=one(self.weights), seen=() if outputs is None else (outputs,)
        )
        if self.n_batches == 0:
            found = found._replace(last=None)  # the parameters, joined
        if keeps_order or (self.n_batches and self.epoch_generator is None):
            return found
        return found._replace(
            order=None, generator=self.epoch_generator if self.n_batches else self.generator, epoch_generator=None
        )


def restored(rng: RandomGenerator, state: Any) -> None:
    """Give a generator a state that `state_of` returned.

    Raises ValueError if it is that of another kind of generator.
    """
    if hasattr(rng, "bit_generator"):
        rng.bit_generator.state = state
    else:
        rng.set_state(state)


def copied(parameters: Parameters, xp: Namespace) -> Parameters:
    """Return copies that no step overwrites, each in memory of its own (a step may donate its arguments)."""
    return parameters.like([xp.astype(leaf, leaf.dtype, copy=True) for leaf in parameters.leaves])


def are_finite(parameters: Parameters, backend: Backend) -> bool:
    """Return whether every parameter is finite; waits for the device."""
    return holds(backend, backend.xp.isfinite(joined(parameters, backend.xp)))


def state_of(rng: RandomGenerator) -> Any:
    """Return the state of a generator as a value."""
    return rng.bit_generator.state if hasattr(rng, "bit_generator") else rng.get_state(legacy=False)
