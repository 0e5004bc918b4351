"""Trainings under mpiexec: the single process's results, ends of failing jobs, and resumed ones."""

import json
import pickle
import re
import subprocess
import sys

import numpy as np
import pytest
from launching import HERE, environment, launchers, needs_mpi, run
from sklearn.base import clone

import retroprop as rp

LAUNCHER = needs_mpi()
LIMIT = 10.0  # seconds within which a job ends after a rank has failed
TORCH = ("adam", "dropout", "weights", "metrics of the training rows", "validation and early stopping")


def found_by(launcher, size, extent="quick", torch=(), **environment):
    """Return the findings of every rank of the job of `mpi_cases`, by the name of the case."""
    job = run(launcher, size, HERE / "mpi_cases.py", extent, *torch, limit=120.0, **environment)
    assert job.code == 0, job.err[-3000:]
    every = json.loads(job.out.strip().splitlines()[-1])
    assert len(every) == size
    return {name: [one[name] for one in every] for name in every[0]}


def assert_alike(found, size):
    """Every rank has the bits of the others, and the numbers of the single process: its bits, where it is alone."""
    assert len(found) > 20
    for name, ranks in found.items():
        assert len({one["digest"] for one in ranks}) == 1, name
        for one in ranks:
            assert one.get("alike", True) is True, name
            if "parameters" in one:
                divided = size > 1 or name.startswith("fixed")  # a batch in parts
                assert one["parameters"] <= (1e-12 if divided else 0.0), name
                assert one["figures"] <= (1e-11 if divided else 0.0), name


@pytest.fixture(scope="module")
def alone():
    return found_by(LAUNCHER, 1)


def test_one_rank_has_the_bits_of_the_single_process(alone):
    assert_alike(alone, 1)


def test_two_ranks_have_its_numbers_and_deterministic_ones_the_bits_of_one_rank(alone):
    found = found_by(LAUNCHER, 2)
    assert_alike(found, 2)
    fixed = [name for name in found if name.startswith("fixed")]
    assert len(fixed) >= 4
    for name in fixed:
        assert found[name][0]["digest"] == alone[name][0]["digest"], name


@pytest.fixture(scope="module")
def all_alone():
    return found_by(LAUNCHER, 1, "all", TORCH)


@pytest.mark.long
@pytest.mark.parametrize("size", [1, 2, 3, 4])
@pytest.mark.parametrize("launcher", launchers(), ids=lambda one: one.mpiexec)
def test_so_have_more_ranks_of_every_mpi(launcher, size, all_alone):
    found = found_by(launcher, size, "all", TORCH)
    assert_alike(found, size)
    fixed = [name for name in found if name.startswith("fixed")]
    assert len(fixed) == (0 if size == 3 else 10)
    for name in fixed:
        assert found[name][0]["digest"] == all_alone[name][0]["digest"], name


@pytest.mark.long
@pytest.mark.parametrize("size", [1, 2])
def test_so_have_compiled_loops(size):
    assert_alike(found_by(LAUNCHER, size, RETROPROP_NUMBA="1"), size)


def test_a_job_of_one_process_says_that_it_trains_alone():
    code = "import retroprop as rp; rp.fit(rp.Network([2, 1]), [[1, 2]], [[1]], epochs=1, parallel=rp.scale.MPI())"
    job = run(LAUNCHER, 1, "-c", code)
    assert job.code == 0, job.err
    assert job.err.count('the MPI job has one process: it trains alone (start the processes with "mpiexec -n 4') == 1


def test_a_file_that_one_rank_does_not_see_ends_all_with_one_message(tmp_path):
    (tmp_path / "0.csv").write_text("a,b\n" + "".join(f"{i},{i % 2}\n" for i in range(40)))
    code = f"""
import retroprop as rp
from mpi4py import MPI
rp.tabular.fit("{tmp_path}/" + f"{{MPI.COMM_WORLD.rank}}.csv", target="b", epochs=1, parallel=rp.scale.MPI())
"""
    job = run(LAUNCHER, 2, "-c", code)
    assert job.code != 0
    assert len(re.findall(r"^\S*Error: on rank 1 of 2: .*1\.csv", job.err, re.MULTILINE)) == 1, job.err


@pytest.mark.long
def test_the_command_line_trains_on_ranks_and_rank_0_writes(tmp_path):
    model = tmp_path / "m.safetensors"
    options = ["digits", "--parallel", "mpi", "--epochs", "2", "--no-picture", "-o", model, "--json"]
    job = run(LAUNCHER, 2, "-m", "retroprop", "train", *options)
    assert job.code == 0, job.err
    assert json.loads(job.out)["model"] == str(model)
    assert [path.name for path in tmp_path.iterdir()] == ["m.safetensors"]
    job = run(LAUNCHER, 2, "-m", "retroprop", "train", tmp_path / "absent.csv", "--parallel", "mpi", "--no-picture")
    assert job.code != 0
    assert (job.out + job.err).count("no file") == 1


def test_outside_of_a_job_the_message_says_how_to_start_one():
    code = "import retroprop as rp; net = rp.Network([2, 1]); rp.fit(net, [[1, 2]], [[1]], parallel=rp.scale.MPI())"
    environ = {name: value for name, value in environment().items() if not name.startswith(("PMI", "OMPI", "SLURM"))}
    command = [LAUNCHER.python, "-c", code]
    found = subprocess.run(command, check=False, env=environ, capture_output=True, text=True, timeout=60)
    assert found.returncode == 1
    assert 'outside of an MPI job: start the processes with "mpiexec -n 4 python -m mpi4py' in found.stderr


def test_a_missing_mpi4py_and_other_engines_are_refused_in_one_line(monkeypatch):
    net = rp.Network([2, 1])
    with pytest.raises(TypeError, match=r"parallel must be an engine such as rp.scale.MPI\(\), or None, not 'mpi'"):
        rp.fit(net, [[1, 2]], [[1]], parallel="mpi")
    monkeypatch.setitem(sys.modules, "mpi4py", None)
    with pytest.raises(ValueError, match=r'needs mpi4py, which is not installed: pip install "retroprop\[mpi\]"'):
        rp.fit(net, [[1, 2]], [[1]], parallel=rp.scale.MPI())
    with pytest.raises(ValueError, match="parts of MPI must be a power of two"):
        rp.scale.MPI(parts=6)


def test_the_engine_is_a_value():
    engine = rp.scale.MPI(shard=True)
    assert pickle.loads(pickle.dumps(engine)) == clone(engine, safe=False) == engine != rp.scale.MPI()


# Failures --------------------------------------------------------------------------------------------------------


def failing(launcher, size, way, update, folder, *flags):
    folder.mkdir(exist_ok=True)
    return run(launcher, size, HERE / "failing_job.py", way, update, folder, *flags)


def assert_failed(job, message, folder):
    assert job.code != 0
    assert job.at - (folder / "failed").stat().st_mtime < LIMIT
    assert len(re.findall(f"^{message}", job.err + job.out, re.MULTILINE)) == 1, job.err[-3000:]


RAISED = "LookupError: the disk of this rank is gone"


def test_a_rank_that_raises_ends_the_job_with_its_message_once(tmp_path):
    assert_failed(failing(LAUNCHER, 2, "raises", 8, tmp_path, "new"), RAISED, tmp_path)


WAYS = {
    "raises": RAISED,
    "has no memory": "numpy._core._exceptions._ArrayMemoryError",
    "is killed": "(YOUR APPLICATION TERMINATED|prterun noticed that process rank 2)",
    "gets SIGTERM": "(YOUR APPLICATION TERMINATED|prterun noticed that process rank 2)",  # without checkpoints
}


@pytest.mark.long
@pytest.mark.parametrize("update", [1, 8, 30])
@pytest.mark.parametrize("way", list(WAYS))
@pytest.mark.parametrize("launcher", launchers(), ids=lambda one: one.mpiexec)
def test_every_way_to_fail_ends_the_job(launcher, way, update, tmp_path):
    assert_failed(failing(launcher, 3, way, update, tmp_path, "new", "bare"), WAYS[way], tmp_path)


DISAGREEMENTS = {
    "has another version": f"the version of retroprop: rank 0 has '{rp.__version__}', and rank 2 '0.0.1'",
    "has other data": "x: rank 0 has",
    "compiles loops": "compiled loops: rank 0 has",
}


@pytest.mark.long
@pytest.mark.parametrize("way", list(DISAGREEMENTS))
@pytest.mark.parametrize("launcher", launchers(), ids=lambda one: one.mpiexec)
def test_ranks_that_disagree_end_with_one_message(launcher, way, tmp_path):
    job = failing(launcher, 3, way, 0, tmp_path, "new")
    assert_failed(job, f"ValueError: the ranks differ in {DISAGREEMENTS[way]}", tmp_path)
    assert not (tmp_path / "parameters.npy").exists()


@pytest.mark.long
@pytest.mark.parametrize("launcher", launchers(), ids=lambda one: one.mpiexec)
def test_an_error_of_every_rank_is_printed_once(launcher, tmp_path):
    job = failing(launcher, 3, "raises everywhere", 0, tmp_path, "new")
    assert job.code != 0
    assert len(re.findall(f"^{RAISED}", job.err, re.MULTILINE)) == 1


@pytest.mark.long
@pytest.mark.parametrize(("way", "reason"), [("gets SIGTERM", "terminated"), ("gets SIGINT", "interrupted")])
@pytest.mark.parametrize("fixed", [False, True])
@pytest.mark.parametrize("launcher", launchers(), ids=lambda one: one.mpiexec)
def test_a_signal_to_one_rank_ends_all_and_other_ranks_go_on(launcher, fixed, way, reason, tmp_path):
    flags = ["fixed"] if fixed else []
    failing(launcher, 1, "never", 0, tmp_path / "whole", "new", "bare", *flags)
    whole = np.load(tmp_path / "whole" / "parameters.npy")
    for update, (before, after) in ((2, (2, 4)), (9, (4, 1)), (20, (2, 1) if fixed else (3, 2))):
        folder = tmp_path / f"{update}"
        job = failing(launcher, before, way, update, folder, "new", *flags)
        assert f"ended: {reason} after {(update - 1) // 6} epochs" in job.out, job.err[-2000:]
        job = failing(launcher, after, "never", 0, folder, "resume", *flags)
        assert "ended: epochs after 6 epochs" in job.out, job.err[-2000:]
        found = np.load(folder / "parameters.npy")
        np.testing.assert_allclose(found, whole, rtol=0.0, atol=0.0 if fixed else 1e-12)


@pytest.mark.long
@pytest.mark.parametrize("fixed", [False, True])
@pytest.mark.parametrize("launcher", launchers(), ids=lambda one: one.mpiexec)
def test_a_job_that_failed_goes_on_with_another_number_of_ranks(launcher, fixed, tmp_path):
    flags = ["fixed"] if fixed else []
    failing(launcher, 1, "never", 0, tmp_path / "whole", "new", "bare", *flags)
    whole = np.load(tmp_path / "whole" / "parameters.npy")
    cases = (("is killed", 9, 2, 4), ("raises", 14, 4, 1), ("has no memory", 31, 2 if fixed else 3, 4 if fixed else 2))
    for way, update, before, after in cases:
        folder = tmp_path / f"{update}"
        assert failing(launcher, before, way, update, folder, "new", *flags).code != 0
        assert "ended: epochs after 6 epochs" in failing(launcher, after, "never", 0, folder, "resume", *flags).out
        found = np.load(folder / "parameters.npy")
        np.testing.assert_allclose(found, whole, rtol=0.0, atol=0.0 if fixed else 1e-12)
