"""Forward propagation for its output alone: in place, and in blocks of rows, for the caches of a processor.

Nothing is kept from call to call: the bits of a result depend on the arguments alone, and threads share nothing.
"""

from retroprop.core.architecture import Architecture
from retroprop.core.forward import forward
from retroprop.core.operations import Operations
from retroprop.core.parameters import Parameters
from retroprop.functions.activations import Activation
from retroprop.functions.types import Array, Device, Namespace

LEAST = 512  # rows of a block: with fewer, a product of matrices takes up to twice the time for each row
# A softmax over few neurons of many rows is faster in Fortran order, in which the inner loops are the longer ones.
FEW, MANY = 32, 32


class OutputOperations(Operations):
    """The steps of a forward propagation whose z nobody reads afterwards."""

    def affine(
        self, layer: int, a: Array, theta: Array, bias: Array | None, activation: Activation, *, keep_z: bool
    ) -> tuple[None, Array]:
        """Return f(z) of the next layer, and no z."""
        # z^(l+1) = a^(l) Θ^(l)ᵀ + b^(l), in Fortran order as (Θ^(l) a^(l)ᵀ)ᵀ
        if not activation.elementwise and a.shape[-2] >= MANY and theta.shape[-2] <= FEW:
            z = (theta @ a.mT).mT
        else:
            z = a @ theta.mT
        if bias is not None:
            z += bias[..., None, :]
        # a^(l+1) = f(z^(l+1))
        return None, activation.value(z, self.xp)


def predicted(
    xp: Namespace, device: Device, architecture: Architecture, parameters: Parameters, x: Array, room: int
) -> Array:
    """Return a^(L) of x, block by block; with model axes all at once.

    Parameters
    ----------
    xp, device
        A library whose arrays can be written to, and its device.
    architecture, parameters
        The network.
    x : array (..., m, n_1)
        One observation a row.
    room : int
        Bytes of the widest activation of a block, if that has `LEAST` rows or more.
    """
    operations = OutputOperations(xp, device)
    if x.ndim != 2 or parameters.thetas[0].ndim != 2:
        return forward(operations, architecture, parameters, x).a[-1]
    m = x.shape[0]
    rows = max(room // (x.dtype.itemsize * max(architecture.layer_sizes)), LEAST)
    for at in range(0, m, rows):
        a = forward(operations, architecture, parameters, x[at : at + rows, :]).a[-1]
        if at == 0:
            out = xp.empty((m, a.shape[1]), dtype=a.dtype, device=device)
        out[at : at + rows, :] = a
    return out
