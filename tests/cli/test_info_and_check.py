"""`retroprop info`, `retroprop check`, and the options before a command."""

import json
from importlib.util import find_spec

import pytest

import retroprop as rp
from retroprop.backends.cpu.numba_target import CACHE


def test_version(cli):
    assert cli("--version").stdout == f"retroprop {rp.__version__}\n"


def test_help_lists_the_commands(cli):
    shown = cli("--help").stdout
    for command in ("info", "train", "predict", "check", "explain", "export", "bench"):
        assert command in shown


def test_info(cli):
    shown = cli("info").stdout
    for words in (rp.__version__, "numpy", "array_api_strict", "auto picks", "BLAS", "polars"):
        assert words in shown
    for backend in rp.list_backends():
        assert backend.name in shown


def test_info_as_json(cli):
    found = json.loads(cli("info", "--json").stdout)
    assert found["retroprop"] == rp.__version__
    assert found["auto"] == str(rp.get_backend("auto"))
    backends = {backend["name"]: backend for backend in found["backends"]}
    assert backends["numpy"]["available"]
    for backend in found["backends"]:
        assert backend["available"] or backend["reason"]
    assert found["blas"]["name"]


def test_info_says_where_compiled_loops_are_and_empties_the_cache(cli, monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("RETROPROP_NUMBA", "0")
    CACHE.write("a loop", bytes(range(100)))
    found = json.loads(cli("info", "--json").stdout)["cpu"]
    assert found["cache of loops"].startswith(f"{tmp_path / 'retroprop' / 'loops'}: 0.0 MB of at most 17, files: 1;")
    assert "never (RETROPROP_NUMBA=0)" in found["compiled loops"] or find_spec("numba") is None
    found = json.loads(cli("info", "--json", "--clear-cache").stdout)["cpu"]
    assert "files: 0;" in found["cache of loops"]
    assert CACHE.read("a loop") is None
    assert "Cache of loops" in cli("info").stdout


@pytest.mark.parametrize(
    "options",
    [
        (),
        ("--layers", "3,5,4,2", "--hidden", "gelu,tanh", "--loss", "squared_error", "--l2", 0.1, "--l1", 0.01),
        ("--layers", "2,3", "--loss", "binary_cross_entropy", "--no-bias"),
        ("--loss", "poisson", "--rows", 3, "--seed", 7),
        ("--loss", "huber", "--output", "tanh", "--dtype", "float32"),
    ],
)
def test_check(cli, options):
    result = cli("check", *options, "--backend", "numpy")
    assert result.exit_code == 0, result.output
    assert "Largest relative error" in result.stdout
    assert "NOT ok" not in result.stdout


def test_check_of_a_wrong_gradient_ends_with_1(cli, monkeypatch):
    from retroprop.core.gradient_check import GradientCheck

    monkeypatch.setattr(rp, "check_gradient", lambda net, x, y: GradientCheck(0.5, "thetas[0][0, 0]", 1e-6, 9))
    result = cli("check")
    assert result.exit_code == 1
    assert "NOT ok" in result.stdout
