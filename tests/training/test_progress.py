"""The progress of a training: a bar on a terminal, a line without rich, nothing elsewhere."""

import io
import os
import re
import struct
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest

import retroprop as rp
from retroprop.training import progress

X = np.random.default_rng(0).normal(size=(40, 2))
Y = X[:, :1]


class Terminal(io.StringIO):
    def isatty(self):
        return True


def train(**options):
    net = rp.Network([2, 3, 1], seed=0, backend="numpy")
    return rp.fit(net, X, Y, epochs=4, batch_size=8, seed=0, metrics=["r2"], progress=True, **options)


def test_nothing_where_standard_error_is_no_terminal(capsys):
    train()
    assert capsys.readouterr() == ("", "")


def test_nothing_where_it_is_not_asked_for(monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    net = rp.Network([2, 3, 1], seed=0, backend="numpy")
    rp.fit(net, X, Y, epochs=2)
    assert terminal.getvalue() == ""


def test_the_result_is_the_same_with_and_without(monkeypatch):
    plain = train()
    monkeypatch.setattr(sys, "stderr", Terminal())
    monkeypatch.setattr(progress, "find_spec", lambda name: None)
    assert train().cost == plain.cost


def test_one_plain_line_without_rich(monkeypatch, capsys):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setattr(progress, "find_spec", lambda name: None)
    history = train(validation_data=(X, Y))
    text = terminal.getvalue()
    assert text.count("\n") == 1
    assert text.endswith("\n")
    assert text.startswith("\r")
    last = text.split("\r")[-1]
    for part in (
        "epoch 4/4",
        f"cost {history.cost[-1]:.3g}/{history.validation_cost[-1]:.3g}",
        f"r2 {history.metrics['r2'][-1]:.3f}",
    ):
        assert part in last
    assert re.search(r"[\d,]+k? samples/s", last)
    assert "0 s left" in last
    assert capsys.readouterr().out == ""


def test_the_line_is_ended_when_a_training_stops_early_or_fails(monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setattr(progress, "find_spec", lambda name: None)

    class Stops:
        def on_epoch_end(self, state):
            return state.epoch == 2

    class Fails:
        def on_epoch_end(self, state):
            raise RuntimeError

    class Interrupts:
        def on_epoch_end(self, state):
            raise KeyboardInterrupt

    train(callbacks=[Stops()])
    assert "epoch 2/4" in terminal.getvalue()
    assert terminal.getvalue().endswith("\n")
    with pytest.raises(RuntimeError):
        train(callbacks=[Fails()])
    assert terminal.getvalue().endswith("\n")
    train(callbacks=[Interrupts()])
    assert terminal.getvalue().endswith("\n")


# Epochs long enough for the bar to be drawn between them, which it is ten times a second.
PROGRAM = textwrap.dedent("""
    import time
    import numpy as np
    import retroprop as rp

    class Pause:
        def on_epoch_end(self, state):
            time.sleep(0.15)

    x = np.random.default_rng(0).normal(size=(4000, 2))
    net = rp.Network([2, 3, 1], seed=0, backend="numpy")
    history = rp.fit(net, x, x[:, :1], epochs=6, batch_size=100, seed=0, metrics=["r2"], callbacks=[Pause()],
                     progress=True)
    print(history.cost[-1], history.metrics["r2"][-1])
""")


def on_a_terminal(program, columns=160):
    """Return what a program writes to standard output, and to a standard error that is a terminal."""
    fcntl = pytest.importorskip("fcntl", reason="no pseudo-terminals here")
    import pty
    import termios

    main, terminal = pty.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 30, columns, 0, 0))
    environment = {k: v for k, v in os.environ.items() if k not in ("NO_COLOR", "COLUMNS", "LINES", "CI")}
    environment |= {"PYTHONPATH": str(Path(rp.__file__).parents[1]), "TERM": "xterm-256color"}
    child = subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=terminal, text=True, env=environment
    )
    os.close(terminal)
    shown = b""
    while True:
        try:
            part = os.read(main, 65536)
        except OSError:  # Linux: the other end is closed
            break
        if not part:
            break
        shown += part
    os.close(main)
    with child:
        out = child.stdout.read()
    assert child.returncode == 0
    return out, re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown.decode())


def test_the_bar_on_a_terminal():
    pytest.importorskip("rich", reason="the bar is rich's")
    out, shown = on_a_terminal(PROGRAM)
    cost, r2 = map(float, out.split())
    last = shown.strip().splitlines()[-1]
    assert "epoch 6/6" in last
    assert f"cost {cost:.3g}" in last
    assert f"r2 {r2:.3f}" in last
    assert re.search(r"[\d,]+k? samples/s", last)
    assert re.search(r"\d\d:\d\d", last)  # the time left
    assert "epoch 0/6" in shown or "epoch 1/6" in shown  # it moved


def test_the_bar_ends_with_a_clean_terminal_when_the_training_fails():
    pytest.importorskip("rich", reason="the bar is rich's")
    program = PROGRAM.replace("epochs=6", "epochs=6, optimizer=rp.optimizers.SGD(1e30)").replace(
        "history = rp.fit", "try:\n    history = rp.fit"
    )
    program = program.split("print(")[0] + "except rp.training.DivergenceError as error:\n    print(error.epoch)\n"
    out, shown = on_a_terminal(program)
    assert out == "1\n"
    assert "Traceback" not in shown
