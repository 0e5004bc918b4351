"""The constants of an ONNX graph, and the nodes that bring one into another form."""

from collections.abc import Callable, Sequence
from math import prod
from typing import Any

import numpy
from numpy.typing import NDArray

from retroprop.interop.onnx_file import array_of
from retroprop.persistence.errors import printable

FOLDED = ("Transpose", "Identity", "Cast", "Reshape", "Squeeze", "Unsqueeze")


def attributes_of(onnx: Any, node: Any) -> dict[str, Any]:
    """Return the attributes of a node; ValueError for one that cannot be read."""
    try:
        return {one.name: onnx.helper.get_attribute_value(one) for one in node.attribute}
    except (ValueError, TypeError, AttributeError):
        raise ValueError(
            f"is altered: the attributes of {printable(node.name or node.op_type)!r} are unreadable."
        ) from None


def constant_of_node(onnx: Any, node: Any, folder: Any) -> Callable[[], NDArray[Any]]:
    """Return the array of a Constant node, read when it is called."""
    given = attributes_of(onnx, node)
    kinds = {"value_float": "float32", "value_floats": "float32", "value_int": "int64", "value_ints": "int64"}
    for key, dtype in kinds.items():
        if key in given:
            return lambda: numpy.asarray(given[key], dtype)
    if "value" not in given or not hasattr(given["value"], "dims"):
        raise ValueError(f"has a constant of another kind than numbers, {printable(node.output[0])!r}.")
    return lambda: array_of(onnx, given["value"], folder)


def folded(onnx: Any, node: Any, operands: Sequence[Callable[[], NDArray[Any]]]) -> Callable[[], NDArray[Any]]:
    """Return a constant in another form: its elements stay as they are."""
    options = attributes_of(onnx, node)

    def read() -> NDArray[Any]:
        value = operands[0]()
        if node.op_type == "Transpose":
            perm = list(options.get("perm", range(value.ndim)[::-1]))
            if sorted(perm) != list(range(value.ndim)):
                raise ValueError(f"is altered: a constant of {value.ndim} axes is transposed to {perm[:8]}.")
            return value.transpose(perm)
        if node.op_type == "Cast":
            return _cast(onnx, value, options.get("to"))
        if node.op_type == "Reshape" and len(operands) == 2:
            return _reshaped(value, operands[1]())
        if node.op_type in ("Squeeze", "Unsqueeze"):  # of weights and biases only the elements matter, in rows of n
            return value.reshape([n for n in value.shape if n != 1] or [1])
        return value

    return read


def _cast(onnx: Any, value: NDArray[Any], to: Any) -> NDArray[Any]:
    known = {onnx.TensorProto.FLOAT: "float32", onnx.TensorProto.DOUBLE: "float64", onnx.TensorProto.INT64: "int64"}
    if to not in known:
        raise ValueError("has a constant that is cast to another dtype than float32, float64 and int64.")
    return value.astype(known[to])


def _reshaped(value: NDArray[Any], shape: NDArray[Any]) -> NDArray[Any]:
    wanted = [int(n) for n in shape.ravel()[:8].tolist()]
    rest = [n for n in wanted if n != -1]
    fits = (
        shape.size <= 8
        and all(n > 0 for n in rest)
        and (prod(rest) == value.size if len(rest) == len(wanted) else value.size % max(prod(rest), 1) == 0)
    )
    if not fits or len(wanted) - len(rest) > 1:
        raise ValueError(f"is altered: a constant of the shape {value.shape} is reshaped to {wanted}.")
    return value.reshape(wanted)
