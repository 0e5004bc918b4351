"""Rows with made-up figures."""

from retroprop.bench.results import Row, Timing


def row(sizes, batch, seconds, **more):
    """Return a row with a timing for each ((kind, name): seconds of three rounds)."""
    timings = [Timing(kind=kind, name=name, calls=10, seconds=list(s)) for (kind, name), s in seconds.items()]
    return Row(layer_sizes=sizes, batch=batch, dtype="float32", timings=timings, **{"optimizer": "adam", **more})
