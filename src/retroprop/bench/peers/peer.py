"""The table of peers: names, requirements and devices."""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec

from retroprop.backends import BackendInfo
from retroprop.bench.contestant import Contestant, UnavailableContestantError
from retroprop.bench.workloads import Problem

Prepare = Callable[..., Contestant]


@dataclass(frozen=True)
class Peer:
    """Another library that trains the same networks.

    Attributes
    ----------
    name : str
        Its name in reports.
    module : str
        Its file in this folder, which has `prepare(problem, device)`.
    needs : tuple of str
        The modules it imports.
    install : str
        The arguments of `pip install` for it.
    library : str
        The array library whose devices it can run on; empty for the CPU alone.
    dtypes : tuple of str
        The dtypes it can compute in.
    fits : bool
        Whether only a whole training can be compared, not a step.
    """

    name: str
    module: str
    needs: tuple[str, ...] = ()
    install: str = ""
    library: str = ""
    dtypes: tuple[str, ...] = ("float32", "float64")
    fits: bool = False

    def missing(self) -> str | None:
        """Return the reason why it cannot take part, None if it can; nothing is imported."""
        absent = [module for module in self.needs if find_spec(module) is None]
        return f"needs {', '.join(absent)}: pip install {self.install}" if absent else None

    def called(self, device: str) -> str:
        """Return its name on a device; the CPU is omitted."""
        return self.name if device.startswith("cpu") else f"{self.name}, {device}"

    def devices(self, libraries: list[BackendInfo]) -> tuple[str, ...]:
        """Return the devices it can run on, named as in its library; "cpu" is the host."""
        found = [info.devices for info in libraries if info.name == self.library and info.available]
        return found[0] if found else ("cpu",)


HAND_WRITTEN = Peer("hand-written NumPy", "hand_written")

PEERS = (
    Peer("torch eager", "torch_eager", ("torch",), "'retroprop[torch]'", "torch"),
    Peer("torch.compile", "torch_compiled", ("torch",), "'retroprop[torch]'", "torch"),
    Peer("JAX + optax", "jax_optax", ("jax", "optax"), "jax optax", "jax"),
    Peer("Thinc", "thinc_layers", ("thinc",), "thinc", dtypes=("float32",)),
    Peer("scikit-learn", "sklearn_mlp", ("sklearn",), "scikit-learn", fits=True),
)


def prepare(peer: Peer, problem: Problem, device: str = "cpu", **settings: int) -> Contestant:
    """Return a peer that is ready to be timed; `epochs` is a setting of those with `fits`.

    Raises
    ------
    UnavailableContestantError
        If it is not installed or does not support the dtype.
    """
    reason = peer.missing()
    if reason is not None:
        raise UnavailableContestantError(reason)
    if problem.dtype not in peer.dtypes:
        raise UnavailableContestantError(f"computes in {', '.join(peer.dtypes)} only")
    make: Prepare = import_module(f"retroprop.bench.peers.{peer.module}").prepare
    return make(problem, device, **settings)
