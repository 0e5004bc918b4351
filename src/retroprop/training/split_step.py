"""One step of a training that ranks share: a captured gradient, one sum of one buffer, a captured update."""

from collections.abc import Callable, Sequence
from functools import lru_cache
from math import prod
from typing import Any, NamedTuple

from retroprop.backends import host
from retroprop.backends.backend import PLAIN, Backend, Demands
from retroprop.backends.intake.batch import Batch
from retroprop.backends.replay.captured_step import CapturedStep
from retroprop.core.architecture import Architecture
from retroprop.core.operations import Operations
from retroprop.core.parameters import Parameters, separated
from retroprop.functions.types import Array
from retroprop.training.optimizers import OPTIMIZERS, UpdateRule
from retroprop.training.parallel import Ranks
from retroprop.training.step import Measured, has_custom_parts, measured, without_rate

FURTHER = 3  # numbers of a buffer after the gradients: J, the rows or the sum of their weights, wishes to stop


class BatchPart(NamedTuple):
    """The rows of a batch that are computed together: data, rows of them (None: all), masks of the hidden layers."""

    data: Batch
    rows: Array | None
    masks: tuple[Array | None, ...] | None


class SplitStepped(NamedTuple):
    """The results of a step.

    Attributes
    ----------
    parameters, state
        After the update.
    cost : array, 0-d
        J of the whole batch before the update.
    total : array, 0-d
        The number of its rows, or the sum of their weights.
    outputs : list of array
        The outputs of each part of this rank, copies if there is more than one; valid until the next step.
    wishes : float
        The sum of the wishes to stop, 0 where it cannot be read without waiting for a device.
    """

    parameters: Parameters
    state: tuple[Any, ...]
    cost: Array
    total: Array
    outputs: list[Array]
    wishes: float


class SplitStep(CapturedStep):
    """The step of one training on one of its ranks; the arguments are those of `step.bind`."""

    def __init__(
        self,
        backend: Backend,
        architecture: Architecture,
        optimizer: UpdateRule,
        ranks: Ranks,
        *,
        clip_norm: float | None = None,
        clip_value: float | None = None,
        penalties_of_sum: bool = False,
        demands: Demands = PLAIN,
    ) -> None:
        rule = without_rate(optimizer)
        custom = has_custom_parts(architecture) or type(optimizer) not in OPTIMIZERS.values()
        gradient, update = (f.__wrapped__ if custom else f for f in (_gradient, _update))
        # The penalties are added by the update, once: in the sum there would be one for each rank.
        super().__init__(gradient(architecture._replace(l2=0.0, l1=0.0)), backend.operations())
        self.backend, self.ranks = backend, ranks
        self.n = sum(map(prod, architecture.shapes)) + (sum(architecture.layer_sizes[1:]) if architecture.bias else 0)
        self._measure = backend.capture(self._step, demands=demands)
        updated = update(architecture, rule, clip_norm, clip_value, penalties_of_sum)
        self._update = backend.capture(updated, donate=(0, 1), demands=demands)
        self.compiled = self._measure.compiled or self._update.compiled
        self._buffers: list[Array] = []

    def __call__(
        self,
        parameters: Parameters,
        state: tuple[Any, ...],
        hyper: tuple[float, ...],
        parts: Sequence[BatchPart],
        wish: float,
    ) -> SplitStepped:
        """Do a step on this rank's parts of a batch; `parameters` and `state` may be overwritten."""
        outputs: list[Array] = []
        sums = []
        for k, part in enumerate(parts):
            summand, a = self._summand(k, parameters, part, wish if k == 0 else 0.0)
            sums.append(summand)
            if a is not None:
                outputs.append(self.backend.asarray(a, copy=len(parts) > 1))  # the next part may overwrite it
        flat = self.ranks.sum(_tree_sum(sums))
        wishes = float(flat[-1]) if self.ranks.on_host else 0.0
        flat = self.backend.asarray(flat)
        gradients = separated(flat, parameters.shapes, self.backend.xp)
        parameters, state, cost, total = self._update(parameters, state, hyper, gradients, flat[self.n :])
        return SplitStepped(parameters, state, cost, total, outputs, wishes)

    def _summand(self, k: int, parameters: Parameters, part: BatchPart, wish: float) -> tuple[Array, Array | None]:
        """Return the summand of part k, in a buffer of its own, and its outputs, None without rows."""
        data, rows, masks = part
        m = data.x.shape[0] if rows is None else rows.shape[0]
        dtype = self.backend.dtype_name(parameters.thetas[0])
        if m == 0:
            return self._filled(k, dtype, (), 0.0, wish), None
        found = self._measure(parameters, data, rows, masks)
        weight = data.weight if rows is None else self._operations.gather(data.weight, rows)
        total = m if weight is None else self.backend.xp.sum(weight)
        return self._filled(k, dtype, (*found.gradients.leaves, found.cost), total, wish), found.a

    def _filled(self, k: int, dtype: str, arrays: tuple[Array, ...], total: Any, wish: float) -> Array:
        """Return the arrays times `total` (without arrays zeros), then `total` and `wish`, as one 1-D array."""
        backend, xp = self.backend, self.backend.xp
        if not self.ranks.on_host:
            last = backend.asarray([float(wish)], dtype)
            if not arrays:
                return xp.concat((xp.zeros(self.n + 2, dtype=last.dtype, device=backend.device), last))
            return xp.concat((xp.concat(arrays, axis=None) * total, xp.ones_like(last) * total, last))
        if k == len(self._buffers):
            self._buffers.append(host.xp.empty(self.n + FURTHER, dtype))
        buffer, end = self._buffers[k], 0
        if not arrays:
            buffer[:] = 0.0
        total = backend.to_numpy(total) if hasattr(total, "dtype") else total
        for array in arrays:
            # Copied and multiplied in one pass; a mean over the rows becomes their sum.
            begin, end = end, end + prod(array.shape)
            host.xp.multiply(backend.to_numpy(array), total, out=buffer[begin:end].reshape(tuple(array.shape)))
        buffer[-2:] = total, wish
        return buffer


def _tree_sum(parts: list[Array]) -> Array:
    """Return the sum in a fixed order: neighbours first, then the neighbours' sums."""
    while len(parts) > 1:
        parts = [one + other for one, other in zip(parts[::2], parts[1::2], strict=True)]
    return parts[0]


@lru_cache(maxsize=32)
def _gradient(architecture: Architecture) -> Callable[..., Measured]:
    def gradient(
        operations: Operations, parameters: Parameters, data: Batch, rows: Array | None, masks: Any
    ) -> Measured:
        if rows is not None:
            data = Batch(*(operations.gather(part, rows) for part in data))
        return measured(operations, parameters, data, masks, architecture, penalties_of_sum=False)

    return gradient


@lru_cache(maxsize=32)
def _update(
    architecture: Architecture,
    optimizer: UpdateRule,
    clip_norm: float | None,
    clip_value: float | None,
    penalties_of_sum: bool,
) -> Callable[..., tuple[Parameters, tuple[Any, ...], Array, Array]]:
    penalties, clips = architecture.penalties, clip_norm is not None or clip_value is not None

    def update(
        operations: Operations,
        parameters: Parameters,
        state: tuple[Any, ...],
        hyper: tuple[float, ...],
        sums: Parameters,
        further: Array,
    ) -> tuple[Parameters, tuple[Any, ...], Array, Array]:
        xp, thetas = operations.xp, parameters.thetas
        # Σ w, or 1 where that is 0
        total = further[1, ...] + xp.astype(further[1, ...] == 0.0, further.dtype)
        share = 1.0 / total if penalties_of_sum else 1.0
        # ∂J/∂θ = 1/Σw Σ w_i ∂J_i/∂θ + the penalties' gradient, once
        gradients = sums.like([leaf / total for leaf in sums.leaves])
        penalised = [
            operations.penalty_gradient(layer, grad, theta, penalties[layer - 1], share)
            for layer, (grad, theta) in enumerate(zip(gradients.thetas, thetas, strict=True), start=1)
        ]
        gradients = Parameters(tuple(penalised), gradients.biases)
        cost = further[0, ...] / total + share * operations.penalty(thetas, penalties)
        if clips:
            gradients = operations.clip(gradients, clip_norm, clip_value)
        parameters, state = operations.update(optimizer.formula, parameters, gradients, state, hyper)
        return parameters, state, cost, further[1, ...] * 1.0

    return update
