"""Files in the user's cache folder, shared by all programs: each is whole or absent, and together they are small.

A cache never fails: where it cannot be read or written, it is empty.
"""

import os
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import suppress
from hashlib import sha256
from pathlib import Path

LIMIT = 16 << 20  # bytes of all files of a cache


class UserCache:
    """A folder of binary contents, each under a key.

    A file begins with the hash of its key and of the rest, so that a file that was cut, changed or renamed is found
    out before its content is used, and is removed. A new file replaces an old one as a whole, whoever reads it then.

    Parameters
    ----------
    name : str
        The name of its folder in `retroprop` below $XDG_CACHE_HOME, or below `~/.cache`.
    limit : int
        The bytes beyond which the files are removed whose last use is the longest ago.
    """

    def __init__(self, name: str, limit: int = LIMIT) -> None:
        self._name, self.limit = name, limit

    @property
    def folder(self) -> Path | None:
        """The folder, which may not exist yet; None where the user has no home."""
        given = Path(os.environ.get("XDG_CACHE_HOME", ""))
        # As the XDG specification says, a relative path does not count: it would be another folder for each program.
        with suppress(RuntimeError):
            return (given if given.is_absolute() else Path.home() / ".cache") / "retroprop" / self._name
        return None

    def read(self, key: str) -> bytes | None:
        """Return the content under a key; None without one."""
        path = self._path(key)
        try:
            if path is None or not _is_private(path.parent):
                return None
            written = path.read_bytes()
        except OSError:
            return None
        digest, body = written[:32], written[32:]
        if digest != _digest(key, body):
            self.remove(key)
            return None
        with suppress(OSError):  # the time of its last use
            os.utime(path)
        return zlib.decompress(body)

    def write(self, key: str, content: bytes) -> None:
        """Keep a content under a key, where the folder can be written."""
        path, body = self._path(key), zlib.compress(content)
        if path is None:
            return
        with suppress(OSError):
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            if _is_private(path.parent):
                _replace(path, _digest(key, body) + body)
                self._evict()

    def remove(self, key: str) -> None:
        """Remove the content under a key."""
        path = self._path(key)
        if path is not None:
            with suppress(OSError):
                path.unlink()

    def clear(self) -> None:
        """Remove all files."""
        for path, _ in self._files():
            with suppress(OSError):
                path.unlink()

    def size(self) -> tuple[int, int]:
        """Return the number of files and their bytes."""
        sizes = [found.st_size for _, found in self._files()]
        return len(sizes), sum(sizes)

    def __str__(self) -> str:
        n_files, nbytes = self.size()
        return f"{self.folder}: {nbytes / 1e6:.1f} MB of at most {self.limit / 1e6:.0f}, files: {n_files}"

    def _path(self, key: str) -> Path | None:
        return None if self.folder is None else self.folder / sha256(key.encode()).hexdigest()

    def _files(self) -> Iterator[tuple[Path, os.stat_result]]:
        for folder, _, names in os.walk(self.folder or os.devnull):  # an earlier version had folders in it
            for path in (Path(folder, name) for name in names):
                with suppress(OSError):  # another program may have removed it
                    yield path, path.stat()

    def _evict(self) -> None:
        files = sorted(self._files(), key=lambda file: file[1].st_mtime)
        total = sum(found.st_size for _, found in files)
        for path, found in files:
            if total <= self.limit:
                return
            with suppress(OSError):
                path.unlink()
                total -= found.st_size


def _digest(key: str, body: bytes) -> bytes:
    return sha256(key.encode() + body).digest()


def _is_private(folder: Path) -> bool:
    """Return whether nobody else may write to a folder: its files are trusted."""
    found = folder.stat()
    return not hasattr(os, "getuid") or (found.st_uid == os.getuid() and not found.st_mode & 0o022)


def _replace(path: Path, content: bytes) -> None:
    """Write a file so that whoever reads it meanwhile sees all of the old one, or all of the new one."""
    descriptor, written = tempfile.mkstemp(dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
        Path(written).replace(path)
    except OSError:
        Path(written).unlink(missing_ok=True)
        raise
