"""Networks to and from torch's own layers: `nn.Sequential` of `Linear`, activations and `Dropout`."""

from collections.abc import Callable, Mapping
from typing import Any

from retroprop.functions import activations
from retroprop.functions.activations import ELU, Activation, Identity, LeakyReLU
from retroprop.interop.errors import ExportError, needed
from retroprop.interop.onnx_network import parameters_of
from retroprop.interop.rebuilding import network_of
from retroprop.network import Network
from retroprop.one_network import require_one_network

# The module of each activation, in terms of torch.nn; an activation without one is refused by its name.
_MODULES: dict[str, Callable[[Any, Any], Any]] = {
    "sigmoid": lambda nn, f: nn.Sigmoid(),
    "tanh": lambda nn, f: nn.Tanh(),
    "relu": lambda nn, f: nn.ReLU(),
    "leaky_relu": lambda nn, f: nn.LeakyReLU(f.slope),
    "elu": lambda nn, f: nn.ELU(f.alpha),
    "softplus": lambda nn, f: nn.Softplus(),
    "silu": lambda nn, f: nn.SiLU(),
    "gelu": lambda nn, f: nn.GELU(),
    "gelu_tanh": lambda nn, f: nn.GELU("tanh"),
    "mish": lambda nn, f: nn.Mish(),
    "softmax": lambda nn, f: nn.Softmax(-1),
}
# The activation of each module, None where its options are not ours.
_ACTIVATIONS: dict[str, Callable[[Any], Activation | None]] = {
    "Identity": lambda m: Identity(),
    "Sigmoid": lambda m: activations.Sigmoid(),
    "Tanh": lambda m: activations.Tanh(),
    "ReLU": lambda m: activations.ReLU(),
    "LeakyReLU": lambda m: LeakyReLU(m.negative_slope) if 0.0 <= m.negative_slope < 1.0 else None,
    "ELU": lambda m: ELU(m.alpha) if m.alpha > 0.0 else None,
    "Softplus": lambda m: activations.Softplus() if m.beta == 1.0 and m.threshold >= 20.0 else None,
    "SiLU": lambda m: activations.SiLU(),
    "GELU": lambda m: activations.GELUTanh() if m.approximate == "tanh" else activations.GELU(),
    "Mish": lambda m: activations.Mish(),
    "Softmax": lambda m: activations.Softmax() if m.dim in (-1, 1) else None,
}


def to_torch(net: Network) -> Any:
    """Return a network as a `torch.nn.Sequential` of torch's own layers, in evaluation mode.

    Parameters
    ----------
    net : Network
        On any backend; the parameters are copied, bit for bit.

    Returns
    -------
    torch.nn.Sequential
        `Linear`, an activation and, where the network has it, `Dropout`, layer by layer. It is on the CPU, and a
        softmax or sigmoid at the end stays: a loss of torch that takes logits wants the module without its last layer.

    Raises
    ------
    ExportError
        If torch has no module for an activation (exp, grouped_softmax, a custom one); the message names it.
    ImportError
        If torch is not installed.
    """
    require_one_network(net, "rp.interop.to_torch")
    torch = needed("torch", by="rp.interop.to_torch")
    nn, a = torch.nn, net.architecture
    leaves = parameters_of(net)
    layers: list[Any] = []
    for l, ((n_out, n_in), f) in enumerate(zip(a.shapes, a.activations, strict=True)):
        if f.name not in (*_MODULES, "identity") or type(f) is not activations.ACTIVATIONS[f.name]:
            raise ExportError(f"torch has no module for the activation {f.name!r} of layer {l + 2}.")
        linear = nn.Linear(n_in, n_out, bias=a.bias, dtype=getattr(torch, net.dtype))
        with torch.no_grad():
            linear.weight.copy_(torch.from_numpy(leaves[f"theta.{l}"].copy()))
            if a.bias:
                linear.bias.copy_(torch.from_numpy(leaves[f"bias.{l}"].copy()))
        layers.append(linear)
        if f.name != "identity":
            layers.append(_MODULES[f.name](nn, f))
        if l < len(a.dropout) and a.dropout[l] > 0.0:
            layers.append(nn.Dropout(a.dropout[l]))
    return nn.Sequential(*layers).eval()


def network_of_module(module: Any, *, loss: Any, backend: Any) -> Network:
    """Return the network of a Sequential; see `from_torch`."""
    nn = needed("torch", by="rp.interop.from_torch").nn
    thetas: list[Any] = []
    biases: list[Any] = []
    fs: list[Activation | None] = []
    dropout: list[float] = []
    for name, layer in _flattened(module, nn):
        kind = type(layer).__name__
        place = f"the module has {layer} at {name!r}"
        if isinstance(layer, nn.Linear):
            _check_own(layer, nn.Linear, place)
            thetas.append(layer.weight)
            biases.append(layer.bias)
            fs.append(None)
            dropout.append(0.0)
        elif not fs:
            raise ValueError(f"{place}, before its first Linear: a network begins with one.")
        elif isinstance(layer, nn.Dropout):
            _check_own(layer, nn.Dropout, place)
            if dropout[-1]:
                raise ValueError(f"{place}, where a Dropout stands already.")
            dropout[-1] = float(layer.p)
        elif (f := _ACTIVATIONS.get(kind, lambda m: None)(layer)) is None:
            raise ValueError(f"{place}, and a network has Linear, Dropout and {', '.join(_ACTIVATIONS)}.")
        else:
            _check_own(layer, getattr(nn, kind), place)
            if isinstance(f, Identity):
                continue
            if fs[-1] is not None or dropout[-1]:
                raise ValueError(f"{place}, where an activation or a Dropout stands already.")
            fs[-1] = f
    if not thetas:
        raise ValueError("the module has no Linear: a network has one or more.")
    if dropout[-1]:
        raise ValueError("the module has a Dropout after its last Linear, where a network has none.")
    return network_of(thetas, biases, [f or Identity() for f in fs], dropout[:-1], loss=loss, backend=backend)


def linear_layers(state: Mapping[str, Any]) -> tuple[list[Any], list[Any]]:
    """Return the weights and biases of a state dict, in its order; None for a bias that is not there.

    Raises
    ------
    ValueError
        For an entry that is neither the weight nor the bias of a Linear, by its name.
    """
    thetas: dict[str, Any] = {}
    biases: dict[str, Any] = {}
    for name, tensor in state.items():
        layer, _, part = str(name).rpartition(".")
        ndim = {"weight": 2, "bias": 1}.get(part)
        if ndim is None or getattr(tensor, "ndim", None) != ndim:
            shape = tuple(getattr(tensor, "shape", ()))
            raise ValueError(f"the state has {str(name)!r} of the shape {shape}, which no Linear has.")
        (thetas if part == "weight" else biases)[layer] = tensor
    if not thetas or not biases.keys() <= thetas.keys():
        alone = next(iter(biases.keys() - thetas.keys()), "")
        raise ValueError(f"the state has a bias {alone!r} without a weight." if alone else "the state has no weights.")
    return list(thetas.values()), [biases.get(name) for name in thetas]


def _check_own(layer: Any, kind: Any, place: str) -> None:
    """Raise ValueError for a module that may compute something else than torch's class: its own forward, or hooks."""
    if type(layer).forward is not kind.forward:
        raise ValueError(f"{place}, whose forward is not that of torch.nn.{kind.__name__}.")
    if layer._forward_hooks or layer._forward_pre_hooks:
        raise ValueError(f"{place}, with hooks that may change what it computes: remove them first.")


def _flattened(module: Any, nn: Any, prefix: str = "") -> list[tuple[str, Any]]:
    """Return the layers of nested Sequentials, each with its name."""
    if not isinstance(module, nn.Sequential):
        return [(prefix or type(module).__name__, module)]
    name = type(module).__name__
    _check_own(module, nn.Sequential, f"the module has {name} at {prefix!r}" if prefix else f"the module is a {name}")
    return [
        found
        for name, layer in module.named_children()
        for found in _flattened(layer, nn, f"{prefix}.{name}" if prefix else name)
    ]
