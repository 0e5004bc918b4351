"""Every activation and its f′ against the definition in mpmath, PyTorch's own, and central differences."""

import math
from functools import lru_cache

import numpy as np
import pytest
from harness import Cube, assert_close
from oracles import oracle
from selection import optimized

import retroprop as rp
from retroprop.functions import activations

# Multiples of 1/4: the same numbers in both dtypes.
POINTS = np.arange(-24, 25) / 4.0
# gelu_tanh′ takes ½ z u′ times 1 − t², 10 at z = −5, so a last digit of tanh is 20 of it.
ULPS = 32


# Value, slope and second derivative at 0 by hand (tanh(log 2) = 3/5), then the slope of the far right, the value
# and slope of the far left; None where the value goes like z.
BY_HAND = {
    "identity": (0.0, 1.0, 0.0, (None, 1.0), (None, 1.0)),
    "sigmoid": (0.5, 0.25, 0.0, (1.0, 0.0), (0.0, 0.0)),
    "tanh": (0.0, 1.0, 0.0, (1.0, 0.0), (-1.0, 0.0)),
    "softplus": (math.log(2.0), 0.5, 0.25, (None, 1.0), (0.0, 0.0)),
    "silu": (0.0, 0.5, 0.5, (None, 1.0), (0.0, 0.0)),
    "gelu": (0.0, 0.5, math.sqrt(2.0 / math.pi), (None, 1.0), (0.0, 0.0)),
    "gelu_tanh": (0.0, 0.5, math.sqrt(2.0 / math.pi), (None, 1.0), (0.0, 0.0)),
    "mish": (0.0, 0.6, 0.64, (None, 1.0), (0.0, 0.0)),
}
KINKED = ("relu", "leaky_relu", "elu")  # at 0; f′ there is tested by itself
ELEMENTWISE = activations.elementwise_names()


def both(f, z, backend, dtype):
    """Return f(z) and f′(z); z is withheld from f′ where the activation says it does not read it."""
    z = backend.asarray(z, dtype)
    a = f.value(z, backend.xp)
    return a, f.derivative(z if f.needs_z else None, a, backend.xp)


def close(actual, expected, backend, dtype):
    """To ULPS units in the last place of 1, or of the number itself where that is larger."""
    eps = float(np.finfo(dtype).eps)
    assert_close(actual, expected, backend=backend, dtype=dtype, rtol=ULPS * eps, atol=ULPS * eps)


@lru_cache
def defined(name):
    """Return f and f′ at the points by mpmath, from the definition alone; f′ off 0, where some have a kink."""
    f = oracle("activation", name, "mpmath")
    import mpmath

    with mpmath.workdps(40):
        points = [mpmath.mpf(float(z)) for z in POINTS]
        return [float(f(z)) for z in points], [float(mpmath.diff(f, z)) for z in points if z != 0]


@pytest.mark.parametrize("name", ELEMENTWISE)
def test_value_and_derivative_are_those_of_the_definition(name, backend, dtype):
    if (name, backend.name, dtype) == ("gelu_tanh", "jax", "float32") and not optimized():
        pytest.skip("code of XLA that is not optimized rounds more often; the long run has it optimized")
    expected, slopes = defined(name)
    value, derivative = both(activations.get(name), POINTS, backend, dtype)
    close(value, expected, backend, dtype)
    _, derivative = both(activations.get(name), POINTS[POINTS != 0.0], backend, dtype)
    close(derivative, slopes, backend, dtype)


def test_a_name_is_that_of_its_entry():
    assert all(activations.get(name).name == name for name in activations.ACTIVATIONS)


def test_gelu_is_the_exact_one(backend, dtype):
    value, derivative = both(activations.get("gelu"), POINTS, backend, dtype)
    cdf = [0.5 * math.erfc(-z / math.sqrt(2.0)) for z in POINTS]
    close(value, POINTS * cdf, backend, dtype)
    # (z Φ)′ = Φ + z φ by the product rule, φ from its own definition
    pdf = [math.exp(-z * z / 2.0) / math.sqrt(2.0 * math.pi) for z in POINTS]
    close(derivative, cdf + POINTS * pdf, backend, dtype)


def test_gelu_and_gelu_tanh_are_two_functions(backend):
    z = backend.asarray([-3.0], "float64")
    exact = backend.to_numpy(activations.get("gelu").value(z, backend.xp))[0]
    by_tanh = backend.to_numpy(activations.get("gelu_tanh").value(z, backend.xp))[0]
    assert exact == pytest.approx(-0.0040496940948, rel=1e-9)  # −3 Φ(−3), Φ(−3) = 0.0013498980316
    assert abs(exact - by_tanh) > 1e-4


@pytest.mark.parametrize(
    ("f", "value", "derivative"),
    [
        (activations.ReLU(), lambda z: max(z, 0.0), lambda z: float(z > 0.0)),
        (activations.LeakyReLU(), lambda z: z if z > 0 else 0.01 * z, lambda z: 1.0 if z > 0 else 0.01),
        (activations.LeakyReLU(0.25), lambda z: z if z > 0 else z / 4, lambda z: 1.0 if z > 0 else 0.25),
        (activations.LeakyReLU(0.0), lambda z: max(z, 0.0), lambda z: float(z > 0.0)),
        (activations.ELU(), lambda z: z if z > 0 else math.exp(z) - 1, lambda z: 1.0 if z > 0 else math.exp(z)),
        (
            activations.ELU(2.5),
            lambda z: z if z > 0 else 2.5 * (math.exp(z) - 1),
            lambda z: 1.0 if z > 0 else 2.5 * math.exp(z),
        ),
        (
            activations.ELU(0.3),
            lambda z: z if z > 0 else 0.3 * (math.exp(z) - 1),
            lambda z: 1.0 if z > 0 else 0.3 * math.exp(z),
        ),
    ],
    ids=lambda v: None if callable(v) else str(v),
)
def test_the_kinked_ones_branch_by_branch(f, value, derivative, backend, dtype):
    found, _ = both(f, POINTS, backend, dtype)
    close(found, [value(z) for z in POINTS], backend, dtype)
    off_kink = POINTS[POINTS != 0.0]
    _, found = both(f, off_kink, backend, dtype)
    close(found, [derivative(z) for z in off_kink], backend, dtype)


def test_derivatives_at_the_kink(backend, dtype):
    zero = [0.0, -0.0]
    np.testing.assert_array_equal(backend.to_numpy(both(activations.get("relu"), zero, backend, dtype)[1]), 0.0)
    close(both(activations.LeakyReLU(0.25), zero, backend, dtype)[1], [0.25, 0.25], backend, dtype)
    close(both(activations.ELU(), zero, backend, dtype)[1], [1.0, 1.0], backend, dtype)


@pytest.mark.needs("torch")
@pytest.mark.parametrize("name", ELEMENTWISE)
def test_against_pytorch_and_its_automatic_differentiation(name):
    theirs = oracle("activation", name, "torch")
    import torch

    points = np.delete(np.linspace(-8.0, 8.0, 161), 80) if name in KINKED else np.linspace(-8.0, 8.0, 161)
    z = torch.tensor(points, requires_grad=True)
    expected = theirs(z)
    expected.sum().backward()
    numpy = rp.get_backend("numpy")
    value, derivative = both(activations.get(name), points, numpy, "float64")
    close(value, expected.detach().numpy(), numpy, "float64")
    close(derivative, z.grad.numpy(), numpy, "float64")


@pytest.mark.parametrize("name", ELEMENTWISE)
def test_derivative_is_the_central_difference(name):
    numpy = rp.get_backend("numpy")
    points, f = POINTS[POINTS != 0.0] + 0.03125, activations.get(name)

    def difference(h):
        return (f.value(points + h, np) - f.value(points - h, np)) / (2.0 * h)

    # Richardson: the h² term of a central difference taken out, what remains is O(h⁴) and rounding eps/h
    h = 2.0**-10
    expected = (4.0 * difference(h / 2.0) - difference(h)) / 3.0
    scale = np.maximum(np.abs(f.value(points, np)), 1.0)
    bound = 10.0 * (h**4 + np.finfo("float64").eps / h) * scale
    assert np.all(np.abs(both(f, points, numpy, "float64")[1] - expected) <= bound)


@pytest.mark.parametrize("name", BY_HAND)
def test_close_to_zero_and_far_out(name, backend, dtype):
    # No context of the backend: on NumPy a warning here is an error of the test.
    f = activations.get(name)
    at_0, slope, bend, (right, right_slope), (left, left_slope) = BY_HAND[name]
    near = np.asarray([0.0, 1e-8, -1e-8, 2e-8], dtype="float32").astype("float64")
    value, derivative = both(f, near, backend, dtype)
    rtol = ULPS * float(np.finfo(dtype).eps)
    # relative precision: where f(0) = 0, f(1e-8) has all its digits
    expected = at_0 + slope * near + 0.5 * bend * near**2
    assert_close(value, expected, backend=backend, dtype=dtype, rtol=rtol, atol=0.0)
    assert_close(derivative, slope + bend * near, backend=backend, dtype=dtype, rtol=rtol, atol=0.0)
    far = np.asarray([1e2, 1e4, -1e2, -1e4])
    value, derivative = both(f, far, backend, dtype)
    assert np.all(np.isfinite(backend.to_numpy(value)))
    limits = [*((z if right is None else right) for z in far[:2]), *((z if left is None else left) for z in far[2:])]
    close(value, limits, backend, dtype)
    close(derivative, [right_slope] * 2 + [left_slope] * 2, backend, dtype)


@pytest.mark.parametrize(
    ("f", "slope", "right", "left"),
    [
        (activations.ReLU(), (0.0, 1.0, 0.0), 1.0, (0.0, 0.0, 0.0)),
        (activations.LeakyReLU(), (0.01, 1.0, 0.01), 1.0, (-1.0, -100.0, 0.01)),
        (activations.ELU(), (1.0, 1.0, 1.0), 1.0, (-1.0, -1.0, 0.0)),
        (activations.ELU(3.0), (3.0, 1.0, 3.0), 1.0, (-3.0, -3.0, 0.0)),
    ],
    ids=lambda v: None if callable(v) else str(v),
)
def test_the_kinked_ones_close_to_zero_and_far_out(f, slope, right, left, backend, dtype):
    value, derivative = both(f, [0.0, 1e-8, -1e-8, 1e2, 1e4, -1e2, -1e4], backend, dtype)
    side = slope[2] if f.name != "relu" else 0.0
    expected = [0.0, 1e-8, -1e-8 * side, 1e2, 1e4, left[0], left[1]]
    # e^z = 1 + z: 1e-8 from the slope at 0
    rtol = max(ULPS * float(np.finfo(dtype).eps), 1.01e-8)
    assert_close(value, expected, backend=backend, dtype=dtype, rtol=rtol, atol=0.0)
    at_0 = backend.to_numpy(derivative)[0]
    assert at_0 == pytest.approx(slope[0])
    expected = [at_0, *slope[1:], right, right, left[2], left[2]]
    assert_close(derivative, expected, backend=backend, dtype=dtype, rtol=rtol, atol=rtol)


def test_exp_goes_to_zero_and_to_infinity(backend, dtype):
    with backend.active():
        value, derivative = both(activations.get("exp"), [-1e4, 0.0, 1e-8, 1e4], backend, dtype)
    np.testing.assert_array_equal(backend.to_numpy(value)[[0, 1, 3]], [0.0, 1.0, np.inf])
    np.testing.assert_array_equal(backend.to_numpy(derivative), backend.to_numpy(value))


@pytest.mark.parametrize("name", ELEMENTWISE)
def test_nan_stays_nan(name, backend):
    z = backend.asarray([float("inf"), 1.0], "float32")
    with backend.active():
        z = z - z  # NaN made there: host input is refused elsewhere, not here
        value = activations.get(name).value(z, backend.xp)
    np.testing.assert_array_equal(np.isnan(backend.to_numpy(value)), [True, False])


@pytest.mark.parametrize("name", ELEMENTWISE)
def test_values_keep_to_the_range_that_is_declared(name):
    f = activations.get(name)
    low, high = f.range
    with np.errstate(over="ignore"):
        values = f.value(np.asarray([-1e4, -50.0, -1.0, 0.0, 1.0, 50.0, 1e4]), np)
    assert np.all(values >= low)
    assert np.all(values <= high)


@pytest.mark.parametrize("name", ELEMENTWISE)
def test_pull_back_is_delta_times_the_derivative(name, dtype):
    backend = rp.get_backend("numpy")
    f, rng = activations.get(name), np.random.default_rng(3)
    z, delta = rng.normal(size=(2, 5, 4)).astype(dtype), rng.normal(size=(2, 5, 4)).astype(dtype)
    value, derivative = both(f, z, backend, dtype)
    z, pulled = backend.asarray(z, dtype), backend.asarray(delta, dtype)
    pulled = f.pull_back(pulled, z if f.needs_z else None, value, backend.xp)
    close(pulled, delta.astype("float64") * backend.to_numpy(derivative).astype("float64"), backend, dtype)


# Softmax --------------------------------------------------------------------------------------------------------


def test_softmax_against_its_definition_row_by_row(backend, dtype):
    z = (np.random.default_rng(0).integers(-12, 13, size=(2, 5, 4)) / 4.0).astype(dtype)
    a = activations.get("softmax").value(backend.asarray(z, dtype), backend.xp)
    expected = [
        [[math.exp(zj) / math.fsum(math.exp(zk) for zk in row) for zj in row] for row in rows] for rows in z.tolist()
    ]
    close(a, expected, backend, dtype)
    close(backend.xp.sum(a, axis=-1), np.ones((2, 5)), backend, dtype)


def test_softmax_far_out(backend, dtype):
    z = [[1e4, -1e4, 0.0], [1e4, 1e4, -1e4], [-1e4, -1e4, -1e4], [1e4, 1e4 - 1.0, 0.0]]
    a = activations.get("softmax").value(backend.asarray(z, dtype), backend.xp)
    e = math.exp(-1.0)
    expected = [[1.0, 0.0, 0.0], [0.5, 0.5, 0.0], [1 / 3, 1 / 3, 1 / 3], [1 / (1 + e), e / (1 + e), 0.0]]
    close(a, expected, backend, dtype)


def test_softmax_pull_back_is_the_whole_jacobian(backend, dtype):
    rng = np.random.default_rng(1)
    z, delta = rng.normal(size=(2, 6, 5)).astype(dtype), rng.normal(size=(2, 6, 5)).astype(dtype)
    softmax = activations.get("softmax")
    a = softmax.value(backend.asarray(z, dtype), backend.xp)
    pulled = softmax.pull_back(backend.asarray(delta, dtype), None, a, backend.xp)
    p = np.exp(z.astype("float64"))
    p /= p.sum(axis=-1, keepdims=True)
    # ∂a_j/∂z_k = a_j ([j = k] − a_k), as a matrix for each row
    jacobian = p[..., :, None] * (np.eye(5) - p[..., None, :])
    close(pulled, np.einsum("...j,...jk->...k", delta.astype("float64"), jacobian), backend, dtype)


def test_softmax_against_pytorch():
    torch = pytest.importorskip("torch", reason="PyTorch is the witness")
    rng = np.random.default_rng(2)
    z, delta = 3.0 * rng.normal(size=(7, 4)), rng.normal(size=(7, 4))
    theirs = torch.tensor(z, requires_grad=True)
    expected = torch.softmax(theirs, dim=-1)
    expected.backward(torch.tensor(delta))
    softmax, numpy = activations.get("softmax"), rp.get_backend("numpy")
    a = softmax.value(z, np)
    close(a, expected.detach().numpy(), numpy, "float64")
    close(softmax.pull_back(delta, z, a, np), theirs.grad.numpy(), numpy, "float64")


def test_softmax_has_no_elementwise_derivative():
    with pytest.raises(TypeError, match="softmax"):
        activations.get("softmax").derivative(np.zeros((1, 2)), np.full((1, 2), 0.5), np)


# Parameters and objects from outside ------------------------------------------------------------------------------


@pytest.mark.parametrize("slope", [-0.1, 1.0, 2.0, float("nan"), float("inf")])
def test_a_slope_out_of_range_is_refused(slope):
    with pytest.raises(ValueError, match="slope of leaky_relu"):
        activations.LeakyReLU(slope)


@pytest.mark.parametrize("alpha", [0.0, -1.0, float("nan")])
def test_an_alpha_out_of_range_is_refused(alpha):
    with pytest.raises(ValueError, match="alpha of elu"):
        activations.ELU(alpha)


def test_an_infinite_alpha_is_refused():
    # ∞ · (e^z − 1) at z >= 0 is ∞ · 0 = NaN
    with pytest.raises(ValueError, match="alpha of elu"):
        activations.ELU(float("inf"))


class Doubled:
    """Asks for a alone."""

    name = "doubled"
    needs_z = False

    def value(self, z, xp):
        return 2.0 * z

    def derivative(self, z, a, xp):
        assert z is None
        return 2.0 * xp.ones_like(a)


def test_a_custom_activation_is_wrapped(backend, dtype):
    cube, doubled = activations.get(Cube()), activations.get(Doubled())
    assert isinstance(cube, activations.Activation)
    assert (cube.name, cube.needs_z) == ("Cube", True)
    assert (doubled.name, doubled.needs_z) == ("doubled", False)
    value, derivative = both(cube, [-2.0, 0.5], backend, dtype)
    close(value, [-8.0, 0.125], backend, dtype)
    close(derivative, [12.0, 0.75], backend, dtype)
    net = rp.Network([2, 3, 2, 1], hidden=[Cube(), Doubled()], seed=0, dtype="float64", backend=backend)
    assert rp.check_gradient(net, [[0.3, -0.2], [1.0, 0.5]], [[0.1], [0.7]]).ok
    trace = net.forward([[0.3, -0.2]])
    assert trace.z[1] is not None
    assert trace.z[2] is None


@pytest.mark.parametrize("missing", ["value", "derivative", "needs_z"])
def test_a_custom_activation_that_lacks_something_is_refused(missing):
    parts = {"value": lambda self, z, xp: z, "derivative": lambda self, z, a, xp: a, "needs_z": False}
    del parts[missing]
    with pytest.raises(TypeError, match=f"has no {missing}"):
        activations.get(type("Part", (), parts)())


@pytest.mark.parametrize("thing", [None, 3, ["relu"]])
def test_what_is_no_activation_is_refused(thing):
    with pytest.raises(TypeError, match="activation"):
        activations.get(thing)


class WrongSlope(Cube):
    def derivative(self, z, a, xp):
        return 2.0 * z * z


class WrongShape(Cube):
    def derivative(self, z, a, xp):
        return xp.sum(z, axis=-1)


class NotANumber(Cube):
    def derivative(self, z, a, xp):
        return 3.0 * z * z * float("nan")


@pytest.mark.parametrize(
    ("custom", "match"), [(WrongSlope, "is not that of its value"), (WrongShape, "shape"), (NotANumber, "is not that")]
)
@pytest.mark.parametrize("where", ["hidden", "output"])
def test_a_custom_activation_is_checked_when_the_network_is_built(custom, match, where):
    with pytest.raises(ValueError, match=match):
        rp.Network([2, 3, 1], **{where: custom()})


def test_a_softmax_for_each_group(backend):
    """Each group sums to 1 by itself, and sends back what its own Jacobian makes of δ."""
    f, one = activations.GroupedSoftmax((2, 3)), activations.Softmax()
    z = np.asarray([[0.0, np.log(3.0), 1.0, 1.0, 1.0], [500.0, -500.0, -900.0, -900.0, -901.0]])
    delta = np.arange(10.0).reshape(2, 5)
    a = f.value(backend.asarray(z), backend.xp)
    np.testing.assert_allclose(backend.to_numpy(a)[0], [0.25, 0.75, 1 / 3, 1 / 3, 1 / 3])
    back = backend.to_numpy(f.pull_back(backend.asarray(delta), None, a, backend.xp))
    for part in (slice(0, 2), slice(2, 5)):
        alone = one.value(z[:, part], np)
        np.testing.assert_allclose(backend.to_numpy(a)[:, part], alone, atol=1e-15)
        np.testing.assert_allclose(back[:, part], one.pull_back(delta[:, part], None, alone, np), atol=1e-14)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: activations.GroupedSoftmax((1, 2)), "sizes of grouped_softmax must be 2 or above"),
        (lambda: activations.GroupedSoftmax((2, 2)).value(np.ones((1, 5)), np), "make 4, and the layer has 5"),
        (lambda: rp.Network([2, 5], output=activations.GroupedSoftmax((2, 2))), "make 4 outputs, and the network"),
        (
            lambda: rp.Network([2, 4, 1], hidden=activations.GroupedSoftmax((2, 2))),
            "softmax is an output activation; a hidden layer takes an elementwise one",
        ),
    ],
)
def test_groups_that_do_not_fit_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
