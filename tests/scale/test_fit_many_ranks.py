"""`fit_many` under mpiexec: each rank trains its networks, and all end with all of them."""

import json
import re

import pytest
from launching import HERE, launchers, needs_mpi, run

LAUNCHER = needs_mpi()
LIMIT = 10.0  # seconds within which a job ends after a rank has failed


def found_by(launcher, size, folder, *flags, extent="all", **environment):
    """Return the findings of every rank of the job of `many_cases`, by the name of the case."""
    job = run(launcher, size, HERE / "many_cases.py", extent, folder, *flags, limit=120.0, **environment)
    assert job.code == 0, job.err[-3000:]
    every = json.loads(job.out.strip().splitlines()[-1])
    assert len(every) == size
    return {name: [one[name] for one in every] for name in every[0]}


def assert_alike(found, size, *, bits=False):
    """Every rank has the bits of the others, and the single process's: of networks in one step, its numbers."""
    for name, ranks in found.items():
        assert len({one["digest"] for one in ranks}) == 1, name
        for one in ranks:
            assert one.get("alike", True) is True, name
            if "parameters" in one:
                exact = bits or size == 1 or name.startswith("apart")
                assert one["parameters"] <= (0.0 if exact else 1e-12), name
                assert one["figures"] <= (0.0 if exact else 1e-12), name


def test_two_ranks_divide_the_networks(tmp_path):
    found = found_by(LAUNCHER, 2, tmp_path, extent="quick")
    assert len(found) > 15
    assert_alike(found, 2)


@pytest.mark.long
@pytest.mark.parametrize("size", [1, 2, 3, 4])
@pytest.mark.parametrize("launcher", launchers(), ids=lambda one: one.mpiexec)
def test_so_do_more_ranks_of_every_mpi(launcher, size, tmp_path):
    assert_alike(found_by(launcher, size, tmp_path, "torch"), size)


@pytest.mark.long
@pytest.mark.parametrize("size", [2, 4])
def test_compiled_steps_have_the_bits_of_the_single_process(size, tmp_path):
    found = found_by(LAUNCHER, size, tmp_path, RETROPROP_NUMBA="1")
    replayed = {"dropout", "folds of unequal size", *(name for name in found if name.startswith("ensemble"))}
    exact = set(found) - replayed
    assert_alike({name: found[name] for name in exact}, size, bits=True)
    assert_alike(found, size)


def failing(launcher, size, way, folder):
    return run(launcher, size, HERE / "failing_many.py", way, folder)


RAISED = "LookupError: the disk of this rank is gone"
ENDS = {"raises": RAISED, "is killed": "(YOUR APPLICATION TERMINATED|prterun noticed that process rank 2)"}


def assert_failed(job, message, folder):
    assert job.code != 0
    assert job.at - (folder / "failed").stat().st_mtime < LIMIT
    assert len(re.findall(f"^{message}", job.err + job.out, re.MULTILINE)) == 1, job.err[-3000:]


@pytest.mark.long
@pytest.mark.parametrize("way", list(ENDS))
@pytest.mark.parametrize("launcher", launchers(), ids=lambda one: one.mpiexec)
def test_every_way_to_fail_ends_the_job(launcher, way, tmp_path):
    assert_failed(failing(launcher, 3, way, tmp_path), ENDS[way], tmp_path)


def assert_stopped(job, size, reason):
    """Every rank was ended, before the end of any training, and they have the same bits."""
    assert job.code == 0, job.err[-3000:]
    found = re.findall(r"^ended: (.*) with (\w+) and (\d+) networks$", job.out, re.MULTILINE)
    assert len(found) == size, job.out
    assert len(set(found)) == 1
    assert set(found[0][0].split(", ")) == {reason}


@pytest.mark.long
def test_ctrl_c_of_one_rank_ends_the_networks_of_all(tmp_path):
    assert_stopped(failing(LAUNCHER, 2, "gets SIGINT", tmp_path), 2, "interrupted")


@pytest.mark.long
@pytest.mark.parametrize(
    ("way", "reason"),
    [
        ("gets SIGINT", "interrupted"),
        ("gets SIGINT alone", "interrupted"),
        ("gets SIGTERM with checkpoints", "terminated"),
        ("gets SIGINT while it waits", "interrupted"),
        ("gets SIGINT in an ensemble", "interrupted"),
    ],
)
@pytest.mark.parametrize("launcher", launchers(), ids=lambda one: one.mpiexec)
def test_a_signal_to_one_rank_ends_all(launcher, way, reason, tmp_path):
    assert_stopped(failing(launcher, 3, way, tmp_path), 3, reason)
