"""A network as a module of torch, whose gradient is our recursion."""

from functools import lru_cache
from typing import Any

from retroprop.backends import backend_of, get_backend
from retroprop.core.architecture import Architecture
from retroprop.core.backward import vector_jacobian_product
from retroprop.core.forward import Trace, forward
from retroprop.core.parameters import Parameters
from retroprop.interop.errors import needed
from retroprop.interop.rebuilding import options_of
from retroprop.network import Network
from retroprop.one_network import require_one_network


def torch_function(net: Network) -> Any:
    """Return a network as a `torch.nn.Module`, to stand within a model of torch or in a loss of it.

    Forward propagation and its gradient, with respect to x and to every parameter, are retroprop's own, on the arrays
    of torch and on their device. The gradient is of first order: torch cannot differentiate it once more.

    Parameters
    ----------
    net : Network
        On any backend. Its parameters are copied; dropout and penalties are left out.

    Returns
    -------
    torch.nn.Module
        A function of x (m, n_1), in the dtype of the network, with `thetas` and `biases` as its parameters and a method
        `network()` that returns a Network with those they are by then, on the same device.

    Raises
    ------
    ImportError
        If torch is not installed.
    TypeError, ValueError
        If `net` is not a Network, or holds several models; of the module, if x has another dtype or shape.
    """
    require_one_network(net, "torch_function")
    there = net if net.backend.name == "torch" else net.to(get_backend("torch:cpu"))
    return _module_class()(there.architecture, there.dtype, there.parameters)


@lru_cache
def _module_class() -> Any:
    """Return the class of the modules; torch is imported here, and not before."""
    torch: Any = needed("torch", by="rp.interop.torch_function")
    module: Any = torch.nn.Module
    function = _function_class(torch)

    class TorchNetwork(module):
        """A network whose gradient is our recursion."""

        def __init__(self, architecture: Architecture, dtype: str, parameters: Parameters) -> None:
            super().__init__()
            self.architecture, self.dtype = architecture, getattr(torch, dtype)
            self.thetas, self.biases = (
                torch.nn.ParameterList(torch.nn.Parameter(leaf.clone()) for leaf in part) for part in parameters
            )

        def forward(self, x: Any) -> Any:
            n = self.architecture.layer_sizes[0]
            if not isinstance(x, torch.Tensor) or x.dtype != self.thetas[0].dtype:
                raise TypeError(f"x must be a tensor of {self.thetas[0].dtype}, not {getattr(x, 'dtype', type(x))}.")
            if x.ndim < 2 or x.shape[-1] != n:
                raise ValueError(f"x must have the shape (m, {n}), not {tuple(x.shape)}.")
            return function.apply(self.architecture, x, *self.thetas, *self.biases)

        def network(self) -> Network:
            thetas, biases = ([leaf.detach() for leaf in part] for part in (self.thetas, self.biases))
            return Network.from_parameters(thetas, biases, **options_of(self.architecture))

        def extra_repr(self) -> str:
            return "-".join(map(str, self.architecture.layer_sizes))

    return TorchNetwork


def _function_class(torch: Any) -> Any:
    class Recursion(torch.autograd.Function):
        """Forward propagation, and the recursion as its derivative."""

        @staticmethod
        def forward(ctx: Any, architecture: Architecture, x: Any, *leaves: Any) -> Any:
            n = len(architecture.layer_sizes) - 1
            parameters = Parameters(leaves[:n], leaves[n:])
            trace = forward(backend_of(x).operations(), architecture, parameters, x)
            ctx.architecture = architecture
            ctx.save_for_backward(*leaves, *trace.a, *trace.z)
            return trace.a[-1].clone() if trace.a[-1] is x else trace.a[-1]

        @staticmethod
        def backward(ctx: Any, cotangent: Any) -> Any:
            if torch.is_grad_enabled():  # create_graph=True: torch would take these gradients for constants
                raise RuntimeError(
                    "the gradient of a network of retroprop cannot be differentiated once more by torch "
                    "(create_graph=True): rp.interop.to_torch(net) is a model of torch's own layers, which can."
                )
            n, saved = len(ctx.architecture.layer_sizes), ctx.saved_tensors
            leaves, a, z = saved[: -2 * n], list(saved[-2 * n : -n]), list(saved[-n:])
            parameters = Parameters(leaves[: n - 1], leaves[n - 1 :])
            trace = Trace(a, z, [None] * n, a[:-1])
            operations = backend_of(cotangent).operations()
            g = vector_jacobian_product(operations, ctx.architecture, parameters, trace, cotangent)
            return None, g.x, *g.thetas, *g.biases

    return Recursion
