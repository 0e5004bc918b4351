"""The short run leaves out nothing that occurs nowhere else, and one skipped test stands for an absent library."""

import itertools
import os
from types import SimpleNamespace

import pytest
from selection import covering, spared, without_absent

OPTIMIZERS, DTYPES, BACKENDS = ("sgd", "adam", "lion"), ("float32", "float64"), ("numpy", "jax:cpu", "cupy")


def test_a_cover_has_every_value_and_spreads_the_others():
    rows = [{("optimizer", o), ("dtype", d)} for o in OPTIMIZERS for d in DTYPES]
    kept = [rows[i] for i in covering(rows)]
    assert set().union(*kept) == set().union(*rows)
    assert len(kept) == 3
    assert covering([set(), set()]) == [0]


class Item:
    """As much of a collected test as a selection reads."""

    def __init__(self, name, params, marks=()):
        self.nodeid, self.marks = f"test_made_up.py::{name}[{'-'.join(params.values())}]", [*marks]
        self.callspec = SimpleNamespace(params=params)

    def iter_markers(self, name):
        return (mark for mark in self.marks if mark.name == name)

    def get_closest_marker(self, name):
        return next(self.iter_markers(name), None)

    def add_marker(self, mark):
        self.marks.append(mark.mark)


def collected(name="test_a"):
    rows = itertools.product(OPTIMIZERS, DTYPES, BACKENDS)
    return [Item(name, {"optimizer": o, "dtype": d, "backend": b}, [pytest.mark.needs(b).mark]) for o, d, b in rows]


def test_the_rows_of_other_libraries_are_all_kept():
    items = [*collected(), *collected("test_b")]
    left = list(spared(items, "jax:cpu"))
    assert {item.callspec.params["backend"] for item in left} == {"jax:cpu"}
    for name in ("test_a", "test_b"):
        kept = [item.callspec.params for item in items if item not in left and f"::{name}[" in item.nodeid]
        assert len([row for row in kept if row["backend"] == "numpy"]) == 6
        assert {row["optimizer"] for row in kept if row["backend"] == "jax:cpu"} == set(OPTIMIZERS)
        assert len({row["dtype"] for row in kept if row["backend"] == "jax:cpu"}) == 1


PARAMETRIZED = """
import pytest

@pytest.fixture(params=["float32", "float64"])
def dtype(request):
    return request.param

@pytest.mark.parametrize("options", [{}, {"epochs": 2}], ids=str)
@pytest.mark.parametrize("optimizer", ["sgd", "adam", "lion"])
@pytest.mark.parametrize("backend", ["numpy", "jax:cpu"])
def test_a(backend, optimizer, options, dtype):
    pass
"""


def test_rows_that_pytest_collects_are_spared(tmp_path):
    """What pytest makes of fixtures and of parameters, one within another, is what a selection reads."""

    class Collected:
        def pytest_collection_modifyitems(self, items):
            left.extend(item.callspec.params for item in spared(items, "jax:cpu"))
            found.extend(item.callspec.params for item in items)

    left, found = [], []
    file = tmp_path / "test_parametrized.py"
    file.write_text(PARAMETRIZED)
    options = ["--collect-only", "-q", "-c", os.devnull, f"--rootdir={tmp_path}", "-p", "no:cacheprovider"]
    assert pytest.main([*options, str(file)], plugins=[Collected()]) == 0
    assert len(found) == 24
    assert {row["backend"] for row in left} == {"jax:cpu"}
    kept = [row for row in found if row["backend"] == "jax:cpu" and row not in left]
    assert len(kept) == 3
    assert {row["optimizer"] for row in kept} == set(OPTIMIZERS)
    assert {str(row["options"]) for row in kept} == {"{}", "{'epochs': 2}"}
    assert len({row["dtype"] for row in kept}) == 1


def test_one_test_stands_for_an_absent_library():
    items = collected()
    kept, left_out = without_absent(items, {"cupy": "no driver", "numpy": None, "jax:cpu": None}.get)
    assert len(kept) == 12 + 1
    assert {item.callspec.params["backend"] for item in left_out} == {"cupy"}
    (skipped,) = [item for item in kept if item.get_closest_marker("skip")]
    assert skipped.get_closest_marker("skip").kwargs["reason"] == "cupy: no driver (6 tests)"
    assert without_absent(collected(), lambda name: None)[1] == []
