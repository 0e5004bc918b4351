"""A model file is readable by every later version: a fixture of each format, with the outputs of the network it holds.

`format_<n>` is never written anew; a new format gets a folder of its own.
"""

import json
from pathlib import Path

import numpy as np
import pytest

import retroprop as rp
from retroprop.persistence import load_with_metadata, model_file, read_metadata

HERE = Path(__file__).parent
EXPECTED = {
    (folder.name, name): (json.loads((folder / "expected.json").read_text())["x"], expected)
    for folder in sorted(HERE.glob("format_*"))
    for name, expected in json.loads((folder / "expected.json").read_text())["models"].items()
}


def test_every_format_has_a_fixture():
    assert {folder for folder, _ in EXPECTED} == {f"format_{n}" for n in range(1, model_file.FORMAT_VERSION + 1)}
    files = {(path.parent.name, path.stem) for path in HERE.glob("format_*/*.safetensors")}
    assert files == set(EXPECTED)


@pytest.mark.parametrize(("folder", "name"), EXPECTED)
def test_a_file_of_this_format_gives_the_outputs_on_record(folder, name):
    x, expected = EXPECTED[folder, name]
    path = HERE / folder / f"{name}.safetensors"
    net = rp.load(path, backend="numpy")
    assert net.dtype == expected["dtype"]
    x = np.asarray(x)
    outputs = net.predict(np.stack([x, x]) if name == "model_axes" else x)
    np.testing.assert_allclose(outputs, expected["outputs"], rtol=8 * np.finfo(net.dtype).eps, atol=1e-7)
    again, metadata = load_with_metadata(path, backend="numpy")
    assert again.architecture == net.architecture
    assert metadata == read_metadata(path) == ({"note": 'Θ, "quoted"'} if name == "regression" else {})


@pytest.mark.parametrize(("folder", "name"), EXPECTED)
def test_a_file_of_this_format_saved_again_has_its_numbers(folder, name, tmp_path):
    safetensors = pytest.importorskip("safetensors.numpy")
    path = HERE / folder / f"{name}.safetensors"
    rp.save(rp.load(path, backend="numpy"), tmp_path / "again.safetensors")
    before, after = safetensors.load_file(path), safetensors.load_file(tmp_path / "again.safetensors")
    assert {key: value.tobytes() for key, value in before.items()} == {
        key: value.tobytes() for key, value in after.items()
    }
