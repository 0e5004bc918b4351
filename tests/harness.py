"""What the tests share: the backends, an assertion that sees more than numbers, functions from outside."""

from functools import lru_cache
from importlib.util import find_spec

import numpy as np
import pytest

import retroprop as rp
from retroprop.backends import BackendUnavailableError

ON_A_CPU = ("numpy", "array_api_strict:device1", "torch:cpu", "jax:cpu")
ON_A_GPU = ("cupy", "torch:cuda", "jax:cuda")


@lru_cache
def why_absent(name):
    """Return the reason why a backend or a module is not here, or None."""
    if name not in (*ON_A_CPU, *ON_A_GPU):
        return None if find_spec(name) is not None else f"{name} is not installed"
    try:
        rp.get_backend(name)
    except BackendUnavailableError as error:
        return str(error)
    return None


def needing(name, *marks, value=None):
    """Return a parameter of a test, a backend's name or a value, whose tests need the backend."""
    if name in ON_A_GPU:
        marks = (pytest.mark.gpu, *marks)
    return pytest.param(name if value is None else value, marks=(pytest.mark.needs(name), *marks))


def open_backend(name):
    """Return the backend, in the strictest mode where it has one, or skip with the reason it is not here."""
    try:
        backend = rp.get_backend(name)
    except BackendUnavailableError as error:
        pytest.skip(f"{name}: {error}")
    if backend.name == "array_api_strict":
        backend.xp.set_array_api_strict_flags(
            api_version="2024.12", boolean_indexing=False, data_dependent_shapes=False, enabled_extensions=()
        )
    if str(backend) == "torch:cpu":
        import torch

        torch.set_num_threads(1)
    return backend


def tolerance(dtype):
    """Return the relative tolerance of a dtype: 4 √eps."""
    return 4.0 * float(np.finfo(dtype).eps) ** 0.5


def assert_close(actual, expected, *, backend, dtype, rtol=None, atol=None):
    """Assert that `actual` lives on `backend`, has `dtype` and the shape of `expected`, and its numbers.

    `atol` is by default `rtol` times the largest expected number.
    """
    assert backend.owns(actual), f"{type(actual)} on {getattr(actual, 'device', None)} is not on {backend}"
    assert backend.dtype_name(actual) == dtype
    expected = np.asarray(expected)
    actual = backend.to_numpy(actual)
    assert actual.shape == expected.shape
    rtol = tolerance(dtype) if rtol is None else rtol
    atol = rtol * float(np.max(np.abs(expected), initial=0.0)) if atol is None else atol
    np.testing.assert_allclose(actual.astype("float64"), expected.astype("float64"), rtol=rtol, atol=atol)


def mapped(path, array, order="C"):
    """Return an array as a file mapped into memory."""
    made = np.memmap(path, array.dtype, "w+", shape=array.shape, order=order)
    made[...] = array
    made.flush()
    return np.memmap(path, array.dtype, "r", shape=array.shape, order=order)


def relative_error(actual, expected):
    """Return the largest difference over the largest expected number."""
    actual, expected = np.asarray(actual, dtype="float64"), np.asarray(expected, dtype="float64")
    assert actual.shape == expected.shape
    return float(np.max(np.abs(actual - expected)) / max(float(np.max(np.abs(expected))), 1e-300))


class Cube:
    """A custom activation: f(z) = z³."""

    needs_z = True

    def value(self, z, xp):
        return z * z * z

    def derivative(self, z, a, xp):
        return 3.0 * z * z


class Quartic:
    """A custom loss: J_i = Σ ¼ (a − y)⁴."""

    name = "quartic"

    def value(self, a, y, xp):
        return 0.25 * xp.sum((a - y) ** 4, axis=-1)

    def derivative(self, a, y, xp):
        return (a - y) ** 3
