"""Several networks as one with a model axis: it computes, is trained, checked and stored as they are."""

import numpy as np
import pytest

import retroprop as rp

RNG = np.random.default_rng(3)
X = RNG.normal(size=(9, 3))
Y = np.stack([np.sin(X[:, 0]), X[:, 1] * X[:, 2]], axis=1)


def networks(backend="numpy", k=3, **options):
    options = {"hidden": "tanh", "l2": 0.01, "dtype": "float64", "backend": backend, **options}
    return [rp.Network([3, 4, 2], seed=i, **options) for i in range(k)]


def numbers(net):
    return [net.backend.to_numpy(leaf) for leaf in net.parameters.leaves]


def test_a_stack_computes_what_its_networks_compute(backend):
    nets = networks(backend)
    net = rp.stack(nets)
    to_numpy = backend.to_numpy
    assert [tuple(theta.shape) for theta in net.thetas] == [(3, 4, 3), (3, 2, 4)]
    for k, one in enumerate(nets):
        np.testing.assert_allclose(to_numpy(net.predict(X))[k], to_numpy(one.predict(X)), rtol=1e-12, atol=1e-14)
        np.testing.assert_allclose(to_numpy(net.forward(X).a[1])[k], to_numpy(one.forward(X).a[1]), rtol=1e-12)
        np.testing.assert_allclose(to_numpy(net.cost(X, Y))[k], to_numpy(one.cost(X, Y)), rtol=1e-12)
        gradients = zip(net.gradient(X, Y).parameters.leaves, one.gradient(X, Y).parameters.leaves, strict=True)
        for found, expected in gradients:
            np.testing.assert_allclose(to_numpy(found)[k], to_numpy(expected), rtol=1e-12, atol=1e-14)


def test_unstack_is_the_inverse(backend):
    nets = networks(backend)
    for one, other in zip(nets, rp.stack(nets).unstack(), strict=True):
        assert other.architecture == one.architecture
        for found, expected in zip(numbers(other), numbers(one), strict=True):
            np.testing.assert_array_equal(found, expected)
    with pytest.raises(ValueError, match="a single one"):
        nets[0].unstack()


def test_fit_of_a_stack_is_fit_of_each():
    nets = networks()
    net = rp.stack(nets)
    options = {"epochs": 6, "batch_size": 4, "seed": 5, "validation_data": (X[:4], Y[:4]), "metrics": ["r2"]}
    options["early_stopping"] = rp.EarlyStopping(patience=1, tol=1e-3)
    history = rp.fit(net, X, Y, **options)
    alone = [rp.fit(one, X, Y, **options) for one in nets]
    for one, other in zip(net.unstack(), nets, strict=True):
        for found, expected in zip(numbers(one), numbers(other), strict=True):
            np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-14)
    for found, expected in zip(history.models, alone, strict=True):
        np.testing.assert_allclose(found.validation_cost, expected.validation_cost, rtol=1e-12)
    assert len(history) == max(map(len, alone))
    assert history.cost[0] == pytest.approx(np.mean([one.cost[0] for one in alone]))
    assert history.metrics["r2"][0] == pytest.approx(np.mean([one.metrics["r2"][0] for one in alone]))


def test_check_gradient_of_a_stack_names_the_model():
    net = rp.stack(networks())
    check = rp.check_gradient(net, X, Y)
    assert check.ok
    assert check.n_checked == 3 * 26
    assert check.where.startswith("model ")


def test_the_worst_check_is_reported():
    class Wrong:
        """The derivative is wrong where an output is large: of one model only."""

        name = "wrong"

        def value(self, a, y, xp):
            return 0.5 * xp.sum(xp.square(a - y), axis=-1)

        def derivative(self, a, y, xp):
            return (a - y) * xp.where(a > 50.0, 2.0, 1.0)

    nets = networks(loss=Wrong())
    nets[1].thetas = [theta * 1000.0 for theta in nets[1].thetas]
    nets[1].biases = [bias + 1000.0 for bias in nets[1].biases]
    check = rp.check_gradient(rp.stack(nets), X, Y)
    assert not check.ok
    assert check.where.startswith("model 1: ")


def test_save_and_load(tmp_path, backend):
    net = rp.stack(networks(backend))
    rp.save(net, tmp_path / "m.safetensors")
    loaded = rp.load(tmp_path / "m.safetensors", backend=backend)
    for found, expected in zip(numbers(loaded), numbers(net), strict=True):
        np.testing.assert_array_equal(found, expected)
    assert len(loaded.unstack()) == 3


@pytest.mark.parametrize(
    ("nets", "message"),
    [
        ([], "nets is empty"),
        ([1], r"nets\[0\] must be a Network"),
        ([*networks(k=1), *networks(k=1, l2=0.5)], r"l2 of nets\[1\] is 0.5 where that of nets\[0\] is 0.01"),
        ([*networks(k=1), *networks(k=1, dtype="float32")], r"dtype of nets\[1\] is 'float32'"),
        ([*networks(k=1), rp.Network([3, 2], l2=0.01, backend="numpy")], r"layer_sizes of nets\[1\] is \(3, 2\)"),
    ],
)
def test_networks_that_differ_are_refused(nets, message):
    with pytest.raises((TypeError, ValueError), match=message):
        rp.stack(nets)


@pytest.mark.parametrize("option", [{"checkpoint": rp.Checkpoint("run")}, {"resume_from": rp.History()}])
def test_a_stack_has_no_single_point_to_go_on_from(option):
    with pytest.raises(ValueError, match=r"fit_many\(net.unstack\(\)"):
        rp.fit(rp.stack(networks()), X, Y, **option)


def test_a_stack_reads_no_iterator_which_its_models_would_share():
    net, batches = rp.stack(networks()), iter([(X, Y), (X, Y)])
    with pytest.raises(ValueError, match=r"x is one iterator of batches for several networks"):
        rp.fit(net, batches, epochs=1)
    assert len(list(batches)) == 2


class Interrupts:
    def on_epoch_end(self, state):
        if state.epoch == 2:
            raise KeyboardInterrupt


def test_ctrl_c_leaves_the_figures_of_the_models_that_were_begun():
    history = rp.fit(rp.stack(networks()), X, Y, epochs=3, metrics=["r2"], callbacks=[Interrupts()])
    assert [len(one) for one in history.models] == [2, 0, 0]
    assert history.metrics == history.models[0].metrics
    assert history.stop_reason == "interrupted"


@pytest.mark.filterwarnings("ignore:overflow")
def test_a_stack_diverges_if_all_its_models_do():
    nets = networks()
    nets[1].thetas = [1e200 * theta for theta in nets[1].thetas]
    net = rp.stack(nets)
    assert rp.fit(net, X, Y, epochs=2).stop_reason == "diverged, epochs"
    before = numbers(net)
    with pytest.raises(rp.DivergenceError, match="at epoch 2") as raised:
        rp.fit(net, X, Y, epochs=3, optimizer=rp.optimizers.SGD(1e200))
    assert len(raised.value.history) == 1
    for found, expected in zip(numbers(net), before, strict=True):
        np.testing.assert_array_equal(found, expected)
