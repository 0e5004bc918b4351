"""A save that fails or is killed at any operation leaves the old file or the new one, whole, and nothing else."""

import errno
import os
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from faults import Layer
from faulty_files import Operations, after_power_loss, watched

import retroprop as rp
from retroprop.persistence import leftovers

HERE = Path(__file__).parent
REASONS = ("ENOSPC", "EDQUOT", "EROFS", "EACCES", "EIO")
POSIX = pytest.mark.skipif(not hasattr(os, "fork"), reason="no forks on this system")


def network(seed, width=4):
    return rp.Network([3, width, 1], seed=seed, backend="numpy")


@pytest.fixture(name="path")
def _path(tmp_path):
    folder = tmp_path / "models"
    folder.mkdir()
    rp.save(network(0), folder / "model.safetensors")
    return folder / "model.safetensors"


@pytest.fixture(name="contents")
def _contents(path, tmp_path):
    """The bytes of the old file and those of the new one."""
    rp.save(network(1), tmp_path / "new.safetensors")
    return path.read_bytes(), (tmp_path / "new.safetensors").read_bytes()


@pytest.fixture(name="n")
def _n(tmp_path):
    """The number of operations of a save over an existing file."""
    rp.save(network(0), tmp_path / "count.safetensors")
    with Layer() as layer:
        rp.save(network(1), tmp_path / "count.safetensors")
    assert {"open", "write", "chmod", "fsync", "replace", "close"} <= set(layer.done)
    assert layer.done.count("fsync") == (2 if hasattr(os, "O_DIRECTORY") else 1), "of the file and of its folder"
    return len(layer.done)


@pytest.mark.parametrize("reason", REASONS)
def test_an_error_at_any_operation_names_the_file_and_keeps_it_whole(reason, path, contents, n):
    number = getattr(errno, reason)

    def fail(name):
        raise OSError(number, os.strerror(number))

    for k in range(n):
        path.write_bytes(contents[0])
        with Layer(k, fail) as layer, pytest.raises(OSError, match=os.strerror(number)) as caught:
            rp.save(network(1), path)
        assert (caught.value.errno, caught.value.filename, caught.value.filename2) == (number, str(path), None)
        renamed = "replace" in layer.done[:k]
        assert path.read_bytes() == contents[renamed], layer.done
        assert os.listdir(path.parent) == [path.name], layer.done  # noqa: PTH208


@pytest.mark.parametrize("error", [KeyboardInterrupt, MemoryError, OSError])
def test_an_interruption_at_any_operation_keeps_the_file_whole(error, path, contents, n):
    def interrupt(name):
        raise error  # an OSError without a number too

    for k in range(n):
        path.write_bytes(contents[0])
        with Layer(k, interrupt) as layer, pytest.raises(error):
            rp.save(network(1), path)
        assert path.read_bytes() == contents["replace" in layer.done[:k]], layer.done
        assert os.listdir(path.parent) == [path.name], layer.done  # noqa: PTH208


KILLED = """
import os, sys
sys.path.insert(0, sys.argv[1])
import retroprop as rp
from faults import Layer
path, old, new = "model.safetensors", *(rp.Network([3, 4, 1], seed=s, backend="numpy") for s in (0, 1))
rp.save(new, path); whole = [open(path, "rb").read()]
rp.save(old, path); whole.insert(0, open(path, "rb").read())
found, k = [], 0
while True:
    rp.save(old, path)
    child = os.fork()
    if child == 0:
        with Layer(k, lambda name: os._exit(9)):
            rp.save(new, path)
        os._exit(0)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    content = open(path, "rb").read()
    left = len(os.listdir()) - 1
    found.append((status, whole.index(content), left))
    rp.save(old, path)
    assert os.listdir() == [path], os.listdir()
    k += 1
    if status == 0:
        break
print(found)
"""


@POSIX
def test_a_writer_killed_at_any_operation_leaves_one_file_whole_and_the_next_save_cleans_up(tmp_path):
    """In a process of its own: JAX warns of forks once it was loaded."""
    command = [sys.executable, "-W", "ignore", "-c", KILLED, str(HERE)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    found = eval(done.stdout)
    assert [status for status, _, _ in found] == [9] * (len(found) - 1) + [0]
    assert len(found) > 6
    kept = [which for _, which, _ in found]
    assert kept == sorted(kept), "the old file, and from the rename on the new one"
    assert {0, 1} == set(kept)
    assert max(left for _, _, left in found) == 1, "a killed writer leaves a temporary file"


@POSIX
@pytest.mark.parametrize("names_survive", [False, True])
def test_a_loss_of_power_after_any_operation_leaves_the_old_file_or_the_new_one(names_survive, path, contents):
    with watched(Operations(path.parent)) as operations:
        rp.save(network(0), path)
        saved = len(operations.log)
        rp.save(network(1), path)
    found = [
        after_power_loss(operations.log[:n], path.parent, names_survive=names_survive)[path.name]
        for n in range(saved, len(operations.log) + 1)
    ]
    assert [contents.index(content) for content in found] == sorted(map(contents.index, found))
    assert {*found} == {*contents}


# Real systems --------------------------------------------------------------------------------------------------------


def test_a_small_file_system_that_is_full(tmp_path):
    if not hasattr(os, "geteuid") or os.geteuid() != 0 or shutil.which("mount") is None:
        pytest.skip("only root may mount a small file system")
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(tmp_path)]
    mounted = subprocess.run(mount, capture_output=True, text=True, check=False)
    if mounted.returncode != 0:
        pytest.skip(f"no file system may be mounted here: {mounted.stderr.strip()}")
    try:
        path = tmp_path / "model.safetensors"
        rp.save(network(0), path)
        with pytest.raises(OSError, match=r"No space left on device: .*model\.safetensors") as caught:
            rp.save(network(1, 20_000), path)
        assert caught.value.errno == errno.ENOSPC
        assert os.listdir(tmp_path) == [path.name]  # noqa: PTH208
        assert rp.load(path, backend="numpy").layer_sizes == (3, 4, 1)
        rp.save(network(2), path)
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)


# Leftovers -----------------------------------------------------------------------------------------------------------


def left(path, name, *, days=0.0):
    """Make a file of this name beside `path`, last changed so many days ago."""
    made = path.with_name(name)
    made.write_bytes(b"half a mod")
    changed = time.time() - days * 86400.0
    os.utime(made, (changed, changed))
    return made


HERE_NAME = f".retroprop-{leftovers._machine()}-" + "0" * 16
ELSEWHERE = f".retroprop-{int(leftovers._machine(), 16) ^ 1:08x}-" + "0" * 16


@POSIX
@pytest.mark.parametrize("days", [0.0, 2.0])
@pytest.mark.parametrize(
    ("name", "removed"),
    [
        (HERE_NAME, (True, True)),
        (ELSEWHERE, (False, True)),
        (".model.safetensors." + "a" * 16, (False, True)),
        (".other.safetensors." + "a" * 16, (False, False)),
        (".retroprop-notes", (False, False)),
        ("retroprop-" + "0" * 16, (False, False)),
        (HERE_NAME + ".txt", (False, False)),
    ],
)
def test_only_leftovers_are_removed(name, removed, days, path):
    made = left(path, name, days=days)
    rp.save(network(1), path)
    assert made.exists() is not removed[days > 1.0]


@POSIX
def test_a_link_a_folder_and_a_fifo_of_that_name_stay(path, tmp_path):
    target = tmp_path / "precious"
    target.write_text("mine")
    path.with_name(HERE_NAME).symlink_to(target)
    path.with_name(HERE_NAME[:-1] + "1").mkdir()
    os.mkfifo(path.with_name(HERE_NAME[:-1] + "2"))
    rp.save(network(1), path)
    assert target.read_text() == "mine"
    assert len(os.listdir(path.parent)) == 4  # noqa: PTH208


@POSIX
def test_the_file_of_a_writer_at_work_stays(path):
    beside, descriptor = leftovers.create(path.parent)
    os.utime(beside, (0, 0))  # as old as can be
    rp.save(network(1), path)
    assert beside.exists()
    os.close(descriptor)
    rp.save(network(1), path)
    assert not beside.exists()


@pytest.mark.parametrize("saves", [20, pytest.param(1000, marks=pytest.mark.long)])
def test_writers_at_once_do_not_disturb_each_other(saves, path):
    wrong = []

    def write(k):
        try:
            for _ in range(saves):
                rp.save(network(k), path if k % 2 else path.with_name(f"{k}.safetensors"))
        except Exception as error:  # noqa: BLE001 RUF100
            wrong.append(error)

    threads = [threading.Thread(target=write, args=(k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert sorted(os.listdir(path.parent)) == ["0.safetensors", "2.safetensors", path.name]  # noqa: PTH208
    rp.load(path, backend="numpy")
