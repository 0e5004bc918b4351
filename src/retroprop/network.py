"""The Network a user holds: its architecture, its parameters, and the backend they live on."""

from collections.abc import Iterable, Sequence
from copy import copy
from math import prod
from types import ModuleType
from typing import Any, TypeAlias

from retroprop.backends import Backend, backend_of, get_backend, host, host_backend
from retroprop.backends.intake.arrays import take_in
from retroprop.backends.intake.batch import Batch, take_inputs, take_targets, take_weights
from retroprop.backends.intake.parameters import Arrays, dtype_name, dtype_of, shape_of, take_parameters
from retroprop.core import backward as algorithm
from retroprop.core import gradient_check
from retroprop.core.architecture import build
from retroprop.core.backward import Gradient
from retroprop.core.forward import Trace, forward
from retroprop.core.gradient_check import GradientCheck
from retroprop.core.parameters import Parameters
from retroprop.functions import custom, initializers
from retroprop.functions.literals import ActivationLike, ArrayLike, DTypeLike, InitializerLike, LossLike, Seed
from retroprop.functions.method_names import METHODS
from retroprop.functions.names import in_words
from retroprop.functions.types import Array
from retroprop.inference import output_of

BackendLike: TypeAlias = str | Backend | ModuleType | None


class Network:
    """A multilayer perceptron.

    Parameters
    ----------
    layer_sizes : sequence of int
        n_1, ..., n_L, the inputs first.
    hidden : str, object, or a sequence of them
        f of the hidden layers, for all or one for each; see `retroprop.activations`.
    output : str or object
        f of the output layer.
    loss : str or object
        The loss; see `retroprop.losses`.
    initializer : str or object
        The distribution of the initial parameters; see `retroprop.initializers`.
    bias : bool
        False gives a network without biases.
    l2, l1 : float, or sequence of float
        λ of the penalties λ/2 ‖Θ‖² and λ ‖Θ‖₁ that J includes, for all Θ or one for each.
    dropout : float or sequence of float
        p of all hidden layers, or of each, in [0, 1): the fraction of the neurons masked at each step of `fit`.
    seed : int, Generator or None
        The seed of the initial parameters; the same seed gives the same ones on every backend.
    dtype : str
        "float32" or "float64".
    backend : str, Backend or None
        The backend on which it lives; see `get_backend`.

    Raises
    ------
    ValueError, TypeError
        For sizes below 1, unknown names (with a suggestion), numbers out of range, another dtype.

    Examples
    --------
    >>> net = Network([2, 3, 1], hidden="tanh", output="sigmoid", loss="binary_cross_entropy", seed=0)
    >>> [theta.shape for theta in net.thetas]
    [(3, 2), (1, 3)]
    """

    def __init__(
        self,
        layer_sizes: Sequence[int],
        *,
        hidden: ActivationLike | Sequence[ActivationLike] = "relu",
        output: ActivationLike = "identity",
        loss: LossLike = "squared_error",
        initializer: InitializerLike = "glorot_uniform",
        bias: bool = True,
        l2: float | Sequence[float] = 0.0,
        l1: float | Sequence[float] = 0.0,
        dropout: float | Sequence[float] = 0.0,
        seed: Seed = None,
        dtype: DTypeLike = "float32",
        backend: BackendLike = None,
    ) -> None:
        self.architecture = build(
            layer_sizes, hidden=hidden, output=output, loss=loss, bias=bias, l2=l2, l1=l1, dropout=dropout
        )
        self.dtype = dtype_name(dtype)
        initializer = initializers.get(initializer)
        rng = host.generator(seed)
        self._settle(get_backend(backend))
        # Layer by layer, theta then bias, in float64 on the host, so that a seed gives the same numbers on any backend.
        thetas, biases = [], []
        for n_out, n_in in self.architecture.shapes:
            thetas.append(self._owned(initializer.theta(rng, n_out, n_in, host.xp)))
            if bias:
                biases.append(self._owned(initializer.bias(rng, n_out, n_in, host.xp)))
        self.parameters = Parameters(tuple(thetas), tuple(biases))

    @classmethod
    def from_parameters(
        cls,
        thetas: Sequence[ArrayLike],
        biases: Sequence[ArrayLike] | None = None,
        *,
        hidden: ActivationLike | Sequence[ActivationLike] = "relu",
        output: ActivationLike = "identity",
        loss: LossLike = "squared_error",
        l2: float | Sequence[float] = 0.0,
        l1: float | Sequence[float] = 0.0,
        dropout: float | Sequence[float] = 0.0,
        dtype: DTypeLike | None = None,
        backend: BackendLike = None,
    ) -> "Network":
        """Return a network with given parameters, which are copied.

        Parameters
        ----------
        thetas : sequence of array (n_{l+1}, n_l)
            Θ^(l), with leading axes for several models at once.
        biases : sequence of array (n_{l+1},), optional
            b^(l); None or empty gives a network without bias.
        dtype : str, optional
            None is the dtype of the arrays given, "float32" for lists.
        backend : str, Backend or None
            None is the backend of the arrays given; for host data as for `Network`.
        hidden, output, loss, l2, l1, dropout
            As for `Network`.
        """
        if len(thetas) == 0:
            raise ValueError("thetas is empty: a network has at least one Θ.")
        if backend is None and not host.is_host(thetas[0]):
            backend = backend_of(thetas[0])
        shapes = [shape_of(theta, f"thetas[{l}]") for l, theta in enumerate(thetas)]
        net = cls.__new__(cls)
        net.architecture = build(
            [shapes[0][-1], *(shape[-2] for shape in shapes)],
            hidden=hidden,
            output=output,
            loss=loss,
            bias=biases is not None and len(biases) > 0,
            l2=l2,
            l1=l1,
            dropout=dropout,
        )
        net.dtype = dtype_name(dtype_of(thetas[0]) if dtype is None else dtype)
        net._settle(get_backend(backend))
        net.parameters = net._copied(thetas, biases or ())
        return net

    def _settle(self, backend: Backend) -> None:
        """Set the backend; raise for a dtype that it lacks, and for a custom function with a wrong derivative."""
        self.backend = backend
        backend.dtype(self.dtype)
        rng = host.generator(0)
        for f in self.architecture.activations:
            custom.check_activation(f, rng, host.xp)
        custom.check_loss(self.architecture.output.loss, self.architecture.layer_sizes[-1], rng, host.xp)

    @property
    def layer_sizes(self) -> tuple[int, ...]:
        """n_1, ..., n_L."""
        return self.architecture.layer_sizes

    @property
    def n_parameters(self) -> int:
        """The number of parameters: the elements of all thetas and biases."""
        return sum(prod(leaf.shape) for leaf in self.parameters.leaves)

    @property
    def thetas(self) -> list[Array]:
        """Θ^(l), a new list of the network's arrays, each (n_{l+1}, n_l); assign a whole list to change them."""
        return Arrays(self.parameters.thetas)

    @thetas.setter
    def thetas(self, thetas: Iterable[Any]) -> None:
        self.parameters = self._copied(list(thetas), self.parameters.biases)

    @property
    def biases(self) -> list[Array]:
        """b^(l), a new list of the network's arrays, each (n_{l+1},); empty without bias."""
        return Arrays(self.parameters.biases)

    @biases.setter
    def biases(self, biases: Iterable[Any]) -> None:
        self.parameters = self._copied(self.parameters.thetas, list(biases))

    def _owned(self, array: Array) -> Array:
        with self.backend.active():
            return self.backend.asarray(array, self.dtype, copy=True)

    def _copied(self, thetas: Sequence[Any], biases: Sequence[Any]) -> Parameters:
        return take_parameters(self.backend, self.architecture, self.dtype, thetas, biases)

    def to(self, backend: BackendLike = None, *, dtype: DTypeLike | None = None) -> "Network":
        """Return a copy of this network on another backend, in another dtype, or both."""
        net = copy(self)
        net.dtype = self.dtype if dtype is None else dtype_name(dtype)
        net._settle(self.backend if backend is None else get_backend(backend))
        leaves = self.parameters.leaves
        if net.backend != self.backend:
            leaves = tuple(self.backend.to_numpy(leaf) for leaf in leaves)
        net.parameters = self.parameters.like(net._owned(leaf) for leaf in leaves)
        return net

    def unstack(self) -> list["Network"]:
        """Return the networks that this one holds along its first model axis, as copies; ValueError if it holds one."""
        if self.parameters.thetas[0].ndim == 2:
            raise ValueError("this network is a single one: rp.stack(nets) makes one of several.")
        nets = [copy(self) for _ in range(self.parameters.thetas[0].shape[0])]
        for k, net in enumerate(nets):
            net.parameters = self.parameters.like(net._owned(leaf[k, ...]) for leaf in self.parameters.leaves)
        return nets

    # The computation ----------------------------------------------------------------------------------------

    def batch(
        self, x: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None, *, check: bool = False
    ) -> Batch:
        """Return data in the form that this network computes with: checked, cast and moved to its backend.

        Parameters
        ----------
        x : array (m, n_1)
            One observation a row.
        y : array (m, n_L), or (m,)
            Target rows; with one axis fewer class indices for cross_entropy, else allowed with one output.
        sample_weight : array (m,), optional
            Weights, 0 or above.
        check : bool
            Whether values on a device are checked too (NaN, inf, ranges), which waits for the device; host data
            always are.
        """
        with self.backend.active():
            inputs = take_inputs(self.backend, self.architecture, self.dtype, x, check=check)
            rows = tuple(inputs.shape[:-1])
            y = take_targets(self.backend, self.architecture, self.dtype, y, rows, check=check)
            return Batch(inputs, y, take_weights(self.backend, self.dtype, sample_weight, rows, check=check))

    def forward(self, x: ArrayLike, *, keep_z: bool = False) -> Trace:
        """Return the trace of forward propagation: `trace.a[l]`, and `trace.z[l]` where z is kept.

        Parameters
        ----------
        x : array (m, n_1)
            One observation a row.
        keep_z : bool
            Whether every z is kept; by default the output's, and a hidden layer's where f′ reads it.
        """
        with self.backend.active():
            x = take_inputs(self.backend, self.architecture, self.dtype, x)
            return forward(self.backend.operations(), self.architecture, self.parameters, x, keep_z=keep_z)

    def predict(self, x: ArrayLike) -> Array:
        """Return the output a^(L), shape (m, n_L): probabilities, rates or values, never labels.

        It is computed in blocks of rows, on a device with its own memory of as many as fit into it.
        """
        with self.backend.active():
            x = take_inputs(self.backend, self.architecture, self.dtype, x)
            return output_of(self.backend, self.architecture, self.parameters, x)

    def cost(self, x: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Array:
        """Return J as a 0-d array, penalties included; the arguments are those of `batch`."""
        batch = self.batch(x, y, sample_weight)
        with self.backend.active():
            cost, _ = algorithm.evaluate(self.backend.operations(), self.architecture, self.parameters, *batch)
            return cost

    def gradient(
        self, x: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None, *, wrt_input: bool = False
    ) -> Gradient:
        """Return J and its partial derivatives by backpropagation, without dropout.

        Parameters
        ----------
        x, y, sample_weight
            As for `batch`.
        wrt_input : bool
            Whether ∂J/∂x is wanted too.

        Returns
        -------
        Gradient
            `cost`, `deltas`, `thetas`, `biases`, `x`.
        """
        batch = self.batch(x, y, sample_weight)
        operations = self.backend.operations()
        with self.backend.active():
            trace = forward(operations, self.architecture, self.parameters, batch.x)
            return algorithm.backward(
                operations, self.architecture, self.parameters, trace, batch.y, batch.weight, wrt_input=wrt_input
            )

    def vjp(self, x: ArrayLike, cotangent: ArrayLike) -> Gradient:
        """Return the gradient of a function of the output, given that function's own gradient, without dropout.

        A vector-Jacobian product: where J = g(a^(L)) for any g outside of the network and c = ∂g/∂a^(L), it is the
        gradient of J with respect to Θ, b and x, by the same recursion as `gradient`, and without penalties.

        Parameters
        ----------
        x : array (m, n_1)
            One observation a row.
        cotangent : array (m, n_L)
            c.

        Returns
        -------
        Gradient
            `deltas`, `thetas`, `biases` and `x`; its `cost` is Σ c ∘ a^(L), the function whose gradient it is.
        """
        operations = self.backend.operations()
        with self.backend.active():
            inputs = take_inputs(self.backend, self.architecture, self.dtype, x)
            c = take_in(self.backend, cotangent, name="cotangent", dtype=self.dtype)
            if tuple(c.shape) != (shape := (*inputs.shape[:-1], self.layer_sizes[-1])):
                raise ValueError(f"cotangent must have the shape of the output, {shape}, not {tuple(c.shape)}.")
            trace = forward(operations, self.architecture, self.parameters, inputs)
            return algorithm.vector_jacobian_product(operations, self.architecture, self.parameters, trace, c)

    def __getattr__(self, name: str) -> Any:
        """Raise the AttributeError of a missing attribute, with a pointer to the call that does the same here."""
        if name not in METHODS or hasattr(type(self), name):
            return object.__getattribute__(self, name)  # for Python's own error, in a property that of its body
        what = f"{type(self).__name__!r} object has no attribute {name!r}. Use {METHODS[name]}."
        raise AttributeError(what, name=name, obj=self)

    def __repr__(self) -> str:
        a = self.architecture
        hidden = in_words([f.name for f in a.hidden]) or "none"
        return (
            f"<Network {'-'.join(map(str, a.layer_sizes))}, hidden {hidden}, output {a.output.activation.name}, "
            f"loss {a.output.loss.name}, {self.n_parameters} parameters, {self.dtype} on {self.backend}>"
        )


def check_gradient(
    net: Network,
    x: ArrayLike,
    y: ArrayLike,
    sample_weight: ArrayLike | None = None,
    *,
    max_parameters: int = 1000,
    seed: Seed = 0,
    tolerance: float | None = None,
) -> GradientCheck:
    """Compare the gradient of `net` with central differences.

    The gradient is the network's own, in its dtype and on its backend; the differences are taken in float64 on
    the host, from the same parameters.

    Parameters
    ----------
    net : Network
        One, or several along a model axis, of which each is checked.
    x, y, sample_weight
        As for `Network.gradient`; a few rows are enough.
    max_parameters : int
        The number of parameters to check: of a larger network, a random sample.
    seed : int or Generator
        The seed of the sample.
    tolerance : float, optional
        The largest relative error that is tolerated; the default, 3 eps^0.4, is 1.6e-6 in float64, 5e-3 in float32.

    Returns
    -------
    GradientCheck
        `max_relative_error`, `where`, `ok`, `tolerance`, `n_checked`.
    """
    if max_parameters < 1:
        raise ValueError(f"max_parameters must be 1 or above, not {max_parameters!r}.")
    if net.parameters.thetas[0].ndim != 2:
        options: Any = {"max_parameters": max_parameters, "seed": seed, "tolerance": tolerance}
        return gradient_check.worst([check_gradient(one, x, y, sample_weight, **options) for one in net.unstack()])
    batch = net.batch(x, y, sample_weight, check=True)
    own = net.gradient(*batch)
    if batch.x.ndim != 2:
        raise ValueError(f"check_gradient takes x with two axes, not of the shape {tuple(batch.x.shape)}.")
    to_numpy, xp = net.backend.to_numpy, host.xp
    reference = net.to(host_backend(), dtype="float64")
    # The values were checked above, in the precision in which they were given.
    on_host = [None if array is None else to_numpy(array) for array in batch]
    data = Batch(*(a if a is None or xp.isdtype(a.dtype, "integral") else a.astype("float64") for a in on_host))
    operations = reference.backend.operations()
    sizes = [theta.size for theta in reference.parameters.leaves]
    eps = float(net.backend.xp.finfo(net.backend.dtype(net.dtype)).eps)
    numbers_a_model = max(sizes) + sum(net.layer_sizes) * data.x.shape[-2]
    with reference.backend.active():
        return gradient_check.compare(
            lambda parameters: algorithm.evaluate(operations, reference.architecture, parameters, *data)[0],
            reference.parameters,
            Parameters(*(tuple(to_numpy(g).astype("float64") for g in part) for part in own.parameters)),
            gradient_check.sample(sizes, max_parameters, host.generator(seed), xp),
            chunk=max(1, 2**21 // numbers_a_model),
            tolerance=3.0 * eps**0.4 if tolerance is None else tolerance,
            xp=xp,
        )
