"""A plan over memory: every node has its array, ready before the first step. Targets say how the instructions run."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import numpy

from retroprop.backends.plan.leaves import overwritten
from retroprop.backends.plan.places import Cell, Place
from retroprop.backends.plan.plan import Plan
from retroprop.backends.record import tree
from retroprop.backends.record.graph import Node, NotTraceableError
from retroprop.backends.record.table import HOST_ARITHMETIC, VIEWS, subscript
from retroprop.functions.types import Array


class Memory(ABC):
    """The memory of a target: bytes of it, and arrays over them."""

    @abstractmethod
    def empty(self, nbytes: int) -> Array:
        """Return so many bytes, aligned for the widest load."""

    @abstractmethod
    def array(self, memory: Array, offset: int, shape: tuple[int, ...], dtype: Any, *, fortran: bool = False) -> Array:
        """Return an array over memory, from `offset` bytes on; a matrix in Fortran order if `fortran`."""

    @abstractmethod
    def address(self, array: Array) -> int:
        """Return the address of the first element."""

    @abstractmethod
    def constant(self, value: Any, dtype: Any) -> Array:
        """Return an array of numbers of the host."""

    def published(self, array: Array) -> Array:
        """Return an array of the program as the caller of a step gets it."""
        return array


class Workspace:
    """The memory of one training, which its programs share.

    `trees` holds, for an argument that stays from step to step, by position, its arrays in the form of the argument.
    """

    def __init__(self, memory: Memory) -> None:
        self._memory = memory
        self._block: Array = memory.empty(0)
        self._named: dict[tuple[str, int], Array] = {}
        self.trees: dict[int, Any] = {}

    def block(self, nbytes: int) -> Array:
        """Return a block of at least so many bytes, the same for every batch size that fits into it."""
        if self._block.shape[0] < nbytes:
            self._block = self._memory.empty(nbytes)
        return self._block

    def piece(self, name: str, nbytes: int) -> Array:
        """Return the memory of that name and size, which keeps its content from step to step."""
        if (name, nbytes) not in self._named:
            self._named[name, nbytes] = self._memory.empty(nbytes)
        return self._named[name, nbytes]


class Program:
    """A plan whose nodes have arrays, in the memory of one training.

    `given` holds, by index of the node, arguments that are read where they are.

    Attributes
    ----------
    block : array
        The memory of all that no step leaves to the next.
    kept : dict
        For an argument that stays, by position: its arrays, in the form of the argument.
    host_numbers : list of Node
        Python numbers made of Python numbers, in order.
    """

    def __init__(self, plan: Plan, memory: Memory, workspace: Workspace, given: dict[int, Array] | None = None) -> None:
        self.plan, self.memory, self.workspace = plan, memory, workspace
        self.block = workspace.block(plan.nbytes)
        self._arrays: dict[int, Array] = dict(given or {})
        self._placed: dict[tuple[Place, tuple[int, ...], Any], Array] = {}
        self.host_numbers = [node for node in plan.wanted if node.weak and node.op in HOST_ARITHMETIC]
        arguments = plan.recording.arguments
        self.kept = {
            i: workspace.trees.setdefault(i, tree.mapped(arguments[i], lambda n: memory.published(self.array(n))))
            for i in plan.leaves.kept
        }

    def array(self, node: Node) -> Array:
        """Return the array of a node."""
        if node.index not in self._arrays:
            self._arrays[node.index] = self._made(node)
        return self._arrays[node.index]

    def take(self, arguments: tuple[Any, ...], copy: Callable[[Array, Array], object]) -> None:
        """Copy in those of the arguments that stay and are not the results of the last step."""
        for i, kept in self.kept.items():
            if arguments[i] is not kept:
                for target, source in zip(tree.leaves(kept), tree.leaves(arguments[i]), strict=True):
                    copy(target, source)

    def returned(self, leaf: Callable[[Node], Array]) -> Any:
        """Return the results of a step in their form: each a `leaf`, but arguments that stay as they are."""
        own = {number: self.kept[argument] for argument, number in self.plan.leaves.kept.items()}
        results = self.plan.recording.results
        if not tree.is_branch(results):
            return leaf(results)
        parts = [own[i] if i in own else tree.mapped(part, leaf) for i, part in enumerate(results)]
        return tuple(parts) if type(results) is tuple else type(results)(*parts)

    def _made(self, node: Node) -> Array:
        in_place = node.op == "part" and node.inputs[0].inputs[0].index in self.plan.leaves.in_place
        if in_place and (leaf := overwritten(node)) is not None:
            return self.array(leaf)  # which may be in Fortran order
        if node.op in VIEWS:
            return view_of(node, self.array(node.inputs[0]), self.memory.address)
        if node.op == "constant":
            content = numpy.frombuffer(node.attributes["content"], node.dtype).reshape(node.shape)
            return self.memory.constant(content, node.dtype)
        return self.placed(self.plan.places[node.index], node.shape, node.dtype)

    def placed(self, place: Place, shape: tuple[int, ...], dtype: Any) -> Array:
        """Return the array over a place: one object, since NumPy calls in place run twice as fast on one as on two."""
        key = place, shape, dtype
        if key not in self._placed:
            self._placed[key] = self._over(place, shape, dtype)
        return self._placed[key]

    def _over(self, place: Place, shape: tuple[int, ...], dtype: Any) -> Array:
        start = place.cell.offset + place.offset * dtype.itemsize
        return self.memory.array(self.bytes_of(place.cell), start, shape, dtype, fortran=place.fortran)

    def bytes_of(self, cell: Cell) -> Array:
        """Return the memory that a cell is in."""
        return self.block if cell.kept is None else self.workspace.piece(f"kept {cell.kept}", cell.nbytes)


def view_of(node: Node, array: Array, address: Callable[[Array], int]) -> Array:
    """Return the view that a node of `VIEWS` is of an array."""
    if node.op == "transpose":
        return array.mT
    if node.op == "reshape":
        return reshaped(array, node.shape, address)
    if node.op == "part":
        offset = node.attributes["offset"]
        return array[offset : offset + node.size].reshape(node.shape)
    if node.op == "index":
        return array[view_key(node)]
    return array  # overwrite: the new numbers are where the old ones were


def view_key(node: Node) -> tuple[Any, ...]:
    """Return the subscript of an "index", with an ellipsis: a single element is a view then, too."""
    key = subscript(node.attributes["key"])
    return key if any(part is Ellipsis for part in key) else (*key, ...)


def reshaped(array: Array, shape: tuple[int, ...], address: Callable[[Array], int]) -> Array:
    """Return the same memory in another shape; an array that would have to be copied for it is refused."""
    seen = array.reshape(shape)
    if address(seen) != address(array):
        raise NotTraceableError("an array that is not contiguous is reshaped.")
    return seen
