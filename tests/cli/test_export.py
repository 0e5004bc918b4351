"""`retroprop export`: files that other runtimes read, and one line where there is none."""

import numpy as np
import pytest

import retroprop as rp
from retroprop import tabular


@pytest.fixture
def net(tmp_path):
    """Return a saved network."""
    made = rp.Network([2, 3, 1], hidden="tanh", seed=0, backend="numpy")
    rp.save(made, tmp_path / "net.safetensors")
    return made


@pytest.mark.needs("onnx")
@pytest.mark.needs("torch")
def test_both_files_of_a_network(cli, net, tmp_path):
    result = cli("export", "net.safetensors", "--onnx", "m.onnx", "--torch", "m.pt")
    assert result.exit_code == 0, result.output
    assert result.stderr.splitlines() == [
        "m.onnx: ONNX, opset 18, takes x (m, 2)",
        "m.pt: a state dict of torch, for nn.Sequential(Linear(in_features=2, out_features=3, bias=True), Tanh(), "  # noqa: ISC004
        "Linear(in_features=3, out_features=1, bias=True))",
    ]
    for again in (rp.interop.load_onnx("m.onnx"), rp.interop.from_torch("m.pt", hidden="tanh")):
        np.testing.assert_array_equal(again.to("numpy").thetas[0], net.thetas[0])


@pytest.mark.needs("onnx")
@pytest.mark.parametrize("ensemble", [None, 2])
def test_the_model_of_a_table_takes_raw_rows(cli, tmp_path, ensemble):
    import onnx

    rng = np.random.default_rng(0)
    columns = {"a": rng.normal(size=60), "b": rng.choice(["u", "v"], 60), "y": rng.choice(["no", "yes"], 60)}
    model = tabular.fit(columns, target="y", epochs=2, seed=0, ensemble=ensemble, backend="numpy")
    model.save("table.safetensors")
    result = cli("export", "table.safetensors", "--onnx", "m.onnx")
    assert result.stderr == "m.onnx: ONNX, opset 18, takes raw rows\n"
    assert [one.name for one in onnx.load("m.onnx").graph.input] == ["a", "b"]


@pytest.mark.needs("torch")
def test_an_ensemble_has_no_file_of_torch(cli, tmp_path):
    rng = np.random.default_rng(0)
    columns = {"a": rng.normal(size=60), "y": rng.normal(size=60)}
    tabular.fit(columns, target="y", epochs=2, seed=0, ensemble=2, backend="numpy").save("table.safetensors")
    result = cli("export", "table.safetensors", "--onnx", "m.onnx", "--torch", "m.pt")
    assert result.exit_code == 2
    assert "takes one network, and net holds several" in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["table.safetensors"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("net.safetensors",), "nothing to write: give --onnx model.onnx, --torch model.pt, or both."),
        (("none.safetensors", "--onnx", "m.onnx"), 'no model file "none.safetensors".'),
        (("net.safetensors", "--onnx", "net.safetensors"), "would replace the file that is read."),
        (("net.safetensors", "--onnx", "no/m.onnx"), 'there is no folder "no".'),
        (("net.safetensors", "--onnx", "m", "--torch", "m"), '--onnx and --torch name one file, "m".'),
    ],
)
def test_bad_input(cli, net, tmp_path, arguments, words):
    result = cli("export", *arguments)
    assert result.exit_code == 2
    assert words in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["net.safetensors"]


@pytest.mark.needs("torch")
def test_nothing_is_written_where_one_file_has_no_form(cli, tmp_path):
    rp.save(rp.Network([1, 1], output="exp", loss="poisson", backend="numpy"), tmp_path / "net.safetensors")
    result = cli("export", "net.safetensors", "--onnx", "m.onnx", "--torch", "m.pt")
    assert result.exit_code == 2
    assert "torch has no module for the activation 'exp'" in result.stderr
    assert not (tmp_path / "m.onnx").exists()
