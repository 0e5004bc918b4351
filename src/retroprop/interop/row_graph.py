"""A function of rows, recorded so that the number of rows is free.

It is recorded for two numbers of rows. The two records must be the same but for that number: then an axis whose length
follows it is the batch axis, and whatever else depends on it, or mixes rows, is refused by its name.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy
from numpy.typing import NDArray

from retroprop.backends.record import tree
from retroprop.backends.record.graph import Node, NotTraceableError, reached
from retroprop.backends.record.recorder import Form, Recording, record
from retroprop.backends.record.table import REDUCTIONS, axes_of
from retroprop.core.operations import Operations
from retroprop.interop.errors import ExportError

ROWS = (3, 5)  # two numbers of rows; any two that differ show which axis is the batch axis


class RowGraph(NamedTuple):
    """A recorded function of rows.

    Attributes
    ----------
    arguments : tuple of Node
        The arrays that it is given, in order.
    results : list of Node
        Its results.
    nodes : list of Node
        The results and all that they depend on, in order.
    batch_axes : dict of int to tuple of int
        The batch axes of each node, by `Node.index`; empty where it has none.
    """

    arguments: tuple[Node, ...]
    results: list[Node]
    nodes: list[Node]
    batch_axes: dict[int, tuple[int, ...]]


def recorded(
    function: Callable[..., Any], operations: Operations, forms: Sequence[tuple[tuple[int | None, ...], str]], name: str
) -> RowGraph:
    """Return `function(operations, *arrays)` as a graph with a free number of rows.

    Parameters
    ----------
    function : callable
        A function of the recorded operations and of the arrays.
    operations : Operations
        Those of the backend, through which it computes.
    forms : sequence of (shape, dtype)
        Of the arrays; None stands for the number of rows.
    name : str
        The name of the function, for messages.

    Raises
    ------
    ExportError
        If it asks for values, calls a function that is not recorded, or does not treat every row by itself.
    """
    first, second = (_record(function, operations, forms, m, name) for m in ROWS)
    if len(first.graph.nodes) != len(second.graph.nodes):
        raise ExportError(f"{name} depends on the number of rows, which an exported model leaves free.")
    axes: dict[int, tuple[int, ...]] = {}
    for one, other in zip(first.graph.nodes, second.graph.nodes, strict=True):
        axes[one.index] = _batch_axes(one, other, name)
        _check_rows(one, axes, name)
    results = list(_nodes(first.results))
    return RowGraph(tuple(_nodes(first.arguments)), results, reached(results), axes)


def constant_of(node: Node, batch_axes: Sequence[int]) -> NDArray[Any]:
    """Return the value of a constant; along a batch axis, where all its rows are equal, one row of it."""
    value = numpy.frombuffer(node.attributes["content"], node.dtype).reshape(node.shape)
    for axis in batch_axes:
        value = value.take([0], axis=axis)
    return value


def _record(function: Callable[..., Any], operations: Operations, forms: Any, m: int, name: str) -> Recording:
    given = tuple(Form(tuple(m if n is None else n for n in shape), dtype) for shape, dtype in forms)
    try:
        return record(function, operations, given, ())
    except NotTraceableError as error:
        raise ExportError(f"{name} cannot be recorded: {error}") from error


def _nodes(values: Any) -> Iterator[Node]:
    return (leaf for leaf in tree.leaves(values) if isinstance(leaf, Node))


def _batch_axes(one: Node, other: Node, name: str) -> tuple[int, ...]:
    """Return the batch axes of a node, given it in both records; raise ExportError for any other difference."""
    alike = one.op == other.op and one.dtype == other.dtype and one.ndim == other.ndim
    if alike and _inputs(one) == _inputs(other) and _attributes(one) == _attributes(other):
        pairs = list(enumerate(zip(one.shape, other.shape, strict=True)))
        axes = tuple(axis for axis, (n, k) in pairs if n != k)
        if all(pairs[axis][1] == ROWS for axis in axes) and (one.op != "constant" or _repeats(one, other, axes)):
            return axes
    raise ExportError(
        f"{name} depends on the number of rows in its operation {one.op}, and an exported model leaves it free."
    )


def _inputs(node: Node) -> list[Any]:
    return [i.index if isinstance(i, Node) else (type(i), repr(i)) for i in node.inputs]


def _attributes(node: Node) -> dict[str, Any]:
    """Return the attributes that do not follow from the shape."""
    own = ("shape", "content") if node.op in ("reshape", "constant", "input") else ()
    return {name: value for name, value in node.attributes.items() if name not in own}


def _repeats(one: Node, other: Node, axes: tuple[int, ...]) -> bool:
    """Return whether a constant is the same in both records and in every row."""
    row = constant_of(one, axes)
    values = (numpy.frombuffer(node.attributes["content"], node.dtype).reshape(node.shape) for node in (one, other))
    return all(numpy.array_equal(value, numpy.broadcast_to(row, value.shape), equal_nan=True) for value in values)


def _check_rows(node: Node, axes: dict[int, tuple[int, ...]], name: str) -> None:
    """Raise ExportError for an operation that goes over the rows."""
    if not node.operands:
        return
    first = node.operands[0]
    of_first, mixes = axes[first.index], False
    if node.op in REDUCTIONS:
        mixes = not set(of_first).isdisjoint(axes_of(node.attributes["axes"], first.ndim))
    elif node.op == "matmul":
        last, second_last = axes[node.operands[-1].index], node.operands[-1].ndim - 2
        mixes = first.ndim - 1 in of_first or second_last in last
    elif node.op == "take":
        mixes = node.attributes["axis"] in of_first
    elif node.op == "index":
        mixes = len(axes[node.index]) < len(of_first)
    if mixes:
        raise ExportError(
            f"{name} mixes the rows of a batch in its operation {node.op}: a prediction is one row's own."
        )
