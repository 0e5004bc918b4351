"""The functions of the page, recorded from the core: the step, the cost after a nudge, one layer forward and back."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from retroprop.backends import host_backend
from retroprop.backends.record.recorder import Form, record
from retroprop.core.architecture import Architecture
from retroprop.core.backward import backward, evaluate
from retroprop.core.forward import forward
from retroprop.core.operations import Operations
from retroprop.core.parameters import Parameters
from retroprop.explain.page.javascript import HELPERS
from retroprop.explain.page.lowering import lowered
from retroprop.functions.activations import Activation, Identity
from retroprop.functions.types import Array
from retroprop.training.optimizers import UpdateRule


class StepNumbers(NamedTuple):
    """The numbers of a step, as the page shows them; index 0 of a list is layer 2 of the source text.

    Attributes
    ----------
    z, a, deltas : tuple of array (m, n_l)
        Pre-activations, activations and error terms.
    sent_back : tuple of array (m, n_l)
        ∂J/∂a of the hidden layers.
    cost : array, 0-d
        J, penalties included.
    gradient : Parameters
        ∂J/∂Θ and ∂J/∂b.
    gradient_x : array (m, n_1)
        ∂J/∂x.
    parameters, slots
        The parameters and the state of the optimizer after the step.
    """

    z: tuple[Array, ...]
    a: tuple[Array, ...]
    deltas: tuple[Array, ...]
    sent_back: tuple[Array, ...]
    cost: Array
    gradient: Parameters
    gradient_x: Array
    parameters: Parameters
    slots: tuple[Parameters, ...]


class _Nudged:
    """Operations with a number added to every z, and to every a of a hidden layer."""

    def __init__(self, operations: Operations, of_z: Sequence[Array], of_a: Sequence[Array]) -> None:
        self._operations, self._of_z, self._of_a = operations, of_z, of_a

    def __getattr__(self, name: str) -> Any:
        return getattr(self._operations, name)

    def affine(
        self, layer: int, a: Array, theta: Array, bias: Array | None, activation: Activation, *, keep_z: bool
    ) -> tuple[Array, Array]:
        _, z = self._operations.affine(layer, a, theta, bias, Identity(), keep_z=True)
        z = z + self._of_z[layer - 1]
        value = activation.value(z, self._operations.xp)
        return z, (value + self._of_a[layer - 1] if layer <= len(self._of_a) else value)


def functions(architecture: Architecture, rule: UpdateRule, rows: Sequence[int]) -> str:
    """Return the JavaScript of everything that the page computes, for batches of these numbers of observations.

    Raises
    ------
    NotTraceableError, TypeError
        If a function of the network cannot be recorded or lowered.
    """
    step, nudged = (
        ",\n".join(f"{m}: {of(architecture, m)}" for m in dict.fromkeys(rows))
        for of in (lambda architecture, m: _step(architecture, rule, m), _nudged_cost)
    )
    forms = _form_of_parameters(architecture)
    layers = range(1, len(architecture.layer_sizes))
    propagated = ",\n".join(f"{l + 1}: {_propagated(architecture, forms, l)}" for l in layers)
    returned = ",\n".join(f"{l}: {_returned(architecture, forms, l)}" for l in layers if l > 1)
    return (
        f"{HELPERS}\n// The step on so many observations.\nconst stepOf = {{\n{step}\n}};\n"
        f"// J with numbers added to z and to a.\nconst nudgedCost = {{\n{nudged}\n}};\n"
        f"// One layer forward, of one observation.\nconst layerForward = {{\n{propagated}\n}};\n"
        f"// One layer back.\nconst layerBack = {{\n{returned}\n}};\n"
    )


def _form(*shape: int) -> Form:
    return Form(shape, "float64")


def _form_of_parameters(architecture: Architecture) -> Parameters:
    thetas = tuple(_form(*shape) for shape in architecture.shapes)
    return Parameters(thetas, tuple(_form(n) for n, _ in architecture.shapes) if architecture.bias else ())


def _javascript(function: Callable[..., Any], forms: tuple[Any, ...], names: Sequence[str]) -> str:
    return lowered(record(function, host_backend().operations(), forms, ()), names)


def step_of(architecture: Architecture, rule: UpdateRule) -> Callable[..., StepNumbers]:
    """Return the step, forward, back and update, as a function of operations, parameters, slots, η, x and y."""

    def step(operations: Operations, parameters: Any, slots: Any, eta: Any, x: Any, y: Any) -> StepNumbers:
        trace = forward(operations, architecture, parameters, x, keep_z=True)
        found = backward(operations, architecture, parameters, trace, y, wrt_input=True)
        # δ^(l+1) Θ^(l): the same operation with an f that has f′ = 1
        sent_back = tuple(
            operations.delta(l, found.deltas[l + 1], parameters.thetas[l], None, trace.a[l], Identity(), None)
            for l in range(1, len(parameters.thetas))
        )
        updated, state = operations.update(rule.formula, parameters, found.parameters, slots, rule.hyper(1, eta))
        assert found.x is not None  # it is asked for
        return StepNumbers(
            tuple(trace.z[1:]),
            tuple(trace.a[1:]),
            tuple(found.deltas[1:]),
            sent_back,
            found.cost,
            found.parameters,
            found.x,
            updated,
            tuple(state),
        )

    return step


def _step(architecture: Architecture, rule: UpdateRule, m: int) -> str:
    forms = _form_of_parameters(architecture)
    sizes = architecture.layer_sizes
    given = (forms, (forms,) * rule.slots, float, _form(m, sizes[0]), _form(m, sizes[-1]))
    return _javascript(step_of(architecture, rule), given, ("parameters", "slots", "eta", "x", "y"))


def _nudged_cost(architecture: Architecture, m: int) -> str:
    def cost(operations: Operations, parameters: Any, of_z: Any, of_a: Any, x: Any, y: Any) -> Array:
        nudged: Any = _Nudged(operations, of_z, of_a)
        return evaluate(nudged, architecture, parameters, x, y)[0]

    sizes = architecture.layer_sizes
    forms = _form_of_parameters(architecture)
    of_z, of_a = (tuple(_form(m, n) for n in some) for some in (sizes[1:], sizes[1:-1]))
    given = (forms, of_z, of_a, _form(m, sizes[0]), _form(m, sizes[-1]))
    return _javascript(cost, given, ("parameters", "ofZ", "ofA", "x", "y"))


def _propagated(architecture: Architecture, forms: Parameters, l: int) -> str:
    """Return z and a of layer l + 1, from a of layer l, of one observation."""
    f = architecture.activations[l - 1]

    def affine(operations: Operations, a: Any, theta: Any, biases: tuple[Any, ...]) -> tuple[Any, ...]:
        return operations.affine(l, a, theta, biases[0] if biases else None, f, keep_z=True)

    given = (_form(1, architecture.layer_sizes[l - 1]), forms.thetas[l - 1], forms.biases[l - 1 : l])
    return _javascript(affine, given, ("a", "theta", "biases"))


def _returned(architecture: Architecture, forms: Parameters, l: int) -> str:
    """Return δ of layer l from that of layer l + 1, of one observation."""
    f, (n, n_above) = architecture.activations[l - 2], architecture.layer_sizes[l - 1 : l + 1]

    def back(operations: Operations, delta: Any, theta: Any, z: Any, a: Any) -> Array:
        return operations.delta(l - 1, delta, theta, z, a, f, None)

    given = (_form(1, n_above), forms.thetas[l - 1], _form(1, n), _form(1, n))
    return _javascript(back, given, ("delta", "theta", "z", "a"))
