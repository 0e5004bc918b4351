"""NCCL's engine, with MPI in the place of NCCL: no GPU is needed, and none is used."""

import json

import pytest
from launching import HERE, needs_mpi, run

LAUNCHER = needs_mpi()


@pytest.mark.parametrize("size", [2, pytest.param(4, marks=pytest.mark.long)])
def test_sums_on_the_devices_are_those_of_mpi(size):
    job = run(LAUNCHER, size, HERE / "nccl_cases.py", limit=120.0)
    assert job.code == 0, job.err[-3000:]
    found = json.loads(job.out.strip().splitlines()[-1])
    assert found.pop("one GPU").startswith("ranks 0 and 1 have one GPU, 0000:0A:00.0 of ")
    assert 'it needs a network on CuPy, backend="cupy", not numpy.' in found.pop("elsewhere")
    assert len(found) == 6
    for name, (difference, as_mpi, calls, digests) in found.items():
        assert difference < 1e-12, name
        assert as_mpi, name  # the bits of MPI's fixed tree
        assert calls == (["destroy", "group"] if name.endswith("True") else ["allReduce", "destroy"]), name
        assert digests == 1, name
