"""The user's cache on disk: whole contents or none, private, bounded, and never an error."""

import os
import subprocess
import sys
import tempfile

import pytest

from retroprop.user_cache import UserCache


@pytest.fixture
def cache(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return UserCache("things", limit=10_000)


def test_a_content_is_read_as_it_was_written(cache, tmp_path):
    assert cache.read("a") is None
    assert cache.size() == (0, 0)
    cache.write("a", b"one")
    cache.write("b", b"")
    cache.write("a", b"two" * 1000)
    assert (cache.read("a"), cache.read("b"), cache.read("c")) == (b"two" * 1000, b"", None)
    assert cache.folder == tmp_path / "retroprop" / "things"
    assert cache.size()[0] == 2
    assert cache.folder.stat().st_mode & 0o077 == 0
    cache.remove("a")
    cache.remove("a")
    assert cache.read("a") is None
    cache.clear()
    assert cache.size() == (0, 0)


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: b"",
        lambda content: content[:40],
        lambda content: content[:-1],
        lambda content: content[:50] + bytes([content[50] ^ 1]) + content[51:],
        lambda content: content + b"x",
        lambda content: b"garbage",
    ],
    ids=["empty", "cut", "cut by a byte", "one bit", "longer", "garbled"],
)
def test_a_damaged_file_is_removed(cache, damage):
    cache.write("a", bytes(range(200)))
    (file,) = cache.folder.iterdir()
    file.write_bytes(damage(file.read_bytes()))
    assert cache.read("a") is None
    assert not file.exists()
    cache.write("a", b"new")
    assert cache.read("a") == b"new"


def test_a_file_under_another_key_is_not_taken(cache):
    cache.write("a", b"one")
    (file,) = cache.folder.iterdir()
    cache.write("b", b"two")
    (other,) = set(cache.folder.iterdir()) - {file}
    other.replace(file)
    assert cache.read("a") is None


def test_the_files_used_longest_ago_are_removed(cache):
    contents = {f"key {i}": os.urandom(2000) for i in range(8)}
    for age, (key, content) in enumerate(contents.items()):
        cache.write(key, content)
        newest = max(cache.folder.iterdir(), key=lambda file: file.stat().st_mtime_ns)
        os.utime(newest, (1000 + age, 1000 + age))
        assert cache.read("key 0") == contents["key 0"]  # used at every turn
    assert cache.size()[1] <= 10_000
    kept = [key for key in contents if cache.read(key) is not None]
    assert "key 0" in kept
    assert kept[1:] == list(contents)[-len(kept) + 1 :]


def test_what_an_earlier_version_left_is_removed_first(cache):
    cache.write("a", b"one")
    old = cache.folder / "__pycache__" / "loop.nbc"
    old.parent.mkdir()
    old.write_bytes(bytes(20_000))
    os.utime(old, (1, 1))
    cache.write("b", b"two")
    assert not old.exists()
    assert (cache.read("a"), cache.read("b")) == (b"one", b"two")


def test_a_folder_that_cannot_be_used_is_an_empty_cache(monkeypatch, tmp_path):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    cache = UserCache("things")
    cache.write("a", b"one")
    assert cache.read("a") is None
    assert cache.size() == (0, 0)
    cache.clear()


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="no owners on this system")
def test_a_folder_that_others_may_write_to_is_not_trusted(cache):
    cache.write("a", b"one")
    cache.folder.chmod(0o777)
    assert cache.read("a") is None
    cache.write("b", b"two")
    assert cache.size()[0] == 1
    cache.folder.chmod(0o700)
    assert cache.read("a") == b"one"


def test_a_folder_that_cannot_be_written_is_read(cache, monkeypatch):
    cache.write("a", b"one")

    def refused(**options):
        raise PermissionError

    monkeypatch.setattr(tempfile, "mkstemp", refused)
    cache.write("a", b"two")
    cache.write("b", b"two")
    assert (cache.read("a"), cache.read("b")) == (b"one", None)


def test_a_relative_path_does_not_count(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", "cache")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    UserCache("things").write("a", b"one")
    assert not (tmp_path / "cache").exists()
    assert UserCache("things").folder == tmp_path / "home" / ".cache" / "retroprop" / "things"


def test_programs_that_write_at_once_leave_whole_files(cache, monkeypatch):
    code = (
        "from retroprop.user_cache import UserCache\n"
        "cache = UserCache('things', limit=10_000)\n"
        "for k in range(60): cache.write('shared', bytes([k % 5]) * 100_000); cache.write(str(k), bytes(500))\n"
    )
    writers = [subprocess.Popen([sys.executable, "-c", code]) for _ in range(3)]
    reads = 0
    while any(writer.poll() is None for writer in writers):
        content = cache.read("shared")
        if content is not None:
            assert content == content[:1] * 100_000
            reads += 1
    assert reads
    assert [writer.returncode for writer in writers] == [0, 0, 0]
    assert cache.size()[1] <= 11_000
