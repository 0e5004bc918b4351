"""A mapped file gives its rows as they are asked for, in the dtype they are trained in, and says what is wrong."""

import tracemalloc

import numpy as np
import pytest
from harness import mapped

from retroprop.backends.intake import mapped_file as module
from retroprop.backends.intake.mapped_file import Mapped

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize(
    ("stored", "read_as"),
    [("uint8", "uint8"), ("bool", "bool"), ("int16", "int16"), (">i2", "float32"), ("int64", "float32"),
     ("float32", "float32"), ("float64", "float32"), ("float16", "float32"), (">f8", "float32")],
)  # fmt: skip
def test_rows_are_those_of_the_array(stored, read_as, order, tmp_path):
    x = (100.0 * RNG.normal(size=(40, 3))).astype(stored)
    rows = Mapped(mapped(tmp_path / "x", x, order), name="x", dtype="float32")
    rows.check()
    assert (rows.shape, rows.ndim, rows.dtype) == ((40, 3), 2, np.dtype(read_as))
    for some in (slice(3, 9), np.array([5, 0, 39, 5])):
        into = np.empty((len(x[some]), 3), read_as)
        rows.read(some, into)
        np.testing.assert_array_equal(into, x[some].astype(read_as))


@pytest.mark.parametrize(
    ("value", "message"),
    [(np.nan, r"x must be finite; x\[33, 1\] is nan"), (np.inf, r"x must be finite; x\[33, 1\] is inf"),
     (1e300, r"x\[33, 1\] is 1e\+300, too large for float32")],
)  # fmt: skip
def test_a_number_that_cannot_be_is_found_in_its_part(value, message, monkeypatch, tmp_path):
    monkeypatch.setattr(module, "PART", 100)
    x = RNG.normal(size=(40, 3))
    x[33, 1] = value
    with pytest.raises(ValueError, match=message):
        Mapped(mapped(tmp_path / "x", x), name="x", dtype="float32").check()


def test_records_and_complex_numbers_are_refused(tmp_path):
    with pytest.raises(TypeError, match="x must hold real numbers; this is complex64"):
        Mapped(mapped(tmp_path / "x", np.zeros((3, 2), "complex64")), name="x", dtype="float32")


def test_looking_through_and_reading_hold_a_part(tmp_path):
    x = np.zeros((2**16, 128))  # 64 MiB
    file = mapped(tmp_path / "x", x)
    rows, into, some = Mapped(file, name="x", dtype="float32"), np.empty((64, 128), "float32"), np.arange(64) * 1000
    tracemalloc.start()
    try:
        rows.check()
        rows.read(some, into)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 2 * module.PART
