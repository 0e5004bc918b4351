"""The file operations of this process, counted, recorded, and made to fail or to end it at any one of them."""

import builtins
import io
import os
from contextlib import contextmanager
from pathlib import Path


class Operations:
    """Every operation that changes a file in a folder; `before(number, name)` may raise or end the process."""

    def __init__(self, folder, before=lambda number, name: None):
        self.folder, self.before = Path(folder), before
        self.log, self.paths = [], {}

    def did(self, name, path, *more):
        """Record an operation that is about to be done."""
        self.before(len(self.log), name)
        self.log.append((name, os.fspath(path), *more))

    def here(self, path):
        return isinstance(path, (str, os.PathLike)) and Path(path).is_relative_to(self.folder)


class Written:
    """A file whose writes are operations: half of each has been written when the process ends at it."""

    def __init__(self, file, path, operations):
        self.file, self.path, self.operations = file, path, operations

    def write(self, content):
        half = len(content) // 2
        self.file.write(content[:half])
        self.file.flush()
        self.operations.did("write", self.path, content if isinstance(content, bytes) else content.encode())
        return half + self.file.write(content[half:])

    def __getattr__(self, name):
        return getattr(self.file, name)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.file.close()


@contextmanager
def watched(operations):
    """Put the operations in the place of the system's."""
    names = ("open", "fdopen", "write", "fsync", "replace", "rename", "unlink", "remove", "mkdir", "close")
    own = {name: getattr(os, name) for name in names} | {"io": io.open}

    def open_(path, flags=os.O_RDONLY, *rest, **options):
        if operations.here(path) and (flags & (os.O_WRONLY | os.O_RDWR)):
            operations.did("create", path)
        number = own["open"](path, flags, *rest, **options)
        if operations.here(path):
            operations.paths[number] = path
        return number

    def fdopen(number, *rest, **options):
        file, path = own["fdopen"](number, *rest, **options), operations.paths.get(number)
        return file if path is None or "w" not in rest[0] else Written(file, path, operations)

    def write(number, content):
        if number not in operations.paths:
            return own["write"](number, content)
        # Half of it, as the system may: a writer has to write the rest.
        part = bytes(content[: (len(content) + 1) // 2])
        own["write"](number, part[: len(part) // 2])
        operations.did("write", operations.paths[number], part)
        return len(part) // 2 + own["write"](number, part[len(part) // 2 :])

    def io_open(path, mode="r", *rest, **options):
        if operations.here(path) and set(mode) & set("wax+"):
            operations.did("create", path)
            return Written(own["io"](path, mode, *rest, **options), path, operations)
        return own["io"](path, mode, *rest, **options)

    def close(number):
        operations.paths.pop(number, None)
        own["close"](number)

    def fsync(number):
        if number in operations.paths:
            operations.did("fsync", operations.paths[number])
        own["fsync"](number)

    def named(name):
        def call(path, *rest, **options):
            if operations.here(path):
                operations.did(name, path, *map(os.fspath, rest[:1] if name in ("replace", "rename") else ()))
            return own[name](path, *rest, **options)

        return call

    replaced = {"open": open_, "fdopen": fdopen, "write": write, "fsync": fsync, "close": close}
    replaced |= {name: named(name) for name in ("replace", "rename", "unlink", "remove", "mkdir")}
    for name, function in replaced.items():
        setattr(os, name, function)
    io.open = builtins.open = io_open
    try:
        yield operations
    finally:
        for name in replaced:
            setattr(os, name, own[name])
        io.open = builtins.open = own["io"]


def after_power_loss(log, folder, *, names_survive):
    """Return the files of a folder, by name, after the power has failed: of each the last content that was fsynced.

    Names that were made, changed or removed since the last fsync of the folder are lost, or they all `survive` while
    the contents do not: a file system may do either.
    """
    volatile, synced, names, durable = {}, {}, {}, {}
    inodes = 0
    for name, path, *more in log:
        if name == "create":
            if path not in names:
                inodes += 1
                names[path], volatile[inodes], synced[inodes] = inodes, b"", b""
        elif name == "write":
            volatile[names[path]] += more[0]
        elif name == "fsync" and Path(path) == Path(folder):
            durable = dict(names)
        elif name == "fsync":
            synced[names[path]] = volatile[names[path]]
        elif name in ("replace", "rename"):
            names[more[0]] = names.pop(path)
        elif name in ("unlink", "remove"):
            names.pop(path, None)
    return {Path(path).name: synced[inode] for path, inode in (names if names_survive else durable).items()}
