"""Whole runs, as short as possible; no time is checked."""

import json
import re
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import retroprop as rp
from retroprop.bench import QUICK, chosen, machine, peak_memory, run, to_json
from retroprop.bench.__main__ import main
from retroprop.bench.results import from_json
from retroprop.bench.timer import Pace
from retroprop.bench.workloads import draw, parse

FAST = Pace(timing=1e-4, warm_up=0.0, lead=0.0, lead_after_others=0.0, rounds=(2, 2))


def short(networks=("2-2-2@4",), **more):
    return replace(chosen(QUICK, networks=networks, backends=["numpy"]), pace=FAST, seconds=0.01, **more)


def test_a_run_has_every_row_asked_for():
    settings = short(
        ("2-2-2@4",),
        optimizers=("sgd", "adam"),
        dtypes=("float32", "float64"),
        parts=("floor", "forward", "gradient", "step"),
        memory=True,
    )
    results = run(settings)
    assert len(results.rows) == 2 * 2
    for row in results.rows:
        assert [timing.kind for timing in row.timings] == ["floor", "forward", "gradient", "step", "peer"]
        assert {len(timing.seconds) for timing in row.timings} == {2}
        assert row.skipped == []
        (held,) = row.memory
        assert held.peak >= row.workload.n_parameters * np.dtype(row.dtype).itemsize
    assert from_json(to_json(results)).rows[0].layer_sizes == [2, 2, 2]


def test_every_backend_takes_part(backend):
    settings = replace(short(parts=("floor", "forward", "gradient", "step")), backends=(str(backend),))
    (row,) = run(settings).rows
    assert row.skipped == []
    assert row.names("step") == [str(backend)]


def test_who_fails_leaves_the_others_their_figures(monkeypatch):
    from retroprop.bench import ours

    def fails(backend, problem):
        raise RuntimeError("out of memory\nand more")

    monkeypatch.setattr(ours, "step", fails)
    (row,) = run(short()).rows
    assert [one.reason for one in row.skipped] == ["RuntimeError: out of memory"]
    assert [timing.kind for timing in row.timings] == ["floor", "peer"]


def test_a_failed_measurement_is_reported(monkeypatch):
    from retroprop.bench import peaks

    def fails(*arguments):
        raise MemoryError("too large")

    monkeypatch.setattr(peaks, "measure", fails)
    monkeypatch.setattr(peak_memory, "measure", fails)
    results = run(short(memory=True, roofs=True))
    assert results.absent["peaks of numpy"] == "MemoryError: too large"
    assert results.rows[0].memory[0].reason == "MemoryError: too large"
    assert results.rows[0].names("step") == ["numpy"]


def test_ctrl_c_keeps_the_rows_that_are_done(monkeypatch):
    from retroprop.bench import ours

    whole, calls = ours.step, []

    def interrupted(backend, problem):
        calls.append(problem)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return whole(backend, problem)

    monkeypatch.setattr(ours, "step", interrupted)
    results = run(short(("2-2-2@4", "3-2@5", "4-2@5")))
    assert results.interrupted
    assert [row.workload.name for row in results.rows] == ["2-2-2@4"]


def test_settings_that_are_none_are_refused():
    for wrong in ({"networks": ["784"]}, {"optimizer": "lion"}, {"dtype": "float16"}, {"seconds": 0.0}):
        with pytest.raises(ValueError, match="must be"):
            chosen(QUICK, **wrong)
    with pytest.raises(ValueError, match="'nump'"):
        run(chosen(QUICK, backends=["nump"]))


def test_a_whole_fit_and_the_peaks(monkeypatch):
    from retroprop.bench import peaks, suite

    monkeypatch.setattr(suite, "_FIT", (parse("4-3-2@5"), 23, 2))
    monkeypatch.setattr(peaks, "_SIZE", 8)
    monkeypatch.setattr(peaks, "_ELEMENTS", 16)
    peers = ("scikit-learn",) if pytest.importorskip("sklearn", reason="a fit beside scikit-learn's") else ()
    results = run(short(workloads=(), peers=peers, fits=True, roofs=True))
    (row,) = results.fits
    assert (row.data_rows, row.epochs) == (23, 2)
    assert [timing.name for timing in row.timings] == ["numpy", "scikit-learn"]
    (roof,) = results.roofs
    assert roof.backend == "numpy"


def test_the_machine_is_described_without_its_name_or_paths():
    import platform

    described = json.dumps(machine.describe())
    assert rp.__version__ in described
    assert np.__version__ in described
    assert str(Path.home()) not in described
    assert not re.search(rf"\b{re.escape(platform.node())}\b", described)
    assert machine.gpus(["numpy", "torch:cpu"]) == {}


def test_the_load_of_other_programs_is_a_fraction_of_the_processors_time(monkeypatch):
    from collections import namedtuple

    from retroprop.bench import processor_load

    psutil = pytest.importorskip("psutil", reason="the load is psutil's")
    times = namedtuple("times", "user nice system idle iowait irq softirq steal guest guest_nice")
    # 20 s pass on two processors, 7 s at work, 1 s of it our own; user includes the guest's 2 s
    before, after = times(*[0.0] * 10), times(3.0, 1.0, 1.0, 12.0, 1.0, 0.5, 0.5, 1.0, 2.0, 0.0)
    own = iter([(1.0, 0.5, 0.25, 0.25, 9.0), (1.5, 0.5, 0.5, 0.5, 9.0)])
    monkeypatch.setattr(psutil, "cpu_times", iter((before, after)).__next__)
    monkeypatch.setattr(processor_load.os, "times", own.__next__)
    load = processor_load.ProcessorLoad()
    assert load.share() == pytest.approx((7.0 - 1.0) / 20.0)
    monkeypatch.undo()
    monkeypatch.setitem(sys.modules, "psutil", None)
    assert processor_load.ProcessorLoad().share() is None


def test_without_py_cpuinfo_the_processor_is_named_by_the_platform(monkeypatch):
    import platform

    monkeypatch.setitem(sys.modules, "cpuinfo", None)
    assert machine.cpu.__wrapped__() == (platform.processor() or platform.machine())


def test_the_progress_of_a_run_is_shown():
    from retroprop.training.progress import Line

    shown, stopped = [], []

    class Display(Line):
        due = True

        def show(self, share, head, *texts):
            shown.append((share, head, texts))

        def stop(self):
            stopped.append(True)

    run(short(("2-2-2@4", "3-2@5")), Display(transient=True))
    assert shown[0] == (0.0, "looking for array libraries", ("0 %",))
    assert shown[1] == (0.0, "2-2-2@4 adam float32: preparing numpy", ("0 %",))
    assert shown[-1] == (1.0, "3-2@5 adam float32: timing", ("100 %",))
    assert [share for share, *_ in shown] == sorted(share for share, *_ in shown)
    assert stopped == [True]


def test_memory_is_what_numpy_holds():
    workload = parse("50-40-30-20@64")
    found = peak_memory.measure(rp.get_backend("numpy"), draw(workload, "adam"))
    assert found.reason is None
    least = 4 * workload.least_memory("adam")
    # Objects of Python's own are in what comes and goes; another form of the step may hold a few buffers more.
    assert least <= found.peak < 5 * least
    assert 0 <= found.transient <= found.peak


def test_where_memory_is_not_known_it_says_so():
    from harness import open_backend

    found = peak_memory.measure(open_backend("array_api_strict"), draw(parse("2-2-2@4")))
    assert found.peak is None
    assert "does not report it" in found.reason


def test_the_module_runs_without_the_packages_of_the_command_line(tmp_path, monkeypatch, capsys):
    for name in ("typer", "rich", "psutil", "cpuinfo"):
        monkeypatch.setitem(sys.modules, name, None)
    path = tmp_path / "build" / "bench.json"
    arguments = ["--networks", "2-2-2@4", "--backends", "numpy", "--seconds", "0.01", "--json", str(path)]
    assert main(arguments) == 0
    shown = capsys.readouterr()
    assert "retroprop numpy" in shown.out
    assert shown.err == ""
    assert main(["--report", str(path)]) == 0
    assert "| network |" in capsys.readouterr().out
    assert main(["--networks", "2"]) == 2
    assert "must be written as" in capsys.readouterr().err
    assert main(["--backends", "nump"]) == 2
    assert main(["--report", str(tmp_path / "none.json")]) == 2
