"""Reading NumPy's .npy (one array) and .npz (several arrays) files. Pickled objects in them are never loaded."""

import zipfile
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from retroprop.tabular.array_tables import names_of_pair, table_of_arrays, table_of_matrix
from retroprop.tabular.errors import DataError
from retroprop.tabular.files import SourceFile
from retroprop.tabular.limits import check_size
from retroprop.tabular.raw import Layout, RawTable


def read_arrays(
    file: SourceFile, *, layout: Layout | None, features: str | None, target: str | None, max_bytes: int | None
) -> RawTable:
    """Read an .npy file (a 2-D array, one of whose columns is the target) or an .npz file (arrays such as X and y).

    The size that the header of an array announces is compared with `max_bytes`, and with the size of the file, before
    anything is unpacked; only the arrays asked for are.

    Raises
    ------
    DataError
        If the file is damaged, too large or holds pickled objects, or its arrays do not fit together.
    """
    try:
        with file.open() as opened:
            if file.format == "npy":
                if features is not None:
                    raise DataError(f"features=... names an array of an .npz file; {file.source} holds one array only.")
                matrix = _array(file.source, opened, file.size, max_bytes, "the array")
                return table_of_matrix(file.source, matrix)
            arrays = _needed(file.source, opened, layout, features, target, max_bytes)
        return table_of_arrays(file.source, arrays, layout=layout, features=features, target=target)
    except DataError:
        raise
    except Exception as error:  # a damaged file ends in errors of zipfile, zlib, ast, tokenize and struct
        fault = str(error).strip().splitlines()[0][:100] if str(error).strip() else type(error).__name__
        raise DataError(f'"{file.source}": not a readable NumPy file ({fault}).') from error


def _needed(
    source: str,
    opened: BinaryIO,
    layout: Layout | None,
    features: str | None,
    target: str | None,
    max_bytes: int | None,
) -> dict[str, NDArray[Any]]:
    """Return the two arrays of an .npz file that are asked for; the others are not read."""
    with zipfile.ZipFile(opened) as archive:
        members = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
        x_name, y_name = names_of_pair(source, members.keys(), layout=layout, features=features, target=target)
        # All sizes first: nothing is unpacked if one is too large.
        for name in filter(None, (x_name, y_name)):
            check_size(source, members[name].file_size, max_bytes, f'array "{name}"')
            with archive.open(members[name]) as member:
                _header(source, member, members[name].file_size, max_bytes, f'array "{name}"')
        arrays = {}
        for name in filter(None, (x_name, y_name)):
            with archive.open(members[name]) as member:
                arrays[name] = _array(source, member, members[name].file_size, max_bytes, f'array "{name}"')
                if member.read(1):  # read to the end: zipfile checks the checksum there
                    raise DataError(f'"{source}": array "{name}" is followed by other bytes.')
        return arrays


def _header(
    source: str, opened: Any, size: int, max_bytes: int | None, called: str
) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Return shape, column-major order and dtype of an array after checking the size that they announce."""
    version = np.lib.format.read_magic(opened)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, fortran, dtype = read(opened)
    if dtype.hasobject:
        raise DataError(f'"{source}": {called} holds pickled objects, which are never loaded.')
    n = 1
    for axis in shape:
        if axis < 0:
            raise DataError(f'"{source}": {called} has the impossible shape {shape}.')
        n *= axis
    # Every value becomes 64 bits, or stays as wide as it is.
    check_size(source, n * max(8, dtype.itemsize), max_bytes, called)
    if opened.tell() + n * dtype.itemsize != size:
        raise DataError(
            f'"{source}": {called} has {size} bytes and announces {opened.tell() + n * dtype.itemsize}: the file is '
            f"damaged."
        )
    return shape, fortran, dtype


def _array(source: str, opened: Any, size: int, max_bytes: int | None, called: str) -> NDArray[Any]:
    shape, fortran, dtype = _header(source, opened, size, max_bytes, called)
    array = np.frombuffer(bytearray(opened.read(size - opened.tell())), dtype=dtype)
    return array.reshape(shape, order="F" if fortran else "C")
