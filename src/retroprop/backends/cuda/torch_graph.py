"""A recorded step of PyTorch on an NVIDIA GPU as one CUDA graph, which is compared with the step before it is used.

The memory of the step is allocated already. Arguments that change from step to step, rows and numbers, are copied to
where the graph reads them; numbers become arrays without axes on the device, for steps outside a graph too.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, ClassVar

import torch

from retroprop.backends.record import tree
from retroprop.backends.record.recorder import form_of
from retroprop.backends.replay.captured_step import CapturedStep
from retroprop.backends.replay.trial import DIFFERS, NoWayError, StepTrial
from retroprop.functions.types import Array

Replayed = tuple[Callable[[], None], Any]
EAGER = 2  # steps of a form, after which it is known which arguments are the same at each


def cuda_graph(work: Callable[[], Any], device: Any) -> Replayed:
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
    """One training's step, `replayed` in memory that stays where it is, as a graph for each form of its arguments.

    The donated arguments come back in the place of the results.
    """

    def __init__(self, replayed: CapturedStep, device: Any, graph_of: Callable[..., Replayed] = cuda_graph) -> None:
        super().__init__(replayed._step, replayed._operations, replayed._donate)
        self._replayed, self._device, self._graph_of = replayed, device, graph_of
        self._inputs: dict[Any, Inputs] = {}
        self._replays: dict[Any, Replayed] = {}
        self._uses_graphs = True
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
        if not stays or not self._uses_graphs:
            return self._replayed(*inputs.given)
        if form in self._replays:
            replay, results = self._replays[form]
            replay()
            return self._handed(results, inputs)
        trial = TorchTrial(inputs.given, self._donate, self._replayed)
        found = trial.decided(lambda: trial.found(lambda work: self._graph_of(work, self._device)))
        if found is None:
            self._uses_graphs, self._replays = False, {}
            return trial.results
        self._replays[form] = found
        return self._handed(found[1], inputs)

    def _form_of(self, arguments: tuple[Any, ...]) -> tuple[Any, ...]:
        """Return the form of the arguments; those of the last call are not examined again."""
        known = self._seen if len(self._seen) == len(arguments) else (self,) * len(arguments)
        self._form = tuple(
            self._form[i] if argument is known[i] else form_of((argument,))[0] for i, argument in enumerate(arguments)
        )
        self._seen = arguments
        return self._form

    def _handed(self, results: Any, inputs: "Inputs") -> Any:
        """Return results: kept arguments as they are, scalars copied, as the next replay overwrites them."""
        stay = [inputs.given[i] for i in self._donate]
        parts = [
            part if any(part is one for one in stay) else tree.mapped(part, lambda x: x if x.ndim else x.clone())
            for part in results
        ]
        return tuple(parts) if type(results) is tuple else type(results)(*parts)


class TorchTrial(StepTrial):
    """The trial of a graph against a step done launch by launch, whose `results` it keeps."""

    full: ClassVar[tuple[type[Exception], ...]] = (MemoryError, torch.OutOfMemoryError)

    def __init__(self, given: tuple[Any, ...], donate: tuple[int, ...], step: Callable[..., Any]) -> None:
        super().__init__([leaf for i in donate for leaf in tree.leaves(given[i])], self._launched)
        self._work = partial(step, *given)
        self.results: Any = None

    def found(self, graph_of: Callable[[Callable[[], Any]], Replayed]) -> Replayed:
        """Return the graph of the step, and its results; `decided` calls it."""
        try:
            replay, results = graph_of(self._work)
            same = self._does(lambda: (replay(), _single(results))[1])
        except Exception as error:
            raise NoWayError(f"{type(error).__name__}: {error}") from error
        if not same:
            raise NoWayError(DIFFERS)
        return replay, results

    def _launched(self) -> list[Array]:
        self.results = self._work()
        return _single(self.results)

    def _copied(self, array: Array) -> Array:
        return array.clone()

    def _copy(self, target: Array, source: Array) -> None:
        target.copy_(source)

    def _same(self, arrays: Sequence[Array]) -> bool:
        return all(map(_alike, arrays, self._after))


class Inputs:
    """The arguments of a step as a graph reads them, for one form of them.

    `given` are those of the last call, with fixed copies of those that change. `moved` is whether that call had other
    arrays where the same were expected, so that a graph would read the old ones.
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
        self._calls += 1
        fixed = self._fixed or {}
        # The first calls are eager; so is one in which an argument that was fixed is another array.
        self.moved = any(arguments[i] is not argument for i, argument in fixed.items() if i not in self._donate)
        if self.moved:  # as by the next rows of a file: from the following call on these may be the same
            self._fixed, self._calls = None, EAGER
        # Training goes on where the donated arguments are those of the last call. Then the others that are the same are
        # fixed, and those that change get copies, as numbers do at the first call.
        stay = self._calls > EAGER and all(arguments[i] is self._last[i] for i in self._donate)
        settles = self._fixed is None and stay
        for i, argument in enumerate(arguments):
            numbers = self._calls == 1 and any(map(_is_number, tree.leaves(argument)))
            if numbers or (settles and argument is not self._last[i] and i not in self._copies):
                self._copies[i] = tree.mapped(argument, partial(self._copied, arguments))
        if settles:
            self._fixed = {i: argument for i, argument in enumerate(arguments) if i not in self._copies}
        # The changing ones are copied to where the graph reads them.
        for i, copies in self._copies.items():
            for copy, leaf in zip(tree.leaves(copies), tree.leaves(arguments[i]), strict=True):
                if _is_number(leaf):
                    copy.fill_(leaf)
                elif torch.is_tensor(leaf):
                    copy.copy_(leaf)
        self._last = arguments
        self.given = tuple(self._copies.get(i, argument) for i, argument in enumerate(arguments))
        return self._fixed is not None and all(arguments[i] is argument for i, argument in self._fixed.items())

    def _copied(self, arguments: tuple[Any, ...], leaf: Any) -> Any:
        if _is_number(leaf):
            real = next(x.dtype for x in tree.leaves(arguments) if torch.is_tensor(x) and x.is_floating_point())
            return torch.empty((), dtype=real, device=self._device)
        return leaf.clone() if torch.is_tensor(leaf) else leaf


def _is_number(leaf: Any) -> bool:
    return isinstance(leaf, (int, float)) and not isinstance(leaf, bool)


def _single(results: Any) -> list[Array]:
    return [leaf for leaf in tree.leaves(results) if not leaf.ndim]


def _alike(array: Array, other: Array) -> bool:
    """Return whether two arrays are equal to the tolerance of their dtype."""
    finite = other[torch.isfinite(other)].abs()
    scale = float(finite.max()) if finite.numel() else 0.0
    tolerance = 4.0 * torch.finfo(other.dtype).eps ** 0.5
    return bool(torch.allclose(array, other, rtol=0.0, atol=tolerance * scale, equal_nan=True))
