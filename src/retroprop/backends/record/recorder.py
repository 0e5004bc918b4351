"""Calling a step once with symbols, so that it becomes a graph whose nodes keep their role.

The step is called with the operations of its backend, bound to symbols: what a backend overrides is what is recorded.
Only two operations that core leaves at their default have a form of their own in a record: rows are gathered by one
node, and the update runs once over all parameters, joined to one 1-D array, not once for each of them.
"""

from collections.abc import Callable, Mapping
from copy import copy
from dataclasses import dataclass
from functools import lru_cache
from inspect import isfunction, ismodule, signature
from typing import Any, NamedTuple

from retroprop.backends.record import tree
from retroprop.backends.record.graph import Graph, Node, NotTraceableError, Role
from retroprop.backends.record.symbols import Symbols
from retroprop.backends.record.table import POINTWISE
from retroprop.core.operations import Operations, overridden
from retroprop.core.parameters import Parameters

_FUNCTIONS = ("activation", "output", "rule")  # the arguments of an operation that its role remembers


class RecordedOperation(NamedTuple):
    """One call of an operation of backpropagation: its role, its arguments by name, its results as a tree of nodes."""

    role: Role
    arguments: Mapping[str, Any]
    results: Any


class Recording(NamedTuple):
    """A step as a graph.

    Attributes
    ----------
    arguments, results : tree
        A node for an array or a number, anything else as it was given.
    donated : tuple of int
        The arguments whose memory the results may take.
    operations : list of RecordedOperation
        The operations of backpropagation it called, in order.
    """

    graph: Graph
    arguments: tuple[Any, ...]
    results: Any
    donated: tuple[int, ...]
    operations: list[RecordedOperation]


@dataclass(frozen=True)
class Form:
    """Shape and dtype of an array: all that a recording depends on."""

    shape: tuple[int, ...]
    dtype: str


def form_of(arguments: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return the arguments with a `Form` for each array and `float` for each number."""

    def form(leaf: Any) -> Any:
        if hasattr(leaf, "dtype") and hasattr(leaf, "shape") and not isinstance(leaf, float):
            return Form(tuple(leaf.shape), str(leaf.dtype).rpartition(".")[2])
        return float if isinstance(leaf, (int, float)) and not isinstance(leaf, bool) else leaf

    return tuple(tree.mapped(argument, form) for argument in arguments)


def record(
    step: Callable[..., Any], operations: Operations, forms: tuple[Any, ...], donate: tuple[int, ...]
) -> Recording:
    """Call `step` once with symbols of the forms given, and return it as a graph.

    Raises NotTraceableError if it asks for numbers, or for a function that is not recorded.
    """
    xp = Symbols()
    taken: list[Node] = []

    def symbol(leaf: Any) -> Any:
        if isinstance(leaf, Form):
            taken.append(xp.graph.given("input", leaf.shape, leaf.dtype, number=len(taken)))
        elif leaf is float:
            taken.append(xp.graph.given("number", (), float, number=len(taken)))
            taken[-1].weak = True
        else:
            return leaf
        return taken[-1]

    symbols = tree.mapped(forms, symbol)
    recorder = Recorder(operations, xp)
    results = step(recorder, *symbols)
    for leaf in tree.leaves(results):
        if not isinstance(leaf, Node) or leaf.weak:
            raise NotTraceableError(f"a step gives arrays back; this one gives {leaf!r}.")
    return Recording(xp.graph, symbols, results, donate, recorder.recorded)


class Recorder:
    """The operations of a backend on symbols; each call is noted, and its nodes get its role."""

    def __init__(self, operations: Operations, xp: Symbols) -> None:
        if not ismodule(operations.xp):  # symbols would replace them unnoticed
            raise NotTraceableError("its operations compute with functions of their own, in place of a library's.")
        self.xp = xp
        self.recorded: list[RecordedOperation] = []
        self._own = copy(operations)
        self._own.xp = xp
        self._forms = {
            name: method
            for name, method in (("gather", self._gather), ("update", self._update))
            if not overridden(operations, name)
        }

    def __getattr__(self, name: str) -> Any:
        method = self._forms.get(name) or getattr(self._own, name)
        if not isfunction(getattr(Operations, name, None)):
            return method  # an attribute, or a method that only this backend has

        def call(*args: Any, **options: Any) -> Any:
            arguments = dict(zip(_parameters(name), args, strict=False)) | options
            function = next((arguments[f] for f in _FUNCTIONS if f in arguments), None)
            role = Role(name, arguments.get("layer", 0), function)
            graph = self.xp.graph
            before, graph.role = graph.role, role
            try:
                results = method(*args, **options)
            finally:
                graph.role = before
            self.recorded.append(RecordedOperation(role, arguments, results))
            return results

        return call

    def _gather(self, part: Node | None, rows: Node) -> Node | None:
        return None if part is None else self.xp.graph.apply("gather", part, rows)

    def _update(
        self,
        rule: Callable[..., tuple[Any, ...]],
        parameters: Parameters,
        gradients: Parameters,
        state: tuple[Parameters, ...],
        hyper: tuple[float, ...],
    ) -> tuple[Parameters, tuple[Parameters, ...]]:
        graph, begun = self.xp.graph, len(self.xp.graph.nodes)
        old = [graph.join(p.leaves) for p in (parameters, *state)]
        grad = graph.join(gradients.leaves)
        # θ, state ← rule(θ, ∂J/∂θ, state, hyper), elementwise
        new = rule(self.xp, old[0], grad, *old[1:], *hyper)
        elementwise = {node.op for node in graph.nodes[begun:]} <= {*POINTWISE, "join", "constant"}
        joined = _expressions(new, [*old, grad])
        columns = zip(parameters.leaves, gradients.leaves, *(s.leaves for s in state), strict=True)
        if not (elementwise and _are_new(new, old)) or not all(
            _expressions(rule(self.xp, theta, grad_of_theta, *slots, *hyper), [theta, *slots, grad_of_theta]) == joined
            for theta, grad_of_theta, *slots in columns
        ):
            # A rule that depends on an array as a whole, as on its norm, returns an argument, or sees the shape of a
            # parameter (`if theta.ndim > 1`) is applied to each by itself.
            return Operations.update(self._own, rule, parameters, gradients, state, hyper)
        shapes = [leaf.shape for leaf in parameters.leaves]
        placed = [graph.apply("overwrite", n, o) for n, o in zip(new, old, strict=True)]
        updated, *slots = (parameters.like(graph.parts(flat, shapes)) for flat in placed)
        return updated, tuple(slots)


@lru_cache(maxsize=64)
def _parameters(operation: str) -> tuple[str, ...]:
    """Return the names of the arguments of an operation."""
    return tuple(signature(getattr(Operations, operation)).parameters)[1:]


def _are_new(new: tuple[Any, ...], old: list[Node]) -> bool:
    """Return whether each result is an array that the rule computed, of the form of the one it replaces."""
    return len({node.index for node in new}) == len(old) == len(new) and all(
        n.op in POINTWISE and (n.shape, n.dtype) == (o.shape, o.dtype) for n, o in zip(new, old, strict=True)
    )


def _expressions(results: Any, given: list[Node]) -> list[Any]:
    """Return the expressions of the results in the given nodes, numbered: equal lists for equal expressions."""
    numbers: dict[Any, int] = {}
    known: dict[int, int] = {node.index: -1 - k for k, node in reversed(list(enumerate(given)))}

    def numbered(value: Any) -> Any:
        if not isinstance(value, Node):
            return type(value), repr(value)
        if value.index not in known:
            of = (value.op, value.dtype, *[numbered(i) for i in value.inputs])
            known[value.index] = numbers.setdefault(of, len(numbers))
        return known[value.index]

    found = [numbered(result) for result in results]
    return [*found, *numbers]
