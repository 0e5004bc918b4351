"""The replay on CuPy: products and sums one call each, and between them one kernel for all that is pointwise."""

from functools import lru_cache
from typing import Any, ClassVar

import cupy

from retroprop.backends.cuda.kernels.expressions import can_kernel, fits_kernel, kernel_of
from retroprop.backends.plan.plan import Instruction, Plan
from retroprop.backends.record.graph import Node, NotTraceableError
from retroprop.backends.record.recorder import Recording
from retroprop.backends.replay.program import Program, Target
from retroprop.functions.types import Array

_REDUCE = {"sum": cupy.sum, "mean": cupy.mean, "max": cupy.amax, "min": cupy.amin, "all": cupy.all, "any": cupy.any}


def kerneled(recording: Recording) -> Plan:
    """Plan a recording for elementwise kernels between the calls."""
    return Plan(recording, can=can_kernel, fits=fits_kernel, columns_first=lambda shape: False)


class CupyCalls(Target):
    """CuPy as a `Target`, on the device that is current."""

    names: ClassVar[dict[str, Any]] = {
        "copy": cupy.copyto,
        "copy_in": cupy.copyto,
        "matmul": cupy.matmul,
        "take": cupy.take,
        "concatenate": cupy.concatenate,
        **{f"reduce_{name}": function for name, function in _REDUCE.items()},
    }

    def empty(self, nbytes: int) -> Array:
        return cupy.empty(nbytes, cupy.uint8)

    def array(self, memory: Array, offset: int, shape: tuple[int, ...], dtype: Any, *, columns_first: bool) -> Array:
        nbytes = dtype.itemsize
        for n in shape:
            nbytes *= n
        return memory[offset : offset + nbytes].view(dtype).reshape(shape)

    def address(self, array: Array) -> int:
        return int(array.data.ptr)

    def constant(self, value: Any, dtype: Any) -> Array:
        return cupy.asarray(value, dtype)

    def settle(self, name: str, number: str) -> str:
        return f"{name}.fill({number})"

    def call(self, node: Node, program: Program) -> list[str]:
        out = program.name(node)
        names = [program.name(i) for i in node.operands]
        if node.op in _REDUCE:
            return [f"reduce_{node.op}({names[0]}, {node.attr('axes')}, out={out}, keepdims={node.attr('keepdims')})"]
        if node.op == "matmul":
            return [f"matmul({names[0]}, {names[1]}, out={out})"]
        if node.op in ("gather", "take"):
            axis = node.attr("axis") if node.op == "take" else 0
            return [f"take({names[0]}, {names[1]}, {axis}, {out})"]
        if node.op == "hstack":
            return [f"concatenate(({', '.join(names)},), 1, out={out})"]
        if node.op in ("join", "concat"):
            return [f"concatenate(({', '.join(f'{name}.reshape(-1)' for name in names)},), out={out})"]
        raise NotTraceableError(f"{node.op} is not replayed.")

    def loop(self, one: Instruction, program: Program) -> list[str]:
        kernel = kernel_of(one)
        name = program.bind(f"k{one.nodes[0].index}", compiled(kernel.inputs, kernel.outputs, kernel.body))
        arguments = [program.name(node) for node in kernel.reads]
        arguments += [f"n{number.index}" for number in kernel.numbers]
        arguments += [program.name(node) for node in kernel.writes]
        return [f"{name}({', '.join(arguments)})"]


@lru_cache(maxsize=1024)
def compiled(inputs: str, outputs: str, body: str) -> Any:
    """Return the kernel, which CuPy compiles at its first launch and keeps on disk."""
    return cupy.ElementwiseKernel(inputs, outputs, body, "retroprop_pointwise")
