"""The activation of an exported layer, found by its values: exporters write one function in many ways.

The nodes between two layers are evaluated by ONNX's reference evaluator at points of every magnitude, and compared with
the activations of `retroprop.activations`.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy
from numpy.typing import NDArray

from retroprop.functions.activations import ACTIVATIONS, ELU, Activation, LeakyReLU, Softmax
from retroprop.interop.errors import needed

# What may stand between two layers: elementwise functions, and what a softmax consists of.
ELEMENTWISE = frozenset([
    "Abs", "Add", "And", "Cast", "Celu", "Clip", "Constant", "Div", "Dropout", "Elu", "Equal", "Erf", "Exp", "Gelu",
    "Greater", "GreaterOrEqual", "HardSigmoid", "HardSwish", "Identity", "LeakyRelu", "Less", "LessOrEqual", "Log",
    "Max", "Min", "Mish", "Mul", "Neg", "Not", "Or", "PRelu", "Pow", "ReduceMax", "ReduceSum", "Relu", "Selu",
    "Sigmoid", "Sign", "Softmax", "Softplus", "Softsign", "Sqrt", "Sub", "Sum", "Swish", "Tanh",
    "ThresholdedRelu", "Where",
])  # fmt: skip
_MOST_NODES = 400
_GRID = numpy.concatenate(
    [numpy.linspace(-12.0, 12.0, 97), *(s * 2.0 ** numpy.arange(-40, 100, 3) for s in (-1.0, 1.0))]
)
_FAR = 30.0  # beyond, another form of a function may overflow where ours does not


def activation_of(evaluate: Callable[[NDArray[Any]], NDArray[Any]], n: int, dtype: str) -> Activation | None:
    """Return the activation with the values of a function of rows (m, n), None where there is none.

    Parameters
    ----------
    evaluate : callable
        The function.
    n : int
        The neurons of the layer.
    dtype : str
        That in which it computes.
    """
    z = numpy.repeat(_GRID[:, None], n, axis=1).astype(dtype)
    if n > 1:  # rows in which the neurons differ: a softmax over equal ones is 1/n
        z = numpy.concatenate([z, numpy.random.default_rng(0).normal(0.0, 3.0, (20, n)).astype(dtype)])
    with numpy.errstate(all="ignore"):
        values = numpy.asarray(evaluate(z))
        if values.shape != z.shape or values.dtype != z.dtype:
            return None
        return next((f for f in _candidates(z, values) if _equal(z, values, f.value(z, numpy))), None)


def _candidates(z: NDArray[Any], values: NDArray[Any]) -> Sequence[Activation]:
    """Return every activation, those with a parameter with the parameter that the values show."""
    found: list[Activation] = [cls() for cls in ACTIVATIONS.values() if cls not in (LeakyReLU, ELU, Softmax)]
    far, near = (float(values[numpy.argmin(numpy.abs(z[:, 0] - at)), 0]) for at in (-(2.0**8), -1.0))
    if 0.0 < -near < 1.0:
        found.append(LeakyReLU(-near))
    if 0.0 < -far < numpy.inf:  # the limit is −α
        found.append(ELU(-far))
    return [*found, *([Softmax()] if z.shape[1] > 1 else [])]


def _equal(z: NDArray[Any], values: NDArray[Any], ours: NDArray[Any]) -> bool:
    ignored = ~numpy.isfinite(values) & (numpy.abs(z) >= _FAR)
    if z.shape[1] > 1:
        ignored |= ~numpy.isfinite(values) & (numpy.abs(z).max(axis=1, keepdims=True) >= _FAR)
    near = numpy.abs(values - ours) <= 1e-5 * numpy.abs(ours) + 1e-6 * numpy.minimum(1.0 + numpy.abs(z), 10.0)
    return bool((near | ignored | (values == ours)).all())


def evaluator(
    onnx: Any, model: Any, nodes: Sequence[Any], constants: Sequence[Any], z: str, out: str, dtype: str
) -> Any:
    """Return a function of rows: the nodes from `z` to `out`, by ONNX's reference evaluator.

    Parameters
    ----------
    onnx : module
        The library.
    model : ModelProto
        Whose opsets they are of.
    nodes : sequence of NodeProto
        In their order.
    constants : sequence of TensorProto
        Those that they read.
    z, out : str
        The names of the argument and the result.
    dtype : str
        That of the argument.

    Raises
    ------
    ValueError
        If there are too many nodes.
    """
    if len(nodes) > _MOST_NODES:
        raise ValueError(f"is no plain network: there are {len(nodes)} operations between two of its layers.")
    helper, kind = onnx.helper, onnx.helper.np_dtype_to_tensor_dtype(numpy.dtype(dtype))
    info = [helper.make_tensor_value_info(name, kind, None) for name in (z, out)]
    graph = helper.make_graph(list(nodes), "f", info[:1], info[1:], list(constants))
    own = helper.make_model(graph, opset_imports=list(model.opset_import), ir_version=model.ir_version)
    session = needed("onnx.reference", by="rp.interop.load_onnx").ReferenceEvaluator(own)
    return lambda rows: session.run(None, {z: rows})[0]
