"""Finding and choosing backends."""

import copy
import pickle
import subprocess
import sys
import threading

import numpy as np
import pytest
from harness import open_backend

import retroprop as rp
from retroprop.backends import Backend, BackendUnavailableError, backend_of, registry


def test_every_library_is_listed_with_a_version_or_a_reason():
    infos = {info.name: info for info in rp.list_backends()}
    assert list(infos) == ["numpy", "cupy", "torch", "jax", "array_api_strict"]
    assert infos["numpy"] == ("numpy", np.__version__, ("cpu",), True, None)
    for info in infos.values():
        assert info.available == bool(info.devices) == (info.reason is None)
        if info.available:
            assert rp.get_backend(f"{info.name}:{info.devices[-1]}").name == info.name


def test_name_and_round_trip(backend):
    assert rp.get_backend(str(backend)) == backend
    assert pickle.loads(pickle.dumps(backend)) == backend
    assert copy.deepcopy(backend) == backend
    assert backend_of(backend.asarray([1.0])) == backend


def test_library_device_objects(backend):
    x = backend.asarray([[1.0, 2.0]], "float32")
    assert backend.owns(x)
    assert x.device == backend.device
    assert np.asarray(backend.to_numpy(x)).tolist() == [[1.0, 2.0]]
    backend.synchronize()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nunpy", "unknown backend 'nunpy'. Did you mean 'numpy'"),
        ("numpy:cuda", "NumPy has one device"),
        ("", "unknown backend ''"),
    ],
)
def test_unknown_names(name, message):
    with pytest.raises((ValueError, BackendUnavailableError), match=message.replace(".", r"\.")):
        rp.get_backend(name)


def test_unknown_devices():
    for name, device in (("torch", "cuda:99"), ("jax", "tpu:7"), ("array_api_strict", "device9")):
        with pytest.raises(BackendUnavailableError, match=device):
            rp.get_backend(f"{name}:{device}") if name in _installed() else pytest.skip(f"{name} is not installed")


def _installed():
    return [info.name for info in rp.list_backends() if info.version]


def test_not_a_backend():
    with pytest.raises(TypeError, match="backend must be a name"):
        rp.get_backend(3)


def test_missing_library_says_what_to_install(monkeypatch):
    monkeypatch.setattr(registry, "find_spec", lambda name: None)
    registry._named.cache_clear()
    with pytest.raises(BackendUnavailableError, match=r"pip install 'retroprop\[torch\]'"):
        rp.get_backend("torch")
    reasons = {info.name: info.reason for info in rp.list_backends()}
    assert "retroprop[cuda12]" in reasons["cupy"]
    assert reasons["numpy"] is None
    registry._named.cache_clear()


def test_broken_installation_is_told(monkeypatch):
    def fails(name):
        raise ImportError("libcudart.so.12: cannot open shared object file")

    monkeypatch.setattr(registry, "find_spec", lambda name: True)
    monkeypatch.setattr(registry, "import_module", fails)
    registry._named.cache_clear()
    with pytest.raises(BackendUnavailableError, match=r"cupy is installed but cannot be imported: libcudart"):
        rp.get_backend("cupy")
    registry._named.cache_clear()


def test_gpu_library_without_a_device_says_so(monkeypatch):
    """The text a user with CuPy and no driver gets, on a machine without CuPy: a stand-in for the library."""

    class NoDevice(Backend):
        @classmethod
        def open(cls, device):
            raise BackendUnavailableError("CuPy 14.0 is installed but finds no CUDA device (driver or GPU missing).")

        @classmethod
        def version(cls):
            return "14.0"

    monkeypatch.setattr(registry, "_load", lambda name: NoDevice)
    info = registry._report_on("cupy")
    assert (info.version, info.devices, info.available) == ("14.0", (), False)
    assert "finds no CUDA device" in info.reason


def test_auto_asks_the_driver_first(monkeypatch):
    registry._named.cache_clear()
    monkeypatch.setattr(registry, "_cuda_driver_answers", lambda: False)
    monkeypatch.setattr(registry, "_load", lambda name, real=registry._load: real(name) if name == "numpy" else 1 / 0)
    assert rp.get_backend("auto").name == "numpy"
    registry._named.cache_clear()


def test_auto_goes_on_to_the_next_library(monkeypatch):
    """A driver answers, but no library that could use it is there."""
    registry._named.cache_clear()
    monkeypatch.setattr(registry, "_cuda_driver_answers", lambda: True)
    monkeypatch.setattr(registry, "find_spec", lambda name: None)
    assert rp.get_backend("auto").name == "numpy"
    registry._named.cache_clear()


def test_environment_variable(monkeypatch):
    open_backend("array_api_strict:device1")
    monkeypatch.setenv("RETROPROP_BACKEND", "array_api_strict:device1")
    assert str(rp.Network([2, 2]).backend) == "array_api_strict:device1"
    with rp.use_backend("numpy"):
        assert rp.Network([2, 2]).backend.name == "numpy"
    assert rp.Network([2, 2], backend="numpy").backend.name == "numpy"
    monkeypatch.setenv("RETROPROP_BACKEND", "numpyy")
    with pytest.raises(ValueError, match="Did you mean 'numpy'"):
        rp.Network([2, 2])


def test_use_backend_is_scoped_and_does_not_leak():
    strict = str(open_backend("array_api_strict:device1"))
    seen = []
    with rp.use_backend(strict) as outer:
        assert str(outer) == strict
        thread = threading.Thread(target=lambda: seen.append(str(rp.get_backend())))
        thread.start()
        thread.join()
        with rp.use_backend("numpy"):
            assert rp.get_backend().name == "numpy"
        assert str(rp.get_backend()) == strict
    assert rp.get_backend() == rp.get_backend("auto")
    assert seen == [str(rp.get_backend("auto"))], "another thread keeps its own default"
    with pytest.raises(ValueError, match="Did you mean 'numpy'"):
        rp.use_backend("nunpy")
    with pytest.raises(ZeroDivisionError), rp.use_backend(strict):
        raise ZeroDivisionError
    assert rp.get_backend() == rp.get_backend("auto")


def test_a_library_without_a_line_of_ours():
    """Any namespace that follows the standard is a backend; here NumPy in disguise."""
    import types

    class Disguised(np.ndarray):
        def __array_namespace__(self, api_version=None):
            return disguise

    disguise = types.ModuleType("disguise")
    vars(disguise).update({k: v for k, v in vars(np).items() if not k.startswith("__")})
    disguise.asarray = lambda x, **kw: np.asarray(x, **{k: v for k, v in kw.items() if k != "device"}).view(Disguised)
    disguise.concat = lambda *args, **kw: np.concat(*args, **kw).view(Disguised)  # which drops a subclass
    Disguised.__module__ = "disguise"
    backend = rp.get_backend(disguise)
    assert type(backend) is Backend
    assert backend.name == "disguise"
    net = rp.Network([2, 4, 1], output="sigmoid", loss="binary_cross_entropy", seed=0, backend=backend)
    history = rp.fit(net, [[0, 0], [0, 1], [1, 0], [1, 1]], [0, 1, 1, 0], epochs=20, optimizer="adam")
    assert history.cost[-1] < history.cost[0]
    assert isinstance(net.thetas[0], Disguised)


def test_jax_refuses_float64_and_names_the_switch():
    code = """
import retroprop as rp
for make in (lambda: rp.Network([2, 2], dtype="float64", backend="jax"),
             lambda: rp.get_backend("jax").asarray([1.0], "float64")):
    try:
        make()
    except TypeError as error:
        assert "jax_enable_x64" in str(error), error
    else:
        raise AssertionError("float64 was accepted")
assert str(rp.Network([2, 2], backend="jax").thetas[0].dtype) == "float32"
"""
    pytest.importorskip("jax", reason="jax is not installed")
    import os

    env = {k: v for k, v in os.environ.items() if k != "JAX_ENABLE_X64"}
    subprocess.run([sys.executable, "-c", code], check=True, env=env)
