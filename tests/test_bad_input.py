"""Bad input gets a clear, specific error, which names the argument, what was given and what is accepted."""

import numpy as np
import pytest
from harness import open_backend

import retroprop as rp

X = np.random.default_rng(0).normal(size=(6, 3))


def network(**options):
    return rp.Network(**{"layer_sizes": [3, 4, 2], "seed": 0, "backend": "numpy"} | options)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"layer_sizes": [3]}, ValueError, "layer_sizes must list two sizes or more, inputs first, not [3]"),
        ({"layer_sizes": 3}, ValueError, "layer_sizes must list two sizes or more, inputs first, not 3"),
        ({"layer_sizes": [3, 0, 2]}, ValueError, "layer_sizes must be 1 or above; 0 in [3, 0, 2] is not"),
        ({"layer_sizes": [3, -4, 2]}, ValueError, "layer_sizes must be 1 or above; -4"),
        ({"layer_sizes": [3, 2.5, 2]}, TypeError, "layer_sizes must hold whole numbers; 2.5 is not one"),
        ({"layer_sizes": [3, True]}, TypeError, "layer_sizes must hold whole numbers; True is not one"),
        ({"hidden": "rleu"}, ValueError, "unknown activation 'rleu'. Did you mean 'relu'?"),
        ({"hidden": ["relu", "tanh"]}, ValueError, "hidden must be one, or one for each of 1 hidden layers, not 2"),
        ({"hidden": "swish"}, ValueError, "unknown activation 'swish'. Did you mean 'silu'?"),
        ({"hidden": "softmax"}, ValueError, "softmax is an output activation"),
        ({"hidden": 3}, TypeError, "an activation must be a name or an object"),
        ({"output": "sofmax"}, ValueError, "unknown activation 'sofmax'. Did you mean 'softmax'?"),
        ({"loss": "cross_entropi"}, ValueError, "Did you mean 'cross_entropy'?"),
        ({"loss": "mse"}, ValueError, "unknown loss 'mse'. Did you mean 'squared_error'?"),
        ({"loss": "categorical_crossentropy"}, ValueError, "Did you mean 'cross_entropy'?"),
        (
            {"loss": "cross_entropy"},
            ValueError,
            "needs outputs in [0, 1], and 'identity' gives [-inf, inf]. Accepted: ",
        ),
        ({"loss": "poisson", "output": "tanh"}, ValueError, "needs outputs in [0, inf]"),
        ({"layer_sizes": [3, 1], "output": "softmax", "loss": "cross_entropy"}, ValueError, "softmax over one output"),
        (
            {"layer_sizes": [3, 1], "output": "sigmoid", "loss": "cross_entropy"},
            ValueError,
            "this network has one output: use loss='binary_cross_entropy' with output='sigmoid', or 2 outputs with",
        ),
        (
            {"output": "sigmoid", "loss": rp.losses.GroupedCrossEntropy((2, 2))},
            ValueError,
            "sizes of grouped_cross_entropy make 4 outputs, and the network has 2",
        ),
        ({"initializer": "glorot"}, ValueError, "unknown initializer 'glorot'. Did you mean 'glorot_"),
        ({"initializer": 0.1}, TypeError, "initializer must be a name or one of retroprop's own objects, not 0.1"),
        ({"l2": -0.1}, ValueError, "l2 must be 0 or above and finite, not -0.1"),
        ({"l2": None}, TypeError, "l2 must be a number, not None"),
        ({"l2": [0.1]}, ValueError, "l2 must be one number, or one for each of 2 matrices of weights, not 1"),
        ({"l1": [0.1, -1.0]}, ValueError, "l1 must be 0 or above and finite, not -1.0"),
        ({"l2": "a"}, TypeError, "l2 must be a number, not 'a'"),
        (
            {"dropout": np.array([0.1, 0.2])},
            ValueError,
            "dropout must be one, or one for each of 1 hidden layers, not 2",
        ),
        ({"dropout": "a"}, TypeError, "dropout must be a number, not 'a'"),
        ({"dropout": True}, TypeError, "dropout must be a number, not True"),
        ({"l1": float("nan")}, ValueError, "l1 must be 0 or above and finite, not nan"),
        ({"dropout": 1.0}, ValueError, "dropout must be in [0, 1), not 1.0"),
        ({"dropout": [0.1, 0.2]}, ValueError, "dropout must be one, or one for each of 1 hidden layers, not 2"),
        ({"bias": "no"}, TypeError, "bias must be True or False, not 'no'"),
        ({"bias": None}, TypeError, "bias must be True or False, not None"),
        ({"seed": -1}, ValueError, "seed must be 0 or above, not -1"),
        ({"seed": "a"}, TypeError, "seed must be None, a whole number or a numpy.random.Generator, not 'a'"),
        ({"dtype": "int32"}, ValueError, "dtype must be one of float32, float64, not 'int32'"),
        ({"dtype": np.int64}, ValueError, "dtype must be one of float32, float64"),
        ({"dtype": "float16"}, ValueError, "dtype must be one of float32, float64"),
        ({"backend": "nunpy"}, ValueError, "unknown backend 'nunpy'. Did you mean 'numpy'?"),
        ({"backend": "pytorch"}, ValueError, "unknown backend 'pytorch'. Did you mean 'torch'?"),
        (
            {"backend": "cuda"},
            ValueError,
            "backend='cuda' names a device; name the library that computes there: 'cupy', 'torch:cuda' or 'jax:cuda'",
        ),
        ({"backend": "GPU:0"}, ValueError, "'cupy', 'torch:cuda' or 'jax:cuda'"),
        ({"backend": "cpu"}, ValueError, "'numpy', 'torch:cpu' or 'jax:cpu'"),
    ],
)
def test_a_network_that_cannot_be(options, error, message):
    with pytest.raises(error) as caught:
        rp.Network(**{"layer_sizes": [3, 4, 2], "backend": "numpy"} | options)
    assert message in str(caught.value)


def nan_at(row, column):
    x = X.copy()
    x[row, column] = np.nan
    return x


@pytest.mark.parametrize(
    ("x", "error", "message"),
    [
        (
            X[0],
            ValueError,
            "x must have two axes, one observation a row: shape (m, 3); this has the shape (3,). For one",
        ),
        (X[:, :2], ValueError, "x has 2 columns and the network 3 inputs"),
        (X[:0], ValueError, "x is empty: its shape is (0, 3)"),
        ([], ValueError, "x must have two axes"),
        (nan_at(2, 1), ValueError, "x must be finite; x[2, 1] is nan"),
        (np.where(X > 1.0, np.inf, X), ValueError, "x must be finite; x["),
        ([["a", "b", "c"]], TypeError, "x must hold real numbers; this is <U1"),
        ([[1.0, 2.0, 3.0], [1.0, 2.0]], ValueError, "x is no rectangular array"),
        (X + 1j, TypeError, "x must hold real numbers; this is complex128"),
        (None, TypeError, "x must be an array of numpy, or a NumPy array, list or data frame"),
        ({"a": 1}, TypeError, "x must be an array of numpy"),
    ],
)
def test_x(x, error, message):
    for call in (lambda net: net.predict(x), lambda net: rp.fit(net, x, np.zeros((6, 2)))):
        with pytest.raises(error) as caught:
            call(network())
        assert message in str(caught.value)


@pytest.mark.parametrize(
    ("options", "y", "error", "message"),
    [
        ({}, np.zeros((6, 3)), ValueError, "y must have the shape (6, 2) for this x and 2 output(s)"),
        ({}, np.zeros(6), ValueError, "y must have the shape (6, 2)"),
        ({}, np.zeros((5, 2)), ValueError, "y must have the shape (6, 2)"),
        ({}, np.full((6, 2), np.nan), ValueError, "y must be finite; y[0, 0] is nan"),
        ({}, [["a", "b"]] * 6, TypeError, "y must hold real numbers"),
        ("classes", [0, 1, 2, 0, 1, 0], ValueError, "y must hold class indices in [0, 2), one for each"),
        ("classes", [0, -1, 1, 0, 1, 0], ValueError, "from -1 to 1"),
        ("classes", [0, 0.5, 1, 0, 1, 0], ValueError, "y must hold class indices, whole numbers in [0, 2)"),
        ("classes", np.full((6, 2), 0.7), ValueError, "the rows of y must sum to 1 for the loss 'cross_entropy'"),
        ("classes", [[2.0, -1.0]] * 6, ValueError, "y must be in [0, 1] for the loss 'cross_entropy'"),
        ("classes", np.zeros((6, 3)), ValueError, "y must have the shape (6, 2) or class indices of shape (6,)"),
        ("labels", np.full((6, 2), 2.0), ValueError, "y must be in [0, 1] for the loss 'binary_cross_entropy'"),
        ("counts", np.full((6, 2), -1.0), ValueError, "y must be in [0, inf] for the loss 'poisson'"),
    ],
)
def test_y(options, y, error, message, backend):
    options = {
        "classes": {"output": "softmax", "loss": "cross_entropy"},
        "labels": {"output": "sigmoid", "loss": "binary_cross_entropy"},
        "counts": {"output": "exp", "loss": "poisson"},
    }.get(options if isinstance(options, str) else "", {})
    net = network(backend=backend, **options)
    for call in (net.cost, net.gradient, lambda x, y: rp.fit(net, x, y), lambda x, y: rp.check_gradient(net, x, y)):
        with pytest.raises(error) as caught:
            call(X, y)
        assert message in str(caught.value)
    if np.asarray(y).dtype.kind != "U" and np.isfinite(y).all() and np.asarray(y).dtype != object:
        # the same from arrays that live with the network: fit looks at their values too
        with pytest.raises(error) as caught:
            rp.fit(net, X, backend.asarray(np.asarray(y)))
        assert message in str(caught.value)


@pytest.mark.parametrize(
    ("weight", "message"),
    [
        (np.ones(5), "sample_weight must have one weight a row, shape (6,); it has the shape (5,)"),
        ([1, 1, -1, 1, 1, 1], "sample_weight must be 0 or above; the least is -1.0"),
        (
            np.zeros(6),
            "sample_weight is 0 for every row, so none has a part in the cost: give at least one row a",
        ),
        ([1e38] * 6, "sample_weight must have a sum that float32 can hold"),
        ([1, 1, np.inf, 1, 1, 1], "sample_weight must be finite; sample_weight[2] is inf"),
    ],
)
def test_sample_weight(weight, message, backend):
    net = network(backend=backend)
    for call in (net.cost, lambda x, y, w: rp.fit(net, x, y, sample_weight=w)):
        with pytest.raises(ValueError) as caught:
            call(X, np.zeros((6, 2)), weight)
        assert message in str(caught.value)


def test_values_on_the_device_are_looked_at_in_fit(backend):
    net = network(backend=backend)
    with pytest.raises(ValueError, match=r"x must be finite; x\[2, 1\] is nan"):
        rp.fit(net, backend.asarray(nan_at(2, 1)), np.zeros((6, 2)))


def test_another_library_or_device_names_the_remedy(backend):
    other = "numpy" if backend.name == "array_api_strict" else "array_api_strict:device1"
    net = network(backend=open_backend(other))
    x = backend.asarray(X)
    if backend.name == "numpy":
        assert net.predict(x).shape == (6, 2), "host data are accepted everywhere"
        return
    with pytest.raises(TypeError, match=r"x is an array of .* net\.to\(\.\.\.\)"):
        net.predict(x)
    with pytest.raises(TypeError, match="y is an array of"):
        rp.fit(net, X, backend.asarray(np.zeros((6, 2))))
    if backend.name == "array_api_strict":
        elsewhere = network(backend="array_api_strict:device2")
        with pytest.raises(TypeError, match=r"device1.* and this network lives on array_api_strict:device2"):
            elsewhere.predict(x)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"shuffle": "yes"}, ValueError, "shuffle must be True, False, 'rows', 'blocks' or a BlockShuffle, not 'yes'"),
        ({"progress": "x"}, TypeError, "progress must be True or False, not 'x'"),
        ({"deterministic": "no"}, TypeError, "deterministic must be True or False, not 'no'"),
        ({"epochs": 0}, ValueError, "epochs must be 1 or above, not 0"),
        ({"epochs": 1.5}, TypeError, "epochs must be a whole number, not 1.5"),
        ({"batch_size": 0}, ValueError, "batch_size must be 1 or above, not 0"),
        ({"batch_size": "auto"}, TypeError, "batch_size must be a whole number or None, not 'auto'"),
        ({"optimizer": "adamm"}, ValueError, "unknown optimizer 'adamm'. Did you mean 'adam'?"),
        ({"optimizer": 0.1}, TypeError, "optimizer must be a name or one of retroprop's own objects, not 0.1"),
        ({"metrics": ["acuracy"]}, ValueError, "unknown metric 'acuracy'. Did you mean 'accuracy'?"),
        ({"metrics": [3]}, TypeError, "a metric must be a name or a callable"),
        ({"metrics": ["r2", "r2"]}, ValueError, "metrics has 2 metrics named 'r2'"),
        ({"callbacks": object()}, TypeError, "a callback has at least one of on_fit_begin"),
        ({"callbacks": [object()]}, TypeError, "a callback has at least one of on_fit_begin"),
        ({"clip_norm": 0.0}, ValueError, "clip_norm must be above 0 and finite, or None, not 0.0"),
        ({"clip_value": -1.0}, ValueError, "clip_value must be above 0"),
        ({"early_stopping": rp.EarlyStopping()}, ValueError, "Pass validation_data=(x, y)"),
        ({"validation_data": X}, TypeError, "validation_data must be (x, y) or (x, y, sample_weight)"),
        ({"validation_data": (X, np.zeros((6, 3)))}, ValueError, "validation_data: y must have the shape (6, 2)"),
        ({"seed": 1.5}, TypeError, "seed must be None"),
    ],
)
def test_fit(options, error, message):
    net = network()
    before = [theta.copy() for theta in net.thetas]
    with pytest.raises(error) as caught:
        rp.fit(net, X, np.zeros((6, 2)), **options)
    assert message in str(caught.value)
    assert all((one == other).all() for one, other in zip(before, net.thetas, strict=True)), "no work was done"


def test_metrics_that_mean_nothing_for_the_targets(backend):
    numbers = network(layer_sizes=[3, 4, 1], backend=backend)
    with pytest.raises(ValueError, match="the metric 'accuracy' counts classes, and y holds other numbers"):
        rp.fit(numbers, X, X[:, 0], metrics="accuracy")
    with pytest.raises(ValueError, match="the metric 'error' counts classes"):
        rp.fit(numbers, X, [25, 346, 75, 100, 1, 0], metrics="error")
    several = network(layer_sizes=[3, 4, 2], backend=backend)
    for net, y, place in (
        (numbers, [0, 1, 0.25, 1, 3, 0], r"y\[2\] is 0.25"),
        (numbers, [-1, 1, 1, 0, 1, -1], r"y\[3\] is 0"),
        (numbers, [0, 1, 1, -1, 1, 0], r"y\[3\] is -1"),
        (several, np.repeat([[1, 0.5]], 6, axis=0), r"y\[0, 1\] is 0.5"),
    ):
        with pytest.raises(ValueError, match=f"{place}, and classes are 0 and 1, or -1 and 1, .* Take 'r2'"):
            rp.fit(net, X, y, metrics="accuracy")
    with pytest.raises(ValueError, match=r"y of validation_data\[1\] is 0.5"):
        rp.fit(numbers, X, [0, 1, 1, 0, 1, 0], metrics="accuracy", validation_data=(X[:2], [0, 0.5]))
    for net, y in ((numbers, [0, 1, 1, 0, 1, 0]), (numbers, [-1, 1, 1, -1, 1, -1]), (several, [[0, 1]] * 6),
                   (several, [[0, 1], [1, 1], [0, 0]] * 2), (several, [[-1, 1], [1, 1]] * 3)):  # fmt: skip
        rp.fit(net, X, y, metrics="accuracy", epochs=1)
    classes = network(output="softmax", loss="cross_entropy", backend=backend)
    with pytest.raises(ValueError, match="the metric 'r2' compares numbers, and y holds class indices"):
        rp.fit(classes, X, [0, 1, 1, 0, 1, 0], metrics="r2")


@pytest.mark.parametrize(
    ("name", "here"),
    [
        ("fit", "rp.fit(net, x, y)"),
        ("train", "rp.fit(net, x, y)"),
        ("compile", "rp.fit(net, x, y, optimizer=..., metrics=...)"),
        ("save", "rp.save(net, path)"),
        ("load", "rp.load(path)"),
        ("backward", "net.gradient(x, y)"),
        ("evaluate", "net.cost(x, y)"),
        ("state_dict", "net.thetas and net.biases"),
        ("cuda", 'net.to("cupy")'),
    ],
)
def test_a_method_of_other_libraries_points_to_the_call(name, here):
    net = network()
    with pytest.raises(AttributeError) as caught:
        getattr(net, name)
    assert f"'Network' object has no attribute '{name}'. Use {here}" in str(caught.value)
    assert caught.value.name == name
    assert not hasattr(net, name)


def test_any_other_missing_attribute_is_an_ordinary_error():
    with pytest.raises(AttributeError, match=r"'Network' object has no attribute 'thets'$"):
        network().thets  # noqa: B018

    class Wider(rp.Network):
        @property
        def summary(self):
            return self.breadth

    with pytest.raises(AttributeError, match=r"'Wider' object has no attribute 'breadth'$"):
        Wider([3, 2], seed=0).summary  # noqa: B018


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: rp.optimizers.SGD(-0.1), "learning_rate must be above 0"),
        (lambda: rp.optimizers.SGD(0.1, momentum=1.5), "momentum of SGD must be in [0, 1], not 1.5"),
        (lambda: rp.optimizers.SGD(0.1, nesterov=True), "nesterov of SGD needs a momentum above 0"),
        (lambda: rp.optimizers.Adam(beta2=1.0), "beta2 of Adam must be in [0, 1)"),
        (lambda: rp.EarlyStopping(patience=0), "patience of EarlyStopping must be a whole number, 1 or more"),
        (lambda: rp.EarlyStopping(tol=-1.0), "tol of EarlyStopping must be 0 or above"),
    ],
)
def test_objects(make, message):
    with pytest.raises(ValueError) as caught:
        make()
    assert message in str(caught.value)
