"""What the short run leaves to the long one, and the one test that stands for all that need an absent library."""

import mmap
import os
from collections import Counter, defaultdict
from importlib.util import find_spec
from pathlib import Path
from zlib import crc32

import pytest

# Half of the time of XLA: code that is executed once needs no optimization.
QUICK = (
    "xla_cpu_use_fusion_emitters=false",
    "xla_backend_optimization_level=0",
    "xla_cpu_parallel_codegen_split_count=1",
)


def quick_flags():
    """Return the flags of QUICK that the installed jaxlib knows; an unknown one would end the process."""
    jaxlib = find_spec("jaxlib")
    known = []
    for path in Path(jaxlib.origin).parent.glob("*.so") if jaxlib is not None else ():
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            # The name of a flag is a string between zero bytes; names that are no flags any more stand in messages.
            known += [f"--{flag}" for flag in QUICK if content.find(b"\0%b\0" % flag.partition("=")[0].encode()) >= 0]
    return " ".join(known)


def optimized():
    """Return whether XLA optimizes what it compiles in this process."""
    return QUICK[1] not in os.environ.get("XLA_FLAGS", "")


def covering(rows):
    """Return indices of rows, each a set of values, such that every value occurs: the greedy cover, evenly spread."""
    kept, seen = [], Counter()
    while missing := set().union(*rows) - set(seen):
        best = max(range(len(rows)), key=lambda i: (len(rows[i] & missing), -sum(seen[v] for v in rows[i]), -i))
        kept.append(best)
        seen.update(rows[best])
    return kept or [0]


def value_of(parameter):
    """Return a value that equal parameters share: pytest's indices number the rows of a test."""
    if isinstance(parameter, list | dict):
        return repr(parameter)
    try:
        hash(parameter)
    except TypeError:
        return id(parameter)
    return type(parameter), parameter


def spared(items, compiling):
    """Return the tests that the short run spares, of those with a parameter `compiling`, a library that compiles.

    Kept are rows with every value of every other parameter.

    Of the dtype a test has one value, by its name: every other backend has both.
    """
    groups = defaultdict(list)
    for item in items:
        params = dict(item.callspec.params) if hasattr(item, "callspec") else {}
        named = [name for name, value in params.items() if isinstance(value, str) and value == compiling]
        if named and item.get_closest_marker("long") is None:
            dtype = params.get("dtype")
            row = {(name, value_of(value)) for name, value in params.items() if name not in (*named, "dtype")}
            groups[item.nodeid.partition("[")[0]].append((item, row, dtype == "float64"))
    for name, found in groups.items():
        # The rows of one dtype first: of equal ones the first is kept.
        rows = [(item, row) for item, row, _ in sorted(found, key=lambda one: (one[2] + crc32(name.encode())) % 2)]
        kept = covering([row for _, row in rows])
        yield from (item for i, (item, _) in enumerate(rows) if i not in kept)


def without_absent(items, why_absent):
    """Return the tests to run and those left out: of all that need an absent library one is kept, to be skipped."""
    kept, left_out, waiting = [], [], defaultdict(list)
    for item in items:
        absent = [name for mark in item.iter_markers("needs") for name in mark.args if why_absent(name)]
        (left_out if absent and waiting[absent[0]] else kept).append(item)
        if absent:
            waiting[absent[0]].append(item)
    for name, tests in waiting.items():
        reason = f"{name}: {why_absent(name)}" + (f" ({len(tests)} tests)" if len(tests) > 1 else "")
        tests[0].add_marker(pytest.mark.skip(reason=reason))
    return kept, left_out
