"""What a run measures, and the three runs that have a name."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from retroprop.bench.ours import PARTS
from retroprop.bench.peers import PEERS
from retroprop.bench.timer import Pace
from retroprop.bench.workloads import DTYPES, GRID, LADDER, OPTIMIZERS, TABLE, Workload, parse


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What to measure.

    Attributes
    ----------
    workloads : tuple of Workload
        The networks.
    optimizers, dtypes : tuple of str
        Each network is timed with each.
    backends : tuple of str or None
        As `rp.get_backend` takes them; None is every device of every library here but array_api_strict.
    peers : tuple of str
        Who else trains the networks, by name. Hand-written NumPy always does.
    parts : tuple of str
        Of "floor", "forward", "gradient", "step".
    fits : bool
        Whether whole trainings are timed too: 784-100-10 on 8,000 rows, from host data.
    epochs : bool
        Whether one epoch of every network is, from host data.
    memory, roofs : bool
        Whether peak memory, and what the devices can do at most, are measured too.
    seconds : float
        For all rounds together; preparing and compiling come on top, and every row has its fewest rounds.
    pace : Pace
        How a row is timed; its budget comes of `seconds`.
    """

    workloads: tuple[Workload, ...]
    optimizers: tuple[str, ...] = ("adam",)
    dtypes: tuple[str, ...] = ("float32",)
    backends: tuple[str, ...] | None = None
    peers: tuple[str, ...] = ()
    parts: tuple[str, ...] = ("floor", "step")
    fits: bool = False
    epochs: bool = False
    memory: bool = False
    roofs: bool = False
    seconds: float = 60.0
    pace: Pace = field(default_factory=Pace)


QUICK = Settings(workloads=(*TABLE[:3], *LADDER[1:4]), seconds=10.0)
"""Small networks alone."""

STANDARD = Settings(workloads=(*TABLE[:5], *LADDER), fits=True, roofs=True, seconds=45.0)
"""About a minute, and what the libraries take to compile."""

FULL = Settings(
    workloads=(*TABLE, *LADDER, *GRID),
    optimizers=("sgd", "adam"),
    dtypes=("float32", "float64"),
    parts=PARTS,
    fits=True,
    epochs=True,
    memory=True,
    roofs=True,
    seconds=900.0,
)
"""Everything."""


def chosen(
    base: Settings,
    *,
    networks: Sequence[str] = (),
    backends: Sequence[str] = (),
    optimizer: str | None = None,
    dtype: str | None = None,
    seconds: float | None = None,
    peers: bool = False,
) -> Settings:
    """Return the settings a user asks for: `base`, but for what is given.

    Parameters
    ----------
    base : Settings
        QUICK, STANDARD or FULL.
    networks, backends : sequence of str
        Names as `workloads.parse` and `rp.get_backend` take them; none are those of `base`.
    optimizer, dtype : str, optional
        One name, or "both".
    seconds : float, optional
        For all rounds together.
    peers : bool
        Whether all others train the networks too.

    Raises
    ------
    ValueError
        Naming what is not accepted, and what is.
    """
    found = replace(base, peers=tuple(peer.name for peer in PEERS) if peers else ())
    if networks:
        # Who names networks wants those, and not the training and the peaks that the standard run adds.
        workloads = tuple(dict.fromkeys(map(parse, networks)))
        found = replace(found, workloads=workloads, fits=base.epochs, roofs=base.memory)
    if backends:
        found = replace(found, backends=tuple(dict.fromkeys(backends)))
    if optimizer is not None:
        found = replace(found, optimizers=_one_or_both("optimizer", optimizer, OPTIMIZERS))
    if dtype is not None:
        found = replace(found, dtypes=_one_or_both("dtype", dtype, DTYPES))
    if seconds is not None:
        if not 0.0 < seconds < float("inf"):
            raise ValueError(f"seconds must be above 0 and finite, not {seconds!r}.")
        found = replace(found, seconds=seconds)
    return found


def _one_or_both(name: str, given: str, known: tuple[str, ...]) -> tuple[str, ...]:
    if given != "both" and given not in known:
        raise ValueError(f"{name} must be {', '.join(known)} or both, not {given!r}.")
    return known if given == "both" else (given,)
