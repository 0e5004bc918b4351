"""Clipping by value and by norm."""

import numpy as np
import pytest
from harness import assert_close

import retroprop as rp
from retroprop.core.parameters import Parameters


def clip(backend, dtype, thetas, biases=(), *, clip_norm=None, clip_value=None):
    gradients = Parameters(
        tuple(backend.asarray(a, dtype) for a in thetas), tuple(backend.asarray(a, dtype) for a in biases)
    )
    with backend.active():
        clipped = backend.operations().clip(gradients, clip_norm, clip_value)
    assert (len(clipped.thetas), len(clipped.biases)) == (len(thetas), len(biases))
    return clipped.leaves


def test_the_norm_is_that_of_all_gradients_together(backend, dtype):
    # 3-4-12-84: √(9 + 16 + 144 + 7056) = 85
    leaves = clip(backend, dtype, [[[3.0, -4.0]], [[12.0]]], [[84.0]], clip_norm=8.5)
    for actual, expected in zip(leaves, ([[0.3, -0.4]], [[1.2]], [8.4]), strict=True):
        assert_close(actual, expected, backend=backend, dtype=dtype, rtol=8.0 * float(np.finfo(dtype).eps))


def test_a_norm_within_the_bound_is_left_as_it_is(backend, dtype):
    leaves = clip(backend, dtype, [[[3.0, -4.0]]], [[0.1]], clip_norm=5.1)
    assert_close(leaves[0], [[3.0, -4.0]], backend=backend, dtype=dtype, rtol=0.0)
    assert_close(leaves[1], np.asarray([0.1], dtype), backend=backend, dtype=dtype, rtol=0.0)


def test_by_value(backend, dtype):
    leaves = clip(backend, dtype, [[[3.0, -4.0, 0.5]]], [[-0.25, 1.0]], clip_value=0.75)
    assert_close(leaves[0], [[0.75, -0.75, 0.5]], backend=backend, dtype=dtype, rtol=0.0)
    assert_close(leaves[1], [-0.25, 0.75], backend=backend, dtype=dtype, rtol=0.0)


def test_by_value_first_and_then_by_norm(backend, dtype):
    (leaf,) = clip(backend, dtype, [[[30.0, -4.0]]], clip_value=3.0, clip_norm=1.0)
    half = np.sqrt(0.5)
    assert_close(leaf, [[half, -half]], backend=backend, dtype=dtype, rtol=8.0 * float(np.finfo(dtype).eps))


@pytest.mark.parametrize("size", [1e20, 1e-20, 1e37])
def test_neither_large_nor_small_gradients_overflow_or_vanish_in_the_norm(size, backend, dtype):
    rtol = 16.0 * float(np.finfo(dtype).eps)
    (leaf,) = clip(backend, dtype, [[[3.0 * size, -4.0 * size]]], clip_norm=size)
    assert_close(leaf, [[0.6 * size, -0.8 * size]], backend=backend, dtype=dtype, rtol=rtol)
    (leaf,) = clip(backend, dtype, [[[3.0 * size, -4.0 * size]]], clip_norm=1.0)
    scale = min(1.0, 0.2 / size)
    assert_close(leaf, [[3.0 * size * scale, -4.0 * size * scale]], backend=backend, dtype=dtype, rtol=rtol)


def test_a_norm_beyond_the_largest_number_is_still_held(backend):
    # each entry is a float32, their norm, 6e38, is not
    (leaf,) = clip(backend, "float32", [[[3e38] * 4]], clip_norm=1.0)
    assert np.linalg.norm(backend.to_numpy(leaf).astype("float64")) <= 1.0 + 1e-6


@pytest.mark.parametrize("clips", [{"clip_norm": 1.0}, {"clip_value": 1.0}, {"clip_norm": 1.0, "clip_value": 1.0}])
def test_a_gradient_of_zeros_stays_zeros(clips, backend, dtype):
    for leaf in clip(backend, dtype, [[[0.0, 0.0]]], [[0.0]], **clips):
        assert np.all(backend.to_numpy(leaf) == 0.0)


def test_against_pytorch():
    torch = pytest.importorskip("torch", reason="PyTorch is the witness")
    rng = np.random.default_rng(0)
    arrays = [rng.normal(size=s) for s in ((3, 4), (2, 3), (3,), (2,))]
    params = [torch.zeros(a.shape, dtype=torch.float64) for a in arrays]
    for p, a in zip(params, arrays, strict=True):
        p.grad = torch.tensor(a)
    torch.nn.utils.clip_grad_norm_(params, 0.7)
    ours = clip(rp.get_backend("numpy"), "float64", arrays[:2], arrays[2:], clip_norm=0.7)
    for actual, p in zip(ours, params, strict=True):
        np.testing.assert_allclose(actual, p.grad.numpy(), rtol=2e-6)  # PyTorch divides by norm + 1e-6
        np.testing.assert_array_equal(np.sign(actual), np.sign(p.grad.numpy()))
    assert np.sqrt(sum(float(np.sum(a * a)) for a in ours)) == pytest.approx(0.7, rel=1e-14)


def test_through_fit(backend):
    # x = y's own scale makes the gradient large: ∂J/∂θ = (a − y) x with a = 0
    x, y = [[3.0, 4.0]], [-10.0]
    for clips, expected in (
        ({"clip_norm": 1.0}, [-0.6, -0.8]),
        ({"clip_value": 35.0}, [-30.0, -35.0]),
        ({}, [-30.0, -40.0]),
        ({"clip_norm": 1e6, "clip_value": 1e6}, [-30.0, -40.0]),
    ):
        net = rp.Network.from_parameters([[[0.0, 0.0]]], dtype="float64", backend=backend)
        rp.fit(net, x, y, optimizer=rp.optimizers.SGD(1.0), epochs=1, **clips)
        assert_close(net.thetas[0], [expected], backend=backend, dtype="float64", rtol=1e-14)


@pytest.mark.parametrize("name", ["clip_norm", "clip_value"])
@pytest.mark.parametrize("bad", [0.0, -1.0, float("nan"), float("inf")])
def test_a_bound_out_of_range_is_refused(name, bad):
    net = rp.Network([1, 1], seed=0, backend="numpy")
    with pytest.raises(ValueError, match=name):
        rp.fit(net, [[1.0]], [1.0], **{name: bad})
