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
GRACE = 0.5  # seconds in which the ranks below one that fails may fail too; the lowest prints
PASSED_ON = 0.3  # seconds in which the launcher passes on what was printed, before it ends
FAILS, PRINTS = 101, 102  # tags of messages


@contextmanager
def ending_all(ranks: Any, world: Any) -> Iterator[None]:
    """Return a context that an error of one rank does not leave: it is printed, and ends all processes.

    An error that all ranks raise leaves it; if it is not caught, rank 0 prints it. `ranks` is a communicator of the
    training's own, with the processes of `world`.
    """
    try:
        yield
    except BaseException as error:
        if ranks.size == 1:
            raise
        if is_common(error):
            error.rank = ranks.rank  # type: ignore[attr-defined]
            _print_once(world)
            raise
        if isinstance(error, MemoryError):
            # Messages need memory, and the library ends the process where there is none: the ranks wait in turn.
            time.sleep(min(GRACE * ranks.rank, WAIT))
        if isinstance(error, MemoryError) or is_to_print(ranks):
            traceback.print_exception(error)
            end = f"rank {ranks.rank} of {ranks.size} has failed, which ends all processes"
            print(end, file=sys.stderr, flush=True)
            time.sleep(PASSED_ON)
        world.Abort(1)
        os._exit(1)  # where the library returns before the launcher ends this process


def is_to_print(ranks: Any) -> bool:
    """Return whether this rank, which fails, is to print its error: of ranks that fail alike, one does.

    A rank that is not waits for its end by the one that is; it returns only if that does not come.
    """
    others = [rank for rank in range(ranks.size) if rank != ranks.rank]
    sent = [ranks.isend(None, rank, FAILS) for rank in others]
    fails_at = time.monotonic()
    waits = GRACE if ranks.rank else 0.0
    while not _came(ranks, others, PRINTS) and not _came(ranks, others[: ranks.rank], FAILS):
        if time.monotonic() - fails_at >= waits:
            sent += [ranks.isend(None, rank, PRINTS) for rank in others]
            return True
        time.sleep(0.01)
    while time.monotonic() - fails_at < WAIT:
        time.sleep(0.01)
    return not _came(ranks, others, PRINTS)


def _came(ranks: Any, senders: list[int], tag: int) -> bool:
    """Return whether one of the senders has sent that message."""
    return any(ranks.iprobe(source=rank, tag=tag) for rank in senders)


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
