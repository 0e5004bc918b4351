"""A load while the file changes, or without memory, is an error of ours or the network, never the process's end."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import retroprop as rp
from retroprop.persistence import ModelFileError, reading, tensor_file

HERE = Path(__file__).parent


def run(script, n, folder):
    command = [sys.executable, str(HERE / script), str(n)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder, timeout=100)
    assert (done.returncode, done.stderr) == (0, "")
    return [int(number) for number in done.stdout.split()[:2]]


@pytest.mark.skipif(os.name == "nt", reason="Windows does not let a file change that is open")
@pytest.mark.parametrize("loads", [200, pytest.param(10_000, marks=pytest.mark.long)])
def test_a_file_that_is_cut_extended_or_replaced_never_ends_the_process(loads, tmp_path):
    done, whole = run("changing_file.py", loads, tmp_path)
    assert done == loads
    assert 0 < whole < loads


@pytest.mark.parametrize("n", [50, pytest.param(400, marks=pytest.mark.long)])
def test_an_allocation_that_fails_is_a_memory_error(n, tmp_path):
    pytest.importorskip("_testcapi", reason="this Python lacks the module that makes allocations fail")
    without, loaded = run("without_memory.py", n, tmp_path)
    assert without + loaded == n
    assert without > n / 2


# One change at a known moment ----------------------------------------------------------------------------------------


@pytest.fixture(name="path")
def _path(tmp_path):
    rp.save(rp.Network([30, 40, 2], seed=0, backend="numpy"), tmp_path / "model.safetensors")
    return tmp_path / "model.safetensors"


def changing(monkeypatch, change, times):
    """Let `change` happen after each of the first `times` reads of a header's length."""
    left = [times]
    plain = tensor_file._exactly

    def exactly(file, n):
        content = plain(file, n)
        if n == 8 and left[0]:
            left[0] -= 1
            change()
        return content

    monkeypatch.setattr(tensor_file, "_exactly", exactly)


CHANGES = {
    "cut": lambda path, content: os.truncate(path, 100),
    "extended": lambda path, content: path.write_bytes(content + b"more"),
    "written anew": lambda path, content: path.write_bytes(content[:-1] + bytes([content[-1] ^ 1])),
    "touched": lambda path, content: os.utime(path, (1, 1)),
}


@pytest.mark.parametrize("what", CHANGES)
def test_a_change_is_found_and_the_file_read_once_more(what, path, monkeypatch):
    content = path.read_bytes()
    opened = reading.os.open

    def whole_again(*args):
        path.write_bytes(content)
        return opened(*args)

    monkeypatch.setattr(reading.os, "open", whole_again)
    changing(monkeypatch, lambda: CHANGES[what](path, content), times=1)
    assert rp.load(path, backend="numpy").layer_sizes == (30, 40, 2)
    stamps = iter(range(100))

    def change():
        CHANGES[what](path, content)
        os.utime(path, (next(stamps), 1))  # a clock may be too coarse for two changes

    changing(monkeypatch, change, times=2)
    with pytest.raises(ModelFileError, match=r"model\.safetensors changed while it was read"):
        rp.load(path, backend="numpy")


def test_a_file_that_is_replaced_is_the_old_one_or_the_new_one(path, monkeypatch):
    new = rp.Network([30, 40, 2], seed=1, backend="numpy")
    old = rp.load(path, backend="numpy")
    changing(monkeypatch, lambda: rp.save(new, path), times=1)
    loaded = rp.load(path, backend="numpy")
    assert loaded.thetas[0].tobytes() == old.thetas[0].tobytes()
    assert rp.load(path, backend="numpy").thetas[0].tobytes() == new.thetas[0].tobytes()
