"""The host: NumPy, where data come from, random numbers are drawn, and results are read."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from math import isfinite
from typing import Any

import numpy

from retroprop.functions.types import Array, RandomGenerator

xp = numpy
"""The host's namespace."""
_MANY = 4096  # elements of an array whose check takes longer than the calls for a shorter one
_REAL = ("bool", "int", "uint", "float", "double", "sparse")  # the first letters of a frame's dtypes of real numbers


def generator(seed: Any) -> RandomGenerator:
    """Return the explicit generator of a seed: None, a whole number >= 0, or a generator, which is used as it is.

    Raises TypeError or ValueError if the seed is none of these.
    """
    if isinstance(seed, numpy.random.Generator):
        return seed
    if seed is not None and (isinstance(seed, bool) or not isinstance(seed, (int, numpy.integer))):
        raise TypeError(f"seed must be None, a whole number or a numpy.random.Generator, not {seed!r}.")
    if seed is not None and seed < 0:
        raise ValueError(f"seed must be 0 or above, not {seed!r}.")
    return numpy.random.default_rng(seed)


def quiet() -> AbstractContextManager[Any]:
    """Return a context in which NumPy does not warn of overflow, of inf − inf or of 1/0."""
    return numpy.errstate(over="ignore", invalid="ignore", divide="ignore")


def is_host(x: Any) -> bool:
    """Return whether `x` is host data, accepted by any backend: a NumPy array or scalar, a list, a number, a frame."""
    if isinstance(x, (numpy.ndarray, numpy.generic, Sequence, int, float)):
        return True
    return is_frame(x)


def is_frame(x: Any) -> bool:
    """Return whether `x` is a frame or a series of pandas or polars."""
    return type(x).__module__.partition(".")[0] in ("pandas", "polars") and hasattr(x, "__array__")


def columns(frame: Any) -> Iterator[tuple[Any, str]]:
    """Yield the name and the dtype, in lower case, of each column of a frame or series."""
    named = hasattr(frame, "columns")
    pairs = zip(frame.columns, frame.dtypes, strict=True) if named else [(getattr(frame, "name", 0), frame.dtype)]
    return ((column, str(dtype).lower()) for column, dtype in pairs)


def has_masked(x: Any) -> bool:
    """Return whether an array, or one in a list of them, has masked entries, which NumPy reads as numbers."""
    arrays = x if isinstance(x, (list, tuple)) else [x]
    return any(isinstance(a, numpy.ma.MaskedArray) and numpy.ma.is_masked(a) for a in arrays)


def is_mapped(x: Any) -> bool:
    """Return whether `x` is a file mapped into memory."""
    return isinstance(x, numpy.memmap)


def as_host(x: Any, name: str) -> Array:
    """Return host input as a NumPy array of a real dtype.

    Raises TypeError if it holds text, objects, dates, complex numbers or masked entries, ValueError if its rows
    differ in length.
    """
    if type(x) is not numpy.ndarray and has_masked(x):
        raise TypeError(f"{name} is a masked array: fill its masked entries, or leave their rows out.")
    if is_frame(x):
        return _numbers(x, name)
    try:
        array = numpy.asarray(x)
    except ValueError as error:
        raise ValueError(f"{name} is no rectangular array: its rows differ in length.") from error
    if array.dtype.kind not in "buif":
        given = f"{array.dtype}" if array.dtype.kind != "O" else f"{type(x).__name__} of objects"
        raise TypeError(f"{name} must hold real numbers; this is {given}.")
    return array


def _numbers(frame: Any, name: str) -> Array:
    """Return a frame of real numbers as an array, in which missing values are NaN."""
    for column, dtype in columns(frame):
        if not dtype.startswith(_REAL) or dtype.startswith("interval"):
            raise TypeError(f"{name} must hold real numbers; its column {column!r} is {dtype}.")
    array = numpy.asarray(frame)
    if array.dtype.kind != "O":
        return array
    # A mixture of dtypes, or one with missing values: pandas has an NA of its own, polars None.
    pandas = hasattr(frame, "isna")
    return frame.to_numpy("float64", na_value=numpy.nan) if pandas else array.astype("float64")


def in_rows(array: Array) -> Array:
    """Return a host array in C order, so that rows can be gathered from it: `take` would first copy all of it."""
    return numpy.asarray(array, order="C")


def all_finite(array: Array) -> bool:
    """Return whether a host array holds neither NaN nor inf."""
    if array.dtype.kind != "f":
        return True
    if array.size >= _MANY and array.dtype.char in "fd" and array.flags.c_contiguous:
        # Σ x² is finite only if every x is, and BLAS computes it without an array of its own.
        flat = array.reshape(-1)
        with quiet():
            if isfinite(numpy.dot(flat, flat)):
                return True
    return bool(numpy.logical_and.reduce(numpy.isfinite(array), axis=None))


def first_not_finite(array: Array) -> tuple[int, ...]:
    """Return the index of the first NaN or inf of a host array that has one."""
    return tuple(int(i) for i in numpy.argwhere(~numpy.isfinite(array))[0])


class Staging:
    """Double-buffered upload of rows to a device: one buffer is filled while the steps use the rows of the other.

    Uploads (turns) are numbered from 0. For each, call `room`, fill it on any thread, then call `moved` on the thread
    of the training; `room` of the next may be called from then on. `asarray` moves a host array to the device; `shape`
    is the largest number of rows of an upload, and the length of a row.
    """

    def __init__(self, asarray: Callable[[Array], Array], shape: tuple[int, int], dtype: Any) -> None:
        self._asarray = asarray
        self._rooms: list[Array] = [numpy.empty(shape, dtype) for _ in range(2)]

    def room(self, turn: int, rows: int) -> Array:
        """Return the host array to fill for an upload, once its former content has been moved."""
        return self._rooms[turn % 2][:rows]

    def moved(self, turn: int, rows: int) -> Array:
        """Return the rows on the device; they are valid until the upload after the next is moved."""
        return self._asarray(self._rooms[turn % 2][:rows])
