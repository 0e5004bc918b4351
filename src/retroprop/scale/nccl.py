"""NCCL: the GPUs of the processes of an MPI job, by CuPy; gradients are summed without leaving the devices."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from platform import node
from typing import Any

from retroprop.backends import Backend
from retroprop.functions.types import Array
from retroprop.scale.mpi import MPI, tree_sum
from retroprop.training.parallel import Ranks, common


@dataclass(frozen=True, kw_only=True)
class NCCL(MPI):
    """The processes of an MPI job share a training, each on a GPU of its own: as `MPI`, with the sums on the devices.

    The network lives on CuPy: with R GPUs in a machine a rank names its own, `backend=f"cupy:{rank % R}"`. The
    parameters are those of `MPI`.
    """

    @contextmanager
    def open(self, backend: Backend, *, deterministic: bool = False) -> Iterator[Ranks]:
        """Return the connection for the time of a training.

        Raises
        ------
        ValueError
            If the network does not live on CuPy, CuPy has no NCCL, or two ranks have one device.
        DataError, RuntimeError
            As `MPI.open`.
        """
        with super().open(backend, deterministic=deterministic) as ranks:
            if ranks.size == 1:
                yield ranks
                return
            connection = DeviceCommunicator(ranks, _library(backend), fixed=deterministic)
            try:
                yield connection
            finally:
                connection.close()


class DeviceCommunicator:
    """The ranks of a training whose arrays are CuPy's: sums are work of the current stream.

    With `fixed` they are those of a tree over the ranks, a power of two, as `Communicator` has it.
    """

    on_host = False

    def __init__(self, ranks: Ranks, cupy: Any, *, fixed: bool) -> None:
        self._ranks, self._cupy, self._nccl, self._fixed = ranks, cupy, cupy.cuda.nccl, fixed
        self.rank, self.size = ranks.rank, ranks.size
        self._types = {"float32": self._nccl.NCCL_FLOAT32, "float64": self._nccl.NCCL_FLOAT64}
        devices = ranks.agree((node(), cupy.cuda.Device().pci_bus_id))
        for rank, one in enumerate(devices):
            if (first := devices.index(one)) < rank:
                raise common(
                    ValueError(
                        f"ranks {first} and {rank} have one GPU, {one[1]} of {one[0]!r}: NCCL needs one each, as in "
                        'backend=f"cupy:{rank}".'
                    )
                )
        key = ranks.agree(self._nccl.get_unique_id() if self.rank == 0 else None)[0]
        self._communicator = self._nccl.NcclCommunicator(self.size, key, self.rank)

    def sum(self, buffer: Array) -> Array:
        """Return the sum of a 1-D array over all ranks, in place."""
        kind, stream = self._types[str(buffer.dtype)], self._cupy.cuda.get_current_stream().ptr
        to, n = buffer.data.ptr, buffer.size
        if not self._fixed:
            self._communicator.allReduce(to, to, n, kind, self._nccl.NCCL_SUM, stream)
            return buffer

        def exchange(other: int, theirs: Array) -> None:
            self._nccl.groupStart()
            self._communicator.send(to, n, kind, other, stream)
            self._communicator.recv(theirs.data.ptr, n, kind, other, stream)
            self._nccl.groupEnd()

        return tree_sum(self, buffer, self._cupy.empty_like(buffer), exchange)

    def agree(self, status: Any) -> list[Any]:
        """Return the plain values of all ranks."""
        return self._ranks.agree(status)

    def close(self) -> None:
        """Free the communicator."""
        self._communicator.destroy()


def _library(backend: Backend) -> Any:
    """Return CuPy, with NCCL; raise ValueError without it, or for a network elsewhere."""
    if not hasattr(getattr(backend.asarray([0.0]), "data", None), "ptr"):
        raise common(
            ValueError(
                f'parallel=rp.scale.NCCL() adds up gradients on GPUs: it needs a network on CuPy, backend="cupy", not '
                f"{backend}. The networks of fit_many are divided by rp.scale.MPI()."
            )
        )
    import cupy

    try:
        from cupy.cuda import nccl  # noqa: F401
    except ImportError as error:
        raise common(ValueError("parallel=rp.scale.NCCL() needs NCCL: pip install nvidia-nccl-cu13.")) from error
    return cupy
