"""Lists of weights as Keras has them, `model.get_weights()`: kernel and bias, layer by layer."""

from collections.abc import Sequence
from typing import Any

import numpy
from numpy.typing import NDArray

from retroprop.interop.onnx_network import parameters_of
from retroprop.interop.rebuilding import listed_functions, network_of
from retroprop.network import Network
from retroprop.one_network import require_one_network

ORDERS = ("in_out", "out_in")


def to_keras(net: Network) -> list[NDArray[Any]]:
    """Return the parameters as `model.set_weights` of a Keras Sequential of Dense layers takes them.

    Parameters
    ----------
    net : Network
        On any backend.

    Returns
    -------
    list of array
        Kernel (n_in, n_out) and bias (n_out,) of each layer, copies bit for bit; kernels alone without bias.
    """
    require_one_network(net, "rp.interop.to_keras")
    leaves = parameters_of(net)
    found: list[NDArray[Any]] = []
    for l in range(len(net.thetas)):
        found.append(numpy.ascontiguousarray(leaves[f"theta.{l}"].T))
        if net.architecture.bias:
            found.append(leaves[f"bias.{l}"].copy())
    return found


def from_keras(
    weights: Sequence[Any],
    *,
    hidden: Any = "relu",
    output: Any = "identity",
    loss: Any = None,
    order: str | None = None,
    backend: Any = None,
) -> Network:
    """Return the network of a list of weights, as `model.get_weights()` of a Keras Sequential of Dense layers.

    Parameters
    ----------
    weights : sequence of array
        Kernel and bias of each layer in turn, or kernels alone.
    hidden, output : str, object or list
        The activations, which the list does not hold; see `Network`.
    loss : str or object, optional
        By default the one whose output the activation is.
    order : str, optional
        "in_out": kernels are (n_in, n_out), as Keras has them; "out_in": (n_out, n_in), as torch and retroprop do. By
        default the order that the shapes allow.
    backend : str, Backend or None
        The backend of the network.

    Raises
    ------
    ValueError
        If both orders fit, none does (the message says where), or the list has other arrays.
    """
    arrays = [numpy.asarray(array) for array in weights]
    kernels, biases = _parted(arrays)
    if order is None:
        fitting = [one for one in ORDERS if _fault(kernels, biases, one) is None]
        if len(fitting) == 2:
            raise ValueError(
                "both orders fit these shapes, (n_in, n_out) as Keras has and (n_out, n_in): pass order='in_out' or "
                "order='out_in'."
            )
        order = fitting[0] if fitting else ORDERS[0]
    if order not in ORDERS:
        raise ValueError(f"order must be 'in_out', 'out_in' or None, not {order!r}.")
    if (fault := _fault(kernels, biases, order)) is not None:
        raise ValueError(fault)
    thetas = [kernel.T if order == "in_out" else kernel for kernel in kernels]
    n_hidden = len(thetas) - 1
    fs = listed_functions(hidden, output, n_hidden)
    return network_of(thetas, biases, fs, [0.0] * n_hidden, loss=loss, backend=backend)


def _parted(arrays: list[NDArray[Any]]) -> tuple[list[NDArray[Any]], list[NDArray[Any] | None]]:
    """Return kernels and biases, None for the bias of a layer without one."""
    kernels: list[NDArray[Any]] = []
    biases: list[NDArray[Any] | None] = []
    for k, array in enumerate(arrays):
        if array.dtype.kind != "f" or 0 in array.shape:
            raise ValueError(
                f"weights[{k}] must hold numbers of a floating dtype, not {array.dtype}{list(array.shape)}."
            )
        if array.ndim == 2:
            kernels.append(array)
            biases.append(None)
        elif array.ndim == 1 and kernels and biases[-1] is None:
            biases[-1] = array
        else:
            raise ValueError(
                f"weights[{k}] has the shape {array.shape}: Dense layers have a kernel of two axes, then a bias."
            )
    if not kernels:
        raise ValueError("weights is empty: a network has one kernel or more.")
    return kernels, biases


def _fault(kernels: list[NDArray[Any]], biases: list[NDArray[Any] | None], order: str) -> str | None:
    """Return where the shapes do not follow in an order, None where they do."""
    n_before = None
    for k, (kernel, bias) in enumerate(zip(kernels, biases, strict=True), start=1):
        n_in, n_out = kernel.shape if order == "in_out" else kernel.shape[::-1]
        if n_before is not None and n_in != n_before:
            return f"the shapes do not follow: layer {k - 1} has {n_before} neurons, and layer {k} takes {n_in}."
        if bias is not None and len(bias) != n_out:
            return f"the shapes do not follow: layer {k} has {n_out} neurons, and its bias {len(bias)} numbers."
        n_before = n_out
    return None
