"""The output of a network in an ONNX graph: the value that all outputs of the file are forms or labels of."""

from typing import Any

from retroprop.interop.onnx_constants import attributes_of
from retroprop.interop.onnx_layers import AffineLayer, GraphParts
from retroprop.interop.onnx_probing import ELEMENTWISE
from retroprop.persistence.errors import printable

# What exporters of classifiers add after the probabilities: labels, and the probabilities in another form.
_LABELS = frozenset(
    ["ArgMax", "ArrayFeatureExtractor", "Binarizer", "Cast", "Gather", "Greater", "Identity", "LabelEncoder", "Reshape"]
)
_FORMS = frozenset(["Identity", "ZipMap"])


def output_of_network(onnx: Any, found: GraphParts, last: AffineLayer, outputs: list[str]) -> str:
    """Return the name of a^(L); ValueError where an output of the file is made in another way.

    Parameters
    ----------
    onnx : module
        The library.
    found : GraphParts
        The graph.
    last : AffineLayer
        Its last layer.
    outputs : list of str
        The names of the outputs of the file.
    """
    reached, candidates = {last.z}, [last.z]
    for node in found.nodes[last.at + 1 :]:
        if any(name in reached for name in node.input):
            reached |= {*node.output} - {""}
            if node.op_type in ELEMENTWISE and node.op_type not in _LABELS | _FORMS:
                candidates.append(node.output[0])
    for value in reversed(candidates):
        if outputs and _are_made_of(onnx, found, value, outputs, reached, len(last.theta)):
            return value
    named = ", ".join(printable(name) for name in outputs[:4])
    raise ValueError(f"is no plain network: its outputs ({named}) are made in another way than by its last layer.")


def _are_made_of(onnx: Any, found: GraphParts, value: str, outputs: list[str], reached: set[str], n: int) -> bool:
    """Return whether all outputs are `value` in a form of it, or labels, and one of them is no label."""
    forms, labels, inverted = {value}, set[str](), set[str]()
    for node in found.nodes:
        inputs = [name for name in node.input if name in reached]
        if not inputs or not forms | labels | inverted >= {*inputs}:
            continue
        of_value, op = forms >= {*inputs}, node.op_type
        if of_value and (op in _FORMS or _keeps(onnx, found, node, n)):
            forms.update(node.output)
        elif not inverted & {*inputs} and op in _LABELS:
            labels.update(node.output)
        elif op == "Sub" and list(node.input[1:]) == [value] and _is_one(found, node.input[0]):
            inverted.update(node.output)  # 1 − p, the probability of the first of two classes
        elif op == "Concat" and n == 1 and node.input[0] in inverted and list(node.input[1:]) == [value]:
            forms.update(node.output)
    return forms | labels >= {*outputs} and not forms.isdisjoint(outputs)


def _keeps(onnx: Any, found: GraphParts, node: Any, n: int) -> bool:
    """Return whether a node keeps every number of a matrix (m, n), and its rows in order."""
    options = attributes_of(onnx, node)
    if node.op_type == "Cast":
        return options.get("to") in (onnx.TensorProto.FLOAT, onnx.TensorProto.DOUBLE)
    if node.op_type == "Reshape" and len(node.input) == 2 and node.input[1] in found.constants:
        return found.constants[node.input[1]]().tolist() in ([-1, n], [0, n], *([[-1]] if n == 1 else []))
    return bool(node.op_type == "Flatten" and options.get("axis", 1) == 1)


def _is_one(found: GraphParts, name: str) -> bool:
    return name in found.constants and bool((found.constants[name]() == 1.0).all())
