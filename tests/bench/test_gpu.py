"""The GPU benchmark where there is no GPU: its table, its rows, and a check that goes on where it was."""

import importlib.util
from pathlib import Path

import pytest
from cuda_on_the_host import COMPILER, CudaOnTheHost

from retroprop.backends import list_backends
from retroprop.bench import ours
from retroprop.bench.contestant import NotHereError
from retroprop.bench.gpu import own, peers, rows
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
    def makers(problem, precision):
        step = lambda: ours.step(rows.get_backend("numpy"), problem)  # noqa: E731
        return {
            "numpy": lambda: (step(), 1),
            "run": lambda: (step(), 10**6),
            "JAX jit": refuse(NotHereError("no JAX")),
            "torch eager": refuse(ZeroDivisionError("oh")),
        }

    monkeypatch.setattr(rows, "_makers", makers)
    found = rows.measure("4-5-3@6", "tf32", pace=QUICK)
    cells = found["contestants"]
    assert cells["run"]["median"] < cells["numpy"]["median"] / 1000
    assert cells["JAX jit"] == {"reason": "no JAX"}
    assert cells["torch eager"] == {"reason": "ZeroDivisionError: oh", "failed": True}
    assert set(rows.measure("4-5-3@6", "tf32", wanted=["numpy"], pace=QUICK)["contestants"]) == {"numpy"}


def test_what_needs_a_gpu_says_so_where_there_is_none():
    if any(info.name == "cupy" and info.available for info in list_backends()):
        pytest.skip("a GPU answers")
    cells = rows.measure("4-5-3@6", "tf32", wanted=[*rows.OURS, "JAX jit"], pace=QUICK)["contestants"]
    assert set(cells) == {*rows.OURS, "JAX jit"}
    assert all("reason" in cell for cell in cells.values())


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


def test_a_check_goes_on_where_it_was(check, tmp_path, monkeypatch):
    asked = []

    def tested(out, name, limit):
        asked.append(name)
        counts = {"passed": 1, "failed": 0, "skipped": 0, "failures": [], "seconds": 0.0, "exit_status": 0}
        return {"ok": name != "slow", "cut_off": name == "slow" and len(asked) < 3, **counts}

    monkeypatch.setattr(check, "test_file", tested)
    never, until = 0.0, 10.0**12
    report = check.Report(tmp_path, MACHINE, forget=False)
    assert check.run_tests(report, ["fast", "slow"], never) == 2
    assert check.run_tests(report, ["fast", "slow"], until) == 0
    again = check.Report(tmp_path, MACHINE, forget=False)
    assert check.run_tests(again, ["fast", "slow"], until) == 0
    assert sorted(asked) == ["fast", "slow", "slow"]
    assert not again.ok()
    assert "FAILED, in 2 files: 2 passed" in (tmp_path / "gpu_check.md").read_text("utf-8")
    assert check.run_tests(check.Report(tmp_path, MACHINE, forget=True), ["fast"], until) == 0
    assert len(asked) == 4


def test_rows_are_timed_with_whom_they_lack_and_are_well_with_all_of_ours(check, tmp_path, monkeypatch):
    asked = []

    def timed(out, network, precision, wanted):
        asked.append(list(wanted))
        cells = {name: {"median": 1e-6} if name != "run" else {"reason": "no"} for name in wanted}
        return {"network": network, "precision": precision, "contestants": cells}

    monkeypatch.setattr(check, "timed", timed)
    report, until = check.Report(tmp_path, MACHINE, forget=False), 10.0**12
    row = [("2-2@4", "tf32")]
    assert check.run_rows(report, row, ["products", "launched"], until) == 0
    assert not report.ok()
    assert check.run_rows(report, row, check.contestants(), until) == 0
    assert asked == [["products", "launched"], [n for n in check.contestants() if n not in ("products", "launched")]]
    assert not report.ok()
    report.content["rows"]["2-2@4 tf32"]["contestants"]["run"] = {"median": 1e-6}
    assert report.ok()
    assert check.run_rows(report, [*row, ("2-2@5", "tf32")], check.contestants(), 0.0) == 1


def test_a_row_that_dies_has_its_reason(check, tmp_path, monkeypatch):
    monkeypatch.setattr(check.sys, "executable", "false")
    found = check.timed(tmp_path, "2-2@4", "tf32", ["run"])
    assert found["contestants"] == {"run": {"reason": "the process ended with 1"}}


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
