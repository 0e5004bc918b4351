"""The processes that share one training, called ranks: the interface of the engine that connects them."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, Protocol, TypeVar, runtime_checkable

from retroprop.backends import Backend
from retroprop.functions.types import Array

E = TypeVar("E", bound=BaseException)


class Ranks(Protocol):
    """The connection of a rank to the others, for the time of a training.

    Attributes
    ----------
    rank, size : int
        The number of this process, from 0, and the number of processes.
    on_host : bool
        Whether `sum` takes a NumPy array, which it overwrites, and not an array of the backend.
    """

    rank: int
    size: int
    on_host: bool

    def sum(self, buffer: Array) -> Array:
        """Return the sum of a 1-D array over all ranks, with the same bits on each."""

    def agree(self, status: Any) -> list[Any]:
        """Return the plain values of all ranks, in the order of the ranks."""


@runtime_checkable
class Separate(Ranks, Protocol):
    """The connection of ranks that train networks of their own, without sums: they tell one another of signals."""

    def tell(self, status: str) -> None:
        """Send a text to all other ranks, without waiting for them; once."""

    def heard(self) -> str:
        """Return a text that another rank has sent since, empty if none has come; without waiting."""

    def meet(self, meanwhile: Callable[[], object]) -> None:
        """Wait for all ranks with the processor left to others, calling `meanwhile`; no text is under way then."""


@runtime_checkable
class Parallel(Protocol):
    """The user's choice of an engine: a value without a connection.

    Attributes
    ----------
    shard : bool
        Whether each rank passes its own rows, not all of them.
    parts : int
        The number of parts of a batch that a deterministic training adds up, whatever the number of ranks.
    """

    shard: bool
    parts: int

    def open(self, backend: Backend, *, deterministic: bool = False) -> AbstractContextManager[Ranks]:
        """Return the connection; an error that leaves its context and is not `common` ends the processes of all."""


def checked(given: Any) -> Parallel | None:
    """Return the engine of a training, None for none; raise TypeError for anything else."""
    if given is None or (isinstance(given, Parallel) and not isinstance(given, type)):
        return given
    raise TypeError(f"parallel must be an engine such as rp.scale.MPI(), or None, not {given!r}.")


def sum_on_host(ranks: Ranks, backend: Backend, numbers: Array) -> Array:
    """Return the sum over all ranks of a 1-D NumPy array, as one; it may be overwritten."""
    return ranks.sum(numbers) if ranks.on_host else backend.to_numpy(ranks.sum(backend.asarray(numbers)))


def common(error: E) -> E:
    """Mark an error as one that every rank raises at the same place, and return it."""
    error.on_all_ranks = True  # type: ignore[attr-defined]
    return error


def is_common(error: BaseException | None) -> bool:
    """Return whether every rank raises that error."""
    return getattr(error, "on_all_ranks", False)
