"""The bytes of a source: a file, perhaps compressed with gzip, or standard input."""

import sys
import zlib
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

from retroprop.tabular.errors import DataError, listed, near_match
from retroprop.tabular.limits import check_size, default_limit, readable

BUILT_IN = ("digits", "iris", "wine", "breast_cancer", "diabetes")
SUFFIXES = (".csv", ".tsv", ".txt", ".data", ".csv.gz", ".parquet", ".npz", ".npy")
_STEP = 2**24  # bytes
# The first bytes of files that are no text, and the remedy.
_MAGIC = {
    b"\x93NUMPY": "npy",
    b"PAR1": "parquet",
    b"\x1f\x8b": "gzip",
    b"PK\x03\x04": "zip",
    b"PK\x05\x06": "zip",
    b"\xd0\xcf\x11\xe0": "an old Excel or Office file; save the table as .csv",
    b"SQLite format 3": "an SQLite database; export the table as .csv",
    b"\x89HDF": "an HDF5 file; export the table as .csv or .parquet",
    b"ARROW1": "an Arrow file; export the table as .parquet",
    b"BZh": "compressed with bzip2; unpack it first",
    b"\xfd7zXZ": "compressed with xz; unpack it first",
    b"(\xb5/\xfd": "compressed with zstd; unpack it first",
    b"%PDF": "a PDF document",
    b"\x89PNG": "a picture",
    b"\xff\xd8\xff": "a picture",
    b"\x7fELF": "a program",
}


@dataclass(frozen=True, kw_only=True)
class SourceFile:
    """The bytes of a source.

    Attributes
    ----------
    source : str
        The name as the user typed it; "standard input" for "-".
    format : str
        "text", "parquet", "npy" or "npz".
    path : Path or None
        The file, where it is one that can be read in parts.
    data : bytes
        Everything, unpacked where it was compressed with gzip; empty where there is a path.
    """

    source: str
    format: str
    path: Path | None = None
    data: bytes = b""

    def open(self) -> BinaryIO:
        """Return a file object at the first byte."""
        return BytesIO(self.data) if self.path is None else self.path.open("rb")

    @property
    def size(self) -> int:
        """The number of bytes."""
        return len(self.data) if self.path is None else self.path.stat().st_size


def open_source(source: str, max_bytes: int | None) -> SourceFile:
    """Read the bytes of a text file or, for "-", of standard input; find the format of another file.

    Raises
    ------
    DataError
        If there is no such file, if it holds no table, or if it is larger than `max_bytes`.
    """
    limit = default_limit() if max_bytes is None else max_bytes
    if source == "-":
        source, data = "standard input", _read(sys.stdin.buffer, limit + 1)
    else:
        path = Path(source)
        _check_path(path, source)
        try:
            step = _STEP
            if path.is_file():
                with path.open("rb") as file:
                    kind = _kind(file.read(400))
                if kind not in ("text", "gzip"):  # read in parts, what is asked for
                    return SourceFile(source=source, format=_format(source, source.lower(), kind), path=path)
                check_size(source, path.stat().st_size, limit, "the file")
                step = path.stat().st_size + 1
            with path.open("rb") as file:  # a FIFO or device has no size
                data = _read(file, limit + 1, step)
        except OSError as error:
            raise DataError(f'"{source}": cannot be read ({error.strerror or error}).') from error
    check_size(source, len(data), limit, "the data")
    name, kind = source.lower(), _kind(data)
    if kind == "gzip":
        data = _unpacked(source, data, limit)
        kind, name = _kind(data), name.removesuffix(".gz")
    return SourceFile(source=source, format=_format(source, name, kind), data=data)


def _read(file: BinaryIO, limit: int, step: int = _STEP) -> bytes:
    """Return at most `limit` bytes, read in steps: a buffer of the limit would be most of the memory."""
    parts = []
    while limit and (part := file.read(min(limit, step))):
        parts.append(part)
        limit -= len(part)
    return b"".join(parts)


def _check_path(path: Path, source: str) -> None:
    accepted = f'A table is {listed(BUILT_IN)}, a file ({listed(SUFFIXES)}), or "-" for standard input.'
    try:
        is_folder, is_there = path.is_dir(), path.exists()
    except (OSError, ValueError) as error:  # a name that is too long, or holds a NUL
        raise DataError(f'no file "{source[:60]}…": {getattr(error, "strerror", None) or error}.') from error
    if is_folder and any((path / name).exists() for name in ("zarr.json", ".zarray", ".zgroup")):
        raise DataError(
            f'"{source}" is a zarr array or group, numbers without a table\'s columns: train on it in Python, '
            f'rp.fit(net, rp.scale.Zarr("{source}/x"), rp.scale.Zarr("{source}/y"), batch_size=...).'
        )
    if is_folder:
        raise DataError(f'"{source}" is a folder. {accepted}')
    if is_there:
        return
    if not path.suffix:
        raise DataError(f'no data "{source}".{near_match(source, BUILT_IN)} {accepted}')
    here = path.parent
    if not here.is_dir():
        raise DataError(f'no file "{source}": there is no folder "{here}".')
    try:
        near = near_match(path.name, (other.name for other in here.iterdir()))
    except OSError:  # the folder cannot be listed
        near = ""
    raise DataError(f'no file "{source}".{near}')


def _kind(data: bytes) -> str:
    kind = next((kind for magic, kind in _MAGIC.items() if data.startswith(magic)), "text")
    return "npz" if kind == "zip" and b".npy" in data[:400] else kind


def _format(source: str, name: str, kind: str) -> str:
    """Return the format by the first bytes, checked against the suffix."""
    kind = "npz" if kind == "zip" and name.endswith(".npz") else kind
    for format, suffixes in {"npy": (".npy",), "npz": (".npz",), "parquet": (".parquet", ".pq")}.items():
        if name.endswith(suffixes) and kind != format:
            called = "not a file that NumPy wrote" if format != "parquet" else "not a readable .parquet file"
            raise DataError(f'"{source}": {called}.')
    if kind in ("npy", "npz", "parquet", "text"):
        return kind
    words = {"gzip": "compressed twice", "zip": "a zip archive or Excel workbook; save the table as .csv"}
    raise DataError(f'"{source}": {words.get(kind, kind)}.')


def _unpacked(source: str, data: bytes, limit: int) -> bytes:
    """Return the content of a gzip file, of one or several members, unpacked up to the limit."""
    content = bytearray()
    try:
        while data:
            unpacker = zlib.decompressobj(wbits=31)
            content += unpacker.decompress(data, limit + 1 - len(content))
            if len(content) > limit:
                raise DataError(
                    f"{source}: unpacks to more than {readable(limit)}, the limit; raise it with max_memory=... "
                    f"(in GiB)."
                )
            if not unpacker.eof:
                raise DataError(f'"{source}": the gzip file is truncated.')
            data = unpacker.unused_data.lstrip(b"\0")
    except zlib.error as error:
        raise DataError(f'"{source}": the gzip file is damaged ({error}).') from error
    return bytes(content)
