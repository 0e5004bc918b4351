"""The GPU check without a GPU: its report, its exit status, and a run that continues where it was."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from time import monotonic

import pytest

from gpu import marked_tests, rows, turns
from gpu.report import SAY_MOST, OtherDeviceError, Report

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def check():
    spec = importlib.util.spec_from_file_location("gpu_check", ROOT / "benchmarks" / "gpu_check.py")
    module = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("sys.path", list(sys.path))
        spec.loader.exec_module(module)
    return module


MACHINE = {"device": "one GPU", "processors": 2, "python": "3", "platform": "here", "cuda": "", "packages": {},
           "switched_off": [], "commit": "abc", "at": "now"}  # fmt: skip


@pytest.fixture
def report(tmp_path):
    """Return what opens the report of a folder."""

    def opened(*, forget=False, **about):
        return Report(tmp_path / "out", MACHINE | about, forget=forget, logs=tmp_path / "logs")

    return opened


def test_a_check_continues_where_it_was(report, tmp_path, monkeypatch):
    asked = []

    def tested(logs, name, limit):
        asked.append((name, limit > marked_tests.A_FILE))
        counts = {"passed": 1, "failed": 0, "skipped": 0, "failures": [], "seconds": 0.0, "exit_status": 0}
        return {"ok": name != "slow", "cut_off": name == "slow" and len(asked) < 3, **counts}

    monkeypatch.setattr(marked_tests, "test_file", tested)
    never, until = 0.0, 10.0**12
    assert marked_tests.run_tests(report(), ["fast", "slow"], never) == 2
    assert marked_tests.run_tests(report(), ["fast", "slow"], until) == 0
    again = report()
    assert marked_tests.run_tests(again, ["fast", "slow"], until) == 0
    # A file that was cut off has all the time that is left.
    assert sorted(asked) == [("fast", False), ("slow", False), ("slow", True)]
    assert not again.ok(["fast", "slow"])
    assert again.ok(["fast"])  # only what was asked for is judged
    assert "FAILED, in 2 files: 2 passed" in (tmp_path / "out" / "gpu_check.md").read_text("utf-8")
    assert marked_tests.run_tests(report(forget=True), ["fast"], until) == 0
    assert len(asked) == 4


def test_where_all_was_skipped_nothing_has_passed(report, tmp_path):
    """The most important tests have to run; the reasons of all skips are reported."""
    made, files = report(), ["tests/explain/test_plots.py", SAY_MOST[0]]
    result = {"ok": True, "cut_off": False, "exit_status": 0, "seconds": 1.0, "passed": 0, "failed": 0, "skipped": 3}
    made.add("tests", "tests/explain/test_plots.py", {**result, "failures": [], "reasons": {"no matplotlib": 3}})
    assert made.ok(files)
    made.add("tests", SAY_MOST[0], {**result, "failures": [], "reasons": {"cupy: no driver": 3}})
    assert not made.ok(files)
    text = (tmp_path / "out" / "gpu_check.md").read_text("utf-8")
    assert "FAILED, in 2 files: 0 passed, 0 failed, 6 skipped." in text
    assert "- skipped, 3: cupy: no driver" in text
    assert f"- {SAY_MOST[0]}: none ran" in text
    made.add("tests", SAY_MOST[0], {**result, "passed": 1, "failures": [], "reasons": {}})
    assert made.ok(files)
    assert all((ROOT / name).is_file() for name in SAY_MOST)


@pytest.mark.long
def test_the_tests_of_a_file_run_in_a_process(tmp_path):
    """With the reason of each skip; a deprecation in another library is no failure."""
    test = tmp_path / "test_made_up.py"
    test.write_text(
        "import warnings\nimport pytest\n"
        "pytestmark = [pytest.mark.gpu, pytest.mark.filterwarnings('error::UserWarning')]\n"
        "def test_right():\n    assert 1 == 1\n"
        "def test_deprecated():\n    warnings.warn('old', DeprecationWarning)\n"
        "def test_skipped():\n    pytest.skip('cupy: no driver')\n"
        "def test_wrong():\n    assert 1 == 2\n"
    )
    found = marked_tests.test_file(tmp_path, str(test), 60.0)
    counts = {"passed": 2, "failed": 1, "skipped": 1, "reasons": {"cupy: no driver": 1}}
    assert {name: found[name] for name in counts} == counts
    assert not found["ok"]
    assert found["failures"][0].startswith("test_wrong: ")


def test_rows_are_timed_with_the_contestants_they_lack(check, report, tmp_path, monkeypatch):
    asked = []

    def timed(network, precision, wanted, *, folder, until):
        asked.append((network, list(wanted)))
        cells = {name: {"median": 1e-6} if name != "run" else {"reason": "no", "failed": True} for name in wanted}
        return {"network": network, "precision": precision, "contestants": cells}

    monkeypatch.setattr(turns, "timed", timed)
    made, until = report(), 10.0**12
    row, others = ("2-2@4", "tf32"), ("2-2@5", "tf32")
    assert check.run_rows(made, [row], ["products", "launched"], until) == 0
    both = ["2-2@4 tf32", "2-2@5 tf32"]
    assert made.ok(rows=both[:1], contestants=["products", "launched"])
    assert not made.ok(rows=both[:1], contestants=rows.OURS)
    assert check.run_rows(made, [row, others], rows.ALL, until) == 0
    first = [name for name in rows.ALL if name not in rows.LAST]
    # Those that compile for long come when all others have been timed, each by itself.
    assert asked == [
        ("2-2@4", ["products", "launched"]), ("2-2@4", first[2:]), ("2-2@5", first),
        *((network, [name]) for name in rows.LAST for network in ("2-2@4", "2-2@5")),
    ]  # fmt: skip
    # A contestant that failed is timed again.
    assert check.run_rows(made, [row], rows.ALL, until) == 0
    assert asked[-1] == ("2-2@4", ["run"])
    assert not made.ok(rows=both, contestants=rows.OURS)
    assert made.ok(rows=both, contestants=["numpy"])
    for one in made.content["rows"].values():
        one["contestants"]["run"] = {"median": 1e-6}
    assert made.ok(rows=both, contestants=rows.ALL)
    made.content["rows"]["2-2@4 tf32"]["contestants"]["captured"]["warnings"] = ["not as a graph"]
    assert not made.ok(rows=both, contestants=rows.OURS)
    assert made.ok(rows=both[1:], contestants=rows.OURS)
    assert check.run_rows(made, [row, ("2-2@6", "tf32")], rows.ALL, 0.0) == 1
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


def test_the_files_with_gpu_tests_are_found_those_of_the_engine_first():
    files = marked_tests.gpu_files()
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
    assert "lacks numpy, array-api-compat, cupy-cuda12x (or cupy-cuda13x), pytest" in capsys.readouterr().err


def test_a_gpu_is_needed_by_all_but_numpy(check, tmp_path, monkeypatch, capsys):
    """What was asked for is judged: NumPy alone needs neither a GPU nor CuPy, and ends with 0."""
    monkeypatch.setattr(check, "gpu", lambda: (None, "cupy: not installed"))
    monkeypatch.setattr(check, "find_spec", lambda name: None if name == "cupy" else name)
    monkeypatch.setattr(turns, "timed", timed_as(1e-6))
    bench = ["--part", "bench", "--rows", "2-2@4", "--precisions", "tf32"]
    places = ["--out", str(tmp_path / "gpu"), "--logs", str(tmp_path / "logs")]
    assert check.main([*bench, *places, "--contestants", "numpy"]) == 0
    assert check.main([*bench, *places, "--contestants", "numpy", "run"]) == 2
    assert "lacks cupy" in capsys.readouterr().err
    assert check.main([*bench, *places, "--contestants", "nobody"]) == 2
    monkeypatch.setattr(check, "find_spec", lambda name: name)
    assert check.main([*bench, *places, "--contestants", "nobody"]) == 2
    assert "--contestants must be of products, launched" in capsys.readouterr().err
    assert check.main([*bench, *places, "--contestants", "numpy", "run"]) == 3
    (row,) = json.loads((tmp_path / "gpu" / "gpu_check.json").read_text("utf-8"))["rows"].values()
    assert row["device"].endswith(", no GPU")
    # NumPy without figures is a failure where NumPy is asked for.
    monkeypatch.setattr(turns, "timed", timed_as(None))
    assert check.main([*bench, *places, "--contestants", "numpy", "--again"]) == 1


def timed_as(median):
    def timed(network, precision, wanted, *, folder, until):
        cell = {"reason": "it died", "failed": True} if median is None else {"median": median}
        return {"network": network, "precision": precision, "contestants": dict.fromkeys(wanted, cell)}

    return timed


def test_results_of_another_device_are_refused(check, report, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(turns, "timed", timed_as(1e-6))
    made = report(device="NVIDIA H100")
    assert check.run_rows(made, [("2-2@4", "tf32")], rows.ALL, 10.0**12) == 0
    stored = made.content["rows"]["2-2@4 tf32"]
    assert (stored["device"], stored["commit"]) == ("NVIDIA H100", "abc")
    assert "| 2-2@4 | tf32 | NVIDIA H100 |" in (tmp_path / "out" / "gpu_check.md").read_text("utf-8")
    before = (tmp_path / "out" / "gpu_check.json").read_bytes()
    with pytest.raises(
        OtherDeviceError, match=r"holds results of NVIDIA H100, and this device is NVIDIA H200.*--out.*--again"
    ):
        report(device="NVIDIA H200")
    monkeypatch.setattr(check, "gpu", lambda: (None, "cupy: not installed"))
    arguments = ["--part", "bench", "--contestants", "numpy", "--out", str(tmp_path / "out")]
    assert check.main([*arguments, "--logs", str(tmp_path / "logs")]) == 2
    assert "NVIDIA H100" in capsys.readouterr().err
    assert (tmp_path / "out" / "gpu_check.json").read_bytes() == before
    assert report(device="NVIDIA H100").has("rows", "2-2@4 tf32")
    tested = report(device="NVIDIA H200", forget=True)
    assert tested.content["rows"] == {}
    tested.add("tests", SAY_MOST[0], {"ok": True, "passed": 5, "failed": 0, "skipped": 0, "cut_off": False})
    with pytest.raises(OtherDeviceError, match="holds results of NVIDIA H200"):
        report(device="NVIDIA H100")


def test_the_commit_is_given_or_read(check, tmp_path, monkeypatch):
    monkeypatch.setattr("retroprop.bench.machine.commit", lambda: None)

    def found(*arguments):
        return check.commit_of(check.parse(["--out", str(tmp_path / "gpu"), *arguments]))

    assert found() is None
    (tmp_path / "commit").write_text("beside\n")
    (tmp_path / "other").write_text("of a file\n")
    assert found() == "beside"
    assert found("--commit-file", str(tmp_path / "other")) == "of a file"
    assert found("--commit", "given", "--commit-file", str(tmp_path / "other")) == "given"
    monkeypatch.setattr("retroprop.bench.machine.commit", lambda: "git's")
    assert found() == "git's"
    assert found("--commit-file", str(tmp_path / "other")) == "of a file"
    with pytest.raises(SystemExit) as ended:
        found("--commit-file", str(tmp_path / "none"))
    assert ended.value.code == 2


@pytest.mark.long
def test_the_benchmark_of_numpy_runs_with_few_packages(tmp_path):
    """As on a bare machine: no rich, psutil, py-cpuinfo or safetensors, and without git."""
    (tmp_path / "commit").write_text("0123abc\n")
    hidden = tmp_path / "site"
    hidden.mkdir()
    missing = ("rich", "psutil", "cpuinfo", "safetensors", "typer")
    (hidden / "sitecustomize.py").write_text(f"import sys\nsys.modules.update(dict.fromkeys({missing!r}))\n")
    environment = os.environ | {"PYTHONPATH": str(hidden), "PATH": "/nowhere"}
    command = [sys.executable, str(ROOT / "benchmarks" / "gpu_check.py"), "--part", "bench", "--contestants", "numpy"]
    command += ["--rows", "4-5-3@6", "--precisions", "tf32", "--out", str(tmp_path / "gpu"), "--logs", str(tmp_path)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "Commit 0123abc" in done.stdout
    assert "| 4-5-3@6 | tf32 |" in done.stdout


def test_the_facts_of_a_gpu_are_in_the_report(check, report, tmp_path, monkeypatch):
    from types import SimpleNamespace

    runtime = SimpleNamespace(getDevice=lambda: 0, runtimeGetVersion=lambda: 13000, driverGetVersion=lambda: 13010)
    monkeypatch.setitem(sys.modules, "cupy", SimpleNamespace(cuda=SimpleNamespace(runtime=runtime)))
    library = SimpleNamespace(products_here=lambda device: SimpleNamespace(report="cublasLt 13.1"))
    monkeypatch.setitem(sys.modules, "retroprop.backends.cuda.products.cupy_products", library)
    about = check.machine("NVIDIA H100", "0123abc")
    text = report(**about).write()
    assert text.splitlines()[2].startswith("NVIDIA H100, ")
    assert "CUDA runtime 13000, driver 13010. Products by cublasLt 13.1. numpy " in text
    assert "Commit 0123abc, " in text
