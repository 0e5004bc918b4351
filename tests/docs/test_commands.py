"""The commands of README.md, CONTRIBUTING.md and docs/ run as a reader types them, and print what the pages show.

Commands stand in ``sh`` blocks, one a line, or in ``console`` blocks after a ``$``, with what they print. Those of a
page run one after the other in one folder. A command that does not run here is named in NOT_RUN with the reason.
"""

import re
import shlex
import shutil
import sys
from pathlib import Path

import pytest
from test_snippets import PAGES, ROOT, blocks_of

RESULTS = ROOT / "benchmarks" / "results" / "2026-11-24-epyc-2-cores-numba-peers.json"
PROGRAMS = ("retroprop", "make", "python", "python3", "pip", "mpiexec", "srun")
NOT_RUN = {
    "make": "it installs, or runs these tests; tests/architecture reads the Makefile",
    "python -m pip install": "it installs packages",
    "python3 benchmarks/gpu_check.py": "it needs a GPU; tests/bench/test_gpu_check.py runs it without one",
    "retroprop bench --parallel": "minutes of measurement; tests/bench/test_parallel.py runs short ones",
    "retroprop bench": "minutes of measurement; tests/cli/test_bench.py runs short ones",
    "OMP_NUM_THREADS=1 mpiexec": "a job of several processes; tests/scale/test_mpi.py starts such",
    "mpiexec": "a job of several processes; tests/scale/test_mpi.py starts such",
}
FENCE = re.compile(r"^ *```(?P<language>\w*)[^\n]*\n(?P<body>.*?)^ *```$", re.MULTILINE | re.DOTALL)
# The script of a cluster, which is no list of commands.
SCRIPT = "#!/bin/bash"
# Measurements that are short enough, and commands for the long tests; stored results are not measured.
SHORT = ("retroprop bench --networks 2-2-2@4 --backends numpy --seconds 1",)
STORED = "retroprop bench --report "
LONG = ("retroprop bench --quick", "retroprop train churn.csv --target churn --search --ensemble 10")


def commands_of(page):
    """Return the commands of a page, each with the text that the page shows after it, or None."""
    found = []
    for block in FENCE.finditer(page):
        if block["language"] == "sh" and not block["body"].startswith(SCRIPT):
            found += [(line, None) for line in block["body"].splitlines() if line]
        elif block["language"] == "console":
            for typed in re.split(r"^\$ ", block["body"], flags=re.MULTILINE)[1:]:
                line, _, printed = typed.partition("\n")
                found.append((line, printed or None))
    return [(shlex.join(shlex.split(line, comments=True)), printed) for line, printed in found]


def reason_against(command):
    """Return why a command is not run, or None."""
    if command in SHORT + LONG or command.startswith(STORED):
        return None
    for start, reason in NOT_RUN.items():
        if command == start or command.startswith(f"{start} "):
            return reason
    return None


def of_page(path, *, long):
    commands = commands_of(path.read_text(encoding="utf-8"))
    return [each for each in commands if reason_against(each[0]) is None and (each[0] in LONG) == long]


WITH_COMMANDS = [page for page in PAGES if of_page(page, long=False)]
WITH_LONG_COMMANDS = [page for page in PAGES if of_page(page, long=True)]
NEEDS = ("typer", "rich", "polars", "sklearn", "matplotlib", "onnx", "sympy")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with the files that the pages speak of."""
    import retroprop as rp

    for name in NEEDS:
        pytest.importorskip(name, reason=f"the commands of the pages need {name}")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RETROPROP_BACKEND", "numpy")
    monkeypatch.setenv("COLUMNS", "80")
    page = (ROOT / "docs" / "howto" / "production.md").read_text(encoding="utf-8")
    exec(blocks_of(page)[0].source, {})  # writes churn.csv
    shutil.copy("churn.csv", "new_customers.csv")
    page = (ROOT / "docs" / "howto" / "command_line.md").read_text(encoding="utf-8")
    for name, body in re.findall(r'^```csv title="([^"]+)"\n(.*?)^```$', page, re.MULTILINE | re.DOTALL):
        Path(name).write_text(body, encoding="utf-8")
        Path("faulty.csv").write_text(body.replace("11.0,2.4", "11.0,2.x"), encoding="utf-8")
    rp.save(rp.Network([2, 3, 1], seed=0, backend="numpy"), "net.safetensors")
    for name in ("results.json", "before.json", "after.json"):
        shutil.copy(RESULTS, name)
    return tmp_path


def typed(command, monkeypatch, capfd):
    """Run a command as the program does; return its exit code and what it printed."""
    from retroprop.cli import main

    program, *arguments = shlex.split(command)
    assert program == "retroprop", f"{command}: run it here, or name it in NOT_RUN with the reason"
    monkeypatch.setattr(sys, "argv", [program, *arguments])
    capfd.readouterr()
    with pytest.raises(SystemExit) as stopped:
        main()
    captured = capfd.readouterr()
    return stopped.value.code or 0, captured.out + captured.err


NUMBER = re.compile(r"\d[\d,]*(?:\.\d+)?(?:e[-+]\d+)?")
# Times, and rounding errors with the place of the largest: of these rows only the form is compared.
VARYING = re.compile(r"^│ (Time|Largest relative error) .*|(?<=^│ Where).*", re.MULTILINE)
FRAME = re.compile(r"[╭╮╰╯─├┤┼┬┴]+")


def same(shown, printed):
    """Whether a page shows what was printed: the same words, numbers to 5 %; of rows that vary only the form."""
    shown, printed = (
        VARYING.sub(lambda row: NUMBER.sub("0", row[0] if row[1] else ""), FRAME.sub(" ", text))
        for text in (shown, printed)
    )
    if NUMBER.sub("0", shown).split() != NUMBER.sub("0", printed).split():
        return False
    pairs = zip(NUMBER.findall(shown), NUMBER.findall(printed), strict=True)
    values = [tuple(float(number.replace(",", "")) for number in pair) for pair in pairs]
    return all(abs(a - b) <= 0.05 * abs(a) for a, b in values)


def run_all(page, monkeypatch, capfd, *, long):
    for command, shown in of_page(page, long=long):
        code, printed = typed(command, monkeypatch, capfd)
        assert code == (2 if shown and shown.startswith("retroprop: ") else 0), command
        assert shown is None or same(shown, printed), f"{command}\n{printed}"


@pytest.mark.parametrize("page", WITH_COMMANDS, ids=lambda page: str(page.relative_to(ROOT)))
def test_the_commands_of_a_page_run(page, folder, monkeypatch, capfd):
    run_all(page, monkeypatch, capfd, long=False)
    if page.name == "command_line.md":
        assert {"digits.safetensors", "digits.png", "predictions.csv"} <= {path.name for path in folder.iterdir()}


@pytest.mark.long
@pytest.mark.parametrize("page", WITH_LONG_COMMANDS, ids=lambda page: str(page.relative_to(ROOT)))
def test_the_long_commands_of_a_page_run(page, folder, monkeypatch, capfd):
    run_all(page, monkeypatch, capfd, long=True)


def test_every_command_is_run_or_has_a_reason():
    commands = [command for page in PAGES for command, _ in commands_of(page.read_text(encoding="utf-8"))]
    assert len(commands) > 50
    assert {shlex.split(command)[0] for command in commands if reason_against(command) is None} == {"retroprop"}
    reasons = {reason_against(command) for command in commands}
    assert set(NOT_RUN.values()) - reasons == set(), "no page has these any more"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_commands_stand_in_blocks_of_commands(page):
    for block in FENCE.finditer(page.read_text(encoding="utf-8")):
        if block["language"] == "text":
            assert not block["body"].startswith(tuple(f"{program} " for program in PROGRAMS)), block["body"]


INLINE = re.compile(
    r"`(?:retroprop )?(?P<command>train|predict|export|check|explain|bench|info) (?P<rest>[^`]*--[^`]*)`"
)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_options_within_sentences_exist(page):
    pytest.importorskip("typer", reason="the command line needs typer")
    import typer

    from retroprop.cli.app import app

    group = typer.main.get_command(app)
    for found in INLINE.finditer(page.read_text(encoding="utf-8")):
        options = group.commands[found["command"]].params
        known = {name for option in options for name in (*option.opts, *option.secondary_opts)}
        assert set(re.findall(r"--[a-z-]+", found["rest"])) <= known, found[0]


def test_outputs_are_compared():
    table = "│ Time     │ 0.19 s, 99,089 samples/s │\n│ held-out │ 80 │ 98.8 % │\n"
    assert same(table, table.replace("0.19", "12.5").replace("99,089", "1,024"))
    assert same(table, table.replace("98.8", "98.9"))
    assert not same(table, table.replace("98.8", "88.8"))
    assert not same(table, table.replace("held-out", "training"))
    assert not same(table, table.replace("0.19 s, ", ""))
