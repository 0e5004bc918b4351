"""The measurement of shared steps, by one job of MPI for each number of ranks."""

import tempfile
import warnings
from dataclasses import replace
from pathlib import Path

from retroprop.bench import machine
from retroprop.bench.parallel.efficiency import THEIRS
from retroprop.bench.peers import Peer
from retroprop.bench.processor_load import ProcessorLoad
from retroprop.bench.results import Connection, Results, row_of
from retroprop.bench.settings import Settings
from retroprop.scale import launch
from retroprop.training.progress import Line

JOB = "retroprop.bench.parallel.job"
DISTRIBUTED = Peer(THEIRS, "torch_distributed", ("torch",), "'retroprop[torch]'")


def run(settings: Settings, progress: Line | None = None, *, limit: float = launch.LIMIT) -> Results:
    """Return the results; Ctrl-C ends the measurement with the rows that are done.

    Raises
    ------
    DataError
        Without mpi4py.
    RuntimeError
        Without a launcher of MPI, or if a job fails or gives no result for `limit` seconds.
    """
    launcher, cores = launch.mpiexec("--parallel"), machine.cores() or 1
    numbers = settings.ranks or tuple(2**k for k in range(1, max(2, cores.bit_length())))
    if max(numbers) > cores:
        warnings.warn(
            f"{max(numbers)} ranks have {cores} cores: those that share a core say little about more cores.",
            UserWarning,
            stacklevel=2,
        )
    reason = DISTRIBUTED.missing() if settings.peers else None
    results = Results(machine=machine.describe(), absent={THEIRS: reason} if reason else {})
    load, interrupted, names = ProcessorLoad(), False, [one.name for one in settings.workloads]
    total = len(names) * len(numbers)
    request = {"workloads": names, "seconds": settings.seconds / total, "turns": settings.pace.rounds}
    try:
        for ranks in numbers:
            with tempfile.TemporaryDirectory() as folder:
                store = str(Path(folder, "store")) if settings.peers and not reason else None
                asked = {**request, "ranks": ranks, "store": store}
                for result in launch.results_of(launcher, ranks, JOB, asked, limit=limit):
                    if "connection" in result:
                        results.connections.append(Connection(**result["connection"]))
                    else:
                        results.rows.append(row_of(result["row"]))
                    done = len(results.rows)
                    if progress is not None and done < total:
                        progress.show(done / total, f"{ranks} ranks, {names[done % len(names)]}")
    except KeyboardInterrupt:
        interrupted = True
    finally:
        if progress is not None:
            progress.stop()
    described = {**results.machine, "others": load.share()}
    return replace(results, machine=described, interrupted=interrupted)
