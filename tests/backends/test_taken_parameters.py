"""Parameters as a network takes them."""

import numpy as np
import pytest

import retroprop as rp
from retroprop.backends.intake.parameters import dtype_name, dtype_of, shape_of, take_parameters

NET = rp.Network([3, 2], seed=0, dtype="float64", backend="numpy")


@pytest.mark.parametrize("given", ["float32", np.float32, np.dtype("float32")])
def test_a_dtype_by_any_name(given):
    assert dtype_name(given) == "float32"


def test_the_dtype_of_what_is_given(backend):
    assert dtype_of(backend.asarray(np.ones((2, 3)), "float32")) == "float32"
    assert dtype_of(np.ones((2, 3))) == "float64"
    assert dtype_of([[1.0]]) == dtype_of(np.ones((2, 3), int)) == "float32"


def test_a_theta_has_two_axes():
    assert shape_of([[1.0, 2.0]], "thetas[0]") == (1, 2)
    with pytest.raises(ValueError, match=r"thetas\[0\] must have two axes, \(to, from\); its shape is \(3,\)"):
        shape_of(np.ones(3), "thetas[0]")


def test_what_is_taken_is_a_copy_in_the_networks_dtype():
    theta, bias = np.ones((2, 3), "float32"), np.zeros(2)
    taken = take_parameters(NET.backend, NET.architecture, "float64", [theta], [bias])
    assert [leaf.dtype for leaf in taken.leaves] == ["float64", "float64"]
    assert not any(np.shares_memory(leaf, given) for leaf, given in zip(taken.leaves, (theta, bias), strict=True))
    with pytest.raises(ValueError, match=r"biases\[0\] must have the shape \(2,\), not \(3,\)"):
        take_parameters(NET.backend, NET.architecture, "float64", [theta], [np.zeros(3)])
    with pytest.raises(ValueError, match="thetas and biases must have the same model axes"):
        take_parameters(NET.backend, NET.architecture, "float64", [np.ones((4, 2, 3))], [np.zeros(2)])
