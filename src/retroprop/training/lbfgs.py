"""Limited-memory BFGS, on the arrays of any backend.

Nocedal & Wright, Numerical Optimization, 2nd ed. (2006): `direction` is their Algorithm 7.4, `iterate` a turn of
Algorithm 7.5. The parameters are one 1-D array x here, and the gradient another. Per iteration one number is read
from the device, and per evaluation of the cost three, together.
"""

from collections.abc import Callable
from math import inf, isfinite
from typing import Any, NamedTuple

from retroprop.backends.backend import PLAIN, Backend, Demands
from retroprop.backends.intake.arrays import holds, read
from retroprop.backends.intake.batch import Batch
from retroprop.backends.replay.captured_step import CapturedStep
from retroprop.core.architecture import Architecture
from retroprop.core.operations import Operations
from retroprop.core.parameters import Parameters, joined, separated
from retroprop.functions.types import Array, Namespace
from retroprop.training.line_search import LineTrial, Phi, strong_wolfe
from retroprop.training.optimizers import LBFGS
from retroprop.training.step import Measured, Stepped, bind_measure


class Pair(NamedTuple):
    """A step, and the change of the gradient along it.

    Attributes
    ----------
    s, y : array (n,)
        x_new − x, g_new − g.
    rho : array, 0-d
        1 / yᵀs.
    """

    s: Array
    y: Array
    rho: Array


class Point(NamedTuple):
    """Parameters, with the cost and the gradient there.

    Attributes
    ----------
    x : array (n,)
        The parameters, joined.
    parameters : Parameters
        The same in their shapes; they may share memory with x.
    gradient : array (n,)
        g = ∂J/∂x.
    cost : array, 0-d
        J.
    a : array (m, n_L) or None
        The output, if the function is that of a network.
    value, largest : float
        J and the largest |g|, read from the device.
    """

    x: Array
    parameters: Parameters
    gradient: Array
    cost: Array
    a: Array | None
    value: float
    largest: float


REASONS = ("", "converged", "stalled", "diverged")
"""The values of `State.reason`."""


class State(NamedTuple):
    """The state of a minimisation.

    Attributes
    ----------
    point : Point
        The point of the lowest cost so far.
    pairs : tuple of Pair
        The last steps, the newest last.
    reason : str
        Why it has ended: "converged", "stalled", or "diverged" if the cost was not finite at the start; empty while
        it has not.
    """

    point: Point
    pairs: tuple[Pair, ...] = ()
    reason: str = ""


class Minimum(NamedTuple):
    """The result of a minimisation.

    Attributes
    ----------
    parameters : Parameters
        The point of the minimum.
    cost : float
        J there.
    n_iterations, n_evaluations : int
        Their numbers.
    reason : str
        "converged" (the gradient is small, or the cost no longer falls), "stalled" (no lower cost was found even along
        −g), "diverged" (the cost is not finite at the start), "max_iterations", "max_evaluations" or "callback";
        empty in the argument of a callback.
    state : State
        Its end, from which it can go on.
    """

    parameters: Parameters
    cost: float
    n_iterations: int
    n_evaluations: int
    reason: str
    state: State


def direction(gradient: Array, pairs: tuple[Pair, ...], xp: Namespace) -> Array:
    """Return −H g, where the pairs turn γ I into the approximate inverse Hessian matrix H (Algorithm 7.4).

    γ = sᵀy / yᵀy of the newest pair; without one it is 1/‖g‖, so that the first trial step has the length 1.
    """
    if not pairs:
        # Scaled by the largest element first: the squares of float32 gradients of 1e20 would overflow.
        scaled = gradient / xp.max(xp.abs(gradient))
        return -scaled / xp.sqrt(xp.matmul(scaled, scaled))
    # The first loop runs from the newest pair to the oldest, the second back.
    q, alphas = gradient, []
    for s, y, rho in reversed(pairs):
        # α_i = ρ_i s_iᵀq,  q ← q − α_i y_i
        alpha = rho * xp.matmul(s, q)
        q = q - alpha * y
        alphas.append(alpha)
    _, y, rho = pairs[-1]
    # r ← γ q, as γ = sᵀy / yᵀy = 1 / (ρ yᵀy)
    r = q / (rho * xp.matmul(y, y))
    for (s, y, rho), alpha in zip(pairs, reversed(alphas), strict=True):
        # β = ρ_i y_iᵀr,  r ← r + (α_i − β) s_i
        beta = rho * xp.matmul(y, r)
        r = r + (alpha - beta) * s
    return -r


class Objective:
    """The cost as a function of a 1-D array; it counts its evaluations.

    Parameters
    ----------
    backend : Backend
        The backend of the arrays.
    measure : callable
        Returns the cost and the gradient of parameters, which need be valid only until its next call.
    like : Parameters
        Parameters of the shapes that it takes.
    """

    def __init__(self, backend: Backend, measure: Callable[[Parameters], Measured], like: Parameters) -> None:
        self.backend, self.xp, self.measure, self.shapes = backend, backend.xp, measure, like.shapes
        self.n_evaluations = 0

    def at(self, x: Array, *lines: Array) -> tuple[Point, list[float]]:
        """Return the point x, and the slopes along directions."""
        # In their shapes, without a copy where the library has views.
        xp, parameters = self.xp, separated(x, self.shapes, self.xp)
        cost, gradients, a = self.measure(parameters)
        self.n_evaluations += 1
        gradient = joined(gradients, xp)
        largest = xp.max(xp.abs(gradient))
        # φ′(t) = gᵀd
        slopes = [xp.matmul(gradient, d) for d in lines]
        # One read for all of them: each read waits for the device.
        cost_read, largest_read, *slopes_read = read(self.backend, [cost, largest, *slopes])
        # The measure reuses its buffers, and the point outlives its next call.
        kept = None if a is None else xp.astype(a, a.dtype, copy=True)
        return Point(x, parameters, gradient, cost, kept, cost_read, largest_read), slopes_read

    def along(self, x: Array, d: Array) -> Phi:
        """Return φ(t) = J(x + t d)."""

        def phi(step: float) -> LineTrial:
            point, (slope,) = self.at(x + step * d, d)
            return LineTrial(step, point.value, slope, point)

        return phi


def begin(objective: Objective, start: Parameters, rule: LBFGS) -> State:
    """Return the state at the first parameters, which are copied."""
    point, _ = objective.at(joined(start, objective.xp))
    if not isfinite(point.value):
        return State(point, reason="diverged")
    return State(point, reason="converged" if point.largest <= rule.gradient_tol else "")


def iterate(objective: Objective, state: State, rule: LBFGS) -> State:
    """Return the state after one iteration: a direction, a step along it, a pair (Algorithm 7.5)."""
    xp, old = objective.xp, state.point
    eps = float(xp.finfo(old.x.dtype).eps)
    d = direction(old.gradient, state.pairs, xp)
    (slope,) = read(objective.backend, [xp.matmul(old.gradient, d)])
    found = start = LineTrial(0.0, old.value, slope, old)
    # Without a finite slope below 0, d is no direction of descent, and a search along it is pointless.
    if -inf < slope < 0.0:
        found = strong_wolfe(
            objective.along(old.x, d), start, c1=rule.c1, c2=rule.c2, max_evaluations=rule.max_evaluations, eps=eps
        )
    if found is start:
        # The direction of the pairs is bad: try −g without them. If there were none, no lower cost can be found.
        return iterate(objective, State(old), rule) if state.pairs else State(old, reason="stalled")
    new, pairs = found.point, state.pairs
    # yᵀs = t (φ′(t) − φ′(0)), which is above 0 by the second Wolfe condition. After rounding, or a search that ran
    # out of evaluations, it may not be: H would not stay positive definite.
    if found.slope - slope > eps * -slope:
        s, y = found.step * d, new.gradient - old.gradient
        pairs = (*pairs, Pair(s, y, 1.0 / xp.matmul(y, s)))[-rule.history :]
    # SciPy's criterion on the cost, but never below the rounding of the cost itself.
    size = max(abs(old.value), abs(new.value))
    small = max(rule.cost_tol * max(size, 1.0), eps * size)
    converged = new.largest <= rule.gradient_tol or old.value - new.value <= small
    return State(new, pairs, "converged" if converged else "")


def minimize(
    value_and_gradient: Callable[[Parameters], tuple[Array, Parameters]],
    start: Parameters,
    *,
    backend: Backend,
    rule: LBFGS | None = None,
    max_iterations: int = 15_000,
    max_evaluations: int = 15_000,
    callback: Callable[[Minimum], Any] | None = None,
    after: Minimum | None = None,
) -> Minimum:
    """Minimise any function of parameters; its limits and tolerances are those of SciPy's L-BFGS-B.

    Parameters
    ----------
    value_and_gradient : callable
        Returns J, a 0-d array, and its gradient, with the structure of the parameters, all of one dtype. It may reuse
        the memory of the gradient at its next call, and must not write to the parameters.
    start : Parameters
        The initial parameters, arrays of `backend` of float32 or float64; they are not written to.
    backend : Backend
        The backend of the arrays.
    rule : LBFGS, optional
        `gradient_tol` is SciPy's `gtol`, `cost_tol` its `ftol`, `history` its `maxcor`, and its own `max_evaluations`,
        those of a line search, `maxls`; None is the defaults, which are SciPy's.
    max_iterations, max_evaluations : int
        Limits, checked after each iteration; SciPy's `maxiter` and `maxfun`.
    callback : callable, optional
        Is called with the `Minimum` so far after every iteration; True ends the minimisation.
    after : Minimum, optional
        Where an earlier minimisation stood, which goes on: its state counts, not `start`, and so do its numbers.

    Returns
    -------
    Minimum

    Raises
    ------
    ValueError
        If a limit is below 1.
    """
    for name, limit in (("max_iterations", max_iterations), ("max_evaluations", max_evaluations)):
        if limit < 1:
            raise ValueError(f"{name} must be 1 or above, not {limit!r}.")
    rule = LBFGS() if rule is None else rule
    objective = Objective(backend, lambda parameters: Measured(*value_and_gradient(parameters), None), start)

    def so_far(reason: str = "") -> Minimum:
        point = state.point
        return Minimum(point.parameters, point.value, n_iterations, objective.n_evaluations, reason, state)

    def reached() -> str:
        if n_iterations >= max_iterations:
            return "max_iterations"
        return "max_evaluations" if objective.n_evaluations >= max_evaluations else ""

    n_iterations = 0
    with backend.active():
        if after is None:
            state = begin(objective, start, rule)
            reason = state.reason
        else:
            state, n_iterations, objective.n_evaluations = after.state, after.n_iterations, after.n_evaluations
            reason = state.reason or reached()
        while not reason:
            state = iterate(objective, state, rule)
            if state.reason == "stalled":  # no step was made, so it does not count as an iteration
                return so_far("stalled")
            n_iterations += 1
            if callback is not None and callback(so_far()) is True:
                return so_far("callback")
            reason = state.reason or reached()
    return so_far(reason)


def bind(
    backend: Backend,
    architecture: Architecture,
    rule: LBFGS,
    *,
    clip_norm: float | None = None,
    clip_value: float | None = None,
    demands: Demands = PLAIN,
) -> CapturedStep:
    """Return the step of one training, an iteration over all rows; the arguments are those of `step.bind`.

    Raises
    ------
    ValueError
        For options that make the cost anything else than a smooth function of the parameters.
    """
    for name, given, why in (
        ("dropout", any(architecture.dropout), "its masks make the cost another function at each evaluation"),
        ("l1", any(l1 for _, l1 in architecture.penalties), "its kinks lie where the minimum does; l2 has none"),
        ("clip_norm", clip_norm is not None, "its line search needs the gradient as it is"),
        ("clip_value", clip_value is not None, "its line search needs the gradient as it is"),
    ):
        if given:
            raise ValueError(f"the optimizer 'lbfgs' does not go with {name}: {why}.")
    measure = bind_measure(backend, architecture, demands=demands)

    def step(
        operations: Operations,
        parameters: Parameters,
        state: tuple[Any, ...],
        hyper: tuple[float, ...],
        data: Batch,
        rows: Array | None,
        masks: Any,
    ) -> Stepped:
        objective = Objective(backend, lambda at: measure(at, data), parameters)
        # At the first step, and after a callback that changed the parameters, old pairs and gradient do not apply.
        if not isinstance(state, State) or not _is_at(backend, state.point, parameters):
            state = begin(objective, parameters, rule)
        # As for every optimizer, the cost and the output of a step are those before its update.
        measured = state.point
        if not state.reason:
            state = iterate(objective, state, rule)
        return Stepped(state.point.parameters, state, measured.cost, measured.a)

    # The measure within it is captured; the iteration reads numbers, so it runs as it is written.
    captured = CapturedStep(step, backend.operations())
    captured.compiled = measure.compiled
    return captured


def _is_at(backend: Backend, point: Point, parameters: Parameters) -> bool:
    """Return whether the parameters are those of the point: a callback may have given the network others."""
    return point.parameters is parameters or holds(backend, joined(parameters, backend.xp) == point.x)
