"""`retroprop bench`, with its shortest run."""

from dataclasses import replace

import pytest

from retroprop.bench import QUICK, chosen, read, run, to_json
from retroprop.bench.machine import describe
from retroprop.bench.results import Connection, ResultRow, Results, Timing
from retroprop.bench.settings import SHARED
from retroprop.bench.timer import Pace

QUICKEST = ("--networks", "2-2-2@4,3-2@5", "--backends", "numpy", "--seconds", "0.01")


@pytest.fixture
def stored(tmp_path):
    """Write the results of a very short run to a.json; its timings are meaningless."""
    settings = chosen(QUICK, networks=["2-2-2@4"], backends=["numpy"], seconds=0.01)
    results = run(replace(settings, pace=Pace(timing=1e-4, warm_up=0.0, rounds=(2, 2))))
    (tmp_path / "a.json").write_text(to_json(results), encoding="utf-8")
    return read(tmp_path / "a.json")


def test_it_measures_and_writes_everything(cli, tmp_path):
    pytest.importorskip("matplotlib", reason="the plot needs matplotlib")
    done = cli("bench", *QUICKEST, "--json", "r.json", "--plot", "r.png", "--output", "r.md", "--optimizer", "both")
    assert done.exit_code == 0, done.stderr
    assert done.stderr == ""
    for words in ("retroprop numpy", "hand-written NumPy", "2-2-2@4 adam", "/ floor", "r.json", "r.png", "r.md"):
        assert words in done.stdout
    results = read(tmp_path / "r.json")
    assert [(row.workload.name, row.optimizer) for row in results.rows] == [
        (name, optimizer) for name in ("2-2-2@4", "3-2@5") for optimizer in ("sgd", "adam")
    ]
    assert results.machine["backends"] == ["numpy"]
    assert (tmp_path / "r.png").stat().st_size > 10_000
    assert (tmp_path / "r.md").read_text(encoding="utf-8").count("**") >= 4


def test_a_report_measures_nothing(cli, tmp_path, monkeypatch, stored):
    pytest.importorskip("matplotlib", reason="the plot needs matplotlib")

    def never(*arguments):
        raise AssertionError("a report measured something")

    monkeypatch.setattr("retroprop.cli.bench.run", never)
    shown = cli("bench", "--report", "a.json", "a.json", "--plot", "both.svg")
    assert shown.exit_code == 0, shown.stderr
    assert shown.stdout.count("| network |") == 4
    assert (tmp_path / "both.svg").stat().st_size > 10_000
    quiet = cli("bench", "--report", "a.json", "-o", "a.md")
    assert quiet.stdout == ""
    assert (tmp_path / "a.md").read_text(encoding="utf-8") in shown.stdout


def test_ctrl_c_shows_what_was_measured(cli, monkeypatch, tmp_path, stored):
    part = replace(stored, interrupted=True)
    monkeypatch.setattr("retroprop.cli.bench.run", lambda settings, progress: part)
    done = cli("bench", *QUICKEST, "--json", "b.json")
    assert done.exit_code == 130
    assert "interrupted" in done.stderr
    assert "2-2-2@4" in done.stdout
    assert (tmp_path / "b.json").read_text(encoding="utf-8") == to_json(part)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--networks", "784"), "must be written as layer sizes"),
        (("--backends", "nump"), "'nump'"),
        (("--optimizer", "lion"), "--optimizer must be sgd, adam or both"),
        (("--dtype", "float16"), "--dtype must be"),
        (("--seconds", "0"), "--seconds must be above 0"),
        (("--quick", "--full"), "choose one"),
        (("--report",), "--report needs files"),
        (("r.json",), "read with --report only"),
        (("--report", "r.json"), "r.json"),
        (("--report", "r.json", "--json", "s.json"), "--json is for a measurement; with --report nothing is measured"),
        (("--report", "r.json", "--networks", "2-2-2@4"), "--networks is for a measurement"),
        (("--parallel", "--ranks", "1"), '--ranks must be numbers of processes, each 2 or above, as "2,4", not "1"'),
        (("--ranks", "2"), "--ranks goes with --parallel"),
        (("--parallel", "--backends", "numpy"), "--backends does not go with --parallel"),
        (("--parallel", "--full"), "--full does not go with --parallel"),
        (("--parallel", "--report", "r.json"), "--parallel is for a measurement"),
        (("--plot", "r.gif"), "a picture is a .png, .svg or .pdf file"),
        (("--json", "no/such/folder/r.json"), "there is no folder"),
        (("--plot", "."), "is a folder"),
    ],
)
def test_wrong_arguments_end_before_any_work(refused, arguments, words):
    assert words in refused("bench", *arguments)


def test_steps_that_ranks_share(cli, tmp_path, monkeypatch):
    pytest.importorskip("matplotlib", reason="the plot needs matplotlib")
    asked = []
    monkeypatch.setattr("retroprop.bench.parallel.measurement.run", lambda s, line: asked.append(s) or shared(s))
    options = ("--parallel", "--ranks", "2", "--networks", "2-2-2@4,2-2-2@8")
    done = cli("bench", *options, "--json", "p.json", "--plot", "p.png", "-o", "p.md")
    assert done.exit_code == 0, done.stderr
    assert (asked[0].ranks, [one.name for one in asked[0].workloads]) == ((2,), ["2-2-2@4", "2-2-2@8"])
    for words in ("Steps shared by ranks", "2 × 8", "Break-even: the rows of a batch", "1 GbE: 50 µs", "p.png"):
        assert words in done.stdout
    assert (tmp_path / "p.png").stat().st_size > 10_000
    again = cli("bench", "--report", "p.json", "--plot", "q.png")
    assert again.exit_code == 0, again.stderr
    assert again.stdout.rstrip("\n") == (tmp_path / "p.md").read_text(encoding="utf-8").rstrip("\n")


def test_a_plot_shows_one_kind_of_results(cli, tmp_path, stored):
    pytest.importorskip("matplotlib", reason="the plot needs matplotlib")
    settings = chosen(SHARED, networks="2-2-2@4", ranks="2")
    (tmp_path / "b.json").write_text(to_json(replace(shared(settings), machine=stored.machine)), encoding="utf-8")
    done = cli("bench", "--report", "a.json", "b.json", "--plot", "c.png")
    assert done.exit_code == 2
    assert "--plot needs results that are all of backends, or all of --parallel" in done.stderr


def shared(settings):
    """Return made-up results of shared steps."""
    made_up = [Timing(kind=kind, name="retroprop", calls=1, seconds=[1.0, 2.0]) for kind in ("part", "whole", "shared")]
    rows = [
        ResultRow(
            layer_sizes=list(one.layer_sizes),
            batch=one.batch,
            optimizer="adam",
            dtype="float32",
            ranks=2,
            timings=made_up,
        )
        for one in settings.workloads
    ]
    here = Connection(name="this machine", ranks=2, latency=1e-6, bandwidth=1e9)
    return Results(machine=describe(), rows=rows, connections=[here])
