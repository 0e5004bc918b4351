"""Reads small inputs through the schema, in a form that a test can write down: plain values by column."""

from retroprop.tabular.reading import read
from retroprop.tabular.schema import find_schema


def plain(typed, schema):
    """Return the values of every feature and of the target as lists: float, text, bool, ISO date, None if missing."""
    values = {}
    for column in schema.features:
        name = column.name
        if name in typed.numbers:
            values[name] = [None if v != v else v for v in typed.numbers[name].tolist()]
        elif name in typed.dates:
            values[name] = [None if v is None else v.isoformat() for v in typed.dates[name].tolist()]
        else:
            known = (False, True) if column.kind == "boolean" else column.categories
            values[name] = [None if c == -1 else "unknown" if c == -2 else known[c] for c in typed.codes[name]]
    if typed.target is not None:
        values[typed.target.name] = typed.target.labels
    return values


def written(folder, content, name="data.csv"):
    """Write a file; return its path."""
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def learned(source, *, target="-1", reading=None, **wishes):
    """Return the raw table, its schema and the plain values of training data."""
    raw = read(source, **(reading or {}))
    schema = find_schema(raw, target=target, **wishes)
    return raw, schema, plain(schema.typed(raw, want_target=True), schema)
