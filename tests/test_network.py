"""The Network: built, read, assigned, moved, copied."""

import copy
import pickle

import numpy as np
import pytest
from harness import Cube, Quartic, assert_close

import retroprop as rp

X = np.random.default_rng(0).normal(size=(7, 3))


def test_shapes_follow_the_text(backend, dtype):
    net = rp.Network([3, 5, 4, 2], seed=0, dtype=dtype, backend=backend)
    assert net.layer_sizes == (3, 5, 4, 2)
    assert [theta.shape for theta in net.thetas] == [(5, 3), (4, 5), (2, 4)]
    assert [b.shape for b in net.biases] == [(5,), (4,), (2,)]
    assert net.n_parameters == 5 * 3 + 4 * 5 + 2 * 4 + 5 + 4 + 2
    trace = net.forward(X)
    assert [a.shape for a in trace.a] == [(7, 3), (7, 5), (7, 4), (7, 2)]
    assert trace.z[0] is None
    assert trace.z[1] is None, "relu's derivative comes from a, so a hidden z is not kept"
    assert trace.z[3].shape == (7, 2), "the output's z always is"
    g = net.gradient(X, np.zeros((7, 2)), wrt_input=True)
    assert [d if d is None else d.shape for d in g.deltas] == [None, (7, 5), (7, 4), (7, 2)]
    assert [t.shape for t in g.thetas] == [(5, 3), (4, 5), (2, 4)]
    assert g.x.shape == (7, 3)
    assert net.gradient(X, np.zeros((7, 2))).x is None
    assert rp.Network([3, 5, 2], hidden="gelu", backend=backend).forward(X).z[1].shape == (7, 5)


def test_every_z_is_kept_on_request(backend, dtype):
    net = rp.Network([3, 5, 4, 2], hidden=["relu", "softplus"], seed=0, dtype=dtype, backend=backend)
    trace, plain = net.forward(X, keep_z=True), net.forward(X)
    assert trace.z[0] is None
    assert plain.z[1] is None
    for l in range(1, 4):
        z = np.asarray(backend.to_numpy(trace.a[l - 1])) @ backend.to_numpy(net.thetas[l - 1]).T
        assert_close(trace.z[l], z + backend.to_numpy(net.biases[l - 1]), backend=backend, dtype=dtype)
        assert (backend.to_numpy(trace.a[l]) == backend.to_numpy(plain.a[l])).all()


def test_without_bias(backend):
    net = rp.Network([3, 5, 2], bias=False, seed=0, backend=backend)
    assert net.biases == []
    assert net.gradient(X, np.zeros((7, 2))).biases == []
    assert net.n_parameters == 25


def test_without_hidden_layers_it_is_linear(backend):
    net = rp.Network.from_parameters([[[1.0, 2.0, 3.0]]], [[0.5]], dtype="float64", backend=backend)
    assert_close(net.predict(X), X @ [[1.0], [2.0], [3.0]] + 0.5, backend=backend, dtype="float64", rtol=1e-14)


def test_one_activation_a_layer():
    net = rp.Network(
        [3, 4, 4, 2], hidden=["tanh", rp.activations.LeakyReLU(0.2)], seed=0, dtype="float64", backend="numpy"
    )
    trace = net.forward(X)
    z = X @ net.thetas[0].T + net.biases[0]
    np.testing.assert_allclose(trace.a[1], np.tanh(z), rtol=1e-14)
    z = trace.a[1] @ net.thetas[1].T + net.biases[1]
    np.testing.assert_allclose(trace.a[2], np.where(z > 0, z, 0.2 * z), rtol=1e-14)


def test_assigning_copies_and_checks(backend):
    net = rp.Network([2, 3, 1], seed=0, dtype="float64", backend=backend)
    new = [np.ones((3, 2)), np.full((1, 3), 2.0)]
    net.thetas = new
    new[0][:] = 9.0
    assert_close(net.thetas[0], np.ones((3, 2)), backend=backend, dtype="float64")
    net.biases = [[1.0, 2.0, 3.0], [4.0]]
    assert_close(net.biases[0], [1.0, 2.0, 3.0], backend=backend, dtype="float64")
    with pytest.raises(TypeError, match="assign a whole one"):
        net.thetas[0] = np.zeros((3, 2))
    before = [backend.to_numpy(theta).copy() for theta in net.thetas]
    with pytest.raises(ValueError, match=r"thetas\[1\] must have the shape \(1, 3\), not \(3, 1\)"):
        net.thetas = [np.ones((3, 2)), np.ones((3, 1))]
    with pytest.raises(ValueError, match="thetas must hold 2 arrays, not 1"):
        net.thetas = [np.ones((3, 2))]
    with pytest.raises(ValueError, match=r"biases\[0\] must be finite"):
        net.biases = [[1.0, np.nan, 3.0], [4.0]]
    for one, other in zip(before, net.thetas, strict=True):
        assert (one == backend.to_numpy(other)).all()


def test_from_parameters_follows_the_data(backend, dtype):
    thetas = [backend.asarray(np.ones((3, 2)), dtype), backend.asarray(np.ones((1, 3)), dtype)]
    net = rp.Network.from_parameters(thetas, hidden="sigmoid")
    assert net.backend == backend
    assert net.dtype == dtype
    assert rp.Network.from_parameters([[[1, 2]]], backend="numpy").dtype == "float32"
    with pytest.raises(ValueError, match=r"thetas\[1\] must have the shape \(1, 3\)"):
        rp.Network.from_parameters([np.ones((3, 2)), np.ones((1, 4))], backend=backend)


def test_models_along_a_leading_axis(backend, dtype):
    rng = np.random.default_rng(0)
    thetas = [rng.normal(size=(4, 3, 2)), rng.normal(size=(4, 1, 3))]
    biases = [rng.normal(size=(4, 3)), rng.normal(size=(4, 1))]
    x, y = rng.normal(size=(5, 2)), rng.normal(size=5)
    net = rp.Network.from_parameters(thetas, biases, hidden="tanh", l2=0.1, dtype=dtype, backend=backend)
    together, cost, predicted = net.gradient(x, y), net.cost(x, y), net.predict(x)
    assert predicted.shape == (4, 5, 1)
    for k in range(4):
        one = rp.Network.from_parameters(
            [t[k] for t in thetas], [b[k] for b in biases], hidden="tanh", l2=0.1, dtype=dtype, backend=backend
        )
        alone = one.gradient(x, y)
        assert_close(cost[k], backend.to_numpy(alone.cost), backend=backend, dtype=dtype, rtol=1e-6)
        for g, h in zip(together.thetas + together.biases, alone.thetas + alone.biases, strict=True):
            assert_close(g[k, ...], backend.to_numpy(h), backend=backend, dtype=dtype, rtol=1e-5)
    # Training and the check of the gradient take each model.
    assert len(rp.fit(net, x, y, epochs=1).models) == len(net.unstack())
    assert rp.check_gradient(net, x, y).where.startswith("model ")


def test_data_frames_are_host_data(backend):
    polars = pytest.importorskip("polars", reason="polars is not installed")
    net = rp.Network([3, 4, 1], seed=0, backend=backend)
    frame = polars.DataFrame({"a": X[:, 0], "b": X[:, 1], "c": X[:, 2]})
    assert (backend.to_numpy(net.predict(frame)) == backend.to_numpy(net.predict(X))).all()
    assert rp.fit(net, frame, frame["a"], epochs=2).cost[1] > 0


def test_parameters_of_a_graph_are_copied_out_of_it():
    torch = pytest.importorskip("torch", reason="torch is not installed")
    theta = torch.ones((2, 3), requires_grad=True)
    net = rp.Network.from_parameters([theta], backend="torch:cpu")
    net.thetas = [theta]
    x = torch.ones((4, 3))
    rp.fit(net, x, torch.zeros((4, 2)), epochs=2)
    for array in (*net.thetas, net.predict(x), net.gradient(x, torch.zeros((4, 2))).thetas[0]):
        assert not array.requires_grad
    assert (theta == 1).all()


def test_numbers_of_numpy_do_not_widen_a_network(backend):
    wide = np.float64(0.01)
    net = rp.Network([3, 4, 2], hidden=rp.activations.LeakyReLU(wide), loss=rp.losses.Huber(np.float64(1.0)),
                     l2=wide, l1=wide, dropout=wide, seed=0, backend=backend)  # fmt: skip
    for rule in (
        rp.optimizers.AdamW(wide, weight_decay=wide),
        rp.optimizers.SGD(rp.schedules.Cosine(wide, 10), momentum=np.float64(0.9)),
        rp.optimizers.Lion(wide),
    ):
        rp.fit(
            net, X, np.zeros((7, 2)), optimizer=rule, epochs=2, clip_norm=np.float64(1.0), clip_value=np.float64(1.0)
        )
    for array in (*net.parameters.leaves, net.predict(X), net.cost(X, np.zeros((7, 2)))):
        assert backend.dtype_name(array) == "float32"


def test_a_name_makes_no_pair():
    """A custom activation that calls itself sigmoid is not ours."""

    class Steep:
        name, needs_z = "sigmoid", False

        def value(self, z, xp):
            return 1.0 / (1.0 + xp.exp(-2.0 * z))

        def derivative(self, z, a, xp):
            return 2.0 * a * (1.0 - a)

    net = rp.Network([3, 1], output=Steep(), loss="binary_cross_entropy", seed=0, dtype="float64", backend="numpy")
    assert rp.check_gradient(net, X, [0, 1, 1, 0, 1, 0, 0]).ok
    a = net.predict(X)[:, 0]
    y = np.asarray([0, 1, 1, 0, 1, 0, 0])
    assert float(net.cost(X, y)) == pytest.approx(-np.mean(y * np.log(a) + (1 - y) * np.log(1 - a)), rel=1e-12)


def test_a_subclass_of_ours_is_checked_too():
    class Wrong(rp.activations.Tanh):
        def derivative(self, z, a, xp):
            return 5.0 * a

    with pytest.raises(ValueError, match="is not that of its value"):
        rp.Network([2, 3, 1], hidden=Wrong())
    with pytest.raises(TypeError, match=r"write ReLU\(\)"):
        rp.Network([2, 3, 1], hidden=rp.activations.ReLU)
    with pytest.raises(TypeError, match=r"write Huber\(\)"):
        rp.Network([2, 3, 1], loss=rp.losses.Huber)


def test_labels_of_any_whole_dtype(backend):
    net = rp.Network([3, 4, 3], output="softmax", loss="cross_entropy", seed=0, backend=backend)
    y = np.asarray([0, 1, 2, 0, 1, 2, 0])
    expected = backend.to_numpy(net.cost(X, y))
    for kind in ("uint8", "uint16", "uint32", "uint64", "int8", ">i4", ">f8", "float16", "longdouble"):
        assert backend.to_numpy(net.cost(X.astype(">f8"), y.astype(kind))) == expected, kind
    with pytest.raises(ValueError, match="class indices in"):
        net.cost(X, y + 2**32)
    with pytest.raises(ValueError, match=r"x\[0, 0\] is 1e\+39, too large for float32"):
        net.predict(np.full((1, 3), 1e39))


def test_copies_are_independent(backend):
    net = rp.Network([2, 3, 1], seed=0, backend=backend)
    assert copy.copy(net).thetas[0] is net.thetas[0]
    for other in (copy.deepcopy(net), pickle.loads(pickle.dumps(net)), net.to(backend)):
        rp.fit(other, [[0.0, 1.0], [1.0, 0.0]], [0.0, 1.0], epochs=3)
        assert other.backend == net.backend
        assert not (backend.to_numpy(other.thetas[0]) == backend.to_numpy(net.thetas[0])).all()


def test_repr_says_what_it_is():
    deep = rp.Network([2, 3, 3, 3, 1], hidden=["tanh", "relu", "tanh"], backend="numpy")
    assert "hidden tanh, relu, tanh," in repr(deep)
    history = rp.fit(deep, X[:, :2], X[:, 0], epochs=3)
    assert repr(history).startswith("<History of 3 epochs, cost ")
    assert len(repr(history)) < 100
    net = rp.Network([2, 3, 1], output="sigmoid", loss="binary_cross_entropy", backend="numpy")
    assert repr(net) == (
        "<Network 2-3-1, hidden relu, output sigmoid, loss binary_cross_entropy, 13 parameters, float32 on numpy>"
    )


def test_custom_activation_and_loss(backend, dtype):
    net = rp.Network([3, 4, 2], hidden=Cube(), loss=Quartic(), seed=0, dtype=dtype, backend=backend)
    y = np.random.default_rng(1).normal(size=(7, 2))
    assert rp.check_gradient(net, X, y).ok
    history = rp.fit(net, X, y, optimizer="adam", epochs=20)
    assert history.cost[-1] < history.cost[0]


def test_custom_functions_are_checked_when_the_network_is_built():
    class WrongDerivative(Cube):
        def derivative(self, z, a, xp):
            return 2.0 * z * z

    class WrongShape(Quartic):
        def value(self, a, y, xp):
            return xp.mean((a - y) ** 4)

    class WrongLoss(Quartic):
        def derivative(self, a, y, xp):
            return (a - y) ** 2

    with pytest.raises(ValueError, match="derivative of the activation 'WrongDerivative' is not that of its value"):
        rp.Network([2, 3, 1], hidden=WrongDerivative())
    with pytest.raises(ValueError, match=r"value.* of the loss 'quartic' .*has the shape"):
        rp.Network([2, 3, 1], loss=WrongShape())
    with pytest.raises(ValueError, match="derivative of the loss 'quartic' is not that of its value"):
        rp.Network([2, 3, 2], loss=WrongLoss())

    class ReadsZ(Cube):
        needs_z = False

    with pytest.raises(TypeError, match="if it reads z, set needs_z = True"):
        rp.Network([2, 3, 1], hidden=ReadsZ())
    with pytest.raises(TypeError, match="has no needs_z"):
        rp.Network([2, 3, 1], hidden=Quartic())
    with pytest.raises(TypeError, match="a loss must be a name or an object"):
        rp.Network([2, 3, 1], loss=3)
