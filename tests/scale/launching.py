"""Jobs of MPI in subprocesses, with hard time limits."""

import os
import shutil
import signal
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import pytest

import retroprop

HERE = Path(__file__).parent
SOURCE = Path(retroprop.__file__).parents[1]
# Further Python interpreters whose environments have another MPI, for the long run.
OTHERS = [path for path in os.environ.get("RETROPROP_MPI_PYTHONS", "").split(os.pathsep) if path]


class Launcher(NamedTuple):
    """An MPI: its mpiexec, and the interpreter that finds its library."""

    mpiexec: str
    python: str


class Ended(NamedTuple):
    """A job that has ended: exit code, standard output and error, and when, as `time.time`."""

    code: int
    out: str
    err: str
    at: float


def launchers():
    """Return the MPI of this environment, then those of the others."""
    found = []
    for python in (sys.executable, *OTHERS):
        beside = Path(python).parent / "mpiexec"
        mpiexec = str(beside) if beside.exists() else shutil.which("mpiexec") if python == sys.executable else None
        if mpiexec is not None:
            found.append(Launcher(mpiexec, python))
    return found


def needs_mpi():
    """Return the launcher of this environment; skip the module where it has no MPI."""
    if find_spec("mpi4py") is None:
        pytest.skip("mpi4py is not installed: pip install 'retroprop[mpi]' and mpich", allow_module_level=True)
    if not launchers():
        pytest.skip("there is no mpiexec: pip install mpich", allow_module_level=True)
    return launchers()[0]


def environment(**further):
    """Return the environment of a job: one thread, and what Open MPI asks of root and of few processors."""
    own = {name: value for name, value in os.environ.items() if name != "RETROPROP_BACKEND"}
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"), "1")
    permitted = dict.fromkeys(("OMPI_ALLOW_RUN_AS_ROOT", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM"), "1")
    mapping = {"PRTE_MCA_rmaps_default_mapping_policy": ":oversubscribe", "PYTHONPATH": f"{SOURCE}{os.pathsep}{HERE}"}
    # A rank that waits leaves the processor to others: the tests have fewer processors than processes.
    polite = {
        "OMPI_MCA_mpi_yield_when_idle": "1",
        "MPIR_CVAR_POLLS_BEFORE_YIELD": "1",
        "MPIR_CVAR_ENABLE_HEAVY_YIELD": "1",
    }
    return own | threads | permitted | mapping | polite | further


def started(launcher, size, *arguments, **further):
    """Start a job in a process group of its own."""
    return subprocess.Popen(
        [launcher.mpiexec, "-n", str(size), launcher.python, "-m", "mpi4py", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        text=True,
        env=environment(**further),
        start_new_session=True,
    )


def ended(job, limit):
    """Return a job's end; after `limit` seconds it is killed with all its processes, and the test fails."""
    try:
        out, err = job.communicate(timeout=limit)
    except subprocess.TimeoutExpired:
        os.killpg(job.pid, signal.SIGKILL)
        out, err = job.communicate()
        pytest.fail(f"the job did not end within {limit} s:\n{out[-2000:]}\n{err[-2000:]}")
    return Ended(job.returncode, out, err, time.time())


def run(launcher, size, *arguments, limit=60.0, **further):
    """Run a job to its end."""
    return ended(started(launcher, size, *arguments, **further), limit)
