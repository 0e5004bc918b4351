"""The operations a step is recorded with: core's own, the parameters joined to one row of numbers."""

from collections.abc import Callable
from typing import Any

from retroprop.backends.tracing.graph import POINTWISE, Node
from retroprop.backends.tracing.namespace import Symbols
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
        placed = [graph.overwrite(n, o) for n, o in zip(new, old, strict=True)]
        updated, *slots = (parameters.like(self._parts(flat, parameters.leaves)) for flat in placed)
        return updated, tuple(slots)

    def _parts(self, flat: Node, leaves: tuple[Node, ...]) -> list[Node]:
        offset, parts = 0, []
        for leaf in leaves:
            parts.append(self.xp.graph.part(flat, offset, leaf.shape))
            offset += leaf.size
        return parts
