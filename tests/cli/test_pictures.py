"""The picture of a training."""

import struct

import pytest

FAST = ("--epochs", "4", "--hidden", "6", "--backend", "numpy", "--quiet")


def size_of_png(path):
    content = path.read_bytes()
    assert content[:8] == b"\x89PNG\r\n\x1a\n"
    assert len(content) > 30_000
    return struct.unpack(">II", content[16:24])


@pytest.fixture(autouse=True)
def _needs():
    pytest.importorskip("matplotlib", reason="a picture needs matplotlib")
    pytest.importorskip("sklearn", reason="the bundled data sets are scikit-learn's")


@pytest.mark.parametrize(
    "options",
    [
        ("digits",),
        ("breast_cancer", "--patience", "1"),
        ("diabetes",),
        ("diabetes", "--early-stopping"),
        ("iris", "--test-size", "0", "--epochs", "1"),
        ("diabetes", "--test-size", "0"),
    ],
)
def test_a_picture_beside_the_model(cli, tmp_path, options):
    result = cli("train", options[0], *FAST, *options[1:], "--output", "some.safetensors")
    assert result.exit_code == 0, result.output
    assert size_of_png(tmp_path / "some.png") == (1800, 990)


def test_many_classes_and_odd_names(cli, tmp_path):
    pytest.importorskip("polars", reason=".csv files need polars")
    lines = [f"{i},{i % 7},${'class' * 5}_{i % 50}$" for i in range(300)]
    (tmp_path / "many $.csv").write_text("\n".join(["a,b,the $kind$ \\x", *lines]))
    result = cli("train", "many $.csv", "--target", -1, *FAST, "--picture", "many.png")
    assert result.exit_code == 0, result.output
    size_of_png(tmp_path / "many.png")


def test_nothing_of_pyplot_is_touched(process):
    import subprocess

    code = (
        "import sys; sys.argv[0] = 'retroprop'\n"
        "from retroprop.cli import main\n"
        "try:\n    main()\n"
        "finally:\n    assert 'matplotlib.figure' in sys.modules and 'matplotlib.pyplot' not in sys.modules"
    )
    done = subprocess.run(**process("train", "iris", *FAST, code=code), timeout=60, check=False)
    assert done.returncode == 0, done.stderr
