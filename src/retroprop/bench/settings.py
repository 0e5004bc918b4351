"""The settings of a run, and the three runs that have a name."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from retroprop.bench.ours import PARTS
from retroprop.bench.peers import PEERS
from retroprop.bench.timer import Pace
from retroprop.bench.workloads import DTYPES, GRID, LADDER, OPTIMIZERS, TABLE, Workload, parse


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The extent of a run.

    Attributes
    ----------
    workloads : tuple of Workload
        The networks.
    optimizers, dtypes : tuple of str
        Each network is timed with each.
    backends : tuple of str or None
        Names for `rp.get_backend`; None is every device of every available library except array_api_strict.
    peers : tuple of str
        Names of other libraries to time; hand-written NumPy is always timed.
    parts : tuple of str
        Any of "floor", "forward", "gradient", "step".
    ranks : tuple of int
        Numbers of ranks of MPI that share steps, in the place of all else: the networks' batches are those of a rank,
        and of the peers PyTorch's DistributedDataParallel takes part.
    fits : bool
        Whether a whole training is timed too: 784-100-10 on 8,000 rows, from host data.
    epochs : bool
        Whether one epoch of every network is timed too, from host data.
    memory, roofs : bool
        Whether peak memory, and the peaks of the devices, are measured too.
    seconds : float
        The time of all rounds together; preparing and compiling come on top, and every row has its fewest rounds.
    pace : Pace
        How long and how often a row is timed; its budget follows from `seconds`.
    """

    workloads: tuple[Workload, ...]
    optimizers: tuple[str, ...] = ("adam",)
    dtypes: tuple[str, ...] = ("float32",)
    backends: tuple[str, ...] | None = None
    peers: tuple[str, ...] = ()
    parts: tuple[str, ...] = ("floor", "step")
    ranks: tuple[int, ...] = ()
    fits: bool = False
    epochs: bool = False
    memory: bool = False
    roofs: bool = False
    seconds: float = 60.0
    pace: Pace = field(default_factory=Pace)


QUICK = Settings(workloads=(*TABLE[:3], *LADDER[1:4]), seconds=10.0)
"""Small networks only."""

STANDARD = Settings(workloads=(*TABLE[:5], *LADDER), fits=True, roofs=True, seconds=45.0)
"""About a minute, plus the compile time of the libraries."""

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


_BY_RANK = [f"{sizes}@{m}" for sizes in ("64-100-10", "784-100-10") for m in (16, 64, 256, 1024, 4096)]
_BY_RANK += [f"784-1024-1024-10@{m}" for m in (16, 64, 256, 1024)]

SHARED = Settings(workloads=tuple(map(parse, _BY_RANK)), seconds=120.0, pace=Pace(rounds=(3, 15)))
"""Three sizes of network, by the rows of a rank; by default with powers of two ranks, up to the cores."""

SHARED_QUICK = replace(SHARED, workloads=tuple(map(parse, (_BY_RANK[1], _BY_RANK[3], _BY_RANK[6]))), seconds=15.0)
"""Small networks only."""


def chosen(
    base: Settings,
    *,
    networks: str | Sequence[str] | None = None,
    backends: str | Sequence[str] | None = None,
    optimizer: str | None = None,
    dtype: str | None = None,
    seconds: float | None = None,
    peers: bool = False,
    ranks: str | None = None,
) -> Settings:
    """Return the settings of `base` with the given ones in their place.

    Parameters
    ----------
    base : Settings
        QUICK, STANDARD or FULL.
    networks, backends : str or sequence of str, optional
        Names for `workloads.parse` and `rp.get_backend`, in a list or joined by commas.
    optimizer, dtype : str, optional
        One name, or "both".
    seconds : float, optional
        The time of all rounds together.
    peers : bool
        Whether all other libraries are timed too.
    ranks : str, optional
        Numbers of ranks, joined by commas.

    Raises
    ------
    ValueError
        Naming the value that is not accepted, and the accepted ones.
    """
    found = replace(base, peers=tuple(peer.name for peer in PEERS) if peers else ())
    if named := _listed(networks):
        # Named networks are timed without the training and the peaks that the standard run adds.
        found = replace(found, workloads=tuple(dict.fromkeys(map(parse, named))), fits=base.epochs, roofs=base.memory)
    if named := _listed(backends):
        found = replace(found, backends=named)
    if optimizer is not None:
        found = replace(found, optimizers=_one_or_both("optimizer", optimizer, OPTIMIZERS))
    if dtype is not None:
        found = replace(found, dtypes=_one_or_both("dtype", dtype, DTYPES))
    if seconds is not None:
        if not 0.0 < seconds < float("inf"):
            raise ValueError(f"seconds must be above 0 and finite, not {seconds!r}.")
        found = replace(found, seconds=seconds)
    return found if ranks is None else replace(found, ranks=_numbers(ranks))


def _numbers(ranks: str) -> tuple[int, ...]:
    found = tuple(dict.fromkeys(int(part) if part.strip().isdecimal() else 0 for part in ranks.split(",")))
    if min(found) < 2:
        raise ValueError(f'ranks must be numbers of processes, each 2 or above, as "2,4", not "{ranks}".')
    return found


def _listed(names: str | Sequence[str] | None) -> tuple[str, ...]:
    each = names.split(",") if isinstance(names, str) else names or ()
    return tuple(dict.fromkeys(filter(None, map(str.strip, each))))


def _one_or_both(name: str, given: str, known: tuple[str, ...]) -> tuple[str, ...]:
    if given != "both" and given not in known:
        raise ValueError(f"{name} must be {', '.join(known)} or both, not {given!r}.")
    return known if given == "both" else (given,)
