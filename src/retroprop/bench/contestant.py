"""What the timer runs: a call, and how to wait for what it started."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray


def _nothing() -> None:
    """Wait for nothing: the call has done its work when it returns."""


@dataclass(frozen=True, kw_only=True)
class Contestant:
    """One thing to time, prepared on its device.

    Attributes
    ----------
    kind : str
        "floor" (the bare matrix products), "forward", "gradient" (forward and backward), "step", "fit", "peer".
    name : str
        The backend it runs on ("numpy", "torch:cpu"), or the peer.
    call : callable
        What is timed; it may be called any number of times.
    finish : callable
        Ends a timing: waits for the device, and reads what is read once a timing.
    active : callable
        Returns the context calls are made in; it is entered before the clock starts.
    pool : str
        Whose threads it computes with. Threads of one library keep a processor busy for a while after their last work,
        so the timer lets them come to rest before it goes on with another's.
    parameters : callable
        Returns the parameters as they stand: every Θ^(l), shape (n_{l+1}, n_l), then every b^(l), on the host.
    """

    kind: str
    name: str
    call: Callable[[], Any]
    finish: Callable[[], Any] = _nothing
    active: Callable[[], AbstractContextManager[Any]] = nullcontext
    pool: str = "numpy"
    parameters: Callable[[], list[NDArray[Any]]] | None = None

    @property
    def key(self) -> tuple[str, str]:
        """What tells it from the others of a row."""
        return self.kind, self.name


class NotHereError(Exception):
    """A contestant that cannot take part; the message is the reason."""
