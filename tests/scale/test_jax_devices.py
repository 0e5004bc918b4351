"""Several devices of JAX as one backend: the numbers of one device, and one sum over devices in a compiled step."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

import retroprop as rp

CASES = Path(__file__).with_name("jax_cases.py")


@pytest.mark.parametrize("extent", ["quick", pytest.param("long", marks=pytest.mark.long)])
def test_four_devices_have_the_numbers_of_one(extent):
    pytest.importorskip("jax")
    done = subprocess.run([sys.executable, CASES, extent], capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert max(found["differences"].values()) < 1e-12, found
    assert found["compiled"] == [1, True]
    assert found["name"] == "jax:cpu:*"


def test_devices_of_a_kind_that_is_not_there():
    pytest.importorskip("jax")
    with pytest.raises(rp.BackendUnavailableError, match=r"has no device 'tpu:\*'; it finds cpu:0"):
        rp.get_backend("jax:tpu:*")
    one = rp.get_backend("jax:*")
    assert str(one) == "jax:cpu:*"
    net = rp.Network([2, 1], backend=one, seed=0)
    assert net.predict([[1.0, 2.0]]).shape == (1, 1)
