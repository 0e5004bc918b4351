"""What is remembered of measurements: found again, and never believed where it is damaged."""

import json
import subprocess
import sys

import pytest

from retroprop.backends.cpu import user_cache
from retroprop.backends.cuda import tuning

WHAT = ("NVIDIA H200", "13.0.1", (128, 256, 784, (256, 784, 784, True)), "float32", "tf32", "bgradb", (256, 16, 4))


@pytest.fixture(autouse=True)
def cache(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    forget(monkeypatch)
    return tmp_path / "retroprop" / "products"


def forget(monkeypatch):
    monkeypatch.setattr(tuning, "_known", {})


def test_the_next_process_finds_what_was_measured(monkeypatch):
    assert tuning.recalled(WHAT) is None
    tuning.remember(WHAT, "abc")
    assert tuning.recalled(WHAT) == "abc"
    forget(monkeypatch)
    assert tuning.recalled(WHAT) == "abc"
    for k, other in enumerate(("NVIDIA H100", "13.0.2", (128, 256, 785), "float64", "highest", "none", (256, 16, 8))):
        assert tuning.recalled((*WHAT[:k], other, *WHAT[k + 1 :])) is None


@pytest.mark.parametrize("text", [
    "", "{", "[]", "null", "3", '{"of": 1}', '{"algorithm": "abc"}', "\\udcff",
    json.dumps({"of": "other", "algorithm": "a"}), json.dumps({"of": json.dumps(WHAT), "algorithm": 7}),
])  # fmt: skip
def test_a_damaged_file_is_a_measurement_not_made(cache, monkeypatch, text):
    tuning.remember(WHAT, "abc")
    forget(monkeypatch)
    (path,) = cache.iterdir()
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    assert tuning.recalled(WHAT) is None
    tuning.remember(WHAT, "def")
    forget(monkeypatch)
    assert tuning.recalled(WHAT) == "def"


def test_bytes_that_are_no_text_are_a_measurement_not_made(cache, monkeypatch):
    tuning.remember(WHAT, "abc")
    forget(monkeypatch)
    (path,) = cache.iterdir()
    path.write_bytes(b"\xff\xfe\x00")
    assert tuning.recalled(WHAT) is None


def test_processes_that_write_at_once_leave_whole_files(cache, monkeypatch):
    code = (
        "from retroprop.backends.cuda import tuning\n"
        "for k in range(200): tuning.remember(('shared', k % 5), 'x' * 1000)\n"
    )
    writers = [subprocess.Popen([sys.executable, "-c", code]) for _ in range(3)]
    while any(writer.poll() is None for writer in writers):
        forget(monkeypatch)
        assert tuning.recalled(("shared", 0)) in (None, "x" * 1000)
    assert [writer.returncode for writer in writers] == [0, 0, 0]
    assert sorted(path.suffix for path in cache.iterdir()) == [".json"] * 5
    forget(monkeypatch)
    assert tuning.recalled(("shared", 4)) == "x" * 1000


def test_a_cache_that_cannot_be_written_is_no_error(monkeypatch, tmp_path):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    folder = user_cache.folder("products")
    assert folder == user_cache.folder("products")  # one temporary folder for the process
    assert tmp_path not in folder.parents
    tuning.remember(WHAT, "abc")
    assert tuning.recalled(WHAT) == "abc"
    folder.joinpath("gone").mkdir()
    monkeypatch.setattr(user_cache, "folder", lambda name: folder / "no such folder")
    tuning.remember(WHAT, "def")
    assert tuning.recalled(WHAT) == "def"
