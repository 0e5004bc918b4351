"""The replay of a plan: one Python function without a branch, whose every name is an array that lies ready."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import lru_cache, partial
from math import inf, nan
from types import CodeType
from typing import Any, ClassVar, Protocol

import numpy

from retroprop.backends.plan.fusion import base_of
from retroprop.backends.plan.leaf_layout import overwritten
from retroprop.backends.plan.plan import Cell, Instruction, Place, Plan
from retroprop.backends.record import tree
from retroprop.backends.record.graph import HOST_ARITHMETIC, VIEWS, Node, NotTraceableError
from retroprop.functions.types import Array


class Workspace:
    """The memory of one training: a block for what a step needs, and what is kept from step to step."""

    def __init__(self, empty: Callable[[int], Array]) -> None:
        self._empty = empty
        self._block: Array = empty(0)
        self._kept: dict[int, Array] = {}
        self.trees: dict[int, Any] = {}

    def block(self, nbytes: int) -> Array:
        """Return a block of at least so many bytes, the same for every batch size that fits into it."""
        if self._block.shape[0] < nbytes:
            self._block = self._empty(nbytes)
        return self._block

    def kept(self, number: int, nbytes: int) -> Array:
        """Return the memory of parameters or state of that number."""
        if number not in self._kept:
            self._kept[number] = self._empty(nbytes)
        return self._kept[number]


class Target(ABC):
    """What a replay needs to know of an array library; what most of them answer alike is answered here.

    Attributes
    ----------
    names : dict
        The functions the lines call, `copy(target, source)` among them, and `copy_in` for what is given and published.
    copying : str
        The call that copies an array.
    """

    names: ClassVar[dict[str, Any]]
    copying: ClassVar[str] = ".copy()"

    @abstractmethod
    def empty(self, nbytes: int) -> Array:
        """Return so many bytes."""

    @abstractmethod
    def array(self, memory: Array, offset: int, shape: tuple[int, ...], dtype: Any, *, columns_first: bool) -> Array:
        """Return an array over memory, from `offset` bytes on."""

    @abstractmethod
    def address(self, array: Array) -> int:
        """Return where the numbers of an array begin."""

    @abstractmethod
    def constant(self, value: Any, dtype: Any) -> Array:
        """Return an array of numbers known now."""

    @abstractmethod
    def settle(self, name: str, number: str) -> str:
        """Return the line that puts a Python number into an array without axes."""

    @abstractmethod
    def call(self, node: Node, program: "Program") -> list[str]:
        """Return the lines that compute a node."""

    def loop(self, one: Instruction, program: "Program") -> list[str]:
        """Return the lines that run a loop."""
        raise NotTraceableError("no loops are planned for this library.")

    def dtype(self, dtype: Any) -> Any:
        """Return the library's own dtype object."""
        return dtype

    def taken(self, name: str) -> str:
        """Return the expression of an argument as the lines want it."""
        return name

    def published(self, array: Array) -> Array:
        """Return an array of the replay as the caller wants it."""
        return array

    def result(self, node: Node, program: "Program", *, copy: bool) -> str:
        """Return the expression of a result as the caller wants it, or of a copy."""
        return program.name(node) + (self.copying if copy else "")


class Program:
    """The source of a replay, and the names it is compiled with."""

    def __init__(self, plan: Plan, library: Target, workspace: Workspace) -> None:
        self.plan, self.library, self.workspace = plan, library, workspace
        copy_tree = partial(_copy_tree, library.names["copy_in"])
        self.names: dict[str, Any] = {"inf": inf, "nan": nan, **library.names}
        self.names |= {"copy_tree": copy_tree, "new": tuple.__new__}
        self._block = workspace.block(plan.nbytes)
        self._given: set[int] = set()  # what only the arguments of a call can say
        self.source = self._written()
        exec(_compiled(self.source), self.names)
        # Out of its own globals: no cycle keeps the memory until the garbage is collected.
        self.run: Callable[..., Any] = self.names.pop("run")

    # Names -----------------------------------------------------------------------------------------------------

    def bind(self, name: str, value: Any) -> str:
        """Give a value a name in the source."""
        self.names[name] = value
        return name

    def number(self, value: Any, dtype: Any) -> str:
        """Return the name of a Python number as an array without axes."""
        label = str(value).replace(".", "_").replace("-", "m").replace("+", "p")
        return self.bind(f"c_{dtype}_{label}", self.library.constant(value, dtype))

    def name(self, node: Node) -> str:
        """Return the name of a node's array."""
        base = base_of(node)
        if base.op == "input" and base.index not in self.plan.places:
            self._given.add(node.index)
            return f"a{node.index}"
        name = f"v{node.index}"
        if name not in self.names:
            self.names[name] = self.array(node)
        return name

    def array(self, node: Node) -> Array:
        """Return a node's array over the memory it has."""
        if node.op == "part" and node.inputs[0].inputs[0].index in self.plan.in_place:
            leaf = overwritten(node)
            if leaf is not None:
                return self.array(leaf)  # which may not lie row by row
        if node.op in VIEWS:
            return view_of(node, self.array(node.inputs[0]), self.library)
        if node.op == "constant":
            content = numpy.frombuffer(node.attr("content"), node.dtype).reshape(node.shape)
            return self.library.constant(content, node.dtype)
        return self.place(self.plan.places[node.index], node.shape, node.dtype)

    def memory(self, cell: Cell) -> Array:
        """Return the memory a cell lies in."""
        return self._block if cell.kept is None else self.workspace.kept(cell.kept, cell.nbytes)

    def place(self, place: Place, shape: tuple[int, ...], dtype: Any) -> Array:
        """Return an array over a place."""
        cell = place.cell
        memory = self.memory(cell)
        start = cell.offset + place.offset * dtype.itemsize
        return self.library.array(memory, start, shape, dtype, columns_first=place.columns_first)

    def operand(self, value: Any, dtype: Any) -> str:
        """Return an operand of a pointwise function: an array, or a number as an array of the dtype it takes."""
        if not isinstance(value, Node):
            return self.number(value, dtype)
        if not value.weak:
            return self.name(value)
        name = f"n{value.index}_{dtype}"
        if name not in self.names:
            self.bind(name, self.library.constant(0, dtype))
            self._settled.append(self.library.settle(name, f"n{value.index}"))
        return name

    # Source ----------------------------------------------------------------------------------------------------

    def _written(self) -> str:
        plan, library = self.plan, self.library
        self._settled: list[str] = []
        body: list[str] = [f"copy({self._placed(node)}, a{node.index})" for node in plan.copied]
        for one in plan.instructions:
            body += library.loop(one, self) if one.loop is not None else library.call(one.nodes[0], self)
        body.append(f"return {self._results()}")
        names = [f"p{i}" for i in range(len(plan.recording.arguments))]
        lines: list[str] = []
        views = self._views()
        remembered: list[str] = []
        for i, (name, argument) in enumerate(zip(names, plan.recording.arguments, strict=True)):
            if i in plan.kept:
                lines += self._kept(i, name)
                continue
            own = [f"a{node.index}" for node in self._nodes(argument)]
            mine = [line for base, line in views if f"a{base}" in own]
            taken = [*self._unpacked(name, argument), *self._assigned(name, argument), *mine]
            if own and all(node.op == "input" for node in self._nodes(argument)) and tree.is_branch(argument):
                # The data are the same object at every step of an epoch: they are taken apart once.
                remembered += [line.partition(" = ")[0] for line in taken if line[0] == "a"] + [f"seen{i}"]
                self.bind(f"seen{i}", library)  # which nobody gives as an argument
                taken = [f"if {name} is not seen{i}:", *(f"    {line}" for line in (*taken, f"seen{i} = {name}"))]
            lines += taken
        head = [f"def run({', '.join(names)}):", *([f"global {', '.join(remembered)}"] if remembered else [])]
        return "\n    ".join([*head, *lines, *self._weak(), *self._settled, *body]) + "\n"

    def _nodes(self, argument: Any) -> list[Node]:
        return [leaf for leaf in tree.leaves(argument) if isinstance(leaf, Node)]

    def _placed(self, node: Node) -> str:
        name = f"v{node.index}"
        self.names[name] = self.array(node)
        return name

    def _kept(self, i: int, name: str) -> list[str]:
        """Return the lines that copy an argument in, unless it is what the last step gave."""
        argument = self.plan.recording.arguments[i]
        own = self.workspace.trees.setdefault(i, tree.mapped(argument, self._published))
        self.bind(f"kept{i}", own)
        return [f"if {name} is not kept{i}: copy_tree(kept{i}, {name})"]

    def _published(self, node: Node) -> Array:
        return self.library.published(self.array(node))

    def _unpacked(self, name: str, argument: Any) -> list[str]:
        """Return the lines that take an argument apart and see that it has the form that was recorded."""
        if tree.is_branch(argument):
            lines = [f"if {name} is None or len({name}) != {len(argument)}: return None"]
            parts = [f"{name}_{i}" for i in range(len(argument))]
            lines += [f"{', '.join(parts)}, = {name}"] if parts else []
            for part, leaf in zip(parts, argument, strict=True):
                lines += self._unpacked(part, leaf)
            return lines
        if not isinstance(argument, Node):
            self.bind(f"is_{name}", argument)
            return [f"if {name} is not is_{name}: return None"]
        if argument.op == "number":
            return []
        self.bind(f"shape_{name}", argument.shape)
        self.bind(f"dtype_{name}", self.library.dtype(argument.dtype))
        return [f"if {name} is None or {name}.shape != shape_{name} or {name}.dtype != dtype_{name}: return None"]

    def _assigned(self, name: str, argument: Any) -> list[str]:
        """Return the lines that name the arrays and numbers of an argument, once all of it is known to fit."""
        if tree.is_branch(argument):
            return [line for i, leaf in enumerate(argument) for line in self._assigned(f"{name}_{i}", leaf)]
        if not isinstance(argument, Node):
            return []
        if argument.op == "number":
            return [f"n{argument.index} = {name}"]
        return [f"a{argument.index} = {self.library.taken(name)}"]

    def _views(self) -> list[tuple[int, str]]:
        """Return the lines that take views of arguments, each with the argument it is of."""
        lines: list[tuple[int, str]] = []
        wanted = set()
        for i in self._given:
            node = self.plan.graph.nodes[i]
            while node.op in VIEWS:
                wanted.add(node.index)
                node = node.inputs[0]
        for i in sorted(wanted):
            node = self.plan.graph.nodes[i]
            source = view_source(node, f"a{node.inputs[0].index}")
            lines.append((base_of(node).index, f"a{i} = {source}"))
        return lines

    def _weak(self) -> list[str]:
        """Return the lines that compute Python numbers from Python numbers."""
        lines = []
        for node in self.plan.wanted:
            if node.weak and node.op in HOST_ARITHMETIC:
                parts = [f"n{i.index}" if isinstance(i, Node) else f"({i!r})" for i in node.inputs]
                lines.append(f"n{node.index} = {f' {HOST_ARITHMETIC[node.op]} '.join(parts)}")
        return lines

    def _results(self) -> str:
        plan = self.plan
        results = plan.recording.results
        own = {number: argument for argument, number in plan.kept.items()}

        # What is given back as a donated argument that does not stay must not lie where the next step writes.
        back = any(i not in plan.kept and self._nodes(plan.recording.arguments[i]) for i in plan.recording.donated)

        def leaf(node: Node) -> str:
            return self.library.result(node, self, copy=back or not node.shape)

        if not tree.is_branch(results):
            return leaf(results)
        parts = [
            f"kept{own[i]}" if i in own else tree.written(part, leaf, self._class) for i, part in enumerate(results)
        ]
        return tree.joined(type(results), parts, self._class)

    def _class(self, cls: type) -> str:
        return self.bind(f"class_{cls.__name__}", cls)


@lru_cache(maxsize=256)
def _compiled(source: str) -> CodeType:
    return compile(source, "<a step, recorded>", "exec")


def _copy_tree(copy: Callable[[Array, Array], None], into: Any, given: Any) -> None:
    for target, source in zip(tree.leaves(into), tree.leaves(given), strict=True):
        if target.shape != source.shape or target.dtype != source.dtype:
            raise ValueError(f"a step for {target.dtype} {target.shape} was given {source.dtype} {source.shape}.")
        copy(target, source)


class Addressed(Protocol):
    """Whatever knows where the numbers of an array begin."""

    def address(self, array: Array) -> int:
        """Return where."""


def view_of(node: Node, array: Array, library: Addressed) -> Array:
    """Return the view that a node of `VIEWS` is of an array."""
    if node.op == "transpose":
        return array.mT
    if node.op == "reshape":
        return reshaped(array, node.shape, library)
    if node.op == "part":
        offset = node.attr("offset")
        return array[offset : offset + node.size].reshape(node.shape)
    if node.op == "index":
        return eval(f"array[{_subscript(node)}]", {"array": array, "slice": slice, "Ellipsis": Ellipsis})
    return array  # overwrite: the new numbers are where the old ones were


def reshaped(array: Array, shape: tuple[int, ...], library: Addressed) -> Array:
    """Return the same numbers in another shape; an array that would have to be copied for it is refused."""
    seen = array.reshape(shape)
    if library.address(seen) != library.address(array):
        raise NotTraceableError("an array that does not lie row by row is reshaped.")
    return seen


def view_source(node: Node, name: str) -> str:
    """Return the same as the source of an expression."""
    if node.op == "transpose":
        return f"{name}.mT"
    if node.op == "reshape":
        return f"{name}.reshape({node.shape})"
    if node.op == "index":
        return f"{name}[{_subscript(node)}]"
    raise NotTraceableError(f"{node.op} of an argument is not replayed.")


def _subscript(node: Node) -> str:
    """Return an index as source, with an ellipsis: one number is a view then, too."""
    key: str = node.attr("key")[1:-1].rstrip(", ")
    return key if "Ellipsis" in key else f"{key}, ..."
