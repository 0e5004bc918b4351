"""Real problems learned from the seed, on each backend that is here."""

import numpy as np
import pytest

import retroprop as rp

XOR = ([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]], [0.0, 1.0, 1.0, 0.0])


def test_xor(backend, dtype):
    net = rp.Network(
        [2, 4, 1], hidden="tanh", output="sigmoid", loss="binary_cross_entropy", seed=0, dtype=dtype, backend=backend
    )
    history = rp.fit(net, *XOR, optimizer=rp.optimizers.Adam(0.05), epochs=300, metrics=["accuracy"])
    assert history.cost[-1] < 0.02
    assert history.metrics["accuracy"][-1] == 1.0
    assert (backend.to_numpy(net.predict(XOR[0])).round().ravel() == XOR[1]).all()


def test_descent_until_it_converges_as_in_the_text(backend):
    """Sigmoid neurons, squared error, plain gradient descent on all rows, until the cost no longer falls."""
    net = rp.Network(
        [2, 3, 1],
        hidden="sigmoid",
        output="sigmoid",
        initializer=rp.initializers.Uniform(1.0),
        seed=1,
        dtype="float64",
        backend=backend,
    )
    # x₁ and x₂: a problem whose cost has a slope everywhere
    history = rp.fit(
        net,
        XOR[0],
        [0.0, 0.0, 0.0, 1.0],
        optimizer=rp.optimizers.SGD(2.0),
        epochs=3000,
        early_stopping=rp.EarlyStopping(monitor="cost", patience=3, tol=1e-4),
    )
    assert history.stop_reason == "early_stopping"
    assert all(later < earlier for earlier, later in zip(history.cost, history.cost[1:], strict=False))
    assert history.cost[-4] - history.cost[-1] < 4e-4
    assert history.cost[-1] < 0.05


@pytest.fixture(scope="module")
def sets():
    datasets = pytest.importorskip("sklearn.datasets", reason="scikit-learn is not installed")
    split = pytest.importorskip("sklearn.model_selection").train_test_split

    def load(name):
        x, y = getattr(datasets, f"load_{name}")(return_X_y=True)
        train, test, y_train, y_test = split(x, y, test_size=0.25, random_state=0, stratify=y)
        mean, std = train.mean(axis=0), train.std(axis=0)
        std[std == 0.0] = 1.0
        return (train - mean) / std, y_train, (test - mean) / std, y_test

    return load


@pytest.mark.parametrize(
    ("name", "sizes", "epochs", "accuracy"), [("iris", [4, 16, 3], 60, 0.94), ("digits", [64, 64, 10], 25, 0.965)]
)
def test_real_data(backend, sets, name, sizes, epochs, accuracy):
    x, y, x_test, y_test = sets(name)
    net = rp.Network(sizes, output="softmax", loss="cross_entropy", seed=0, backend=backend)
    history = rp.fit(
        net,
        x,
        y,
        optimizer=rp.optimizers.Adam(0.005),
        epochs=epochs,
        batch_size=32,
        seed=0,
        validation_data=(x_test, y_test),
        metrics=["accuracy"],
    )
    assert history.metrics["accuracy"][-1] >= accuracy
    predicted = np.argmax(backend.to_numpy(net.predict(x_test)), axis=1)
    assert np.mean(predicted == y_test) == pytest.approx(history.metrics["accuracy"][-1], abs=1e-6)
