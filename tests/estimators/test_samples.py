"""The data of a fit, as the step takes them."""

import numpy as np
import pytest

import retroprop as rp
from retroprop.estimators.samples import Samples

X = np.random.default_rng(0).normal(size=(12, 3))
Y = np.random.default_rng(1).normal(size=(12, 2))


def a_part_of_wider_rows(x):
    return np.repeat(x, 2, axis=1)[:, ::2]


@pytest.mark.parametrize("lie", [np.asfortranarray, a_part_of_wider_rows])
def test_rows_are_gathered_of_what_lies_row_by_row(lie):
    """`take` of anything else would copy all of it at each step."""
    samples = Samples(rp.get_backend("numpy"), "float64", lie(X), lie(Y), None)
    for part, given in zip(samples.data[:2], (X, Y), strict=True):
        assert part.flags.c_contiguous
        np.testing.assert_array_equal(part, given)
