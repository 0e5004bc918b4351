"""The GPU benchmark without a GPU: its contestants, its rows, and their processes."""

import gc
import logging
import weakref
from contextlib import contextmanager
from dataclasses import replace
from itertools import pairwise
from time import monotonic
from types import SimpleNamespace

import pytest
from cuda_on_the_host import COMPILER, CudaOnTheHost

from gpu import own, peers, report, rows, turns
from retroprop.backends import list_backends
from retroprop.bench import ours
from retroprop.bench.contestant import UnavailableContestantError
from retroprop.bench.timer import Pace
from retroprop.bench.workloads import draw, parse

QUICK = Pace(budget=0.05, timing=0.0001, warm_up=0.0, lead=0.0, lead_after_others=0.0, rounds=(2, 2))


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
            "JAX jit": refuse(UnavailableContestantError("no JAX")),
            "torch eager": refuse(ZeroDivisionError("oh")),
            "JAX scan": refuse(AssertionError("not asked for")),
        }

    monkeypatch.setattr(rows, "_makers", makers)
    row = rows.GpuRow("4-5-3@6", "tf32", ["numpy", "run", "JAX jit", "torch eager"], pace=QUICK)
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


def test_a_warning_of_the_library_is_reported_with_the_contestant(monkeypatch):
    """A refused graph leaves a launched step, which is timed, and is not the one the table names."""

    def makers(problem, precision):
        def given_up():
            logging.getLogger("retroprop").warning("steps are launched one by one, not as a graph: %s", "no room")
            return ours.step(rows.get_backend("numpy"), problem), 1

        return {"captured": given_up, "launched": lambda: (ours.step(rows.get_backend("numpy"), problem), 1)}

    monkeypatch.setattr(rows, "_makers", makers)
    row = rows.GpuRow("4-5-3@6", "tf32", ["captured", "launched"], pace=QUICK)
    row.warm_up()
    row.round()
    said = "steps are launched one by one, not as a graph: no room"
    assert row.cells["captured"]["warnings"] == [said]
    assert "warnings" not in row.cells["launched"]
    lines = report.table([{"network": "4-5-3@6", "precision": "tf32", "contestants": row.cells}])
    assert lines[-1] == f"- 4-5-3@6 tf32, captured, not the step it is named for: {said}"


def test_what_needs_a_gpu_says_so_where_there_is_none():
    if any(info.name == "cupy" and info.available for info in list_backends()):
        pytest.skip("a GPU answers")
    row = rows.GpuRow("4-5-3@6", "tf32", [*rows.OURS, "JAX jit"], pace=QUICK)
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
    assert sorted(name for group in rows.GROUPS for name in group) == sorted(rows.ALL)


@pytest.fixture
def graphs(monkeypatch):
    """Put stand-ins for PyTorch's streams, graphs and compiler in place; return a record of their use."""
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    made = SimpleNamespace(current=["default"], steps=[], alive=[], compiled=[])

    class Stream:
        def wait_stream(self, other):
            pass

    @contextmanager
    def on(stream, what="warm-up"):
        made.current.append((what, stream))
        yield
        made.current.pop()

    for name, stand_in in {
        "Stream": Stream, "current_stream": Stream, "stream": on,
        "CUDAGraph": lambda: SimpleNamespace(replay=lambda: made.steps.append("replay")),
        "graph": lambda graph, stream: on(stream, "capture"), "synchronize": lambda: None,
    }.items():  # fmt: skip
        monkeypatch.setattr(torch.cuda, name, stand_in)
    whole = peers.built

    def built(problem, device):
        model, optimizer, x, y = whole(problem, "cpu")
        made.alive += [weakref.ref(one) for one in (model[0].weight, x, y)]
        model.register_forward_hook(lambda *given: made.steps.append(made.current[-1]))
        made.weight = weakref.ref(model[0].weight)
        return model, optimizer, x, y

    monkeypatch.setattr(peers, "built", built)
    monkeypatch.setattr(torch.compiler, "reset", lambda: made.compiled.append("reset"))
    monkeypatch.setattr(torch, "compile", lambda cost, mode: made.compiled.append(mode) or cost)
    return made


@pytest.mark.filterwarnings("ignore")  # PyTorch's own, while it is imported
@pytest.mark.parametrize(
    ("make", "compiled"),
    [(peers.torch_graph, []), (peers.torch_compiled_graph, ["reset", "max-autotune-no-cudagraphs"])],
)
def test_a_graph_of_pytorch_is_captured_after_a_warm_up_on_its_stream(graphs, make, compiled):
    """And what it reads stays alive, as it has addresses only; the compiler makes no graphs of its own within it."""
    contestant = make(draw(parse("6-5-3@4"), optimizer="sgd"), "tf32")
    gc.collect()
    assert all(one() is not None for one in graphs.alive)
    assert contestant.name == ("torch compiled graph" if compiled else "torch graph")
    assert graphs.compiled == compiled
    stream = graphs.steps[0][1]
    assert graphs.steps == [("warm-up", stream)] * peers._WARM_UP_STEPS + [("capture", stream)]
    before = graphs.weight().detach().clone()
    contestant.call()
    contestant.finish()
    assert graphs.steps[-1] == "replay"  # and nothing else runs
    assert bool((graphs.weight() == before).all())


@pytest.mark.filterwarnings("ignore")
def test_the_captured_step_has_the_update_in_it(graphs, monkeypatch):
    """Forward, backward and Adam's fused, capturable update are one call: each moves the parameters."""
    import torch

    given = []

    class Adam(torch.optim.Adam):
        def __init__(self, parameters, *, lr, **options):
            given.append(options)
            super().__init__(parameters, lr=lr)

    monkeypatch.setattr(torch.optim, "Adam", Adam)
    step, model = peers.torch_step(draw(parse("6-5-3@4"), optimizer="adam"), "tf32", capturable=True, device="cpu")
    before = [p.detach().clone() for p in model.parameters()]
    step()
    assert all(bool((p != b).any()) for p, b in zip(model.parameters(), before, strict=True))
    assert {"fused": True, "capturable": True} in given


@pytest.mark.long
@pytest.mark.skipif(COMPILER is None, reason="no C++ compiler")
@pytest.mark.filterwarnings("ignore")
def test_the_step_that_is_compiled_for_a_graph_is_the_eager_one():
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    problem, weights = draw(parse("6-5-3@4"), optimizer="sgd", learning_rate=0.5), []
    for mode in ("", "max-autotune-no-cudagraphs"):
        step, model = peers.torch_step(problem, "highest", capturable=True, compiled=mode, device="cpu")
        step()
        weights.append(model[0].weight.detach())
    torch.testing.assert_close(*weights)


def test_the_table_has_the_device_and_the_ratios_to_the_floor_and_to_the_best_rival():
    medians = {
        "products": 8e-6,
        "captured": 12e-6,
        "run": 10e-6,
        "torch graph": 20e-6,
        "JAX scan": 40e-6,
        "numpy": 1e-3,
    }
    cells = {name: {"median": median} for name, median in medians.items()} | {"torch eager": {"reason": "gone"}}
    lines = report.table([{"network": "2-2@4", "precision": "tf32", "device": "a GPU", "contestants": cells}])
    assert lines[2].startswith("| 2-2@4 | tf32 | a GPU | 8.0 |  | 12.0 | 10.0 |  | 20.0 |")
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
