"""A job of MPI as a subprocess, with a script in the place of mpiexec: its lines, its end, its errors."""

import os
import signal
import sys
import threading
import time

import pytest

from retroprop.scale import launch


@pytest.fixture
def fake(tmp_path):
    """Return a launcher that is a script of Python, and the path of a file for its process number."""
    if os.name != "posix":
        pytest.skip("a script is no program there")

    def made(code):
        path = tmp_path / "mpiexec"
        path.write_text(f"#!{sys.executable}\nimport os, sys, time\n{code}\n")
        path.chmod(0o755)
        return str(path)

    return made


def test_the_launcher_gets_ranks_of_one_thread(fake):
    code = "import json\nprint('a line of a library')\nprint('result: ' + json.dumps([sys.argv[1:], dict(os.environ)]))"
    ((arguments, environment),) = launch.results_of(fake(code), 3, "a.module", {"x": 1})
    assert arguments == ["-n", "3", sys.executable, "-m", "mpi4py", "-m", "a.module", '{"x": 1}']
    assert environment["OMP_NUM_THREADS"] == environment["NUMBA_NUM_THREADS"] == "1"


@pytest.mark.parametrize("stubborn", ["", "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)"])
def test_a_job_that_hangs_is_ended(fake, monkeypatch, tmp_path, stubborn):
    monkeypatch.setattr(launch, "_ENDING", 0.5)
    written = f"open('{tmp_path}/pid', 'w').write(str(os.getpid()))"
    code = f"{stubborn}\n{written}\nprint('result: 1', flush=True)\ntime.sleep(60)"
    began = time.monotonic()
    found = []
    with pytest.raises(RuntimeError, match=r'"mpiexec -n 2" gave no result for 1 s, and was ended'):
        found.extend(launch.results_of(fake(code), 2, "x", {}, limit=1.0))
    assert found == [1]
    assert time.monotonic() - began < 30.0
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)


def test_ctrl_c_ends_the_job_and_the_clock(fake, tmp_path):
    code = f"open('{tmp_path}/pid', 'w').write(str(os.getpid()))\nprint('result: 1', flush=True)\ntime.sleep(60)"
    before = set(threading.enumerate())
    results = launch.results_of(fake(code), 2, "x", {}, limit=300.0)
    assert next(results) == 1
    interrupt = threading.Timer(0.2, signal.pthread_kill, (threading.get_ident(), signal.SIGINT))
    interrupt.start()
    with pytest.raises(KeyboardInterrupt):
        next(results)
    for thread in set(threading.enumerate()) - before:
        thread.join(5.0)
    assert set(threading.enumerate()) <= before
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)


@pytest.mark.parametrize(
    ("errors", "reason"),
    [
        ("Traceback\nValueError: the cause\nAbort(1) on node 0", "ValueError: the cause"),
        ("a.b.SomeError: one\nKeyError: 'two'\n\n", "KeyError: 'two'"),
        ("-----\nThere are not enough slots \n  in the system\n-----\n", "There are not enough slots"),
        ("", "it says nothing"),
    ],
)
def test_a_job_that_fails_gives_its_last_error(fake, errors, reason):
    with pytest.raises(RuntimeError, match="exit code 3") as found:
        list(launch.results_of(fake(f"sys.stderr.write({errors!r}); sys.exit(3)"), 2, "x", {}))
    assert str(found.value) == f'"mpiexec -n 2" failed with exit code 3: {reason}'
