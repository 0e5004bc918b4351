"""The same seed, machine and versions give the same bits, wherever the training runs, and it leaves nothing behind."""

import os
import platform
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import retroprop as rp

HERE = Path(__file__).parent


def printed(script, *arguments, **environment):
    command = [sys.executable, "-W", "error", str(HERE / script), *map(str, arguments)]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env=os.environ | environment, timeout=900
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no forks on this system")
@pytest.mark.parametrize(
    ("numba", "ways"),
    [
        ("0", "cold warm threads fork spawn"),
        pytest.param("0", "spawn cold loky threading fork warm", marks=pytest.mark.long),
        pytest.param("1", "fork cold threads warm spawn loky", marks=pytest.mark.long),
    ],
)
def test_a_training_has_the_same_bits_in_threads_forks_spawned_processes_and_joblib(numba, ways, tmp_path):
    """In a process of its own: JAX warns of forks once it was loaded."""
    if numba == "1":
        pytest.importorskip("numba", reason="Numba is not installed (the extra 'fast')")
    if "loky" in ways:
        pytest.importorskip("joblib", reason="joblib, which scikit-learn brings, is not installed")
    cache = str(tmp_path)
    lines = printed("reproduced.py", *ways.split(), RETROPROP_NUMBA=numba, XDG_CACHE_HOME=cache).splitlines()
    found = dict(line.split(" ", 1) for line in lines)
    assert list(found) == ways.split()
    first, second = found["cold"].split()
    assert first != second, "of two seeds"
    assert set(found.values()) == {found["cold"]}


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="this system does not say how much memory is in use")
@pytest.mark.parametrize(("n", "most"), [(300, 12e6), pytest.param(20_000, 4e6, marks=pytest.mark.long)])
def test_many_fits_leave_nothing_behind(n, most, tmp_path):
    """Plans of the latest shapes are kept, so the first hundreds of fits take memory."""
    (tmp_path / "tmp").mkdir()
    (tmp_path / "cache").mkdir()
    folders = {"TMPDIR": str(tmp_path / "tmp"), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    memory, files, slower, made = map(float, printed("many_fits.py", n, RETROPROP_NUMBA="0", **folders).split())
    assert memory < most
    assert files == 0
    assert slower < 1.5
    assert made == 0


@pytest.mark.parametrize(("dtype", "most"), [("float32", 1e-3), ("float64", 1e-11)])
def test_the_number_of_threads_of_blas_changes_the_last_bits_only(dtype, most):
    """Products are split among threads, so sums are made in another order."""
    threadpoolctl = pytest.importorskip("threadpoolctl", reason="threadpoolctl, which scikit-learn brings, is missing")
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(256, 784)), rng.normal(size=(256, 10))
    thetas = []
    for threads in (1, 2):
        with threadpoolctl.threadpool_limits(threads, user_api="blas"):
            net = rp.Network([784, 256, 10], seed=0, dtype=dtype, backend="numpy")
            rp.fit(net, x, y, epochs=1, batch_size=64, seed=0)
            thetas.append(np.concatenate([theta.ravel() for theta in net.thetas]))
    assert np.max(np.abs(thetas[0] - thetas[1])) <= most * np.max(np.abs(thetas[0]))


TRAINED = (
    "import sys, numpy as np, retroprop as rp\n"
    "rng = np.random.default_rng(0); x, y = rng.normal(size=(256, 784)), rng.normal(size=(256, 10))\n"
    "for dtype in ('float32', 'float64'):\n"
    "    net = rp.Network([784, 256, 10], hidden='tanh', seed=0, dtype=dtype, backend='numpy')\n"
    "    rp.fit(net, x, y, epochs=24, batch_size=64, seed=0)\n"
    "    np.save(f'{sys.argv[1]}-{dtype}.npy', np.concatenate([theta.ravel() for theta in net.thetas]))\n"
)


@pytest.mark.long
@pytest.mark.skipif(platform.machine().lower() not in ("x86_64", "amd64"), reason="kernels of other processors")
def test_the_kernels_of_an_older_processor_change_the_last_bits_only(tmp_path):
    """The code that OpenBLAS has for processors without AVX stands for another machine."""
    for name, environment in (("own", {}), ("other", {"OPENBLAS_CORETYPE": "Prescott"})):
        command = [sys.executable, "-W", "ignore", "-c", TRAINED, str(tmp_path / name)]
        subprocess.run(command, check=True, env=os.environ | {"RETROPROP_NUMBA": "0"} | environment, timeout=300)
    for dtype, most in (("float32", 1e-2), ("float64", 1e-10)):
        own, theirs = (np.load(tmp_path / f"{name}-{dtype}.npy") for name in ("own", "other"))
        assert np.max(np.abs(own - theirs)) <= most * np.max(np.abs(own))
