"""Operands of products rounded to bfloat16, once each: a pass over a recording, before it is planned.

bfloat16 is no dtype of the core. It is stored as its 16 bits, in arrays of `uint16`; only this pass, the kernels that
round and the products know what they mean. The nodes that round are fused like any other, so that the loop that
computes a or δ computes its rounded form too, and a float32 form that nothing reads is not stored.
"""

from typing import Any

from retroprop.backends.plan.plan import Plan
from retroprop.backends.record import tree
from retroprop.backends.record.graph import Graph, Node, Role, reached
from retroprop.backends.record.recorder import RecordedOperation, Recording
from retroprop.functions.types import Array

BITS = "uint16"  # the dtype of arrays that hold bfloat16
ROUND, WIDEN = "bfloat16", "widened"  # operations named as the functions of the kernels
CONVERSIONS = (ROUND, WIDEN)
_SEEN_THROUGH = ("transpose", "reshape")


def upper_half(numbers: Array) -> Array:
    """Return NumPy's float32 truncated to bfloat16, as its bits: exact where the dropped bits are 0."""
    return (numbers.view("uint32") >> 16).astype(BITS)


def rounded(recording: Recording) -> Recording:
    """Return a recording whose products of two matrices of float32 take their operands rounded to bfloat16.

    Their results stay float32, and so does all else.
    """
    return _Rounding(recording).recording()


def part_rounded(plan: Plan, leaf: Node) -> Node | None:
    """Return a parameter as a part of all parameters rounded at once, None where the plan has no such array."""
    flats = [flat for flat in plan.wanted if flat.op == ROUND and flat.inputs[0].op == "join"]
    return next((part for flat in flats if (part := _part(flat, flat.inputs[0], leaf)) is not None), None)


def _part(flat: Node, join: Node, leaf: Node) -> Node | None:
    """Return the part of a 1-D array that a leaf of a join takes there, None if it is none of its leaves."""
    parts = flat.graph.parts(flat, [other.shape for other in join.operands])
    return next((part for part, other in zip(parts, join.operands, strict=True) if other is leaf), None)


class _Rounding:
    """A second recording under construction: every node anew, and operands of products in bfloat16 besides."""

    def __init__(self, recording: Recording) -> None:
        self._old, self._graph = recording, Graph(recording.graph.namespace)
        self._made: dict[int, Node] = {}
        self._wanted = reached(tree.leaves(recording.results))
        self._operands = {_source(x).index for node in self._wanted if _is_product(node) for x in node.operands}
        # Parameters that are joined for their update are rounded in one loop, and each is a part of its result.
        joins = [node for node in self._wanted if node.op == "join" and all(x.op == "input" for x in node.operands)]
        self._joins = {leaf.index: join for join in joins for leaf in join.operands}

    def recording(self) -> Recording:
        """Return it."""
        arguments = self._mapped(self._old.arguments)
        for node in self._wanted:
            self._anew(node)
        results = self._mapped(self._old.results)
        operations = [
            RecordedOperation(role, {name: self._mapped(x) for name, x in given.items()}, self._mapped(made))
            for role, given, made in self._old.operations
        ]
        return Recording(self._graph, arguments, results, self._old.donated, operations)

    def _mapped(self, given: Any) -> Any:
        return tree.mapped(given, self._anew)

    def _anew(self, node: Any) -> Any:
        """Return the node in the new recording; anything else as it is."""
        if not isinstance(node, Node):
            return node
        if node.index not in self._made:
            changes: dict[str, Any] = {}
            inputs = [self._anew(i) for i in node.inputs]
            if _is_product(node):
                inputs, changes = [self._rounded(i) for i in node.inputs], {"dtype": "float32"}
            elif self._is_sign(node):
                inputs[0] = self._apply(node.role, WIDEN, self._rounded(node.inputs[0]))
            made = self._apply(node.role, node.op, *inputs, **node.attributes, **changes)
            made.weak = node.weak
            self._made[node.index] = made
        return self._made[node.index]

    def _apply(self, role: Role | None, op: str, *inputs: Any, **attributes: Any) -> Node:
        self._graph.role = role
        return self._graph.apply(op, *inputs, **attributes)

    def _rounded(self, node: Node) -> Node:
        """Return a node in bfloat16: of a view, the same view of its rounded base, so that the base is rounded once."""
        if node.op in _SEEN_THROUGH:
            return self._apply(node.role, node.op, self._rounded(node.inputs[0]), **node.attributes)
        if node.index not in self._joins:
            return self._apply(node.role, ROUND, self._anew(node))
        join = self._anew(self._joins[node.index])
        part = _part(self._apply(node.role, ROUND, join), join, self._anew(node))
        assert part is not None
        return part

    def _is_sign(self, node: Node) -> bool:
        """Return whether it is [a > 0] of an a that is rounded anyway.

        It is computed from the rounded a, so that a itself need not be kept for the backward pass. Rounding keeps the
        sign, except of numbers below 2^-134, which become 0.
        """
        if node.op != "greater" or not isinstance(node.inputs[0], Node) or isinstance(node.inputs[1], Node):
            return False
        return node.inputs[0].index in self._operands and bool(node.inputs[1] == 0)


def _source(node: Node) -> Node:
    """Return the node that is rounded where a product reads one: the base of its views."""
    while node.op in _SEEN_THROUGH:
        node = node.inputs[0]
    return node


def _is_product(node: Node) -> bool:
    return node.op == "matmul" and node.ndim == 2 and all(x.dtype.name == "float32" for x in node.operands)
