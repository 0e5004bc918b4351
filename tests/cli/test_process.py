"""Commands in a subprocess: Ctrl-C, pipes, missing libraries, start-up time."""

import errno
import os
import re
import signal
import subprocess
import sys
import tempfile
import time

import numpy as np
import pytest

from retroprop import tabular
from retroprop.persistence import files

pytest.importorskip("typer", reason="the command line needs typer")

FAST = ("--epochs", "2", "--hidden", "4", "--backend", "numpy")


def run(arguments):
    return subprocess.run(**arguments, timeout=60, check=False)


def without(*modules):
    """Return the source of a program that runs the command line as if some libraries were not installed."""
    hide = "".join(f"sys.modules[{name!r}] = None; " for name in modules)
    return f"import sys; {hide}sys.argv[0] = 'retroprop'; from retroprop.cli import main; main()"


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no signals to send")
@pytest.mark.parametrize(
    ("name", "checkpoint", "code_of_exit", "ended"),
    [
        ("SIGINT", (), 130, "interrupted by Ctrl-C or SIGTERM"),
        ("SIGTERM", (), 130, "interrupted by Ctrl-C or SIGTERM"),
        ("SIGUSR1", (), 130, "interrupted by Ctrl-C or SIGTERM"),
        pytest.param("SIGTERM", ("--checkpoint", "run"), 143, "ended by a signal", marks=pytest.mark.long),
        ("SIGUSR1", ("--checkpoint", "run"), 143, "ended by a signal"),
    ],
)
def test_a_signal_saves_the_model_as_it_stood(process, tmp_path, name, checkpoint, code_of_exit, ended):
    pytest.importorskip("sklearn", reason="digits are scikit-learn's")
    # A callback reports that the training is running: without a terminal there is no progress bar.
    code = (
        "import sys, retroprop as rp\n"
        "fit = rp.fit\n"
        "class Tell:\n"
        "    def on_epoch_end(self, state):\n"
        "        if state.epoch == 3: print('under way', file=sys.stderr, flush=True)\n"
        "rp.fit = lambda *a, **k: fit(*a, callbacks=[Tell()], **k)\n"
        "sys.argv[0] = 'retroprop'\n"
        "from retroprop.cli import main\n"
        "main()"
    )
    arguments = process(
        "train", "digits", "--epochs", 1_000_000, "--backend", "numpy", "--no-picture", *checkpoint, code=code
    )
    with subprocess.Popen(**arguments) as running:
        assert running.stderr.readline() == "under way\n"
        running.send_signal(getattr(signal, name))
        shown, errors = running.communicate(timeout=60)
    assert running.returncode == code_of_exit
    assert re.search(
        r"(interrupted|terminated) after \d+ epochs; the model as it stood is in model.safetensors", errors
    )
    assert f"({ended})" in shown
    assert bool(checkpoint) == ("--resume goes on from run" in errors) == (tmp_path / "run" / "lock").exists()
    assert "Traceback" not in errors
    assert tabular.load(tmp_path / "model.safetensors", backend="numpy").network.layer_sizes == (64, 100, 10)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no signals to send")
@pytest.mark.parametrize(
    ("name", "code_of_exit"),
    [("SIGTERM", -signal.SIGTERM), pytest.param("SIGINT", 130, marks=pytest.mark.long)],
)
def test_a_second_signal_ends_a_training_with_checkpoints_at_once(process, tmp_path, name, code_of_exit):
    pytest.importorskip("sklearn", reason="iris is scikit-learn's")
    # Between the two signals no step ends.
    code = (
        "import os, signal, sys, time, retroprop as rp\n"
        "fit, number = rp.fit, signal.SIGNAL\n"
        "class Twice:\n"
        "    def on_epoch_end(self, state):\n"
        "        os.kill(os.getpid(), number); time.sleep(0.1); os.kill(os.getpid(), number); time.sleep(0.1)\n"
        "        print('still here', flush=True)\n"
        "rp.fit = lambda *a, **k: fit(*a, callbacks=[Twice()], **k)\n"
        "sys.argv[0] = 'retroprop'\n"
        "from retroprop.cli import main\n"
        "main()"
    ).replace("SIGNAL", name)
    done = run(process("train", "iris", *FAST, "--no-picture", "--checkpoint", "run", code=code))
    assert done.returncode == code_of_exit, done.stderr
    assert "still here" not in done.stdout
    assert "Traceback" not in done.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no signals to send")
@pytest.mark.parametrize(
    ("name", "options", "code_of_exit"),
    [
        ("SIGINT", (), 130),
        pytest.param("SIGTERM", ("--checkpoint", "run"), 143, marks=pytest.mark.long),
        pytest.param("SIGTERM", (), 130, marks=pytest.mark.long),
        pytest.param("SIGINT", ("--ensemble", "2"), 130, marks=pytest.mark.long),
    ],
)
def test_a_signal_before_the_first_epoch_keeps_the_model_that_was_there(process, tmp_path, name, options, code_of_exit):
    pytest.importorskip("sklearn", reason="iris is scikit-learn's")
    (tmp_path / "model.safetensors").write_bytes(b"a good model")
    code = (
        "import os, signal, sys, retroprop as rp\n"
        "fit = rp.fit\n"
        "class Stop:\n"
        "    def on_fit_begin(self, state): signal.setitimer(signal.ITIMER_REAL, 0.05)\n"
        "signal.signal(signal.SIGALRM, lambda *_: os.kill(os.getpid(), signal.SIGNAL))\n"
        "rp.fit = lambda *a, **k: fit(*a, callbacks=[Stop()], **k)\n"
        "many = rp.fit_many\n"
        "rp.fit_many = lambda *a, **k: many(*a, callbacks=[Stop()], **k)\n"
        "sys.argv[0] = 'retroprop'\n"
        "from retroprop.cli import main\n"
        "main()"
    ).replace("SIGNAL)", f"{name})")
    given = ("--hidden", "1000,1000,1000", "--batch-size", 1, "--backend", "numpy", "-o", "model.safetensors")
    done = run(process("train", "iris", *given, *options, "--no-picture", code=code))
    assert done.returncode == code_of_exit, done.stderr
    assert re.search(r"(interrupted|terminated) before the first epoch was done: nothing is saved\.", done.stderr)
    assert "Traceback" not in done.stderr
    assert (tmp_path / "model.safetensors").read_bytes() == b"a good model"
    assert [path.name for path in tmp_path.glob("*.safetensors")] == ["model.safetensors"]


def test_without_typer_or_rich(process):
    for name in ("typer", "rich"):
        done = run(process("--help", code=without(name)))
        assert done.returncode == 1
        assert done.stderr == f'retroprop: the command line needs {name}: pip install "retroprop[cli]"\n'


@pytest.mark.parametrize(
    ("modules", "data", "extra"),
    [
        (("sklearn", "sklearn.datasets"), "iris", "sklearn"),
        (("polars",), "a.csv", "data"),
        (("polars",), "a.parquet", "data"),
    ],
)
def test_without_a_library_for_the_data(process, tmp_path, modules, data, extra):
    if data == "a.csv":
        (tmp_path / data).write_text("a,b\n1,2\n")
    elif data == "a.parquet":
        pytest.importorskip("polars", reason=".parquet files need polars").DataFrame({"b": [1]}).write_parquet(
            tmp_path / data
        )
    done = run(process("train", data, "--target", "b", *FAST, code=without(*modules)))
    assert done.returncode == 2
    assert f'pip install "retroprop[{extra}]"' in done.stderr
    assert done.stderr.count("\n") == 1


def test_without_matplotlib_the_training_works(process, tmp_path):
    pytest.importorskip("sklearn", reason="iris is scikit-learn's")
    done = run(process("train", "iris", *FAST, code=without("matplotlib")))
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("\n") == 1
    assert 'pip install "retroprop[plot]"' in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["model.safetensors"]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows handles closed pipes differently")
def test_a_pipe_that_closes_early(process, tmp_path):
    pytest.importorskip("sklearn", reason="digits are scikit-learn's")
    assert run(process("train", "digits", *FAST, "--no-picture")).returncode == 0
    reading, writing = os.pipe()
    os.close(reading)
    arguments = {**process("predict", "model.safetensors", "digits", "--proba"), "stdout": writing}
    done = run(arguments)
    os.close(writing)
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr


def test_help_loads_nothing_heavy(process):
    code = (
        "import sys; sys.argv[0] = 'retroprop'\n"
        "from retroprop.cli import main\n"
        "try:\n    main()\n"
        "finally:\n"
        "    heavy = {'polars', 'sklearn', 'matplotlib', 'torch', 'jax', 'cupy'} & set(sys.modules)\n"
        "    assert not heavy, heavy"
    )
    began = time.perf_counter()
    done = run(process("--help", code=code))
    assert done.returncode == 0, done.stderr
    assert time.perf_counter() - began < 10.0


@pytest.mark.skipif(sys.platform == "win32" or os.geteuid() == 0, reason="needs a folder this user cannot write to")
def test_a_folder_that_cannot_be_written_is_found_before_the_training(process, tmp_path):
    folder = tmp_path / "locked"
    folder.mkdir(mode=0o500)
    done = run(process("train", "iris", *FAST, "--output", folder / "m.safetensors"))
    assert done.returncode == 2
    assert "cannot write" in done.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="/dev and FIFOs of POSIX")
def test_outputs_that_are_no_files(process, tmp_path):
    pytest.importorskip("sklearn", reason="iris is scikit-learn's")
    # The model on standard output, the words on standard error: through a pipe, and into a file.
    piped = run({**process("train", "iris", *FAST, "-o", "/dev/stdout"), "text": False})
    assert piped.returncode == 0, piped.stderr
    assert b"held-out" in piped.stderr
    (tmp_path / "m.safetensors").write_bytes(piped.stdout)
    with (tmp_path / "n.safetensors").open("wb") as file:
        assert run({**process("train", "iris", *FAST, "-o", "/dev/stdout"), "stdout": file}).returncode == 0
    one, other = (tabular.load(tmp_path / name, backend="numpy") for name in ("m.safetensors", "n.safetensors"))
    assert one.predict("iris").tolist() == other.predict("iris").tolist()
    os.mkfifo(tmp_path / "p")
    with subprocess.Popen(**process("predict", "m.safetensors", "iris", "-o", "p")) as running:
        text = (tmp_path / "p").read_text()
        running.communicate(timeout=60)
    assert running.returncode == 0
    assert text.splitlines() == ["prediction", *one.predict("iris").tolist()]
    assert (tmp_path / "p").is_fifo()
    assert not list(tmp_path.glob("*.png"))


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full here")  # noqa: PTH110
def test_a_full_disk_is_named(process):
    pytest.importorskip("sklearn", reason="iris is scikit-learn's")
    done = run(process("train", "iris", *FAST, "-o", "/dev/full"))
    assert done.returncode == 2
    assert done.stderr == "retroprop: /dev/full: No space left on device\n"


def test_a_model_that_cannot_be_saved_is_offered_elsewhere(cli, tmp_path, monkeypatch):
    pytest.importorskip("sklearn", reason="iris is scikit-learn's")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "m.safetensors").write_text("mine")
    monkeypatch.setattr(tempfile, "tempdir", str(elsewhere))
    real = files._replace

    def full(path, content):
        if path.parent == tmp_path:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(path, content)

    monkeypatch.setattr(files, "_replace", full)
    done = cli("train", "iris", *FAST, "--no-picture", "-o", "m.safetensors")
    assert done.exit_code == 2
    there = elsewhere / "m-2.safetensors"
    assert f"the model could not be written to m.safetensors, and is in {there}" in done.stderr
    assert done.stderr.endswith("m.safetensors: No space left on device\n")
    assert "held-out" in done.stdout
    assert tabular.load(there, backend="numpy").network.layer_sizes == (4, 4, 3)
    assert not (tmp_path / "m.safetensors").exists()
    monkeypatch.setattr(files, "_replace", lambda path, content: full(tmp_path / "x", content))
    done = cli("train", "iris", *FAST, "--no-picture", "-o", "m.safetensors")
    assert (done.exit_code, done.stderr) == (2, "retroprop: m.safetensors: No space left on device\n")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full here")  # noqa: PTH110
def test_a_picture_that_cannot_be_written_leaves_model_and_report(cli, tmp_path):
    pytest.importorskip("sklearn", reason="iris is scikit-learn's")
    pytest.importorskip("matplotlib", reason="a picture needs matplotlib")
    (tmp_path / "full.png").symlink_to("/dev/full")
    done = cli("train", "iris", *FAST, "--picture", "full.png")
    assert done.exit_code == 2
    assert "full.png: No space left on device" in done.stderr
    assert "held-out" in done.stdout
    assert (tmp_path / "model.safetensors").exists()


@pytest.mark.long
@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL to send")
def test_fifty_kills_at_random_times_cost_no_bit(process, tmp_path):
    rng = np.random.default_rng(3)
    np.savez(tmp_path / "d.npz", X=rng.normal(size=(600, 8)), y=rng.integers(0, 3, 600))
    options = ("train", "d.npz", "--epochs", 400, "--dropout", "0.1", "--backend", "numpy", "--no-picture", "-q")

    def parameters(name):
        network = tabular.load(tmp_path / name, backend="numpy").network
        return [leaf.tobytes() for leaf in network.parameters.leaves]

    def went_on(folder):
        return process(*options, "--checkpoint", folder, "--resume", "-o", "part.safetensors")

    assert run(process(*options, "-o", "whole.safetensors")).returncode == 0
    kills, finished = 0, 0
    while kills < 50:
        with subprocess.Popen(**went_on(f"run-{finished}")) as running:
            try:
                _, errors = running.communicate(timeout=rng.uniform(0.7, 1.6))
            except subprocess.TimeoutExpired:
                running.kill()
                kills += 1
                continue
        assert running.returncode == 0, errors
        assert parameters("part.safetensors") == parameters("whole.safetensors")
        finished += 1
    assert run(went_on(f"run-{finished}")).returncode == 0
    assert parameters("part.safetensors") == parameters("whole.safetensors")
