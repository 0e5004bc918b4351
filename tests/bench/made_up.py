"""Rows with made-up figures."""

from retroprop.bench.results import ResultRow, Timing


def row(sizes, batch, seconds, **more):
    """Return a row with a timing for each ((kind, name): seconds of three rounds)."""
    timings = [Timing(kind=kind, name=name, calls=10, seconds=list(s)) for (kind, name), s in seconds.items()]
    return ResultRow(layer_sizes=sizes, batch=batch, dtype="float32", timings=timings, **{"optimizer": "adam", **more})
