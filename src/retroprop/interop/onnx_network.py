"""The ONNX graph of a network, from its recorded forward propagation."""

from typing import Any

import numpy

from retroprop.core.forward import forward
from retroprop.interop.errors import ExportError
from retroprop.interop.onnx_graph import OnnxGraph
from retroprop.interop.onnx_lowering import lowered
from retroprop.interop.row_graph import recorded
from retroprop.network import Network

_MOST_BYTES = 2**31 - 2**20  # of the parameters: a protocol buffer has at most 2 GiB


def network_graph(net: Network) -> OnnxGraph:
    """Return the graph of a network; see `save_onnx`."""
    graph = OnnxGraph("retroprop", ["x"])
    x = graph.input("x", net.dtype, ["m", net.layer_sizes[0]])
    models = list(net.parameters.thetas[0].shape[:-2])  # none, or the number of networks of a stack
    graph.output("a", net.dtype, [*models, "m", net.layer_sizes[-1]], outputs_of_network(graph, net, x))
    return graph


def outputs_of_network(graph: OnnxGraph, net: Network, x: str, prefix: str = "") -> str:
    """Add the forward propagation of a network, and return the name of a^(L); names of its parameters get a prefix."""
    leaves = {f"{prefix}{own}": leaf for own, leaf in parameters_of(net).items()}
    name = "the network"

    def step(operations: Any, x: Any, *leaves: Any) -> Any:
        return forward(operations, net.architecture, net.parameters.like(leaves), x).a[-1]

    forms = [((None, net.layer_sizes[0]), net.dtype), *((leaf.shape, net.dtype) for leaf in leaves.values())]
    _record_each_activation(net)
    of = recorded(step, net.backend.operations(), forms, name)
    (a,) = lowered(graph, of, [x, *leaves.values()], name, ["", *leaves])
    return a


def _record_each_activation(net: Network) -> None:
    """Raise ExportError for the first activation without an ONNX form, by its name: the whole network has none."""
    for f in dict.fromkeys(net.architecture.activations):
        name = f"the activation {f.name!r}"
        size = sum(getattr(f, "sizes", (2,)))
        of = recorded(
            lambda operations, z, f=f: f.value(z, operations.xp),
            net.backend.operations(),
            [((None, size), net.dtype)],
            name,
        )
        lowered(OnnxGraph("retroprop"), of, ["z"], name)


def parameters_of(net: Network) -> dict[str, Any]:
    """Return the parameters of a network on the host, by name.

    Raises
    ------
    ExportError
        If it holds parameters that are not finite, or more of them than a file can hold.
    """
    names = [
        f"{part}.{l}" for part, arrays in (("theta", net.thetas), ("bias", net.biases)) for l in range(len(arrays))
    ]
    leaves = dict(zip(names, map(net.backend.to_numpy, net.parameters.leaves), strict=True))
    if wrong := [name for name, leaf in leaves.items() if not numpy.isfinite(leaf).all()]:
        raise ExportError(f"the network has parameters that are NaN or infinite, in {wrong[0]}.")
    if (size := sum(leaf.nbytes for leaf in leaves.values())) > _MOST_BYTES:
        raise ExportError(f"the network has {size:,} bytes of parameters, and an ONNX file holds at most 2 GiB.")
    return leaves
