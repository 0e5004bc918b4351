"""Compiled loops on disk: whatever happens to the cache, a training has the same bits, without a word."""

import hashlib
import inspect
import os
import subprocess
import sys
import threading
import time
import warnings

import numpy as np
import pytest

import retroprop as rp
from retroprop.backends.cpu import native_functions, numba_target
from retroprop.estimators import MLPClassifier, MLPRegressor

pytest.importorskip("numba", reason="Numba is not installed (the extra 'fast')")


def trained():
    """Return the hash of the parameters of a training, and its costs."""
    x = np.random.default_rng(0).normal(size=(48, 5))
    net = rp.Network([5, 7, 7, 7, 2], hidden="tanh", seed=0)
    history = rp.fit(net, x, x[:, :2], optimizer="sgd", epochs=3, batch_size=16, seed=0)
    return hashlib.sha256(np.concatenate([theta.ravel() for theta in net.thetas]).tobytes()).hexdigest(), history.cost


def forget():
    """Empty the caches of this process."""
    for function in (numba_target.compiled, native_functions.native_loop, native_functions.native_run):
        function.cache_clear()


@pytest.fixture(autouse=True)
def folder(monkeypatch, tmp_path):
    """An empty cache on disk, and none in this process."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("RETROPROP_NUMBA", "loops")
    forget()
    yield tmp_path / "retroprop" / "loops"
    forget()


def files(folder):
    return {file.name: file.read_bytes() for file in folder.iterdir()}


def test_a_damaged_cache_heals(folder, caplog):
    at_first = trained()
    written = files(folder)
    assert written
    damages = {
        "full": lambda content: content,
        "cut": lambda content: content[: len(content) // 2],
        "garbled": lambda content: content[:100] + bytes(len(content) - 100),
        "empty files": lambda content: b"",
    }
    for name, damage in damages.items():
        for file in folder.iterdir():
            file.write_bytes(damage(file.read_bytes()))
        if name == "empty files":
            (folder / "half written").write_bytes(b"a program was killed here")
        forget()
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert trained() == at_first, name
        assert {file: files(folder)[file] for file in written}.keys() == written.keys(), name
        assert all(len(content) > 1000 for file, content in files(folder).items() if file in written), name
    assert not [record for record in caplog.records if record.levelname == "WARNING"]


def test_what_numba_cannot_read_is_compiled_again(folder, monkeypatch):
    at_first = trained()
    before = files(folder)
    content = numba_target.CACHE.read
    monkeypatch.setattr(numba_target.CACHE, "read", lambda key: content(key) and b"a format of another day")
    forget()
    assert trained() == at_first
    assert files(folder).keys() == before.keys()


def test_loops_are_read_and_not_compiled_again(folder, monkeypatch):
    at_first = trained()
    monkeypatch.setattr(numba_target.CACHE, "write", lambda key, content: pytest.fail("a loop was compiled"))
    forget()
    assert trained() == at_first


def test_a_layer_more_compiles_nothing(monkeypatch):
    x = np.random.default_rng(0).normal(size=(16, 6)).astype("float32")
    written = []
    monkeypatch.setattr(numba_target.CACHE, "write", lambda key, content: written.append(key))
    rp.fit(rp.Network([6, 6, 6, 6, 2], seed=0), x, x[:, :2], epochs=2)
    few = len(written)
    rp.fit(rp.Network([6] * 30 + [2], seed=0), x, x[:, :2], epochs=2)
    rp.fit(rp.Network([6, 9, 9, 9, 2], seed=0), x[:9], x[:9, :2], epochs=2)
    assert 0 < few == len(written) <= 6


def fitted(estimators):
    """Return the costs of trainings below and above the work worth compiling, by `rp.fit` and by `estimators` too."""
    numba_target.WORTH["auto"] = 4e6
    x = np.random.default_rng(0).normal(size=(400, 8)).astype("float32")
    y = (x[:, 0] * x[:, 1] > 0).astype("int64")
    found = []
    for epochs in (4, 40):
        net = rp.Network([8, 60, 40, 2], output="softmax", loss="cross_entropy", seed=0)
        found.append(rp.fit(net, x, y, epochs=epochs, batch_size=50, seed=0).cost[-1])
        if not estimators:
            continue
        options = {"hidden_layer_sizes": (60, 40), "max_iter": epochs, "random_state": 0, "n_iter_no_change": epochs}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # of convergence
            found.append(MLPClassifier(**options).fit(x, y).loss_)
            # A regressor by another solver, below that work: its loops would take as long again to compile.
            found.append(MLPRegressor(**options | {"max_iter": 4, "solver": "sgd"}).fit(x, y).loss_)
    return found


@pytest.mark.parametrize("estimators", [False, pytest.param(True, marks=pytest.mark.long)])
def test_the_same_call_has_the_same_bits_in_every_process_at_every_time(estimators, folder, monkeypatch):
    monkeypatch.setenv("RETROPROP_NUMBA", "auto")
    monkeypatch.setitem(numba_target.WORTH, "auto", 4e6)
    at_first = fitted(estimators)
    assert native_functions.native_run.cache_info().currsize  # the larger ones
    assert [fitted(estimators) for _ in range(2)] == [at_first] * 2
    code = (
        "import warnings\nimport numpy as np\nimport retroprop as rp\nfrom retroprop.backends.cpu import numba_target\n"
        "from retroprop.estimators import MLPClassifier, MLPRegressor\n" + inspect.getsource(fitted)
    )
    for cache in ("full", "empty") if estimators else ("full",):
        if cache == "empty":
            numba_target.CACHE.clear()
        fresh = subprocess.run(
            [sys.executable, "-c", code + f"print(fitted({estimators}))"], capture_output=True, text=True, check=True
        )
        assert (fresh.stdout.strip(), fresh.stderr) == (str(at_first), ""), cache


@pytest.mark.parametrize("many", [2, pytest.param(4, marks=pytest.mark.long)])
def test_programs_that_compile_at_once_get_the_same_bits(many, folder):
    code = "import hashlib\nimport numpy as np\nimport retroprop as rp\n" + inspect.getsource(trained)
    code += "print(*trained())\n"
    programs = [
        subprocess.Popen(
            [sys.executable, "-W", "error::UserWarning", "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        for _ in range(many)
    ]
    results = [program.communicate() for program in programs]
    assert {errors for _, errors in results} == {b""}
    assert {output.decode().strip() for output, _ in results} == {"{} {}".format(*trained())}


def forked(forks):
    """Fork while another thread compiles; each child compiles a loop and a run of its own. Print how many ended."""
    over = threading.Event()

    def compile_one(line):
        loop = numba_target.compiled(f"def kernel(n, x):\n    for i in range(n):\n        {line}\n", False)
        numba_target.compile_for(loop, (1, np.zeros(1)))
        text = f"def kernel(n, x):\n    for i in range(n):\n        {line}\n        x[i] = tanh(f32(x[i]))\n"
        loop = native_functions.native_loop(text, False, True)
        text = "def run(first, last, steps, table, numbers, rows, costs):\n    x = float64_1(table[0], 0)\n"
        text += f"    {loop.__name__}(x.size, x)\n    x2 = float64_2(table[0], 2)\n    dot(x2, x2, x2)\n"
        readers = frozenset({("float64", 1), ("float64", 2)})
        native_functions.native_run(text, (loop,), readers, "float64")

    def compile_many():
        k = 0
        while not over.is_set():
            k += 1
            compile_one(f"x[i] += f64({k})")

    thread = threading.Thread(target=compile_many)
    thread.start()
    ended = 0
    try:
        for k in range(forks):
            child = os.fork()
            if child == 0:
                compile_one(f"x[i] -= f64({k})")  # the compiler and its locks, from the beginning
                os._exit(0)
            deadline = time.monotonic() + 60.0
            while os.waitpid(child, os.WNOHANG) == (0, 0):
                if time.monotonic() > deadline:
                    os.kill(child, 9)
                    os.waitpid(child, 0)
                    return
                time.sleep(0.002)
            ended += 1
    finally:
        over.set()
        thread.join()
        print(ended)


@pytest.mark.skipif(not hasattr(os, "register_at_fork"), reason="no forks on this system")
@pytest.mark.parametrize("forks", [2, pytest.param(200, marks=pytest.mark.long)])
def test_a_fork_during_compilation_does_not_hang(forks):
    """In a process of its own: JAX warns of forks once it was loaded."""
    code = (
        "import os, threading, time\nimport numpy as np\n"
        "from retroprop.backends.cpu import native_functions, numba_target\n"
        + inspect.getsource(forked)
        + f"forked({forks})\n"
    )
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str(forks), done.stderr
