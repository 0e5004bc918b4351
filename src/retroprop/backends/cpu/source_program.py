"""A program as one generated Python function: checks of its arguments, then a straight line of calls on arrays.

It serves every target whose instructions are calls of Python functions: NumPy, PyTorch, and Numba's loops.
"""

from abc import abstractmethod
from collections.abc import Callable
from functools import lru_cache, partial
from math import inf, nan
from types import CodeType
from typing import Any, ClassVar

from retroprop.backends.plan.fusion import Instruction
from retroprop.backends.plan.plan import Plan, Rules
from retroprop.backends.record import tree
from retroprop.backends.record.graph import Node, NotTraceableError, base_of
from retroprop.backends.record.recorder import form_of
from retroprop.backends.record.table import HOST_ARITHMETIC, VIEWS
from retroprop.backends.replay.captured_step import RecordedStep
from retroprop.backends.replay.program import Memory, Program, Workspace, view_key
from retroprop.core.operations import Operations
from retroprop.functions.types import Array


class SourceTarget(Memory):
    """An array library as the lines of a generated function call it.

    `rules` plan its steps. `names` are the functions that the lines call, `copy(target, source)` among them, and
    `copy_in` for arrays of the caller; `copying` is the call that copies an array.
    """

    rules: ClassVar[Rules] = Rules()
    names: ClassVar[dict[str, Any]]
    copying: ClassVar[str] = ".copy()"

    @abstractmethod
    def settle(self, name: str, number: str) -> str:
        """Return the line that writes a Python number into a 0-d array."""

    @abstractmethod
    def call(self, node: Node, program: "SourceProgram") -> list[str]:
        """Return the lines that compute a node."""

    def loop(self, one: Instruction, program: "SourceProgram") -> list[str]:
        """Return the lines that run a loop."""
        raise NotTraceableError("no loops are planned for this library.")

    def dtype(self, dtype: Any) -> Any:
        """Return the library's own dtype object."""
        return dtype

    def taken(self, name: str) -> str:
        """Return the expression of an argument as the lines read it."""
        return name

    def result(self, node: Node, program: "SourceProgram", *, copy: bool) -> str:
        """Return the expression of a result as the caller gets it, or of a copy."""
        return program.name(node) + (self.copying if copy else "")


class SourceProgram(Program):
    """The source of a program, and the names it is compiled with.

    `run` is the step: its arguments in, its results out, or None if the arguments have another form.
    """

    def __init__(self, plan: Plan, target: SourceTarget, workspace: Workspace) -> None:
        super().__init__(plan, target, workspace)
        self.target = target
        self.names: dict[str, Any] = {"inf": inf, "nan": nan, **target.names, "new": tuple.__new__}
        self.names["copy_tree"] = partial(_copy_tree, target.names["copy_in"])
        self._given: set[int] = set()  # views of arguments, by index: only a call can make them
        self._settled: list[str] = []
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
        """Return the name of a Python number as a 0-d array."""
        label = str(value).replace(".", "_").replace("-", "m").replace("+", "p")
        return self.bind(f"c_{dtype}_{label}", self.target.constant(value, dtype))

    def is_given(self, node: Node) -> bool:
        """Return whether a node is an argument that is read where it is, or a view of one."""
        base = base_of(node)
        return base.op == "input" and base.index not in self.plan.places

    def name(self, node: Node) -> str:
        """Return the name of a node's array."""
        if self.is_given(node):
            self._given.add(node.index)
            return f"a{node.index}"
        return self.bind(f"v{node.index}", self.array(node))

    def operand(self, value: Any, dtype: Any) -> str:
        """Return an operand of a pointwise function: an array, or a number as an array of the dtype it takes."""
        if not isinstance(value, Node):
            return self.number(value, dtype)
        if not value.weak:
            return self.name(value)
        # A number that changes is written into one 0-d array a step, as NumPy converts a Python float at every call.
        name = f"n{value.index}_{dtype}"
        if name not in self.names:
            self.bind(name, self.target.constant(0, dtype))
            self._settled.append(self.target.settle(name, f"n{value.index}"))
        return name

    # Source ----------------------------------------------------------------------------------------------------

    def _written(self) -> str:
        plan, target = self.plan, self.target
        # The instructions come first: they say which views and numbers of the arguments the head has to name.
        body = [f"copy({self.bind(f'v{node.index}', self.array(node))}, a{node.index})" for node in plan.copied]
        for one in plan.instructions:
            body += target.loop(one, self) if one.loop is not None else target.call(one.nodes[0], self)
        body.append(f"return {self._results()}")
        names = [f"p{i}" for i in range(len(plan.recording.arguments))]
        remembered: list[str] = []
        lines: list[str] = []
        for i, (name, argument) in enumerate(zip(names, plan.recording.arguments, strict=True)):
            if i in self.kept:  # nothing is copied if it is the result of the last step
                kept = self.bind(f"kept{i}", self.kept[i])
                lines.append(f"if {name} is not {kept}: copy_tree({kept}, {name})")
            else:
                lines += self._read(i, name, argument, remembered)
        lines += [*self._host_arithmetic(), *self._settled, *body]
        head = [f"def run({', '.join(names)}):", *([f"global {', '.join(remembered)}"] if remembered else [])]
        return "\n    ".join([*head, *lines]) + "\n"

    def _read(self, i: int, name: str, argument: Any, remembered: list[str]) -> list[str]:
        """Return the lines that check the form of an argument and name its arrays, numbers and views."""
        nodes = _nodes(argument)
        assigned: list[tuple[str, str]] = []
        checks = self._checks(name, argument, assigned)
        assigned += self._views({node.index for node in nodes})
        lines = [*checks, *(f"{variable} = {value}" for variable, value in assigned)]
        if not nodes or not all(node.op == "input" for node in nodes) or not tree.is_branch(argument):
            return lines
        # The data are the same object at every step of an epoch: they are checked and unpacked once.
        seen = self.bind(f"seen{i}", self.target)  # an object that no argument is
        remembered += [*(variable for variable, _ in assigned), seen]
        return [f"if {name} is not {seen}:", *(f"    {line}" for line in (*lines, f"{seen} = {name}"))]

    def _checks(self, name: str, argument: Any, assigned: list[tuple[str, str]]) -> list[str]:
        """Return the lines that unpack an argument, and return None if its form is not the recorded one.

        The variables of its arrays and numbers are added to `assigned`, with their expressions.
        """
        if tree.is_branch(argument):
            lines = [f"if {name} is None or len({name}) != {len(argument)}: return None"]
            parts = [f"{name}_{i}" for i in range(len(argument))]
            lines += [f"{', '.join(parts)}, = {name}"] if parts else []
            for part, leaf in zip(parts, argument, strict=True):
                lines += self._checks(part, leaf, assigned)
            return lines
        if not isinstance(argument, Node):
            self.bind(f"is_{name}", argument)
            return [f"if {name} is not is_{name}: return None"]
        if argument.op == "number":
            assigned.append((f"n{argument.index}", name))
            return []
        assigned.append((f"a{argument.index}", self.target.taken(name)))
        self.bind(f"shape_{name}", argument.shape)
        self.bind(f"dtype_{name}", self.target.dtype(argument.dtype))
        return [f"if {name} is None or {name}.shape != shape_{name} or {name}.dtype != dtype_{name}: return None"]

    def _views(self, arguments: set[int]) -> list[tuple[str, str]]:
        """Return the variables of the views of arguments that the lines read, and their expressions."""
        wanted: dict[int, Node] = {}
        for i in self._given:
            node = self.plan.graph.nodes[i]
            while node.op in VIEWS:
                wanted[node.index] = node
                node = node.inputs[0]
        mine = [wanted[i] for i in sorted(wanted) if base_of(wanted[i]).index in arguments]
        return [(f"a{node.index}", self._view(node, f"a{node.inputs[0].index}")) for node in mine]

    def _view(self, node: Node, source: str) -> str:
        if node.op == "transpose":
            return f"{source}.mT"
        if node.op == "reshape":
            return f"{source}.reshape({node.shape})"
        if node.op == "index":
            return f"{source}[{self.bind(f'key{node.index}', view_key(node))}]"
        raise NotTraceableError(f"{node.op} of an argument is not replayed.")

    def _host_arithmetic(self) -> list[str]:
        """Return the lines that compute Python numbers from Python numbers."""
        lines = []
        for node in self.host_numbers:
            parts = [f"n{i.index}" if isinstance(i, Node) else repr(i) for i in node.inputs]
            function = self.bind(f"host_{node.op}", HOST_ARITHMETIC[node.op])
            lines.append(f"n{node.index} = {function}({', '.join(parts)})")
        return lines

    def _results(self) -> str:
        plan = self.plan
        results, arguments = plan.recording.results, plan.recording.arguments
        own = {position: f"kept{argument}" for argument, position in plan.leaves.kept.items()}
        # A result that comes back as a donated argument, and does not stay, must not lie where the next step writes.
        back = any(i not in self.kept and _nodes(arguments[i]) for i in plan.recording.donated)

        def leaf(node: Node) -> str:
            return self.target.result(node, self, copy=back or not node.shape)

        if not tree.is_branch(results):
            return leaf(results)
        parts = [own.get(i) or self._tree(part, leaf) for i, part in enumerate(results)]
        return self._tuple(type(results), parts)

    def _tree(self, results: Any, leaf: Callable[[Node], str]) -> str:
        """Return the expression that builds a tree of results."""
        if not tree.is_branch(results):
            return leaf(results)
        return self._tuple(type(results), [self._tree(part, leaf) for part in results])

    def _tuple(self, cls: type, parts: list[str]) -> str:
        """Return the expression of a tuple of that class, from the expressions of its parts."""
        together = f"({', '.join(parts)},)" if parts else "()"
        # `new` is `tuple.__new__`: it takes half the time of a named tuple's own.
        return together if cls is tuple else f"new({self.bind(f'class_{cls.__name__}', cls)}, {together})"


class ReplayedStep(RecordedStep[SourceProgram]):
    """A step replayed by generated functions over the memory of one training."""

    def __init__(
        self, step: Callable[..., Any], operations: Operations, donate: tuple[int, ...], target: SourceTarget
    ) -> None:
        super().__init__(step, operations, donate)
        self._target, self._workspace = target, Workspace(target)
        self._run: Callable[..., Any] = lambda *arguments: None
        self._before: Callable[..., Any] = self._run

    def __call__(self, *arguments: Any) -> Any:
        if (results := self._run(*arguments)) is not None:
            return results
        # The one before, as for the smaller batch at the end of an epoch: it sees at once whether they fit.
        self._run, self._before = self._before, self._run
        if (results := self._run(*arguments)) is not None:
            return results
        if (program := self._program(form_of(arguments), arguments)) is None:
            return super().__call__(*arguments)
        self._run = program.run
        return self._run(*arguments)

    def _lowered(self, form: tuple[Any, ...], arguments: tuple[Any, ...]) -> SourceProgram:
        return SourceProgram(self._planned(form, self._target.rules), self._target, self._workspace)


@lru_cache(maxsize=64)
def _compiled(source: str) -> CodeType:
    return compile(source, "<a step, recorded>", "exec")


def _nodes(argument: Any) -> list[Node]:
    return [leaf for leaf in tree.leaves(argument) if isinstance(leaf, Node)]


def _copy_tree(copy: Callable[[Array, Array], None], into: Any, given: Any) -> None:
    for target, source in zip(tree.leaves(into), tree.leaves(given), strict=True):
        if target.shape != source.shape or target.dtype != source.dtype:
            raise ValueError(f"a step for {target.dtype} {target.shape} was given {source.dtype} {source.shape}.")
        copy(target, source)
