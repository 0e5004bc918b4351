"""Optimizers: pure update rules, each an elementwise formula (θ, ∂J/∂θ, state) → (θ, state), and L-BFGS.

Numbers that change from update to update (the learning rate, Adam's bias corrections) are computed on the host by
`hyper` and are arguments of the formula; constants are attributes of the object.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass
from math import inf, sqrt
from typing import Any, ClassVar

from retroprop.core.parameters import Parameters
from retroprop.functions import schedules
from retroprop.functions.names import from_name, plain_numbers
from retroprop.functions.special import sign
from retroprop.functions.types import Array, Namespace


def _check(owner: str, *, below_one: dict[str, float] | None = None, **at_least_0: float) -> None:
    for name, value in (below_one or {}).items():
        if not 0.0 <= value < 1.0:
            raise ValueError(f"{name} of {owner} must be in [0, 1), not {value!r}.")
    for name, value in at_least_0.items():
        if not 0.0 <= value < inf:
            raise ValueError(f"{name} of {owner} must be 0 or above and finite, not {value!r}.")


class Optimizer(ABC):
    """A rule that turns the gradients of the cost into better parameters.

    Attributes
    ----------
    name : str
        The name by which a user selects it.
    learning_rate : float or Schedule
        η; 1 for an optimizer that determines the length of its steps itself.
    full_batch : bool
        Whether each step must see all rows.
    """

    name: ClassVar[str]
    full_batch: ClassVar[bool] = False
    learning_rate: Any = 1.0

    def hyper(self, t: int, learning_rate: float) -> tuple[float, ...]:
        """Return the hyper-parameters of update t = 1, 2, ..., which are data of its step."""
        return (learning_rate,)

    @abstractmethod
    def start(self, parameters: Parameters, zeros_like: Callable[[Array], Array]) -> tuple[Any, ...]:
        """Return the state before the first update."""

    def end(self, state: tuple[Any, ...]) -> str:
        """Return the reason to stop, as in `History.stop_reason`; an empty text to go on."""
        return ""

    def remedy(self, learning_rate: float) -> str:
        """Return the advice for a training that diverged at this learning rate."""
        return f"Lower learning_rate (it was {learning_rate:g}), pass clip_norm=1.0, or standardise the data."


class UpdateRule(Optimizer):
    """An optimizer that is an elementwise formula.

    Attributes
    ----------
    slots : int
        The number of state arrays of each parameter array.
    """

    @property
    @abstractmethod
    def slots(self) -> int:
        """The number of state arrays of each parameter array."""

    @abstractmethod
    def formula(self, xp: Namespace, theta: Array, grad: Array, *rest: Any) -> tuple[Array, ...]:
        """Return θ and its state after the update; `rest` is the state, then `hyper`."""

    def start(self, parameters: Parameters, zeros_like: Callable[[Array], Array]) -> tuple[Parameters, ...]:
        """Return the state before the first update: `slots` trees of zeros in the form of the parameters."""
        return tuple(parameters.like(map(zeros_like, parameters.leaves)) for _ in range(self.slots))


@dataclass(frozen=True)
class SGD(UpdateRule):
    """Gradient descent with optional momentum: v ← μ v − η g, θ ← θ + v.

    Parameters
    ----------
    learning_rate : float or Schedule
        η.
    momentum : float
        μ in [0, 1]; 0 is θ ← θ − η g, 1 never decays.
    nesterov : bool
        Nesterov's look-ahead: θ ← θ + μ v_new − η g (Sutskever et al. 2013).
    """

    name: ClassVar[str] = "sgd"
    learning_rate: Any = 0.01
    _: KW_ONLY
    momentum: float = 0.0
    nesterov: bool = False

    def __post_init__(self) -> None:
        plain_numbers(self)
        schedules.get(self.learning_rate)
        if not 0.0 <= self.momentum <= 1.0:
            raise ValueError(f"momentum of SGD must be in [0, 1], not {self.momentum!r}.")
        if self.nesterov and not self.momentum:
            raise ValueError("nesterov of SGD needs a momentum above 0.")

    @property
    def slots(self) -> int:
        return 1 if self.momentum else 0

    def formula(self, xp: Namespace, theta: Array, grad: Array, *rest: Any) -> tuple[Array, ...]:
        if not self.momentum:
            (eta,) = rest
            return (theta - eta * grad,)
        v, eta = rest
        v = self.momentum * v - eta * grad
        step = self.momentum * v - eta * grad if self.nesterov else v
        return theta + step, v


@dataclass(frozen=True)
class RMSprop(UpdateRule):
    """ν ← ρ ν + (1 − ρ) g², θ ← θ − η g / (√ν + ε) (Tieleman & Hinton 2012).

    Parameters
    ----------
    learning_rate : float or Schedule
        η.
    decay : float
        ρ in [0, 1).
    epsilon : float
        ε, outside the root.
    """

    name: ClassVar[str] = "rmsprop"
    learning_rate: Any = 0.001
    _: KW_ONLY
    decay: float = 0.9
    epsilon: float = 1e-8

    def __post_init__(self) -> None:
        plain_numbers(self)
        schedules.get(self.learning_rate)
        _check("RMSprop", below_one={"decay": self.decay}, epsilon=self.epsilon)

    @property
    def slots(self) -> int:
        return 1

    def formula(self, xp: Namespace, theta: Array, grad: Array, *rest: Any) -> tuple[Array, ...]:
        nu, eta = rest
        nu = self.decay * nu + (1.0 - self.decay) * grad * grad
        return theta - eta * grad / (xp.sqrt(nu) + self.epsilon), nu


@dataclass(frozen=True)
class Adam(UpdateRule):
    """Adam (Kingma & Ba 2015, arXiv:1412.6980).

    μ ← β₁ μ + (1 − β₁) g, ν ← β₂ ν + (1 − β₂) g², θ ← θ − η √(1 − β₂^t) / (1 − β₁^t) · μ / (√ν + ε)

    ε stands outside the bias correction, as in the paper's section 2 and in scikit-learn; PyTorch adds it to
    √(ν / (1 − β₂^t)), which is the paper's Algorithm 1, so the two differ in the first updates.

    Parameters
    ----------
    learning_rate : float or Schedule
        η.
    beta1, beta2 : float
        The decay rates of the moments, in [0, 1).
    epsilon : float
        ε.
    """

    name: ClassVar[str] = "adam"
    learning_rate: Any = 0.001
    _: KW_ONLY
    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8

    def __post_init__(self) -> None:
        plain_numbers(self)
        schedules.get(self.learning_rate)
        _check(type(self).__name__, below_one={"beta1": self.beta1, "beta2": self.beta2}, epsilon=self.epsilon)

    @property
    def slots(self) -> int:
        return 2

    def hyper(self, t: int, learning_rate: float) -> tuple[float, ...]:
        return (learning_rate * sqrt(1.0 - self.beta2**t) / (1.0 - self.beta1**t),)

    def formula(self, xp: Namespace, theta: Array, grad: Array, *rest: Any) -> tuple[Array, ...]:
        mu, nu, eta = rest
        mu = self.beta1 * mu + (1.0 - self.beta1) * grad
        nu = self.beta2 * nu + (1.0 - self.beta2) * grad * grad
        return theta - eta * mu / (xp.sqrt(nu) + self.epsilon), mu, nu


@dataclass(frozen=True)
class AdamW(Adam):
    """Adam with decoupled weight decay: θ ← (1 − η λ) θ first (Loshchilov & Hutter 2019, arXiv:1711.05101).

    As in PyTorch and optax every parameter decays, biases too; `l2` of a network penalises Θ only.

    Parameters
    ----------
    learning_rate, beta1, beta2, epsilon
        As for `Adam`.
    weight_decay : float
        λ.
    """

    name: ClassVar[str] = "adamw"
    _: KW_ONLY
    weight_decay: float = 0.01

    def __post_init__(self) -> None:
        super().__post_init__()
        _check("AdamW", weight_decay=self.weight_decay)

    def hyper(self, t: int, learning_rate: float) -> tuple[float, ...]:
        return (*super().hyper(t, learning_rate), 1.0 - learning_rate * self.weight_decay)

    def formula(self, xp: Namespace, theta: Array, grad: Array, *rest: Any) -> tuple[Array, ...]:
        *adam, keep = rest
        return super().formula(xp, keep * theta, grad, *adam)


@dataclass(frozen=True)
class Lion(UpdateRule):
    """θ ← θ − η (sign(β₁ μ + (1 − β₁) g) + λ θ), μ ← β₂ μ + (1 − β₂) g (Chen et al. 2023, arXiv:2302.06675).

    Parameters
    ----------
    learning_rate : float or Schedule
        η, a third to a tenth of Adam's.
    beta1, beta2 : float
        In [0, 1).
    weight_decay : float
        λ.
    """

    name: ClassVar[str] = "lion"
    learning_rate: Any = 0.0001
    _: KW_ONLY
    beta1: float = 0.9
    beta2: float = 0.99
    weight_decay: float = 0.0

    def __post_init__(self) -> None:
        plain_numbers(self)
        schedules.get(self.learning_rate)
        below_one = {"beta1": self.beta1, "beta2": self.beta2}
        _check("Lion", below_one=below_one, weight_decay=self.weight_decay)

    @property
    def slots(self) -> int:
        return 1

    def formula(self, xp: Namespace, theta: Array, grad: Array, *rest: Any) -> tuple[Array, ...]:
        mu, eta = rest
        direction = sign(self.beta1 * mu + (1.0 - self.beta1) * grad, xp)
        mu = self.beta2 * mu + (1.0 - self.beta2) * grad
        return theta - eta * (direction + self.weight_decay * theta), mu


@dataclass(frozen=True, kw_only=True)
class LBFGS(Optimizer):
    """Limited-memory BFGS with a line search for the strong Wolfe conditions (Liu & Nocedal 1989).

    θ ← θ − t H g: H approximates the inverse of the Hessian matrix of J, from the last steps and their changes of the
    gradient; t is the result of the line search, so there is no learning rate. An epoch is one iteration over all rows;
    it evaluates J and its gradient once or, if the first trial step is rejected, a few times. All arrays stay on the
    device of the network. Read back, as Python floats, are the slope along H g, once an iteration, and the cost, the
    slope and the largest |g|, together, at each evaluation.

    A training ends with `stop_reason` "converged" if the gradient is small or the cost has stopped falling, and with
    "stalled" if even along −g no lower cost is found: within rounding, as in float32, that is the minimum too.

    It needs the full batch, and a cost that is a smooth function of the parameters alone: `batch_size`, dropout,
    clipping and `l1`, whose kinks coincide with its minimum, are refused. (Relu's kinks are rarely hit, and tolerated.)

    Parameters
    ----------
    history : int
        The number of last steps from which H is built; each takes the memory of two gradients.
    gradient_tol : float
        Stops if no |g| of a parameter is larger; `gtol` of SciPy's L-BFGS-B.
    cost_tol : float
        Stops if an iteration lowers J by no more than this times max(|J|, 1); SciPy's `ftol`. It also stops if the
        decrease is within the dtype's rounding of J.
    max_evaluations : int
        The most evaluations of one line search.
    c1, c2 : float
        0 < c1 < c2 < 1. A step t along d is accepted if J falls by c1 t |gᵀd| or more, the slope to c2 |gᵀd| or less.
    """

    name: ClassVar[str] = "lbfgs"
    full_batch: ClassVar[bool] = True
    history: int = 10
    gradient_tol: float = 1e-5
    cost_tol: float = 2.22e-9
    max_evaluations: int = 20
    c1: float = 1e-4
    c2: float = 0.9

    def __post_init__(self) -> None:
        plain_numbers(self)
        for name in ("history", "max_evaluations"):
            value = getattr(self, name)
            if isinstance(value, bool) or not hasattr(value, "__index__") or value < 1:
                raise ValueError(f"{name} of LBFGS must be a whole number, 1 or above, not {value!r}.")
        _check("LBFGS", gradient_tol=self.gradient_tol, cost_tol=self.cost_tol)
        if not 0.0 < self.c1 < self.c2 < 1.0:
            raise ValueError(f"c1 and c2 of LBFGS must be 0 < c1 < c2 < 1, not {self.c1!r} and {self.c2!r}.")

    def start(self, parameters: Parameters, zeros_like: Callable[[Array], Array]) -> tuple[Any, ...]:
        """Return the state before the first iteration: empty."""
        return ()

    def end(self, state: Any) -> str:
        return state.reason if state else ""

    def remedy(self, learning_rate: float) -> str:
        return "Standardise the data, or start from smaller parameters (initializer=...)."


OPTIMIZERS: dict[str, type[Optimizer]] = {rule.name: rule for rule in (SGD, RMSprop, Adam, AdamW, Lion, LBFGS)}


def minibatch_names() -> list[str]:
    """Return the names of the optimizers that work on minibatches: all but those that need the full batch."""
    return [name for name, rule in OPTIMIZERS.items() if not rule.full_batch]


def get(optimizer: Any) -> UpdateRule | LBFGS:
    """Return the optimizer of that name with its defaults, or the object itself.

    Raises
    ------
    ValueError
        If no optimizer has that name; the message suggests one.
    TypeError
        If it is neither a name nor an optimizer.
    """
    if isinstance(optimizer, (UpdateRule, LBFGS)):
        return optimizer
    found: UpdateRule | LBFGS = from_name("optimizer", optimizer, OPTIMIZERS)
    return found
