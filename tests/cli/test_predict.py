"""`retroprop predict`: train, save and predict with every kind of file."""

import csv
import io

import numpy as np
import pytest

import retroprop as rp

FAST = ("--epochs", "200", "--hidden", "8", "--backend", "numpy", "--no-picture", "--quiet")


def rows_of(text):
    return list(csv.DictReader(io.StringIO(text)))


@pytest.fixture
def numbers():
    """Return two features and a weighted sum of them as the target."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(80, 2)) * [1.0, 100.0] + [5.0, 1000.0]
    return x, 3.0 * x[:, 0] + 0.02 * x[:, 1]


def write(path, x, y):
    """Write features and target in the format of the suffix; return the option that names the target."""
    if path.suffix == ".npz":
        np.savez(path, X=x, y=y)
        return ()
    if path.suffix == ".npy":
        np.save(path, np.column_stack([x, y]))
        return ()
    pl = pytest.importorskip("polars", reason="tables need polars")
    frame = pl.DataFrame({"a": x[:, 0], "b": x[:, 1], "total": y})
    frame.write_csv(path) if path.suffix == ".csv" else frame.write_parquet(path)
    return ("--target", "total")


@pytest.mark.parametrize("suffix", [".csv", ".parquet", ".npz", ".npy"])
def test_round_trip(cli, tmp_path, numbers, suffix):
    x, y = numbers
    data = tmp_path / f"data{suffix}"
    target = write(data, x, y)
    assert cli("train", data, *target, *FAST).exit_code == 0
    result = cli("predict", "model.safetensors", data, "--backend", "numpy")
    assert result.exit_code == 0, result.output
    assert "R² 0.9" in result.stderr
    predicted = [float(row["prediction"]) for row in rows_of(result.stdout)]
    assert np.corrcoef(predicted, y)[0, 1] > 0.95
    # The same by hand: the scaling read from the file, and the network.
    from retroprop.cli.model_card import ModelCard
    from retroprop.persistence import load_with_metadata

    net, metadata = load_with_metadata("model.safetensors", backend="numpy")
    card = ModelCard.from_metadata(metadata, tmp_path / "model.safetensors")
    inputs = (x - card.preprocessing.mean) / card.preprocessing.scale
    outputs = net.predict(inputs)[:, 0]
    np.testing.assert_allclose(predicted, outputs * card.target.scale + card.target.mean, rtol=1e-5)


def test_without_the_target_and_with_the_columns_in_another_order(cli, tmp_path, flowers):
    pl = pytest.importorskip("polars", reason=".csv files need polars")
    cli("train", flowers, "--target", "kind", *FAST)
    frame = pl.read_csv(flowers)
    frame.select("colour", "width", "length").write_csv(tmp_path / "new.csv")
    frame.with_columns(pl.lit(None).alias("kind")).write_csv(tmp_path / "empty.csv")
    with_target = cli("predict", "model.safetensors", flowers)
    assert "accuracy" in with_target.stderr
    for other in ("new.csv", "empty.csv"):
        result = cli("predict", "model.safetensors", other)
        assert result.exit_code == 0, result.output
        assert result.stdout == with_target.stdout
        assert result.stderr == ""


def test_unnamed_columns_with_the_target_first(cli, tmp_path, numbers):
    x, y = numbers
    np.save(tmp_path / "all.npy", np.column_stack([y, x]))
    np.save(tmp_path / "features.npy", x)
    cli("train", "all.npy", "--target", 0, *FAST)
    with_target = cli("predict", "model.safetensors", "all.npy")
    without = cli("predict", "model.safetensors", "features.npy")
    assert with_target.stdout == without.stdout
    assert "R²" in with_target.stderr
    assert without.stderr == ""


def test_dropped_columns_are_dropped_again(cli, tmp_path, flowers):
    pytest.importorskip("polars", reason=".csv files need polars")
    cli("train", flowers, "--target", "kind", "--drop", "colour", *FAST)
    assert rp.load("model.safetensors").layer_sizes[0] == 2
    assert cli("predict", "model.safetensors", flowers).exit_code == 0


def test_a_file_of_predictions_with_probabilities(cli, tmp_path, flowers):
    pytest.importorskip("polars", reason=".csv files need polars")
    cli("train", flowers, "--target", "kind", *FAST)
    result = cli("predict", "model.safetensors", flowers, "--proba", "--output", "p.csv")
    assert result.exit_code == 0, result.output
    assert "and 52 more" in result.stdout
    assert "True kind" in result.stdout
    rows = rows_of((tmp_path / "p.csv").read_text())
    assert len(rows) == 60
    names = ["iris", "lily", "rose"]
    for row in rows:
        probabilities = [float(row[f"probability_{name}"]) for name in names]
        assert sum(probabilities) == pytest.approx(1.0, abs=1e-5)
        assert row["prediction"] == names[int(np.argmax(probabilities))]


def test_bundled_data_and_another_backend(cli):
    pytest.importorskip("sklearn", reason="iris is scikit-learn's")
    cli("train", "iris", *FAST)
    here = cli("predict", "model.safetensors", "iris", "--backend", "numpy")
    assert "training rows included" in here.stderr
    try:
        rp.get_backend("torch:cpu")
    except ImportError as error:
        pytest.skip(str(error))
    assert cli("predict", "model.safetensors", "iris", "--backend", "torch:cpu").stdout == here.stdout
