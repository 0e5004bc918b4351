"""The lowering to PyTorch on a CPU with Numba: PyTorch's matrix products, compiled loops between them.

A tensor on the CPU and a NumPy array may share memory, so NumPy's lowering serves here as it is; the products, which
are most of the work of a large network, are PyTorch's own.
"""

from typing import Any, ClassVar

import torch

from retroprop.backends.cpu.numba_target import NumbaLoops
from retroprop.backends.cpu.source_program import SourceProgram
from retroprop.backends.record.graph import Node
from retroprop.functions.types import Array


class TorchLoops(NumbaLoops):
    """NumPy's calls and Numba's loops over the memory of tensors, and PyTorch's products."""

    names: ClassVar[dict[str, Any]] = {
        **NumbaLoops.names,
        "copy_in": torch.Tensor.copy_,
        "mm": torch.mm,
        "from_numpy": torch.from_numpy,
    }

    def dtype(self, dtype: Any) -> Any:
        return getattr(torch, str(dtype))

    def taken(self, name: str) -> str:
        return f"{name}.numpy()"

    def published(self, array: Array) -> Array:
        return torch.from_numpy(array)

    def result(self, node: Node, program: SourceProgram, *, copy: bool) -> str:
        return self._tensor(node, program) + (".clone()" if copy else "")

    def _product(self, node: Node, out: str, program: SourceProgram) -> str:
        if node.ndim > 2:
            return super()._product(node, out, program)
        a, b = (self._tensor(i, program) for i in node.operands)
        return f"mm({a}, {b}, out={self._tensor(node, program)})"

    def _tensor(self, node: Node, program: SourceProgram) -> str:
        """Return a node's array as a tensor."""
        name = program.name(node)
        if program.is_given(node):
            return f"from_numpy({name})"
        return program.bind(f"t{node.index}", torch.from_numpy(program.array(node)))
