"""A recorded step of PyTorch on an NVIDIA GPU as one CUDA graph, which is compared with the step before it is used.

The memory of the step is allocated already. Arguments that change from step to step, rows and numbers, are copied to
where the graph reads them; numbers become arrays without axes on the device, for steps outside a graph too.
"""

import logging
from collections.abc import Callable
from typing import Any

import torch

from retroprop.backends.record import tree
from retroprop.backends.record.recorder import form_of
from retroprop.backends.replay.captured_step import CapturedStep
from retroprop.core.operations import Operations
from retroprop.functions.types import Array

log = logging.getLogger("retroprop")
EAGER = 2  # steps of a form, after which it is known which arguments are the same at each


def captured(work: Callable[[], Any], device: Any) -> tuple[Callable[[], None], Any]:
    """Return a function that replays the work as a CUDA graph, and the results, which each replay overwrites."""
    graph = torch.cuda.CUDAGraph()
    here = torch.cuda.current_stream(device)
    try:
        with torch.cuda.device(device), torch.cuda.graph(graph):
            results = work()
    except BaseException:
        # If the end of a capture fails, PyTorch leaves the thread on the stream of the capture.
        torch.cuda.set_stream(here)
        raise

    def replay() -> None:
        with torch.cuda.device(device):
            graph.replay()

    return replay, results


class GraphedStep(CapturedStep):
    """One training's step as a graph for each form of its arguments.

    Parameters
    ----------
    replayed : CapturedStep
        The recorded step: its memory stays where it is from call to call.
    step, operations, donate
        As for `CapturedStep`; the donated arguments come back in the place of the results.
    device : torch.device
        The device of the numbers.
    capture : callable
        As `captured`.
    """

    def __init__(
        self,
        replayed: CapturedStep,
        step: Callable[..., Any],
        operations: Operations,
        donate: tuple[int, ...],
        device: Any,
        capture: Callable[[Callable[[], Any], Any], tuple[Callable[[], None], Any]] = captured,
    ) -> None:
        super().__init__(step, operations, donate)
        self._replayed, self._device, self._capture = replayed, device, capture
        self._inputs: dict[Any, Inputs] = {}
        self._replays: dict[Any, tuple[Callable[[], None], Any]] = {}
        self._captures = True
        self._seen: tuple[Any, ...] = ()
        self._form: tuple[Any, ...] = ()

    def __call__(self, *arguments: Any) -> Any:
        form = self._form_of(arguments)
        if form not in self._inputs:
            self._inputs[form] = Inputs(self._donate, self._device)
        inputs = self._inputs[form]
        stays = inputs.take(arguments)
        if inputs.moved:
            self._replays.pop(form, None)
        if not stays or not self._captures:
            return self._replayed(*inputs.given)
        if form not in self._replays:
            return self._try(form, inputs)
        replay, results = self._replays[form]
        replay()
        return self._handed(results, inputs)

    def _form_of(self, arguments: tuple[Any, ...]) -> tuple[Any, ...]:
        """Return the form of the arguments; those of the last call are not examined again."""
        known = self._seen if len(self._seen) == len(arguments) else (self,) * len(arguments)
        self._form = tuple(
            self._form[i] if argument is known[i] else form_of((argument,))[0] for i, argument in enumerate(arguments)
        )
        self._seen = arguments
        return self._form

    def _try(self, form: Any, inputs: "Inputs") -> Any:
        """Do one step, capture it, replay it from the same state, and compare the results."""
        state = [leaf for i in self._donate for leaf in tree.leaves(inputs.given[i])]
        try:
            before = [leaf.clone() for leaf in state]
        except torch.OutOfMemoryError as error:
            self._refuse(f"there is no memory for a copy to try it on: {error}")
            return self._replayed(*inputs.given)
        done = self._replayed(*inputs.given)
        after: list[Array] = []
        try:
            after = [leaf.clone() for leaf in (*state, *_single(done))]
            replay, results = self._capture(lambda: self._replayed(*inputs.given), self._device)
            _restore(state, before)
            replay()
            same = all(map(_alike, (*state, *_single(results)), after))
        except Exception as error:
            same, results = False, done
            self._refuse(f"{type(error).__name__}: {error}")
        else:
            self._replays[form] = replay, results
            if not same:
                self._refuse("a graph did not leave the results of its launches")
        if not same:
            if not after:
                return done  # there was no memory for copies, and nothing ran since
            _restore([*state, *_single(done)], after)
            return done
        return self._handed(results, inputs)

    def _refuse(self, reason: str) -> None:
        log.warning("steps are launched one by one, not as a graph: %s", reason)
        self._captures, self._replays = False, {}

    def _handed(self, results: Any, inputs: "Inputs") -> Any:
        """Return results: kept arguments as they are, scalars copied, as the next replay overwrites them."""
        stay = [inputs.given[i] for i in self._donate]
        parts = [
            part if any(part is one for one in stay) else tree.mapped(part, lambda x: x if x.ndim else x.clone())
            for part in results
        ]
        return tuple(parts) if type(results) is tuple else type(results)(*parts)


class Inputs:
    """The arguments of a step as a graph reads them, for one form of them.

    Attributes
    ----------
    given : tuple
        The arguments of the last call, with fixed copies of those that change.
    moved : bool
        Whether the last call had other arrays where the same were expected, so that a graph would read the old ones.
    """

    def __init__(self, donate: tuple[int, ...], device: Any) -> None:
        self._donate, self._device = donate, device
        self._last: tuple[Any, ...] = ()
        self._copies: dict[int, Any] = {}  # of arguments that change, by number
        self._fixed: dict[int, Any] | None = None  # the others, once they are known
        self._calls, self.moved = 0, False
        self.given: tuple[Any, ...] = ()

    def take(self, arguments: tuple[Any, ...]) -> bool:
        """Copy in the arguments that change; return whether the others are known and the same."""
        if not self._calls:
            floats = [leaf.dtype for leaf in tree.leaves(arguments) if _is_array(leaf) and leaf.is_floating_point()]
            for i, argument in enumerate(arguments):
                if any(map(_is_number, tree.leaves(argument))):
                    self._copies[i] = tree.mapped(argument, lambda leaf: self._copied(leaf, floats[0]))
        self._calls += 1
        fixed = self._fixed or {}
        self.moved = any(arguments[i] is not argument for i, argument in fixed.items() if i not in self._donate)
        if self.moved:  # as by the next rows of a file: from the following call on these may be the same
            self._fixed, self._calls = None, EAGER
        stay = self._calls > EAGER and all(arguments[i] is self._last[i] for i in self._donate)
        if self._fixed is None and stay:
            for i, argument in enumerate(arguments):
                if argument is not self._last[i] and i not in self._copies:
                    self._copies[i] = tree.mapped(argument, lambda leaf: self._copied(leaf, None))
            self._fixed = {i: argument for i, argument in enumerate(arguments) if i not in self._copies}
        for i, copies in self._copies.items():
            for copy, leaf in zip(tree.leaves(copies), tree.leaves(arguments[i]), strict=True):
                if _is_number(leaf):
                    copy.fill_(leaf)
                elif _is_array(leaf):
                    copy.copy_(leaf)
        self._last = arguments
        self.given = tuple(self._copies.get(i, argument) for i, argument in enumerate(arguments))
        return self._fixed is not None and all(arguments[i] is argument for i, argument in self._fixed.items())

    def _copied(self, leaf: Any, dtype: Any) -> Any:
        if _is_number(leaf):
            return torch.empty((), dtype=dtype, device=self._device)
        return leaf.clone() if _is_array(leaf) else leaf


def _is_number(leaf: Any) -> bool:
    return isinstance(leaf, (int, float)) and not isinstance(leaf, bool)


def _is_array(leaf: Any) -> bool:
    return isinstance(leaf, torch.Tensor)


def _single(results: Any) -> list[Array]:
    """Return the results without axes."""
    return [leaf for leaf in tree.leaves(results) if not leaf.ndim]


def _restore(state: list[Array], values: list[Array]) -> None:
    for array, value in zip(state, values, strict=True):
        array.copy_(value)


def _alike(array: Array, other: Array) -> bool:
    """Return whether two arrays are equal to the tolerance of their dtype."""
    finite = other[torch.isfinite(other)].abs()
    scale = float(finite.max()) if finite.numel() else 0.0
    tolerance = 4.0 * torch.finfo(other.dtype).eps ** 0.5
    return bool(torch.allclose(array, other, rtol=0.0, atol=tolerance * scale, equal_nan=True))
