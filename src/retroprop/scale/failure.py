"""The end of all processes of an MPI job when one fails, with its message printed once.

A rank that raises would otherwise leave the others waiting in a sum for ever.
"""

import os
import sys
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from retroprop.training.parallel import is_common

WAIT = 5.0  # seconds that a process waits for another to print
PASSED_ON = 0.3  # seconds in which the launcher passes on what was printed, before it ends


@contextmanager
def ending_all(world: Any) -> Iterator[None]:
    """Return a context that an error of one rank does not leave: it is printed, and ends all processes.

    An error that all ranks raise leaves it; if it is not caught, rank 0 prints it.
    """
    try:
        yield
    except BaseException as error:
        if world.size == 1:
            raise
        if is_common(error):
            error.rank = world.rank  # type: ignore[attr-defined]
            _print_once(world)
            raise
        # If several ranks fail alike, the first prints and ends the others before they print too.
        time.sleep(min(0.2 * world.rank, 2.0))
        traceback.print_exception(error)
        print(f"rank {world.rank} of {world.size} has failed, which ends all processes", file=sys.stderr, flush=True)
        time.sleep(PASSED_ON)
        world.Abort(1)
        os._exit(1)  # where the library returns before the launcher ends this process


def _print_once(world: Any) -> None:
    """Let rank 0 alone print an error that all ranks raise and do not catch."""
    before = sys.excepthook

    def hook(kind: Any, error: Any, trace: Any) -> None:
        if not is_common(error):
            before(kind, error, trace)
            return
        if world.rank == 0:
            before(kind, error, trace)
            sys.stderr.flush()
        printed, ends = world.Ibarrier(), time.monotonic() + WAIT
        while not printed.Test() and time.monotonic() < ends:  # a process that ends first may end the others
            time.sleep(0.01)

    if getattr(before, "__qualname__", "") != hook.__qualname__:
        sys.excepthook = hook
