"""The bits of NumPy trainings are those recorded before the engine was redesigned."""

import json
from importlib.util import find_spec

import numpy as np
import pytest

bits = pytest.importorskip(
    "bits", reason="scikit-learn, which brings threadpoolctl, is not installed", exc_type=ImportError
)


@pytest.mark.parametrize("lowering", ["numpy", pytest.param("numba", marks=pytest.mark.long)])
def test_a_training_has_the_bits_on_record(lowering):
    if lowering == "numba" and find_spec("numba") is None:
        pytest.skip("Numba is not installed")
    expected = json.loads(bits.RECORD.read_text(encoding="utf-8"))[lowering]
    found = bits.run_all(lowering == "numba")
    assert set(found) == set(expected)
    here, there = found.pop("machine"), expected.pop("machine")
    for name, (costs, digest) in found.items():
        if here == there:
            assert (costs, digest) == tuple(expected[name]), name
        np.testing.assert_allclose(costs, expected[name][0], rtol=2e-3, err_msg=name)
