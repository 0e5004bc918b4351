"""The GPU benchmark where there is no GPU: its table, its rows, and a check that goes on where it was."""

import gc
import importlib.util
import logging
import weakref
from contextlib import nullcontext
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from time import monotonic
from types import SimpleNamespace

import pytest
from cuda_on_the_host import COMPILER, CudaOnTheHost

from retroprop.backends import list_backends
from retroprop.bench import ours
from retroprop.bench.contestant import NotHereError
from retroprop.bench.gpu import own, peers, rows, turns
from retroprop.bench.timer import Pace
from retroprop.bench.workloads import draw, parse

ROOT = Path(__file__).parents[2]
QUICK = Pace(budget=0.05, timing=0.0001, warm_up=0.0, lead=0.0, lead_after_others=0.0, rounds=(2, 2))


@pytest.fixture(scope="module")
def check():
    spec = importlib.util.spec_from_file_location("gpu_check", ROOT / "benchmarks" / "gpu_check.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def refuse(error):
    def make():
        raise error

    return make


def test_the_networks_can_be_read():
    assert [parse(name).name for name in rows.NETWORKS] == list(rows.NETWORKS)


def test_a_row_has_figures_a_step_or_a_reason(monkeypatch):
    order = []

    def makers(problem, precision):
        def step(name):
            made = ours.step(rows.get_backend("numpy"), problem)
            return replace(made, call=lambda: (order.append(name), made.call()))

        return {
            "numpy": lambda: (step("numpy"), 1),
            "run": lambda: (step("run"), 10**6),
            "JAX jit": refuse(NotHereError("no JAX")),
            "torch eager": refuse(ZeroDivisionError("oh")),
            "JAX scan": refuse(AssertionError("not asked for")),
        }

    monkeypatch.setattr(rows, "_makers", makers)
    row = rows.Row("4-5-3@6", "tf32", ["numpy", "run", "JAX jit", "torch eager"], pace=QUICK)
    row.warm_up()
    cells = row.cells
    assert cells == {
        "JAX jit": {"reason": "no JAX"},
        "torch eager": {"reason": "ZeroDivisionError: oh", "failed": True},
    }
    firsts = []
    for _ in range(3):
        del order[:]
        row.round()
        firsts.append(order[0])
    assert firsts == ["numpy", "run", "numpy"]
    assert cells["run"]["median"] < cells["numpy"]["median"] / 1000
    assert [len(cells[name]["all"]) for name in ("run", "numpy")] == [3, 3]
    assert set(cells) == {"numpy", "run", "JAX jit", "torch eager"}


def test_what_was_given_up_is_told_of_whom_it_was(monkeypatch):
    """A graph that is refused leaves a step that is launched: it is timed, and is not what the table calls it."""

    def makers(problem, precision):
        def given_up():
            logging.getLogger("retroprop").warning("steps are launched one by one, not as a graph: %s", "no room")
            return ours.step(rows.get_backend("numpy"), problem), 1

        return {"captured": given_up, "launched": lambda: (ours.step(rows.get_backend("numpy"), problem), 1)}

    monkeypatch.setattr(rows, "_makers", makers)
    row = rows.Row("4-5-3@6", "tf32", ["captured", "launched"], pace=QUICK)
    row.warm_up()
    row.round()
    said = "steps are launched one by one, not as a graph: no room"
    assert row.cells["captured"]["warnings"] == [said]
    assert "warnings" not in row.cells["launched"]
    lines = rows.table([{"network": "4-5-3@6", "precision": "tf32", "contestants": row.cells}])
    assert lines[-1] == f"- 4-5-3@6 tf32, captured, not what it is called: {said}"


def test_what_needs_a_gpu_says_so_where_there_is_none():
    if any(info.name == "cupy" and info.available for info in list_backends()):
        pytest.skip("a GPU answers")
    row = rows.Row("4-5-3@6", "tf32", [*rows.OURS, "JAX jit"], pace=QUICK)
    row.warm_up()
    row.round()
    assert set(row.cells) == {*rows.OURS, "JAX jit"}
    assert all("reason" in cell for cell in row.cells.values())
    assert all(row.cells[name]["failed"] for name in rows.OURS)  # to be asked for again


@pytest.fixture
def process(monkeypatch, tmp_path):
    """Return what makes each process of a row a Python that does this; it has `answer`, its file and its names."""

    def make(text):
        (tmp_path / "made_up_row.py").write_text(
            "import json, os, sys, time\n_, _, file, *names = sys.argv[1:]\n"
            "def answer(**cells):\n    json.dump(cells, open(file, 'w')); print('done', flush=True)\n" + text
        )
        whole = turns.subprocess.Popen
        monkeypatch.setattr(
            turns.subprocess, "Popen",
            lambda command, **options: whole(
                [command[0], str(tmp_path / "made_up_row.py"), *command[3:]], **options
            ),
        )  # fmt: skip

    return make


TWO = ["products", "captured", "torch graph"]
IN_TURNS = """
cell, all = {}, []
answer()
for _ in sys.stdin:
    all.append(time.monotonic())
    answer(**{name: {'median': 1.0, 'all': all} for name in names})
"""


def test_a_rows_processes_take_turns(process, tmp_path):
    process(IN_TURNS)
    found = turns.timed("4-5-3@6", "tf32", TWO, folder=tmp_path, until=monotonic() + 60.0)["contestants"]
    assert set(found) == set(TWO)
    ours, others = found["captured"]["all"], found["torch graph"]["all"]
    assert len(ours) == len(others) == rows.PACE.rounds[1]
    first = [one < other for one, other in zip(ours, others, strict=True)]
    assert first == [k % 2 == 0 for k in range(len(first))]
    assert all(max(pair) < min(after) for pair, after in pairwise(zip(ours, others, strict=True)))


@pytest.mark.parametrize(("when", "reason"), [
    ("before", "the process ended with 7: CUDA error: an illegal address"),
    ("later", "the process ended with 7: CUDA error: an illegal address"),
    ("hangs", "no answer in 1 s: CUDA error: an illegal address"),
])  # fmt: skip
def test_a_process_that_dies_or_hangs_costs_its_own_figures(process, monkeypatch, tmp_path, when, reason):
    gone = "(print('CUDA error: an illegal address', file=sys.stderr), os._exit(7))"
    if when == "hangs":
        monkeypatch.setattr(turns, "ROUND", 1.0)
        monkeypatch.setattr(turns, "PATIENCE", 0.1)
        gone = "(print('CUDA error: an illegal address', file=sys.stderr, flush=True), time.sleep(60))"
    mine = "if 'torch graph' in names" + ("" if when == "before" else " and len(all) == 3")
    process(IN_TURNS.replace("answer()\nfor", f"{mine if when == 'before' else 'if 0'}: {gone}\nanswer()\nfor").replace(
        "    all.append", f"    {mine if when != 'before' else 'if 0'}: {gone}\n    all.append"))  # fmt: skip
    found = turns.timed("4-5-3@6", "tf32", TWO, folder=tmp_path, until=monotonic() + 60.0)["contestants"]
    for name in ("products", "captured"):
        assert len(found[name]["all"]) == rows.PACE.rounds[1]
        assert "warnings" not in found[name]
    if when == "before":
        assert found["torch graph"] == {"reason": reason, "failed": True}
    else:
        assert len(found["torch graph"]["all"]) == 3  # what was known by then
        assert found["torch graph"]["warnings"] == [reason]


def test_what_begins_too_late_does_not_begin(process, tmp_path):
    process(IN_TURNS)
    found = turns.timed("4-5-3@6", "tf32", TWO, folder=tmp_path, until=monotonic() + turns.RESERVED)["contestants"]
    assert all(cell == {"reason": "no time was left", "failed": True} for cell in found.values())


def test_a_row_is_timed_in_a_process(monkeypatch, tmp_path):
    monkeypatch.setattr(turns, "PACE", QUICK)
    found = turns.timed("4-5-3@6", "tf32", ["numpy"], folder=tmp_path, until=monotonic() + 60.0)
    assert found["network"] == "4-5-3@6"
    assert found["contestants"]["numpy"]["low"] > 0.0
    assert len(found["contestants"]["numpy"]["all"]) == 2
    assert {path.name for path in tmp_path.iterdir()} == {
        "row-4-5-3-6-tf32-numpy.json",
        "row-4-5-3-6-tf32-numpy.log",
    }


def test_every_contestant_is_in_one_group():
    assert sorted(name for group in rows.GROUPS for name in group) == sorted((*rows.OURS, *rows.OTHERS))


def test_a_graph_of_pytorch_keeps_what_it_reads(monkeypatch):
    """Model, optimizer and data live as long as the contestant: a graph has only their addresses."""
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    streams = SimpleNamespace(wait_stream=lambda other: None)
    for name, stand_in in {
        "Stream": lambda: streams, "current_stream": lambda: streams, "stream": lambda stream: nullcontext(),
        "CUDAGraph": lambda: SimpleNamespace(replay=lambda: None), "graph": lambda graph: nullcontext(),
    }.items():  # fmt: skip
        monkeypatch.setattr(torch.cuda, name, stand_in)
    whole, alive = peers.built, []

    def built(problem, device):
        made = whole(problem, "cpu")
        alive.extend(weakref.ref(one) for one in (made[0][0].weight, *made[2:]))
        return made

    monkeypatch.setattr(peers, "built", built)
    contestant = peers.torch_graph(draw(parse("6-5-3@4"), optimizer="sgd"), "tf32")
    gc.collect()
    assert all(one() is not None for one in alive)
    contestant.call()


def test_the_table_sets_ours_against_the_floor_and_the_best_of_the_others():
    medians = {
        "products": 8e-6,
        "captured": 12e-6,
        "run": 10e-6,
        "torch graph": 20e-6,
        "JAX scan": 40e-6,
        "numpy": 1e-3,
    }
    cells = {name: {"median": median} for name, median in medians.items()} | {"torch eager": {"reason": "gone"}}
    lines = rows.table([{"network": "2-2@4", "precision": "tf32", "contestants": cells}])
    assert lines[2].startswith("| 2-2@4 | tf32 | 8.0 |  | 12.0 | 10.0 |  | 20.0 |")
    assert lines[2].endswith("| 1000.0 | 1.25 | 0.50 |")
    assert lines[-1] == "- 2-2@4 tf32, torch eager: gone"


@pytest.mark.skipif(COMPILER is None, reason="no C++ compiler")
def test_our_ways_to_make_a_step_make_the_same_steps():
    backend, problem = CudaOnTheHost(), draw(parse("6-5-3@4"), optimizer="adam")
    for graph in (True, False):
        once, run = own._step(backend, problem, "highest", graph=graph)
        once()
        once()
        run()
    contestant, steps = own.runs(backend, problem, "highest")
    assert steps == own.batches(problem) == 64
    contestant.call()


@pytest.mark.parametrize("scanned", [False, True])
def test_jaxs_step_runs_on_the_processor_too(scanned):
    pytest.importorskip("jax", reason="JAX is not installed")
    problem = draw(parse("6-16-3@8"), optimizer="adam", learning_rate=0.01)
    contestant, steps = peers.jax_steps(problem, "highest", scanned=scanned, platform="cpu")
    with contestant.active():
        for _ in range(3):
            contestant.call()
    contestant.finish()
    assert steps == (64 if scanned else 1)


@pytest.mark.filterwarnings("ignore")  # PyTorch's own, while it is imported
def test_pytorch_at_bf16_has_operands_in_bfloat16_and_parameters_in_float32():
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    problem = draw(parse("6-16-3@8"), optimizer="sgd", learning_rate=0.5)
    weights, operands = {}, set()
    for precision in ("highest", "bf16"):
        step, model = peers.torch_step(problem, precision, capturable=False, device="cpu")
        hook = model[2].register_forward_pre_hook(lambda layer, given: operands.add((precision, given[0].dtype)))  # noqa: B023
        step()
        hook.remove()
        weights[precision] = model[0].weight.detach()
    assert operands == {("highest", torch.float32), ("bf16", torch.bfloat16)}
    assert weights["bf16"].dtype == torch.float32
    difference = float((weights["bf16"] - weights["highest"]).abs().max())
    assert 0.0 < difference < 1e-2


def test_jax_at_bf16_is_asked_for_bfloat16_by_name():
    jax = pytest.importorskip("jax", reason="JAX is not installed")
    problem = draw(parse("6-16-3@8"), optimizer="sgd")
    contestant, _ = peers.jax_steps(problem, "bf16", scanned=False, platform="cpu")
    with contestant.active():
        text = jax.jit(lambda x: x @ x.T).lower(problem.x).as_text()
    assert "lhs_precision_type = bf16, rhs_precision_type = bf16, accumulation_type = f32" in text


MACHINE = {"gpu": "none", "processors": 2, "python": "3", "platform": "here", "cuda_runtime": 0, "cuda_driver": 0,
           "packages": {}, "products": "nothing", "switched_off": [], "commit": None, "at": "now"}  # fmt: skip


@pytest.fixture
def report(check, tmp_path):
    """Return what opens the report of a folder."""

    def opened(*, forget=False):
        return check.Report(tmp_path / "out", MACHINE, forget=forget, logs=tmp_path / "logs")

    return opened


def test_a_check_goes_on_where_it_was(check, report, tmp_path, monkeypatch):
    asked = []

    def tested(logs, name, limit):
        asked.append((name, limit > check.A_FILE))
        counts = {"passed": 1, "failed": 0, "skipped": 0, "failures": [], "seconds": 0.0, "exit_status": 0}
        return {"ok": name != "slow", "cut_off": name == "slow" and len(asked) < 3, **counts}

    monkeypatch.setattr(check, "test_file", tested)
    never, until = 0.0, 10.0**12
    assert check.run_tests(report(), ["fast", "slow"], never) == 2
    assert check.run_tests(report(), ["fast", "slow"], until) == 0
    again = report()
    assert check.run_tests(again, ["fast", "slow"], until) == 0
    # What was cut off has all the time that is left.
    assert sorted(asked) == [("fast", False), ("slow", False), ("slow", True)]
    assert not again.ok()
    assert "FAILED, in 2 files: 2 passed" in (tmp_path / "out" / "gpu_check.md").read_text("utf-8")
    assert check.run_tests(report(forget=True), ["fast"], until) == 0
    assert len(asked) == 4


def test_where_all_was_skipped_nothing_has_passed(check, report, tmp_path):
    """The tests that say most have to run; and why others did not is told."""
    made = report()
    result = {"ok": True, "cut_off": False, "exit_status": 0, "seconds": 1.0, "passed": 0, "failed": 0, "skipped": 3}
    made.add("tests", "tests/explain/test_plots.py", {**result, "failures": [], "reasons": {"no matplotlib": 3}})
    assert made.ok()
    made.add("tests", check.SAY_MOST[0], {**result, "failures": [], "reasons": {"cupy: no driver": 3}})
    assert not made.ok()
    text = (tmp_path / "out" / "gpu_check.md").read_text("utf-8")
    assert "FAILED, in 2 files: 0 passed, 0 failed, 6 skipped." in text
    assert "- skipped, 3: cupy: no driver" in text
    assert f"- {check.SAY_MOST[0]}: none ran" in text
    made.add("tests", check.SAY_MOST[0], {**result, "passed": 1, "failures": [], "reasons": {}})
    assert made.ok()
    assert all((ROOT / name).is_file() for name in check.SAY_MOST)


def test_the_tests_leave_what_they_measure_elsewhere(check, tmp_path, monkeypatch):
    """Run in a process of its own, with the reason of each skip, and no warnings of others taken for failures."""
    test = tmp_path / "test_made_up.py"
    test.write_text(
        "import os, warnings\nimport pytest\n"
        "pytestmark = [pytest.mark.gpu, pytest.mark.filterwarnings('error::UserWarning')]\n"
        "def test_cache():\n    assert os.environ['XDG_CACHE_HOME'].endswith('cache')\n"
        "def test_deprecated():\n    warnings.warn('old', DeprecationWarning)\n"
        "def test_skipped():\n    pytest.skip('cupy: no driver')\n"
        "def test_wrong():\n    assert 1 == 2\n"
    )
    found = check.test_file(tmp_path, str(test), 60.0)
    counts = {"passed": 2, "failed": 1, "skipped": 1, "reasons": {"cupy: no driver": 1}}
    assert {name: found[name] for name in counts} == counts
    assert not found["ok"]
    assert found["failures"][0].startswith("test_wrong: ")


def test_rows_are_timed_with_whom_they_lack_and_are_well_with_all_of_ours(check, report, tmp_path, monkeypatch):
    asked = []

    def timed(network, precision, wanted, *, folder, until):
        asked.append((network, list(wanted)))
        cells = {name: {"median": 1e-6} if name != "run" else {"reason": "no", "failed": True} for name in wanted}
        return {"network": network, "precision": precision, "contestants": cells}

    monkeypatch.setattr(turns, "timed", timed)
    made, until = report(), 10.0**12
    row, others = ("2-2@4", "tf32"), ("2-2@5", "tf32")
    assert check.run_rows(made, [row], ["products", "launched"], until) == 0
    assert not made.ok()
    assert check.run_rows(made, [row, others], check.contestants(), until) == 0
    first = [name for name in check.contestants() if name != "torch.compile"]
    # torch.compile comes when everything else has been timed.
    assert asked == [
        ("2-2@4", ["products", "launched"]), ("2-2@4", first[2:]), ("2-2@5", first),
        ("2-2@4", ["torch.compile"]), ("2-2@5", ["torch.compile"]),
    ]  # fmt: skip
    # What failed is asked for again.
    assert check.run_rows(made, [row], check.contestants(), until) == 0
    assert asked[-1] == ("2-2@4", ["run"])
    assert not made.ok()
    for one in made.content["rows"].values():
        one["contestants"]["run"] = {"median": 1e-6}
    assert made.ok()
    made.content["rows"]["2-2@4 tf32"]["contestants"]["captured"]["warnings"] = ["not as a graph"]
    assert not made.ok()
    assert check.run_rows(made, [row, ("2-2@6", "tf32")], check.contestants(), 0.0) == 1
    # In the folder of the report there are the two files and nothing else.
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"gpu_check.json", "gpu_check.md"}


def test_a_row_begun_late_ends_in_time(check, report, monkeypatch):
    spans = []
    cells = {"contestants": {"run": {"median": 1.0}}, "network": "2-2@4", "precision": "tf32"}
    monkeypatch.setattr(turns, "timed", lambda *row, folder, until: spans.append(until - monotonic()) or cells)
    for left in (5.0, 1000.0):
        check.run_rows(report(forget=True), [("2-2@4", "tf32")], ["run"], monotonic() + left)
    late, early = spans
    assert late == pytest.approx(5.0 + check.GRACE, abs=2.0)
    assert early == pytest.approx(check.A_ROW, abs=2.0)


def test_the_files_with_gpu_tests_are_found_ours_first(check):
    files = check.gpu_files()
    assert files[0].startswith("tests/backends/test_cuda")
    assert {"tests/backends/test_replay.py", "tests/training/test_runs.py"} <= set(files)
    assert "tests/backends/test_tracing.py" not in files


def test_without_a_gpu_the_check_ends_with_its_reason(check, capsys, monkeypatch):
    monkeypatch.setattr(check, "gpu", lambda: (None, "cupy: no driver"))
    monkeypatch.setattr(check, "find_spec", lambda name: name)
    assert check.main(["--part", "bench"]) == 3
    assert "no GPU answers. cupy: no driver" in capsys.readouterr().err
    monkeypatch.setattr(check, "find_spec", lambda name: None)
    assert check.main(["--part", "tests"]) == 2
    assert "lacks numpy, array-api-compat, safetensors, cupy" in capsys.readouterr().err
