"""Fixtures that run commands: in this process for speed, in a subprocess where signals or imports matter."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

SOURCES = Path(__file__).parents[2] / "src"


@pytest.fixture
def cli(tmp_path, monkeypatch):
    """Run a command in an empty folder; return its result, with stdout and stderr separate."""
    pytest.importorskip("rich", reason="the command line needs rich")
    testing = pytest.importorskip("typer.testing", reason="the command line needs typer")
    from retroprop.cli.app import app

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")

    def run(*arguments):
        result = testing.CliRunner().invoke(app, [str(argument) for argument in arguments])
        # Every command ends with an exit code: no exception, ours or a library's, escapes.
        assert result.exception is None or isinstance(result.exception, SystemExit), repr(result.exception)
        return result

    return run


@pytest.fixture
def refused(cli, tmp_path):
    """Run a command that must end with one message on stderr and leave nothing behind; return the message."""

    def run(*arguments, exit_code=2):
        before = sorted(tmp_path.iterdir())
        result = cli(*arguments)
        assert result.exit_code == exit_code, result.output
        assert result.stdout == ""
        assert "Traceback" not in result.stderr
        assert sorted(tmp_path.iterdir()) == before
        if result.stderr.startswith("retroprop: "):
            assert result.stderr.count("\n") == 1
        return result.stderr

    return run


@pytest.fixture
def process(tmp_path):
    """Return the arguments of a subprocess that runs a command in an empty folder."""
    environment = {**os.environ, "PYTHONPATH": str(SOURCES), "COLUMNS": "200"}

    def arguments(*words, code=None):
        head = [sys.executable, "-m", "retroprop"] if code is None else [sys.executable, "-c", code]
        return {
            "args": [*head, *map(str, words)],
            "cwd": tmp_path,
            "env": environment,
            "stdout": subprocess.PIPE,
            "stderr": subprocess.PIPE,
            "text": True,
        }

    return arguments


@pytest.fixture
def flowers(tmp_path):
    """Write a small .csv file with two numbers, a text and a class in every row; return its path."""
    rng = np.random.default_rng(0)
    lines = ["length,width,colour,kind"]
    for i in range(60):
        kind = ("rose", "iris", "lily")[i % 3]
        length, width = rng.normal(i % 3, 0.2, 2)
        lines.append(f"{length:.3f},{width:.3f},{('red', 'blue')[i % 2]},{kind}")
    path = tmp_path / "flowers.csv"
    path.write_text("\n".join(lines) + "\n")
    return path
