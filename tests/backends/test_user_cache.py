"""A folder in the user's cache: whole files for whoever reads them, and a temporary folder where it is not writable."""

import subprocess
import sys

from retroprop.backends.cpu import numba_target


def test_processes_that_write_at_once_leave_whole_files(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    path = numba_target.folder() / "shared"
    code = (
        "from retroprop.backends.cpu import numba_target\n"
        "path = numba_target.folder() / 'shared'\n"
        "for k in range(200): numba_target.replace(path, str(k % 5) * 100_000)\n"
    )
    writers = [subprocess.Popen([sys.executable, "-c", code]) for _ in range(3)]
    while any(writer.poll() is None for writer in writers):
        if path.exists():
            text = path.read_text(encoding="utf-8")
            assert text == text[:1] * 100_000
    assert [writer.returncode for writer in writers] == [0, 0, 0]
    assert [one.name for one in path.parent.iterdir()] == ["shared"]  # no temporary file is left


def test_a_cache_that_cannot_be_written_is_a_temporary_folder(monkeypatch, tmp_path):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    folder = numba_target.folder()
    assert folder == numba_target.folder()  # one for the process
    assert tmp_path not in folder.parents
    numba_target.replace(folder / "one", "text")
    assert (folder / "one").read_text(encoding="utf-8") == "text"
