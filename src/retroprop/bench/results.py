"""What a run found, as data: dataclasses to JSON and back. Every round is kept; all else is worked out from them."""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from retroprop.bench.workloads import Workload

SCHEMA = 1
"""The version of the form; a reader refuses another."""


class ResultsError(ValueError):
    """A file that holds no results, or those of another version."""


@dataclass(frozen=True, kw_only=True)
class Timing:
    """Seconds of one contestant in one row.

    Attributes
    ----------
    kind, name : str
        As of `Contestant`.
    calls : int
        Calls of a timing.
    seconds : list of float
        Seconds a call, one for each round; round i of every timing of a row was taken together.
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
    """Who did not take part in a row, and why."""

    kind: str
    name: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class Memory:
    """Bytes a training step takes on a backend.

    Attributes
    ----------
    backend : str
        Where.
    peak : int or None
        The most held at once by a network in training: all but the batch.
    transient : int or None
        How much of it comes and goes within a step.
    reason : str or None
        Where there is no figure, why.
    """

    backend: str
    peak: int | None = None
    transient: int | None = None
    reason: str | None = None


@dataclass(frozen=True, kw_only=True)
class Row:
    """One network, optimizer and dtype.

    Attributes
    ----------
    layer_sizes : list of int
        n_1, ..., n_L.
    batch : int
        Rows of a step.
    optimizer, dtype : str
        "sgd" or "adam"; "float32" or "float64".
    data_rows, epochs : int or None
        Of whole trainings; None where the row is of steps.
    timings, skipped, memory : list
        What was found.
    """

    layer_sizes: list[int]
    batch: int
    optimizer: str
    dtype: str
    data_rows: int | None = None
    epochs: int | None = None
    timings: list[Timing] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)
    memory: list[Memory] = field(default_factory=list)

    @property
    def workload(self) -> Workload:
        """The network and its batch."""
        return Workload(tuple(self.layer_sizes), self.batch)

    def timing(self, kind: str, name: str) -> Timing | None:
        """Return the timing of a contestant, None where it has none."""
        found = [timing for timing in self.timings if (timing.kind, timing.name) == (kind, name)]
        return found[0] if found else None

    def names(self, kind: str) -> list[str]:
        """Return who has a timing of a kind, in order."""
        return [timing.name for timing in self.timings if timing.kind == kind]


@dataclass(frozen=True, kw_only=True)
class Roof:
    """What a backend can do at most, measured.

    Attributes
    ----------
    backend, dtype : str
        Where, and of which numbers.
    flops : float
        Floating-point operations a second of one large matrix product.
    bandwidth : float
        Bytes a second of a sum of two arrays larger than the caches: both read, the sum written.
    """

    backend: str
    dtype: str
    flops: float
    bandwidth: float


@dataclass(frozen=True, kw_only=True)
class Results:
    """A whole run.

    Attributes
    ----------
    machine : dict
        See `machine.describe`.
    rows : list of Row
        Steps, and whole trainings.
    roofs : list of Roof
        What the devices can do at most, where that was measured.
    absent : dict
        The backends and peers that are not on this machine, and why.
    interrupted : bool
        Whether it was ended before all was measured.
    """

    machine: dict[str, Any]
    rows: list[Row] = field(default_factory=list)
    roofs: list[Roof] = field(default_factory=list)
    absent: dict[str, str] = field(default_factory=dict)
    interrupted: bool = False

    @property
    def steps(self) -> list[Row]:
        """The rows of single steps."""
        return [row for row in self.rows if row.data_rows is None]

    @property
    def fits(self) -> list[Row]:
        """The rows of whole trainings."""
        return [row for row in self.rows if row.data_rows is not None]


def to_json(results: Results) -> str:
    """Return results as JSON text; seconds have five digits, which is more than a clock here can tell."""
    content = {"schema": SCHEMA, **asdict(results)}
    for row in content["rows"]:
        for timing in row["timings"]:
            timing["seconds"] = [float(f"{seconds:.5g}") for seconds in timing["seconds"]]
    return json.dumps(content, indent=1, ensure_ascii=False) + "\n"


def from_json(text: str, source: str = "the text") -> Results:
    """Return the results of a JSON text.

    Raises
    ------
    ResultsError
        If it is something else; the message names `source`.
    """
    try:
        content = json.loads(text)
        schema = content.pop("schema")
        if schema != SCHEMA:
            raise ResultsError(f"{source} holds results of form {schema!r}; this version reads form {SCHEMA}.")
        rows = [
            Row(
                **{
                    **row,
                    "timings": [Timing(**timing) for timing in row["timings"]],
                    "skipped": [Skipped(**skipped) for skipped in row["skipped"]],
                    "memory": [Memory(**memory) for memory in row["memory"]],
                }
            )
            for row in content.pop("rows")
        ]
        return Results(rows=rows, roofs=[Roof(**roof) for roof in content.pop("roofs")], **content)
    except ResultsError:
        raise
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ResultsError(f"{source} holds no results of retroprop bench ({error}).") from error


def read(path: Path) -> Results:
    """Return the results in a file.

    Raises
    ------
    ResultsError
        If it holds something else.
    OSError
        If it cannot be read.
    """
    return from_json(path.read_text(encoding="utf-8"), f'"{path}"')
