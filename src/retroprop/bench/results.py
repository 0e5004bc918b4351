"""The results of a run: dataclasses to JSON and back. They hold every round; all else is computed from the rounds."""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from retroprop.bench.workloads import Workload

SCHEMA = 1
"""The version of the JSON schema; a reader refuses another."""


class ResultsError(ValueError):
    """Raised for a file that holds no results, or results of another schema version."""


@dataclass(frozen=True, kw_only=True)
class Timing:
    """Seconds of one contestant in one row.

    Attributes
    ----------
    kind, name : str
        Those of `Contestant`.
    calls : int
        Calls per timing.
    seconds : list of float
        Seconds per call, one for each round; the rounds with the same index in a row were timed together.
    """

    kind: str
    name: str
    calls: int
    seconds: list[float]

    @property
    def median(self) -> float:
        """The median over the rounds."""
        return median(self.seconds)


@dataclass(frozen=True, kw_only=True)
class Skipped:
    """A contestant that did not take part in a row, with the reason."""

    kind: str
    name: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class PeakMemory:
    """The memory of a training step on a backend, in bytes.

    Attributes
    ----------
    backend : str
        The backend.
    peak : int or None
        The most held at once by a network in training, without the batch.
    transient : int or None
        The share of it that is allocated and freed within a step.
    reason : str or None
        The reason where there is no figure.
    """

    backend: str
    peak: int | None = None
    transient: int | None = None
    reason: str | None = None


@dataclass(frozen=True, kw_only=True)
class ResultRow:
    """The results of one network, optimizer and dtype.

    Attributes
    ----------
    layer_sizes : list of int
        n_1, ..., n_L.
    batch : int
        Observations per step; where ranks share it, of each of them.
    optimizer, dtype : str
        "sgd" or "adam"; "float32" or "float64".
    data_rows, epochs : int or None
        Of a whole training; None in a row of single steps.
    ranks : int or None
        The number of ranks of an MPI job that share a step, in a row of such.
    timings, skipped, memory : list
        The results.
    """

    layer_sizes: list[int]
    batch: int
    optimizer: str
    dtype: str
    data_rows: int | None = None
    epochs: int | None = None
    ranks: int | None = None
    timings: list[Timing] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)
    memory: list[PeakMemory] = field(default_factory=list)

    @property
    def workload(self) -> Workload:
        """The network and its batch."""
        return Workload(tuple(self.layer_sizes), self.batch)

    def timing(self, kind: str, name: str) -> Timing | None:
        """Return the timing of a contestant, None if it has none."""
        found = [timing for timing in self.timings if (timing.kind, timing.name) == (kind, name)]
        return found[0] if found else None

    def names(self, kind: str) -> list[str]:
        """Return the names of the contestants of a kind that were timed, in order."""
        return [timing.name for timing in self.timings if timing.kind == kind]


@dataclass(frozen=True, kw_only=True)
class Roof:
    """The measured peaks of a backend.

    Attributes
    ----------
    backend, dtype : str
        The backend, and the dtype of its arrays.
    flops : float
        Floating-point operations per second in one large matrix product.
    bandwidth : float
        Bytes per second in the sum of two arrays larger than the caches: both read, the sum written.
    """

    backend: str
    dtype: str
    flops: float
    bandwidth: float


@dataclass(frozen=True, kw_only=True)
class Connection:
    """A connection of ranks: seconds of a message, bytes per second, and their number where it was measured."""

    name: str
    latency: float
    bandwidth: float
    ranks: int | None = None


@dataclass(frozen=True, kw_only=True)
class Results:
    """The results of a run.

    Attributes
    ----------
    machine : dict
        The facts of `machine.describe`.
    rows : list of ResultRow
        Single steps, whole trainings, and steps that ranks share.
    roofs : list of Roof
        The peaks of the devices, where they were measured.
    connections : list of Connection
        Those of the ranks that shared steps.
    absent : dict
        For each backend or peer that is not available on this machine, the reason.
    interrupted : bool
        Whether the run was ended before everything was measured.
    """

    machine: dict[str, Any]
    rows: list[ResultRow] = field(default_factory=list)
    roofs: list[Roof] = field(default_factory=list)
    connections: list[Connection] = field(default_factory=list)
    absent: dict[str, str] = field(default_factory=dict)
    interrupted: bool = False

    @property
    def steps(self) -> list[ResultRow]:
        """The rows of single steps."""
        return [row for row in self.rows if row.data_rows is None and row.ranks is None]

    @property
    def fits(self) -> list[ResultRow]:
        """The rows of whole trainings."""
        return [row for row in self.rows if row.data_rows is not None]

    @property
    def shared(self) -> list[ResultRow]:
        """The rows of steps that ranks share."""
        return [row for row in self.rows if row.ranks is not None]


def to_json(results: Results) -> str:
    """Return results as JSON text; seconds have five digits, more than the clock resolves."""
    content = {"schema": SCHEMA, **asdict(results)}
    for row in content["rows"]:
        for timing in row["timings"]:
            timing["seconds"] = [float(f"{seconds:.5g}") for seconds in timing["seconds"]]
    return json.dumps(content, indent=1, ensure_ascii=False) + "\n"


def from_json(text: str, source: str = "the text") -> Results:
    """Return the results in a JSON text.

    Raises
    ------
    ResultsError
        If the text is something else; the message names `source`.
    """
    try:
        content = json.loads(text)
        schema = content.pop("schema")
        if schema != SCHEMA:
            raise ResultsError(f"{source} holds results of schema {schema!r}; this version reads schema {SCHEMA}.")
        rows = [row_of(row) for row in content.pop("rows")]
        roofs = [Roof(**roof) for roof in content.pop("roofs")]
        connections = [Connection(**one) for one in content.pop("connections", [])]
        return Results(rows=rows, roofs=roofs, connections=connections, **content)
    except ResultsError:
        raise
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        reason = f"it has no {error}" if isinstance(error, KeyError) else str(error)
        others = "Those of other programs, such as gpu_check.py, have no report."
        raise ResultsError(f"{source} holds no results of retroprop bench: {reason}. {others}") from error


def row_of(row: dict[str, Any]) -> ResultRow:
    """Return a row as JSON holds it."""
    return ResultRow(
        **{
            **row,
            "timings": [Timing(**timing) for timing in row["timings"]],
            "skipped": [Skipped(**skipped) for skipped in row["skipped"]],
            "memory": [PeakMemory(**memory) for memory in row["memory"]],
        }
    )


def read(path: Path) -> Results:
    """Return the results in a file.

    Raises
    ------
    ResultsError
        If the file holds something else.
    OSError
        If it cannot be read.
    """
    return from_json(path.read_text(encoding="utf-8"), f'"{path}"')
