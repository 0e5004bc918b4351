"""A network as a function of JAX, whose gradient is our recursion."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from retroprop.backends import get_backend
from retroprop.core.architecture import Architecture
from retroprop.core.backward import vector_jacobian_product
from retroprop.core.forward import Trace, forward
from retroprop.core.parameters import Parameters
from retroprop.functions.types import Array
from retroprop.interop.errors import needed
from retroprop.interop.rebuilding import options_of
from retroprop.network import Network
from retroprop.one_network import require_one_network

Tree = dict[str, list[Array]]
"""The parameters as JAX takes them: {"thetas": [...], "biases": [...]}."""


@dataclass(frozen=True, eq=False)
class JaxFunction:
    """A pure function a^(L) = f(parameters, x), for `jax.jit`, `jax.grad` and `jax.vmap`.

    Attributes
    ----------
    architecture : Architecture
        Of the network.
    parameters : dict
        {"thetas": [...], "biases": [...]}, those that the network had.
    """

    architecture: Architecture
    parameters: Tree
    _call: Callable[[Tree, Array], Array] = field(repr=False)

    def __call__(self, parameters: Tree, x: Array) -> Array:
        """Return the output (m, n_L) for x (m, n_1)."""
        n = self.architecture.layer_sizes[0]
        if getattr(x, "ndim", 0) < 2 or x.shape[-1] != n:
            raise ValueError(f"x must have the shape (m, {n}), not {getattr(x, 'shape', ())}.")
        return self._call(parameters, x)

    def network(self, parameters: Tree) -> Network:
        """Return a Network with these parameters."""
        return Network.from_parameters(parameters["thetas"], parameters["biases"], **options_of(self.architecture))


def jax_function(net: Network) -> JaxFunction:
    """Return a network as a function of JAX, to stand within a model or a loss of it.

    Its derivative is retroprop's recursion, by `jax.custom_vjp`: with respect to the parameters and to x, in reverse
    mode. Forward mode (`jax.jvp`, `jax.jacfwd`, `jax.hessian`) is an error of JAX.

    Parameters
    ----------
    net : Network
        On any backend. Its parameters are copied; dropout and penalties are left out.

    Returns
    -------
    JaxFunction
        `f(parameters, x)`, with `f.parameters` to begin with, and `f.network(parameters)` for a Network of them.

    Raises
    ------
    ImportError
        If JAX is not installed.
    TypeError, ValueError
        If `net` is not a Network, or holds several models.
    """
    require_one_network(net, "jax_function")
    jax = needed("jax", by="rp.interop.jax_function")
    there = net if net.backend.name == "jax" else net.to(get_backend("jax"))
    operations, architecture = there.backend.operations(), there.architecture

    def forwards(tree: Tree, x: Array) -> tuple[Array, Any]:
        parameters = Parameters(tuple(tree["thetas"]), tuple(tree["biases"]))
        trace = forward(operations, architecture, parameters, x)
        return trace.a[-1], (tree, tuple(trace))

    def backwards(kept: Any, cotangent: Array) -> tuple[Tree, Array]:
        tree, trace = kept
        parameters = Parameters(tuple(tree["thetas"]), tuple(tree["biases"]))
        g = vector_jacobian_product(operations, architecture, parameters, Trace(*trace), cotangent)
        assert g.x is not None
        return {"thetas": g.thetas, "biases": g.biases}, g.x

    call = jax.custom_vjp(lambda tree, x: forwards(tree, x)[0])
    call.defvjp(forwards, backwards)
    tree = {"thetas": list(there.thetas), "biases": list(there.biases)}
    return JaxFunction(architecture, tree, call)
