"""A network within other libraries' transformations of functions: JAX's, and PyTorch's automatic differentiation."""

import numpy as np
import pytest

import retroprop as rp
from retroprop.estimators import MLPRegressor

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(5, 3)), RNG.normal(size=(5, 2))
WEIGHT = RNG.uniform(0.5, 2.0, 5)
CLASSES = [0, 1, 1, 0, 1]
NETWORKS = {
    "squared error": {"hidden": "tanh", "l2": 0.1},
    "cross-entropy": {"hidden": "sigmoid", "output": "softmax", "loss": "cross_entropy"},
}


@pytest.fixture(scope="module")
def jax():
    module = pytest.importorskip("jax", reason="JAX is not installed")
    before = module.config.jax_enable_x64
    module.config.update("jax_enable_x64", True)
    yield module
    module.config.update("jax_enable_x64", before)


def a_case(jax, name="squared error"):
    """Return a network on JAX, and data."""
    options = NETWORKS[name]
    y = np.eye(2)[CLASSES] if "loss" in options else Y
    net = rp.Network([3, 4, 2], seed=0, dtype="float64", backend="jax:cpu", **options)
    return net, *map(jax.numpy.asarray, (X, y, WEIGHT))


def close(found, expected, rel=1e-10):
    np.testing.assert_allclose(np.asarray(found), np.asarray(expected), rtol=rel, atol=1e-12)


def test_jit(jax):
    net, x, y, weight = a_case(jax)
    close(jax.jit(net.predict)(x), net.predict(x))
    close(jax.jit(net.cost)(x, y, weight), net.cost(x, y, weight))
    close(jax.jit(lambda x: net.cost(x, np.asarray(y), WEIGHT.tolist()))(x), net.cost(x, y, weight))  # host data within
    found, expected = jax.jit(lambda *batch: net.gradient(*batch, wrt_input=True))(x, y, weight), net.gradient(
        x, y, weight, wrt_input=True
    )  # fmt: skip
    for one, other in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        close(one, other)


def test_vmap(jax):
    net, x, y, _ = a_case(jax)
    close(jax.vmap(lambda row: net.predict(row[None])[0])(x), net.predict(x))
    gradients = jax.jit(jax.vmap(lambda row, target: net.gradient(row[None], target[None])))(x, y)
    expected = net.gradient(x, y)
    close(gradients.cost.mean(), expected.cost)
    close(jax.vmap(lambda row, target: net.cost(row[None], target[None]))(x, y), gradients.cost)
    for of_rows, whole in zip(gradients.thetas, expected.thetas, strict=True):
        close(of_rows.mean(axis=0), whole)


@pytest.mark.parametrize("name", NETWORKS)
def test_grad(name, jax):
    net, x, y, weight = a_case(jax, name)
    found = jax.jit(jax.grad(net.cost))(x, y, weight)
    close(found, net.gradient(x, y, weight, wrt_input=True).x, rel=1e-8)
    # Second derivatives go through our recursion.
    ours, theirs = jax.jit(lambda x: (jax.grad(lambda x: net.gradient(x, y, weight, wrt_input=True).x.sum())(x),
                                      jax.grad(lambda x: jax.grad(net.cost)(x, y, weight).sum())(x)))(x)  # fmt: skip
    close(ours, theirs, rel=1e-6)
    step = 1e-6 * np.eye(3)[1]
    differences = (net.cost(x.at[2].add(step), y, weight) - net.cost(x.at[2].add(-step), y, weight)) / 2e-6
    assert float(found[2, 1]) == pytest.approx(float(differences), rel=1e-6)


def test_grad_with_respect_to_the_parameters(jax):
    net, x, y, weight = a_case(jax)
    form = net.architecture

    def cost(thetas, biases):
        made = rp.Network.from_parameters(
            thetas, biases, hidden=form.hidden, output=form.output.activation, loss=form.output.loss, l2=form.l2
        )
        return made.cost(x, y, weight)

    found = jax.jit(jax.grad(cost, argnums=(0, 1)))(list(net.thetas), list(net.biases))
    gradient = net.gradient(x, y, weight)
    for one, other in zip(jax.tree.leaves(found), [*gradient.thetas, *gradient.biases], strict=True):
        close(one, other, rel=1e-8)


def test_class_indices_within_jit(jax):
    net = rp.Network([3, 2], output="softmax", loss="cross_entropy", seed=0, backend="jax:cpu")
    x, indices = jax.numpy.asarray(X, dtype="float32"), jax.numpy.asarray(CLASSES)
    close(jax.jit(net.cost)(x, indices), net.cost(x, CLASSES), rel=1e-6)


def test_an_estimator_predicts_within_jit(jax):
    fitted = MLPRegressor(hidden_layer_sizes=(3,), random_state=0).partial_fit(X, Y)
    close(jax.jit(fitted.predict)(jax.numpy.asarray(X)), fitted.predict(X))


def test_wrong_weights_on_the_host_are_refused_within_jit(jax):
    net = rp.Network([3, 2], seed=0, backend="jax:cpu")
    with pytest.raises(ValueError, match="sample_weight must be 0 or above; the least is -1"):
        jax.jit(lambda x: net.cost(x, Y, [-1.0] * 5))(jax.numpy.asarray(X, dtype="float32"))


@pytest.fixture
def torch():
    return pytest.importorskip("torch", reason="torch is not installed")


@pytest.fixture
def net(torch):
    return rp.Network([3, 4, 2], hidden="tanh", seed=0, dtype="float64", backend="torch:cpu")


def test_a_tensor_that_requires_a_gradient_is_refused_by_name(net, torch):
    x, y, weight = map(torch.tensor, (X, Y, WEIGHT))
    traced = x.clone().requires_grad_()
    followed = traced * 2.0
    for given in (traced, followed, list(traced), [list(row) for row in traced]):
        for call in (
            lambda given=given: net.predict(given),
            lambda given=given: net.forward(given),
            lambda given=given: net.cost(given, y),
            lambda given=given: net.gradient(given, y, wrt_input=True),
            lambda given=given: rp.fit(net, given, y, epochs=1),
            lambda given=given: rp.fit(net, x, y, epochs=1, validation_data=(given, y)),
        ):
            with pytest.raises(TypeError, match=r"x requires a gradient, .* pass x\.detach\(\)\. .*wrt_input"):
                call()
    for calls in (net.cost, net.gradient, lambda *batch: rp.fit(net, *batch[:2], sample_weight=batch[2])):
        with pytest.raises(TypeError, match="y requires a gradient"):
            calls(x, y.clone().requires_grad_(), weight)
        with pytest.raises(TypeError, match="sample_weight requires a gradient"):
            calls(x, y, weight.clone().requires_grad_())
    close(net.predict(traced.detach()), net.predict(x))


def test_an_estimator_refuses_a_tensor_that_requires_a_gradient(torch):
    x, y, weight = map(torch.tensor, (X, Y, WEIGHT))
    x_, y_, weight_ = (part.clone().requires_grad_() for part in (x, y, weight))
    make = MLPRegressor(hidden_layer_sizes=(3,), max_iter=1, random_state=0).partial_fit
    fitted = make(x, y)
    doors = {
        "X": (lambda: fitted.fit(x_, y), lambda: fitted.partial_fit(x_, y), lambda: fitted.predict(x_),
              lambda: fitted.score(x_, y), lambda: fitted.input_gradient(x_, y), lambda: fitted.predict(list(x_)),
              lambda: fitted.fit(x, y, X_val=x_, y_val=y)),
        "y": (lambda: fitted.fit(x, y_), lambda: fitted.score(x, y_), lambda: fitted.fit(x, y, X_val=x, y_val=y_)),
        "sample_weight": (lambda: fitted.fit(x, y, weight_), lambda: fitted.score(x, y, weight_)),
    }  # fmt: skip
    for name, calls in doors.items():
        for call in calls:
            with pytest.raises(TypeError, match=rf"{name} requires a gradient, .* pass {name}\.detach\(\)"):
                call()


@pytest.mark.filterwarnings("ignore:.*torch.jit.script:DeprecationWarning")  # PyTorch's own, on its first jvp
def test_pytorchs_functions_of_functions_follow_or_refuse(net, torch):
    x, y, direction = map(torch.tensor, (X, Y, RNG.normal(size=X.shape)))
    close(torch.func.vmap(lambda row: net.predict(row[None])[0])(x), net.predict(x))
    # Forward mode: the directional derivative is ∂J/∂x · direction.
    _, tangent = torch.func.jvp(lambda x: net.cost(x, y), (x,), (direction,))
    close(tangent, (net.gradient(x, y, wrt_input=True).x * direction).sum())
    for transformed in (torch.func.grad(lambda x: net.cost(x, y)), torch.func.jacrev(net.predict)):
        with pytest.raises(TypeError, match="x requires a gradient"):
            transformed(x)
