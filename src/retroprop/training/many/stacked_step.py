"""One step of K networks of one form as a pure function: the step of one, with a leading model axis."""

from collections.abc import Callable
from functools import lru_cache
from math import prod
from typing import NamedTuple

from retroprop.backends.backend import PLAIN, Backend, Demands
from retroprop.backends.intake.batch import Batch
from retroprop.backends.replay.captured_step import CapturedStep
from retroprop.core.architecture import Architecture
from retroprop.core.operations import Operations
from retroprop.core.parameters import Parameters
from retroprop.functions.types import Array, Namespace
from retroprop.training.many.one_of_many import OneOfMany
from retroprop.training.optimizers import UpdateRule
from retroprop.training.step import measured, step_of, without_rate

Penalties = tuple[tuple[Array | None, Array | None], ...]
"""λ₂ and λ₁ of each Θ as arrays (K, 1, 1), None where no network has them."""
KINDS = (1.0, 0.0), (0.0, 1.0)
"""(λ₂, λ₁) of the one penalty and of the other, with λ = 1."""


class StackedData(NamedTuple):
    """The data of K networks, held once.

    Attributes
    ----------
    x, y, weight : array
        As in `Batch`: all rows, of several data sets one after another.
    offsets : tuple of integer array (K, 1) or None
        For x, y and weight, the first row of the data set of each network; None where it is the same one for all.
    penalties : Penalties or None
        Of each network; None if they are those of the architecture.
    """

    x: Array
    y: Array
    weight: Array | None
    offsets: tuple[Array | None, Array | None, Array | None] = (None, None, None)
    penalties: Penalties | None = None


class StackedStepped(NamedTuple):
    """The results of a step.

    Attributes
    ----------
    parameters : array (K, P)
        All parameters of a network in a row, after the update.
    state : tuple of array (K, P)
        The optimizer's.
    cost : array (K,)
        J of each batch before the update.
    a : array (K, m, n_L)
        The outputs before the update; the next step may overwrite them.
    """

    parameters: Array
    state: tuple[Array, ...]
    cost: Array
    a: Array


def bind_stacked(
    backend: Backend,
    architecture: Architecture,
    optimizer: UpdateRule,
    *,
    clip_norm: float | None = None,
    clip_value: float | None = None,
    penalties_of_sum: bool = False,
    demands: Demands = PLAIN,
) -> CapturedStep:
    """Return the step of K networks, as `step.bind` returns that of one.

    Returns
    -------
    CapturedStep
        A function of (parameters, state, hyper, data, rows, masks, present) that returns a `StackedStepped`. `hyper`
        are arrays (K, 1), `data` are `StackedData`, `rows` an integer array (K, m), an integer array (m,) of rows that
        all networks see, or None for all rows; `masks` are arrays (K, m, n_l). `present`, an array (K, m), is for
        batches of several sizes, whose rows are repeated up to the size of the largest: 1 for the rows of a batch, 0
        for those repeated. It is None where the sizes are equal.
    """
    options = without_rate(optimizer), clip_norm, clip_value, penalties_of_sum
    one = OneOfMany(
        architecture, lambda own: step_of(own, *options), lambda flat: by_layer(flat, architecture, backend.xp)
    )
    return backend.capture(_stacked_step(architecture, *options), donate=(0, 1), demands=demands._replace(one=one))


def by_layer(flat: Array, architecture: Architecture, xp: Namespace) -> Parameters:
    """Return parameters (..., P) in their shapes, with the same leading axes: views, where the library has them."""
    lead = tuple(flat.shape[:-1])
    shapes = list(architecture.shapes)
    leaves, end = [], 0
    for shape in [*shapes, *((n_out,) for n_out, _ in shapes if architecture.bias)]:
        begin, end = end, end + prod(shape)
        leaves.append(xp.reshape(flat[..., begin:end], (*lead, *shape)))
    return Parameters(tuple(leaves[: len(shapes)]), tuple(leaves[len(shapes) :]))


def side_by_side(parameters: Parameters, xp: Namespace) -> Array:
    """Return parameters with one leading axis as an array (K, P)."""
    k = parameters.thetas[0].shape[0]
    return xp.concat([xp.reshape(leaf, (k, prod(leaf.shape[1:]))) for leaf in parameters.leaves], axis=1)


@lru_cache(maxsize=32)
def _stacked_step(
    architecture: Architecture,
    optimizer: UpdateRule,
    clip_norm: float | None,
    clip_value: float | None,
    penalties_of_sum: bool,
) -> Callable[..., StackedStepped]:
    clips = clip_norm is not None or clip_value is not None

    def step(
        operations: Operations,
        parameters: Array,
        state: tuple[Array, ...],
        hyper: tuple[Array, ...],
        data: StackedData,
        rows: Array | None,
        masks: tuple[Array | None, ...] | None,
        present: Array | None = None,
    ) -> StackedStepped:
        xp = operations.xp
        by_model = by_layer(parameters, architecture, xp)
        batch = gathered(operations, data, rows, present)
        cost, gradients, a = measured(operations, by_model, batch, masks, architecture, penalties_of_sum)
        if data.penalties is not None:
            share = operations.share(batch.weight, batch.x.shape[-2]) if penalties_of_sum else 1.0
            penalties = _scaled(data.penalties, share)
            cost = cost + penalty_of(operations, by_model, penalties)
            gradients = with_penalties(operations, gradients, by_model, penalties)
        if clips:
            gradients = operations.clip(gradients, clip_norm, clip_value)
        # The update of all networks at once: θ, state ← rule(θ, ∂J/∂θ, state, hyper), hyper of each network (K, 1)
        updated, slots = operations.update(
            optimizer.formula,
            Parameters((parameters,)),
            Parameters((side_by_side(gradients, xp),)),
            tuple(Parameters((slot,)) for slot in state),
            hyper,
        )
        return StackedStepped(updated.thetas[0], tuple(slot.thetas[0] for slot in slots), cost, a)

    return step


def gathered(operations: Operations, data: StackedData, rows: Array | None, present: Array | None) -> Batch:
    """Return the batches: arrays (K, m, ...), or (m, ...) if all networks see the same rows."""
    x, y, weight = data.x, data.y, data.weight
    if rows is not None:
        x, y, weight = (_of_each(operations, *pair, rows) for pair in zip((x, y, weight), data.offsets, strict=True))
    if present is not None:
        weight = present if weight is None else weight * present
    return Batch(x, y, weight)


def _of_each(operations: Operations, part: Array | None, offset: Array | None, rows: Array) -> Array | None:
    if part is None:
        return None
    rows = rows if offset is None else rows + offset
    xp, size = operations.xp, prod(rows.shape)
    taken = operations.gather(part, xp.reshape(rows, (size,)))
    return xp.reshape(taken, (*rows.shape, *part.shape[1:]))


def _scaled(penalties: Penalties, share: Array | float) -> Penalties:
    """Return the penalties of each network times its share, a number or an array (K, 1, 1)."""
    if isinstance(share, float) and share == 1.0:
        return penalties
    return tuple(tuple(None if one is None else one * share for one in pair) for pair in penalties)  # type: ignore[misc]


def penalty_of(operations: Operations, parameters: Parameters, penalties: Penalties) -> Array | float:
    """Return the penalties of each network, λ₂/2 ‖Θ‖² + λ₁ ‖Θ‖₁, shape (K,)."""
    total: Array | float = 0.0
    for theta, of_layer in zip(parameters.thetas, penalties, strict=True):
        for kind, each in zip(KINDS, of_layer, strict=True):
            if each is not None:
                # λ times the penalty whose λ is 1
                total = total + each[:, 0, 0] * operations.penalty((theta,), (kind,))
    return total


def with_penalties(
    operations: Operations, gradients: Parameters, parameters: Parameters, penalties: Penalties
) -> Parameters:
    """Return ∂J/∂Θ plus the gradients of the penalties of each network, λ₂ Θ + λ₁ sign Θ."""
    thetas = []
    columns = zip(gradients.thetas, parameters.thetas, penalties, strict=True)
    for layer, (grad, theta, of_layer) in enumerate(columns, start=1):
        for kind, each in zip(KINDS, of_layer, strict=True):
            if each is not None:
                grad = operations.penalty_gradient(layer, grad, theta, kind, each)
        thetas.append(grad)
    return Parameters(tuple(thetas), gradients.biases)
