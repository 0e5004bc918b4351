"""The lowering to PyTorch: every node is one call that writes into its own place."""

from math import prod
from typing import Any, ClassVar

import torch

from retroprop.backends.cpu.source_program import SourceProgram, SourceTarget
from retroprop.backends.record.graph import Node, NotTraceableError
from retroprop.backends.record.table import POINTWISE
from retroprop.functions.types import Array, Device

# PyTorch's elementwise functions with `out=`, by the names of the table: most of them are the same.
_NAMES = {name: name for name in POINTWISE if callable(getattr(torch, name, None)) and name[:2] != "is"} | {
    "subtract": "sub", "multiply": "mul", "divide": "div", "power": "pow", "negative": "neg", "less": "lt",
    "less_equal": "le", "greater": "gt", "greater_equal": "ge", "equal": "eq", "not_equal": "ne",
    "clamp_min": "clamp_min", "clamp_max": "clamp_max",
}  # fmt: skip
_TENSORS = {name: getattr(torch, function) for name, function in _NAMES.items()}
# These take a Python number as their second argument.
_NUMBER_SECOND = ("add", "subtract", "multiply", "divide", "power", "less", "less_equal", "greater", "greater_equal",
                  "equal", "not_equal")  # fmt: skip
_REDUCE = {"sum": torch.sum, "mean": torch.mean, "max": torch.amax, "min": torch.amin, "all": torch.all,
           "any": torch.any}  # fmt: skip

_MOVES = {
    "matmul": "matmul({0}, {1}, out={out})", "astype": "copy({out}, {0})",
    "gather": "index_select({0}, 0, {1}, out={out})", "take": "index_select({0}, {axis}, {1}, out={out})",
    "concat": "cat(({all},), 1, out={out})", "stack": "stack(({all},), out={out})", "join": "cat(({all},), out={out})",
}  # fmt: skip


class TorchCalls(SourceTarget):
    """PyTorch as a target, on one device: calls alone, no loops."""

    names: ClassVar[dict[str, Any]] = {
        "copy": torch.Tensor.copy_,
        "copy_in": torch.Tensor.copy_,
        "matmul": torch.matmul,
        "index_select": torch.index_select,
        "cat": torch.cat,
        "stack": torch.stack,
        **_TENSORS,
        **{f"reduce_{name}": function for name, function in _REDUCE.items()},
    }

    copying: ClassVar[str] = ".clone()"

    def __init__(self, device: Device) -> None:
        self.device = device

    def empty(self, nbytes: int) -> Array:
        return torch.empty(nbytes, dtype=torch.uint8, device=self.device)

    def array(self, memory: Array, offset: int, shape: tuple[int, ...], dtype: Any, *, fortran: bool = False) -> Array:
        flat = memory[offset : offset + prod(shape) * dtype.itemsize].view(self.dtype(dtype))
        return flat.view(shape[::-1]).mT if fortran else flat.view(shape)

    def dtype(self, dtype: Any) -> Any:
        return getattr(torch, str(dtype))

    def address(self, array: Array) -> int:
        return int(array.data_ptr())

    def constant(self, value: Any, dtype: Any) -> Array:
        return torch.tensor(value, dtype=self.dtype(dtype), device=self.device)

    def settle(self, name: str, number: str) -> str:
        return f"{name}.fill_({number})"

    def call(self, node: Node, program: SourceProgram) -> list[str]:
        out = program.name(node)
        if node.op in _TENSORS:
            return [self._pointwise(node, out, program)]
        names = [program.name(i) for i in node.operands]
        if node.op in _REDUCE:
            return [
                f"reduce_{node.op}({names[0]}, {node.attributes['axes']}, {node.attributes['keepdims']}, out={out})"
            ]
        if node.op == "join":
            names = [f"{name}.reshape(-1)" for name in names]
        if node.op not in _MOVES:
            raise NotTraceableError(f"{node.op} is not replayed.")
        return [_MOVES[node.op].format(*names, all=", ".join(names), out=out, **node.attributes)]

    def _pointwise(self, node: Node, out: str, program: SourceProgram) -> str:
        x, *rest = node.inputs
        clamp = {"maximum": "clamp_min", "minimum": "clamp_max"}.get(node.op)
        if clamp and not isinstance(rest[0], Node):
            return f"{clamp}({program.name(x)}, {rest[0]!r}, out={out})"
        dtype = node.dtype if node.op == "where" else next(i.dtype for i in node.operands if not i.weak)
        names = []
        for k, i in enumerate(node.inputs):
            number = k == 1 and node.op in _NUMBER_SECOND and not (isinstance(i, Node) and not i.weak)
            names.append((f"n{i.index}" if isinstance(i, Node) else repr(i)) if number else program.operand(i, dtype))
        return f"{node.op}({', '.join(names)}, out={out})"
