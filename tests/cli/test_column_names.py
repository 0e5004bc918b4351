"""Names of columns and classes made of markup, escapes, formulas and scripts: shown whole, obeyed by nobody."""

import csv
import os
import random
import subprocess
import sys

import pytest

from retroprop import tabular
from retroprop.tabular.errors import printable

pytest.importorskip("polars", reason="tables need polars")
pytest.importorskip("typer", reason="the command line needs typer")

PARTS = (
    "[bold]", "[/s]", "[red", "]", "[link=file:///etc/passwd]x[/link]", ":smile:", "[[", "\\[", "[/]", "[on red]",
    "\x1b[95;7m", "\x1b]0;title\x07", "\x9b95m", "\x07", "\x08", "\x7f", "\x85", "\x1bc", "\x1b[2J", "\x0b",
    "=cmd|' /C calc'!A0", "=1+1", "+1+1", "@SUM(A1)", "-2+3", "'=x", "%0A", "${x}", "$(id)", "`id`",
    "температура", "温度", "درجة", "עברית", "naïve", "e\u0301", "🎉", "ﷺ", "\U0001d54f", "क्षि",
    "\u202egnp.exe", "\u2066x\u2069", "\u200f", "\ufeff", "\u2028", "$x$", "$\\frac{", "a_b^c", "{0} %s",
    "<script>", "C:\\new\\table", "a" * 90, "None", "nan%", "kg m/s^2", "\"quoted\"", "semi;colon", "com,ma",
    "new\nline", "tab\tular",
)  # fmt: skip
STEERING = (
    "\x1b[95;7m",
    "\x1b]",
    "\x9b",
    "\x07",
    "\x08",
    "\x7f",
    "\x85",
    "\x1bc",
    "\x0b",
    "\u202e",
    "\u2066",
    "\u2028",
)


def names(n, seed):
    """Return n different names, each of one to three parts and a number."""
    r = random.Random(seed)
    return [f"{''.join(r.sample(PARTS, r.randint(1, 3)))}{i}" for i in range(n)]


def write(path, given):
    """Write a table whose names of columns are the first half, and whose classes are the second half."""
    columns, classes = given[: len(given) // 2], given[len(given) // 2 :]
    r = random.Random(0)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        for i in range(6 * len(classes)):
            writer.writerow([f"{r.random():.4f}" for _ in columns[:-1]] + [classes[i % len(classes)]])
    return columns, classes


@pytest.mark.skipif(sys.platform == "win32", reason="a terminal of POSIX")
def test_no_name_steers_the_terminal(process, tmp_path):
    import pty

    shown, every = {}, []
    for i in range(4):
        columns, classes = write(tmp_path / f"{i}.csv", names(52, i))
        shown[i], every = columns[-1], every + columns + classes
        (tmp_path / f"{i}.target").write_text(columns[-1], encoding="utf-8")
    assert len(set(every)) > 200
    code = (
        "import sys\n"
        "from pathlib import Path\n"
        "from retroprop.cli.app import app\n"
        "def run(*arguments):\n"
        "    try: app([str(a) for a in arguments], prog_name='retroprop')\n"
        "    except SystemExit as ended: assert not ended.code, (arguments, ended.code)\n"
        "for i in range(4):\n"
        "    target = Path(f'{i}.target').read_text(encoding='utf-8')\n"
        "    rest = ['-o', f'{i}.safetensors', *([] if i == 0 else ['--no-picture'])]\n"
        "    run('train', f'{i}.csv', '--target', target, '--epochs', 1, '--hidden', 4, *rest)\n"
        "    run('predict', f'{i}.safetensors', f'{i}.csv')\n"
        "    run('predict', f'{i}.safetensors', f'{i}.csv', '-o', f'{i}.p.csv')\n"
    )
    terminal, end = pty.openpty()
    arguments = process(code=code) | {"stdout": end, "stderr": end}
    arguments["env"] = arguments["env"] | {"COLUMNS": "600", "RETROPROP_BACKEND": "numpy"}
    arguments.pop("text")
    with subprocess.Popen(**arguments) as running:
        os.close(end)
        chunks = []
        while True:
            try:
                chunk = os.read(terminal, 65536)
            except OSError:  # the terminal is closed when the process ends
                break
            if not chunk:
                break
            chunks.append(chunk)
    os.close(terminal)
    text = b"".join(chunks).decode()
    assert running.returncode == 0, text[-2000:]
    for steering in STEERING:
        assert steering not in text, repr(text[max(0, text.index(steering) - 80) :][:160])
    for i, target in shown.items():
        assert printable(target, 60) in text, target
        labels = {label.strip() for label in names(52, i)[26:]}
        with (tmp_path / f"{i}.p.csv").open(newline="", encoding="utf-8") as file:
            rows = [tabular.unguarded(row[0]) for row in list(csv.reader(file))[1:]]
        assert len(rows) == 156
        assert set(rows) <= labels
        assert not any(
            row.startswith(("=", "+", "@", "-")) for row in (tmp_path / f"{i}.p.csv").read_text().splitlines()
        )


def test_every_name_comes_back_as_it_stood(tmp_path, cli):
    given = names(60, 7)
    columns, classes = write(tmp_path / "t.csv", given)
    cli("train", "t.csv", "--target", columns[-1], "--epochs", 1, "--hidden", 2, "--no-picture", "-o", "m.safetensors")
    model = tabular.load("m.safetensors")
    # White space at the ends of a cell is no part of it: the rule of reading, for U+2028 too.
    assert set(model.classes.tolist()) == {label.strip() for label in classes}
    assert [column.name for column in model.card.schema.columns] == [name.strip() for name in columns]
