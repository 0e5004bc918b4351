"""The check of a course that was read from a file: whether it is one of this training, whatever its numbers."""

from math import prod
from typing import Any

from retroprop.core.parameters import Parameters
from retroprop.training.callbacks import StoppingState
from retroprop.training.course import Course
from retroprop.training.lbfgs import REASONS, Pair, Point, State
from retroprop.training.optimizers import Optimizer, UpdateRule


class Wanted:
    """The form that the parts of a course must have.

    Parameters
    ----------
    parameters : Parameters
        Of the network.
    rule : Optimizer
        Its state is part of the course.
    n_batches : int
        The number of batches of an epoch, 0 if it is not known.
    masks : bool
        Whether there is dropout.
    rows : int
        The number of rows that the order of an epoch can refer to.
    """

    def __init__(self, parameters: Parameters, rule: Optimizer, *, n_batches: int, masks: bool, rows: int) -> None:
        self.rows = rows
        self.parameters, self.rule, self.n_batches, self.masks = parameters, rule, n_batches, masks
        self.dtype = parameters.thetas[0].dtype
        self.n = sum(map(prod, parameters.shapes.leaves))

    def check(self, course: Any) -> None:
        """Raise ValueError, by the name of the first part that is not as it must be."""
        c = course
        _need(type(c) is Course, "course")
        _need(self._is_tree(c.parameters), "parameters")
        _need(self._is_state(c.state), "state")
        for name in ("n_updates", "epoch", "n_batches"):
            _need(_is_count(getattr(c, name)), name)
        _need(not self.n_batches or c.n_batches <= self.n_batches, "n_batches")
        _need(type(c.schedule) is tuple and all(type(one) in (int, float) for one in c.schedule), "schedule")
        _need(isinstance(c.generator, dict), "generator")
        if c.order is not None:
            _need(c.order.ndim == 1 and c.order.dtype.kind == "i" and len(c.order), "order")
            _need(c.order.min() >= 0 and c.order.max() < self.rows, "order")
        words = c.mask_key if type(c.mask_key) is tuple else ()
        _need(len(words) == 2 and all(_is_count(word) and word < 2**64 for word in words) if self.masks
              else c.mask_key is None, "mask_key")  # fmt: skip
        _need(self._is_flat(c.last), "last")
        _need(self._is_flat(c.good), "good")
        _need(type(c.batch_sizes) is tuple and len(c.batch_sizes) == c.n_batches, "batch_sizes")
        _need(all(_is_count(size) and size for size in c.batch_sizes), "batch_sizes")
        for name in ("costs", "weights"):
            arrays = getattr(c, name)
            _need(type(arrays) is tuple and all(self._is_array(one) and one.ndim == 1 for one in arrays), name)
            given = sum(one.shape[0] for one in arrays)
            _need(given == c.n_batches or (name == "weights" and not arrays), name)
        _need(type(c.seen) is tuple and all(len(one) == 3 and hasattr(one[0], "ndim") for one in c.seen), "seen")

    def stopping(self, stopping: Any, *, stops: bool) -> None:
        """Raise ValueError unless the state of early stopping of `fit` is one, or is None."""
        if not stops:
            _need(stopping is None, "stopping")
            return
        _need(type(stopping) is StoppingState and type(stopping.best) in (int, float), "stopping")
        _need(_is_count(stopping.waited), "stopping")
        _need(stopping.best_epoch is None or _is_count(stopping.best_epoch), "stopping")
        _need(stopping.parameters is None or self._is_flat(stopping.parameters), "stopping")

    def _is_array(self, value: Any) -> bool:
        return hasattr(value, "dtype") and bool(value.dtype == self.dtype)

    def _is_flat(self, value: Any) -> bool:
        return self._is_array(value) and tuple(value.shape) == (self.n,)

    def _is_tree(self, value: Any) -> bool:
        own = self.parameters
        return (
            type(value) is Parameters
            and (len(value.thetas), len(value.biases)) == (len(own.thetas), len(own.biases))
            and all(self._is_array(leaf) for leaf in value.leaves)
            and value.shapes == own.shapes
        )

    def _is_state(self, state: Any) -> bool:
        if isinstance(self.rule, UpdateRule):
            slots = self.rule.slots
            return type(state) is tuple and len(state) == slots and all(map(self._is_tree, state))
        if state == ():
            return True
        return (
            type(state) is State
            and type(state.point) is Point
            and self._is_tree(state.point.parameters)
            and all(self._is_flat(one) for one in (state.point.x, state.point.gradient))
            and all(type(one) is float for one in (state.point.value, state.point.largest))
            and self._is_array(state.point.cost)
            and type(state.pairs) is tuple
            and all(type(one) is Pair and self._is_flat(one.s) and self._is_flat(one.y) for one in state.pairs)
            and all(self._is_array(one.rho) for one in state.pairs)
            and state.reason in REASONS
        )


def _is_count(value: Any) -> bool:
    return type(value) is int and value >= 0


def _need(condition: Any, name: str) -> None:
    if not condition:
        raise ValueError(f"its {name} is not that of this training")
