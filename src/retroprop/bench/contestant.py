"""A contestant of the timer: a call, and a wait for the work it started."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from retroprop.backends import Backend


def _nothing() -> None:
    """Wait for nothing: the call has done its work when it returns."""


@dataclass(frozen=True, kw_only=True)
class Contestant:
    """A call to time, prepared on its device.

    Attributes
    ----------
    kind : str
        "floor" (the bare matrix products), "forward", "gradient" (forward and backward), "step", "fit", "peer".
    name : str
        The backend it runs on ("numpy", "torch:cpu"), or the peer.
    call : callable
        The timed call; it may be made any number of times.
    finish : callable
        Ends a timing: waits for the device, and reads the results that are read once a timing.
    active : callable
        Returns the context calls are made in; it is entered before the clock starts.
    pool : str
        The library whose threads compute. They keep a processor busy for a while after their last work, so the timer
        waits until they rest before another library's turn.
    parameters : callable
        Returns the current parameters: every Θ^(l), shape (n_{l+1}, n_l), then every b^(l), on the host.
    """

    kind: str
    name: str
    call: Callable[[], Any]
    finish: Callable[[], Any] = _nothing
    active: Callable[[], AbstractContextManager[Any]] = nullcontext
    pool: str = "numpy"
    parameters: Callable[[], list[NDArray[Any]]] | None = None


def on_backend(backend: Backend, kind: str, call: Callable[[], Any], **more: Any) -> Contestant:
    """Return a contestant that computes on a backend, under its name; `more` are further or other attributes."""
    given = {"name": str(backend), "finish": backend.synchronize, **more}
    return Contestant(kind=kind, call=call, active=backend.active, pool=backend.name, **given)


class UnavailableContestantError(Exception):
    """A contestant that cannot take part; the message is the reason."""
