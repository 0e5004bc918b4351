"""The measurement of shared steps: figures by hand, and a real job of two ranks with a hard time limit."""

import json
import subprocess
import sys
from dataclasses import replace
from importlib.util import find_spec
from math import sqrt

import pytest
from made_up import row

from retroprop.bench.parallel import measurement
from retroprop.bench.parallel.efficiency import OURS, PART, SHARED, THEIRS, WHOLE, efficiency, faster_from, speed_up
from retroprop.bench.parallel.model import NETWORKS, SharedStep, connection_of, modelled, seconds_of_sum
from retroprop.bench.parallel.tables import shared_tables
from retroprop.bench.peers import torch_distributed
from retroprop.bench.render import markdown
from retroprop.bench.results import Connection, Results, from_json, to_json
from retroprop.bench.settings import SHARED as SHARED_STANDARD
from retroprop.bench.settings import chosen
from retroprop.bench.timer import Pace
from retroprop.bench.workloads import draw, parse
from retroprop.scale import launch

MACHINE = {
    "cpu": "a processor", "cores": 2, "system": "Linux", "blas": "none", "python": "3", "packages": {},
    "environment": {}, "retroprop": "1", "commit": None, "date": "2026-01-01",
}  # fmt: skip


def shared_row(m, part, whole, shared, name=OURS, ranks=2):
    """Return a row whose figures are those of three turns; the machine was slower in the last."""
    of = {PART: part, WHOLE: whole, SHARED: shared}
    return row([64, 100, 10], m, {(k, name): (s, s, 3.0 * s) for k, s in of.items()}, ranks=ranks)


def made_up():
    rows = [shared_row(16, 0.5, 1.0, 2.0), shared_row(64, 2.0, 4.0, 4.0), shared_row(256, 8.0, 16.0, 10.0)]
    here = Connection(name="this machine", ranks=2, latency=1e-5, bandwidth=2e9)
    return Results(machine=MACHINE, rows=rows, connections=[here])


def test_efficiency_is_weak_and_speed_up_strong_scaling():
    one = made_up().rows[2]
    assert efficiency(one, OURS).median == pytest.approx(0.8)
    assert speed_up(one, OURS).median == pytest.approx(1.6)
    assert efficiency(one, THEIRS) is None


def test_the_break_even_batch_of_a_made_up_table():
    # Half the time at 32 rows of all ranks, 1 at 128, 1.6 at 512: ranks are faster above 128.
    (found,) = faster_from(made_up())
    assert (found.network, found.ranks, found.name, found.smallest, found.largest) == ("64-100-10", 2, OURS, 32, 512)
    assert found.rows == pytest.approx(128.0)
    # Between speed-ups 1/2 at 32 and 2 at 512 it is half way on a logarithmic scale.
    two = [shared_row(16, 0.5, 1.0, 2.0), shared_row(256, 8.0, 16.0, 8.0)]
    assert faster_from(Results(machine=MACHINE, rows=two))[0].rows == pytest.approx(sqrt(32 * 512))
    assert faster_from(Results(machine=MACHINE, rows=two[:1]))[0].rows is None


def test_the_model_is_the_formula_by_hand():
    one = Connection(name="x", latency=1e-3, bandwidth=1e6)
    # 5 ranks: 3 hops of 1 ms, and 2 · 4/5 · 1,000 bytes at 1 MB/s = 1.6 ms
    assert seconds_of_sum(one, 5, 1000) == pytest.approx(4.6e-3)
    assert seconds_of_sum(one, 4, 1000) == pytest.approx(3.5e-3)
    assert SharedStep(3.5e-3, 0.0, 1000).efficiency(one, 4) == pytest.approx(0.5)
    assert SharedStep(3.5e-3, 7e-3, 1000).efficiency(one, 4) == pytest.approx(0.25)


def test_the_model_of_a_measured_step():
    ((network, found, step),) = modelled(made_up())
    assert (network, found.batch, step.alone) == ("64-100-10", 256, 8.0)
    # 64-100-10 has 7,510 parameters of 4 bytes; 10 µs and those at 2 GB/s are the sum in 10 s of a step.
    assert step.overhead == pytest.approx(2.0 - 10e-6 - 30040 / 2e9, rel=1e-12)
    # On 64 ranks 6 hops of 50 µs, and 126/64 of 30,040 bytes at 0.117 GB/s
    expected = 8.0 / (8.0 + step.overhead + 6 * 50e-6 + 126 / 64 * 30040 / 0.117e9)
    assert step.efficiency(NETWORKS[0], 64) == pytest.approx(expected, rel=1e-12)
    # A shared step cannot take less than the sum and the step alone: what the clock says beyond that is noise.
    fast = replace(made_up(), rows=[shared_row(16, 2.0, 3.0, 1.0)])
    assert [step.overhead for _, _, step in modelled(fast)] == [0.0]
    assert list(modelled(replace(made_up(), connections=[]))) == []


@pytest.mark.parametrize("ranks", [2, 3, 8])
def test_latency_and_bandwidth_come_from_two_sums(ranks):
    true = Connection(name="x", latency=3e-6, bandwidth=2e9)
    found = connection_of(ranks, {size: seconds_of_sum(true, ranks, size) for size in (4, 2**23)})
    assert (found.ranks, found.latency, found.bandwidth) == (ranks, pytest.approx(3e-6), pytest.approx(2e9))


def test_the_tables():
    measured, break_even, predicted = shared_tables(made_up())
    assert measured.rows[2][3:] == ["2 × 256", OURS, "8,000", "10,000", "0.800 (0.800–0.800)", "1.60"]
    assert break_even.rows == [["64-100-10", "2", OURS, "128"]]
    label = "64-100-10, 256: c = 2,000 ms"
    assert predicted.columns[2:] == ["2", "4", "8", "16", "64"]
    assert predicted.rows[0] == [label, "this machine: 10 µs, 2 GB/s", "0.80", "", "", "", ""]
    assert predicted.rows[1] == [label, "1 GbE: 50 µs, 0.117 GB/s", *["0.80"] * 5]
    assert "Break-even: the rows of a batch" in markdown(made_up())
    assert from_json(to_json(made_up())) == made_up()


# The job --------------------------------------------------------------------------------------------------------


def needs_mpi():
    if find_spec("mpi4py") is None:
        pytest.skip("needs mpi4py: pip install 'retroprop[mpi]'")
    try:
        launch.mpiexec("a test")
    except RuntimeError as error:
        pytest.skip(str(error))


def settings(**more):
    return replace(
        chosen(SHARED_STANDARD, networks="5-4-3@6,7-3@2", seconds=0.01, ranks="2"),
        pace=Pace(rounds=(2, 2)),
        **more,
    )


@pytest.fixture
def busy(monkeypatch):
    """Let ranks that wait leave the processor to others, of Open MPI and MPICH, and run as any user."""
    for name in ("OMPI_MCA_mpi_yield_when_idle", "MPIR_CVAR_POLLS_BEFORE_YIELD", "MPIR_CVAR_ENABLE_HEAVY_YIELD",
                 "OMPI_ALLOW_RUN_AS_ROOT", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM"):  # fmt: skip
        monkeypatch.setenv(name, "1")


@pytest.mark.filterwarnings("ignore:2 ranks have 1 cores")
@pytest.mark.parametrize("peers", [(), pytest.param(("torch eager",), marks=pytest.mark.long)])
def test_two_ranks_are_timed_and_torch_beside_them(busy, peers):
    needs_mpi()
    with_torch = peers and find_spec("torch") is not None
    found = measurement.run(settings(peers=peers), limit=60.0)
    assert not found.interrupted
    assert [(one.workload.name, one.ranks) for one in found.rows] == [("5-4-3@6", 2), ("7-3@2", 2)]
    names = [OURS, THEIRS] if with_torch else [OURS]
    assert list(found.absent) == ([THEIRS] if peers and not with_torch else [])
    for one in found.rows:
        assert [(t.kind, t.name) for t in one.timings] == [(k, n) for n in names for k in (PART, WHOLE, SHARED)]
        assert all(len(t.seconds) == 2 and min(t.seconds) > 0.0 for t in one.timings)
    (connection,) = found.connections
    assert connection.ranks == 2
    assert 0.0 <= connection.latency < 1.0
    assert 1e6 < connection.bandwidth < 1e12
    assert from_json(to_json(found)).shared == from_json(to_json(found)).rows


@pytest.mark.filterwarnings("ignore")
def test_torch_trains_in_a_group_of_one(tmp_path):
    torch = pytest.importorskip("torch", reason="the peer needs torch")
    threads, problem = torch.get_num_threads(), draw(parse("5-4-3@6"), "adam", rows=12)
    torch_distributed.join(str(tmp_path / "store"), 0, 1)
    try:
        assert all(torch_distributed.trained(problem, 2, shared=shared) > 0.0 for shared in (False, True))
    finally:
        torch.distributed.destroy_process_group()
        torch.set_num_threads(threads)


def test_a_job_that_fails_gives_its_error_in_one_line(busy):
    needs_mpi()
    with pytest.raises(RuntimeError, match=r'^"mpiexec -n 2" failed with exit code \d+: [^\n]*KeyError[^\n]*$'):
        list(launch.results_of(launch.mpiexec("a test"), 2, measurement.JOB, {"ranks": 2}, limit=60.0))


def test_two_kinds_of_mpi_are_an_error():
    """A launcher whose processes do not find each other leaves each alone."""
    needs_mpi()
    request = json.dumps({"ranks": 2, "store": None, "workloads": []})
    job = subprocess.run(
        [sys.executable, "-m", measurement.JOB, request], capture_output=True, text=True, timeout=60, check=False
    )
    assert job.returncode != 0
    assert "mpiexec started 2 processes, and mpi4py sees 1: they are of two MPIs" in job.stderr


def test_ctrl_c_keeps_the_rows_that_are_done(monkeypatch):
    def results_of(launcher, ranks, module, request, limit):
        yield {"row": json.loads(to_json(made_up()))["rows"][0]}
        raise KeyboardInterrupt

    monkeypatch.setattr(launch, "results_of", results_of)
    monkeypatch.setattr(launch, "mpiexec", lambda purpose: "mpiexec")
    found = measurement.run(settings(ranks=(2,)))
    assert found.interrupted
    assert found.rows == made_up().rows[:1]


def test_more_ranks_than_cores_are_a_warning(monkeypatch):
    monkeypatch.setattr(launch, "results_of", lambda *arguments, limit: [])
    monkeypatch.setattr(launch, "mpiexec", lambda purpose: "mpiexec")
    monkeypatch.setattr(measurement.machine, "cores", lambda: 2)
    with pytest.warns(UserWarning, match="4 ranks have 2 cores"):
        measurement.run(settings(ranks=(4,)))


def test_by_default_ranks_are_powers_of_two_up_to_the_cores(monkeypatch):
    asked = []
    monkeypatch.setattr(launch, "results_of", lambda *arguments, limit: asked.append(arguments[1]) or [])
    monkeypatch.setattr(launch, "mpiexec", lambda purpose: "mpiexec")
    monkeypatch.setattr(measurement.machine, "cores", lambda: 12)
    measurement.run(settings(ranks=()))
    assert asked == [2, 4, 8]


def test_without_mpi4py_or_mpiexec_one_line_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "mpi4py", None)
    with pytest.raises(ValueError, match=r'--parallel needs mpi4py, .*: pip install "retroprop\[mpi\]"$'):
        measurement.run(settings())
    monkeypatch.setattr(launch, "need", lambda *arguments, **more: None)
    monkeypatch.setattr(launch.shutil, "which", lambda name, path=None: None)
    with pytest.raises(RuntimeError, match=r'^--parallel finds no mpiexec: .*"pip install mpich"'):
        measurement.run(settings())


@pytest.mark.parametrize("ranks", ["1", "0", "2,1", "two", "", "-2"])
def test_numbers_of_ranks_are_two_or_above(ranks):
    with pytest.raises(ValueError, match=f'ranks must be numbers of processes, each 2 or above, .* not "{ranks}"'):
        chosen(SHARED_STANDARD, ranks=ranks)
