"""An ONNX graph under construction: nodes, initializers and values, each with a name of its own."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy
from numpy.typing import NDArray

from retroprop._version import __version__
from retroprop.interop.errors import needed

# Of 2022, the oldest in which every reduction takes its axes as an input: runtimes of all later years read it.
OPSET = 18
ML_OPSET = 3  # of ai.onnx.ml, whose LabelEncoder maps texts to codes
IR_VERSION = 8
ML_DOMAIN = "ai.onnx.ml"


class OnnxGraph:
    """The graph of one model, in the order its nodes are added.

    Parameters
    ----------
    name : str
        The name of the graph.
    inputs : iterable of str
        The names of its arguments, which no other value of the graph may have.
    """

    def __init__(self, name: str, inputs: Iterable[str] = ()) -> None:
        self.onnx = needed("onnx", by="rp.interop.save_onnx")
        self.name, self._taken = name, set(inputs)
        self._prefix = "/"
        while any(one.startswith(self._prefix) for one in self._taken):
            self._prefix += "/"
        self._nodes: list[Any] = []
        self._initializers: list[Any] = []
        self._inputs: list[Any] = []
        self._outputs: list[Any] = []
        self._constants: dict[Any, str] = {}
        self._domains = {"": OPSET}

    def input(self, name: str, dtype: Any, shape: Sequence[int | str]) -> str:
        """Add an argument of the model; a text in the shape is a free axis."""
        self._inputs.append(self.onnx.helper.make_tensor_value_info(name, self.type_of(dtype), list(shape)))
        return name

    def output(self, name: str, dtype: Any, shape: Sequence[int | str], value: str) -> None:
        """Add a result of the model: `value` under another name, with "_" after it if an argument has that name."""
        while name in self._taken:
            name += "_"
        self._nodes.append(self.onnx.helper.make_node("Identity", [value], [name]))
        self._outputs.append(self.onnx.helper.make_tensor_value_info(name, self.type_of(dtype), list(shape)))

    def apply(self, op: str, *inputs: str, domain: str = "", **attributes: Any) -> str:
        """Add a node, and return the name of its result."""
        if domain:
            self._domains[domain] = ML_OPSET
        name = f"{self._prefix}{op}_{len(self._nodes)}"
        node = self.onnx.helper.make_node(op, list(inputs), [name], name=name, domain=domain, **attributes)
        self._nodes.append(node)
        return name

    def constant(self, value: Any, name: str = "") -> str:
        """Return the name of an array that is part of the model; equal ones without a name are one."""
        value = numpy.asarray(value)
        text = value.dtype.kind in "UO"
        key = (value.dtype.str, value.shape, tuple(value.ravel().tolist()) if text else value.tobytes())
        if name or key not in self._constants:
            name = f"{self._prefix}{name}" if name else f"{self._prefix}constant_{len(self._initializers)}"
            helper = self.onnx.helper
            if text:
                parts = [one.encode() for one in value.ravel().tolist()]
                tensor = helper.make_tensor(name, self.onnx.TensorProto.STRING, value.shape, parts)
            else:
                tensor = self.onnx.numpy_helper.from_array(numpy.ascontiguousarray(value).reshape(value.shape), name)
            self._initializers.append(tensor)
            self._constants[key] = name
        return self._constants[key]

    def cast(self, value: str, dtype: Any) -> str:
        """Return a value in another dtype."""
        return self.apply("Cast", value, to=self.type_of(dtype))

    def type_of(self, dtype: Any) -> int:
        """Return ONNX's number of a dtype; `str` is a text."""
        if dtype is str:
            return int(self.onnx.TensorProto.STRING)
        return int(self.onnx.helper.np_dtype_to_tensor_dtype(numpy.dtype(dtype)))

    def to_bytes(self) -> bytes:
        """Return the model, checked by ONNX's own checker, as the content of a file."""
        helper = self.onnx.helper
        graph = helper.make_graph(self._nodes, self.name, self._inputs, self._outputs, self._initializers)
        model = helper.make_model(
            graph,
            opset_imports=[helper.make_opsetid(domain, version) for domain, version in self._domains.items()],
            ir_version=IR_VERSION,
            producer_name="retroprop",
            producer_version=__version__,
        )
        self.onnx.checker.check_model(model, full_check=True)
        content: bytes = model.SerializeToString()
        return content


def initializer_view(node: Any, value: NDArray[Any]) -> NDArray[Any] | None:
    """Return a view of a parameter as an array, so that it is stored in the form in which it is used."""
    if node.op == "transpose":
        return numpy.ascontiguousarray(value.mT)
    return value.reshape(node.shape) if node.op == "reshape" else None
