"""Files are written completely or not at all, through links, with mode and owner kept; special ones straight."""

import errno
import os
import stat
import sys
import threading

import pytest

from retroprop.persistence import files
from retroprop.persistence.files import descriptor_of, is_special, write_whole

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="links, modes and FIFOs of POSIX")


def test_an_existing_file_keeps_its_mode_and_owner(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b"old")
    path.chmod(0o640)
    owner = (1234, 1235) if os.geteuid() == 0 else (os.geteuid(), os.getegid())
    os.chown(path, *owner)
    write_whole(path, b"new")
    now = path.stat()
    assert (path.read_bytes(), stat.S_IMODE(now.st_mode)) == (b"new", 0o640)
    assert (now.st_uid, now.st_gid) == owner
    assert [file.name for file in tmp_path.iterdir()] == ["a"]


def test_links_stay_and_their_targets_are_written(tmp_path):
    (tmp_path / "runs").mkdir()
    (tmp_path / "second").symlink_to("runs/a")
    (tmp_path / "first").symlink_to("second")
    for content in (b"one", b"two"):  # the target does not exist the first time
        write_whole(tmp_path / "first", content)
        assert (tmp_path / "runs" / "a").read_bytes() == content
    assert (tmp_path / "first").is_symlink()
    assert (tmp_path / "second").is_symlink()
    (tmp_path / "lost").symlink_to("nowhere/a")
    with pytest.raises(FileNotFoundError):
        write_whole(tmp_path / "lost", b"x")


def test_a_fifo_is_written_into(tmp_path):
    path = tmp_path / "fifo"
    os.mkfifo(path)
    read = []
    reader = threading.Thread(target=lambda: read.append(path.read_bytes()))
    reader.start()
    write_whole(path, b"through")
    reader.join(timeout=30)
    assert read == [b"through"]
    assert path.is_fifo()
    assert is_special(path)


def test_open_descriptors_are_named_as_the_system_names_them(tmp_path):
    assert [descriptor_of(name) for name in ("/dev/stdout", "/dev/stderr", "/dev/fd/7", "/proc/self/fd/3")] == [
        1,
        2,
        7,
        3,
    ]
    assert descriptor_of(tmp_path / "stdout") is None
    assert not is_special(tmp_path)
    assert not is_special(tmp_path / "nothing")


def test_a_full_disk_names_the_file_and_leaves_the_old_one(tmp_path, monkeypatch):
    path = tmp_path / "a"
    path.write_bytes(b"old")

    def full(descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(OSError, match="No space") as failed:
        write_whole(path, b"new")
    assert failed.value.filename == str(path)
    assert [(file.name, file.read_bytes()) for file in tmp_path.iterdir()] == [("a", b"old")]


def test_the_longest_name_that_the_system_allows(tmp_path):
    path = tmp_path / ("a" * 255)
    write_whole(path, b"x")
    assert path.read_bytes() == b"x"
