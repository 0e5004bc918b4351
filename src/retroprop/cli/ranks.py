"""The processes of an MPI job on the command line: one prints an error that several have."""

import sys
import time
from typing import Any


def is_to_print() -> bool:
    """Return whether this process, which fails, is to print its error: of processes that fail alike, one does."""
    world = _world()
    if world is None:
        return True
    from retroprop.scale import failure

    return failure.is_to_print(world)


def end_others(exit_code: int) -> None:
    """End the other processes, once the error is printed: they may wait for this one."""
    world = _world()
    if world is not None:
        from retroprop.scale import failure

        sys.stderr.flush()
        time.sleep(failure.PASSED_ON)
        world.Abort(exit_code)


def _world() -> Any:
    """Return the communicator of all processes, None for one process, or one that mpi4py has not started."""
    if "mpi4py" not in sys.modules:
        return None
    try:
        from mpi4py import MPI as mpi  # noqa: N811
    except (ImportError, RuntimeError):
        return None
    return None if mpi.Is_finalized() or mpi.COMM_WORLD.size == 1 else mpi.COMM_WORLD
