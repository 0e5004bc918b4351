"""The operations a step is recorded with: core's own, the parameters joined to one row of numbers."""

from collections.abc import Callable
from typing import Any

from retroprop.backends.record.graph import POINTWISE, Node
from retroprop.backends.record.symbols import Symbols
from retroprop.core.operations import Operations
from retroprop.core.parameters import Parameters


class JoinedOperations(Operations):
    """`Operations` on symbols; the update runs once over all parameters, not once for each array of them."""

    xp: Symbols

    def gather(self, part: Node | None, rows: Node) -> Node | None:
        if part is None:
            return None
        shape = (*rows.shape, *part.shape[1:])
        return part.graph.node("gather", (part, rows), shape, part.dtype)

    def update(
        self,
        rule: Callable[..., tuple[Any, ...]],
        parameters: Parameters,
        gradients: Parameters,
        state: tuple[Parameters, ...],
        hyper: tuple[float, ...],
    ) -> tuple[Parameters, tuple[Parameters, ...]]:
        graph = self.xp.graph
        begun = len(graph.nodes)
        old = [graph.join(p.leaves) for p in (parameters, *state)]
        grad = graph.join(gradients.leaves)
        # θ, state ← rule(θ, ∂J/∂θ, state, hyper), number by number
        new = rule(self.xp, old[0], grad, *old[1:], *hyper)
        if any(node.op not in (*POINTWISE, "where", "astype", "join", "constant") for node in graph.nodes[begun:]):
            # A rule that looks at an array as a whole gets each for itself.
            return super().update(rule, parameters, gradients, state, hyper)
        columns = list(zip(parameters.leaves, gradients.leaves, *(s.leaves for s in state), strict=True))
        alike = all(
            _told(rule(self.xp, theta, grad_of_theta, *slots, *hyper), [theta, *slots, grad_of_theta])
            == _told(new, [*old, grad])
            for theta, grad_of_theta, *slots in columns
        )
        if not _are_new(new, old) or not alike:
            # Nor does one that gives back what it was given, or sees the shape of a parameter (`if theta.ndim > 1`).
            return super().update(rule, parameters, gradients, state, hyper)
        placed = [graph.overwrite(n, o) for n, o in zip(new, old, strict=True)]
        updated, *slots = (parameters.like(self._parts(flat, parameters.leaves)) for flat in placed)
        return updated, tuple(slots)

    def _parts(self, flat: Node, leaves: tuple[Node, ...]) -> list[Node]:
        offset, parts = 0, []
        for leaf in leaves:
            parts.append(self.xp.graph.part(flat, offset, leaf.shape))
            offset += leaf.size
        return parts


def _are_new(new: tuple[Any, ...], old: list[Node]) -> bool:
    """Return whether each result is an array of its own, made by the rule, of the form of what it replaces."""
    made = (*POINTWISE, "where", "astype")
    return len({node.index for node in new}) == len(old) == len(new) and all(
        n.op in made and (n.shape, n.dtype) == (o.shape, o.dtype) for n, o in zip(new, old, strict=True)
    )


def _told(results: Any, given: list[Node]) -> list[Any]:
    """Return what results are made of, as numbers of expressions that are the same for the same expression."""
    numbers: dict[Any, int] = {}
    known: dict[int, int] = {node.index: -1 - k for k, node in reversed(list(enumerate(given)))}

    def told(value: Any) -> Any:
        if not isinstance(value, Node):
            return type(value), repr(value)
        if value.index not in known:
            of = (value.op, value.dtype.name, *(told(i) for i in value.inputs))
            known[value.index] = numbers.setdefault(of, len(numbers))
        return known[value.index]

    found = [told(result) for result in results]
    return [*found, *numbers]
