"""Calling a step once with symbols, to learn what it does."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

from retroprop.backends.record import tree
from retroprop.backends.record.graph import Graph, Node, NotTraceableError
from retroprop.backends.record.recorded_operations import JoinedOperations
from retroprop.backends.record.symbols import Symbols


class Recording(NamedTuple):
    """A step as a graph.

    Attributes
    ----------
    graph : Graph
        All nodes.
    arguments : tuple
        The arguments as trees: a node for an array or a number, anything else as it was given.
    results : tree
        The results, likewise.
    donated : tuple of int
        The arguments whose memory the results may take.
    """

    graph: Graph
    arguments: tuple[Any, ...]
    results: Any
    donated: tuple[int, ...]


@dataclass(frozen=True)
class Form:
    """What a recording depends on of an array."""

    shape: tuple[int, ...]
    dtype: str


def form_of(arguments: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return the arguments with a `Form` for each array and `float` for each number."""

    def form(leaf: Any) -> Any:
        if hasattr(leaf, "dtype") and hasattr(leaf, "shape") and not isinstance(leaf, float):
            return Form(tuple(leaf.shape), str(leaf.dtype).rpartition(".")[2])
        return float if isinstance(leaf, (int, float)) and not isinstance(leaf, bool) else leaf

    return tuple(tree.mapped(argument, form) for argument in arguments)


def record(step: Callable[..., Any], forms: tuple[Any, ...], donate: tuple[int, ...]) -> Recording:
    """Call `step` once with symbols of the forms given, and return what it did.

    Raises
    ------
    NotTraceableError
        If it asks for numbers, or for a function that is not recorded.
    """
    xp = Symbols()
    taken: list[Node] = []

    def symbol(leaf: Any) -> Any:
        if isinstance(leaf, Form):
            taken.append(xp.graph.node("input", (), leaf.shape, leaf.dtype, number=len(taken)))
        elif leaf is float:
            taken.append(xp.graph.node("number", (), (), float, number=len(taken)))
            taken[-1].weak = True
        else:
            return leaf
        return taken[-1]

    symbols = tree.mapped(forms, symbol)
    results = step(JoinedOperations(xp), *symbols)
    for leaf in tree.leaves(results):
        if not isinstance(leaf, Node) or leaf.weak:
            raise NotTraceableError(f"a step gives arrays back; this one gives {leaf!r}.")
    return Recording(xp.graph, symbols, results, donate)
