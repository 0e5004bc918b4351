"""The memory of one training on the device: parameters and state, a block for a step, scratch of its kernels."""

from math import prod
from typing import Any

import numpy

from retroprop.backends.cuda.runtime import Runtime
from retroprop.backends.replay.program import Workspace
from retroprop.functions.types import Array


class StepMemory(Workspace):
    """A workspace with named arrays; the programs of a training share them."""

    def __init__(self, runtime: Runtime) -> None:
        super().__init__(runtime)
        self.runtime = runtime
        self._counters: dict[int, Array] = {}

    def named_array(self, name: str, shape: tuple[int, ...], dtype: Any) -> Array:
        """Return an array of that name, shape and dtype."""
        dtype = numpy.dtype(dtype)
        memory = self.piece(f"{name} {dtype.char} {shape}", max(prod(shape), 1) * dtype.itemsize)
        return self.runtime.array(memory, 0, shape, dtype)

    def parts(self, size: int) -> Array:
        """Return memory for partial sums; kernels run one after another, so that those of similar size share it."""
        return self.named_array("parts", (1 << max(size - 1, 0).bit_length(),), "float64")

    def counters(self, size: int) -> Array:
        """Return counters that are 0 whenever a kernel begins: its last block resets them."""
        size = 1 << max(size - 1, 0).bit_length()  # the next power of two, as of the parts
        if size not in self._counters:
            self._counters[size] = self.named_array("counters", (size,), "uint32")
            self.runtime.clear(self._counters[size])
        return self._counters[size]
