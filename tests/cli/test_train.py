"""`retroprop train`."""

import inspect
import json

import numpy as np
import pytest

import retroprop as rp
from retroprop import tabular
from retroprop.persistence import read_metadata

FAST = ("--epochs", "3", "--hidden", "8", "--backend", "numpy")


def results(cli, *arguments):
    result = cli("train", *arguments, "--json")
    assert result.exit_code == 0, result.output
    assert result.stderr == ""
    return json.loads(result.stdout)


def test_the_first_command_reaches_97_per_cent(cli):
    pytest.importorskip("sklearn", reason="digits are scikit-learn's")
    pytest.importorskip("matplotlib", reason="a picture needs matplotlib")
    result = cli("train", "digits")
    assert result.exit_code == 0, result.output
    held_out = next(line for line in result.stdout.splitlines() if "held-out" in line)
    assert float(held_out.split("%")[0].split()[-1]) >= 97.0
    for words in (
        "1,797 rows",
        "64-100-10",
        "model.safetensors",
        "model.png",
        "retroprop predict model.safetensors digits",
    ):
        assert words in result.stdout
    net = tabular.load("model.safetensors", backend="numpy").network
    assert net.layer_sizes == (64, 100, 10)


# Scores of the default network on the split of the default seed, less a margin for the rounding of other libraries.
@pytest.mark.parametrize(
    ("data", "metric", "level"),
    [
        ("iris", "accuracy", 0.9),
        ("wine", "accuracy", 0.9),
        ("breast_cancer", "accuracy", 0.94),
        ("diabetes", "r2", 0.35),
    ],
)
def test_bundled_data_is_learned(cli, data, metric, level):
    pytest.importorskip("sklearn", reason="the bundled data sets are scikit-learn's")
    assert results(cli, data, "--no-picture", "--backend", "numpy")["scores"]["held_out"][metric] >= level


def test_results_as_json(cli, flowers):
    pytest.importorskip("polars", reason=".csv files need polars")
    found = results(cli, flowers, "--target", "kind", *FAST, "--no-picture", "-o", "flowers.safetensors")
    assert found["task"] == "classification"
    assert found["classes"] == ["iris", "lily", "rose"]
    assert found["layer_sizes"] == [4, 8, 3]  # two numbers, a text with two categories
    assert found["part_rows"] == {"training": 48, "validation": 0, "held_out": 12}
    assert found["scores"]["validation"] is None
    assert found["epochs"] == 3
    assert found["stop_reason"] == "epochs"
    assert found["parameters"] == tabular.load("flowers.safetensors").network.n_parameters
    assert found["samples_per_second"] > 0
    assert found["picture"] is None


def test_same_seed_same_model(cli):
    pytest.importorskip("sklearn", reason="iris is scikit-learn's")
    files = []
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        results(cli, "iris", *FAST, "--no-picture", "--seed", seed, "-o", f"{name}.safetensors", "--dropout", 0.2)
        files.append(tabular.load(f"{name}.safetensors", backend="numpy").network)
    np.testing.assert_array_equal(files[0].thetas[0], files[1].thetas[0])
    assert not np.array_equal(files[0].thetas[0], files[2].thetas[0])


def test_every_option_reaches_the_network(cli):
    pytest.importorskip("sklearn", reason="wine is scikit-learn's")
    found = results(
        cli, "wine", "--hidden", "6,5", "--activation", "tanh,elu", "--loss", "squared_error", "--optimizer", "lion",
        "--learning-rate", "0.002", "--schedule", "constant", "--epochs", 2, "--batch-size", 30, "--dropout", 0.1,
        "--l2", 0.01, "--l1", 0.001, "--initializer", "orthogonal", "--clip-norm", 1, "--seed", 5, "--dtype", "float64",
        "--backend", "numpy", "--test-size", 0.5, "--no-picture", "--drop", "ash", "--output", "w.safetensors",
    )  # fmt: skip
    net = tabular.load("w.safetensors", backend="numpy").network
    a = net.architecture
    assert net.layer_sizes == (12, 6, 5, 3)
    assert [f.name for f in a.activations] == ["tanh", "elu", "softmax"]
    assert (a.output.loss.name, a.l2, a.l1, a.dropout, net.dtype) == (
        "squared_error",
        0.01,
        0.001,
        (0.1, 0.1),
        "float64",
    )
    assert (found["optimizer"], found["batch_size"], found["epochs"]) == ("lion", 30, 2)
    assert found["part_rows"]["held_out"] == 89


@pytest.mark.parametrize(
    ("data", "loss", "n_outputs", "output"),
    [
        ("iris", "cross_entropy", 3, "softmax"),
        ("iris", "binary_cross_entropy", 3, "sigmoid"),
        ("breast_cancer", "binary_cross_entropy", 1, "sigmoid"),
        ("breast_cancer", "squared_error", 2, "softmax"),
        ("diabetes", "huber", 1, "identity"),
        ("diabetes", "poisson", 1, "exp"),
    ],
)
def test_the_loss_decides_the_output_layer(cli, data, loss, n_outputs, output):
    pytest.importorskip("sklearn", reason="the bundled data sets are scikit-learn's")
    found = results(cli, data, "--loss", loss, "--no-picture", "--backend", "numpy")
    assert (found["layer_sizes"][-1], found["output"]) == (n_outputs, output)
    name, least = ("r2", 0.2) if data == "diabetes" else ("accuracy", 0.75)
    assert found["scores"]["training"][name] > least


def test_early_stopping_has_rows_of_its_own(cli):
    pytest.importorskip("sklearn", reason="diabetes is scikit-learn's")
    found = results(cli, "diabetes", "--patience", 3, "--no-picture", "--backend", "numpy")
    assert found["stop_reason"] == "early_stopping"
    assert found["best_epoch"] == found["epochs"] - 3 or found["best_epoch"] < found["epochs"]
    assert found["part_rows"] == {"training": 301, "validation": 53, "held_out": 88}
    assert found["scores"]["validation"]["r2"] > 0


def test_lbfgs_takes_all_rows_and_ends_by_itself(cli):
    pytest.importorskip("sklearn", reason="iris is scikit-learn's")
    found = results(
        cli, "iris", "--optimizer", "lbfgs", "--hidden", 5, "--activation", "tanh", "--l2", 0.01, "--dtype", "float64",
        "--no-picture", "--output", "i.safetensors",
    )  # fmt: skip
    assert found["stop_reason"] == "converged"
    assert found["batch_size"] == found["part_rows"]["training"]
    assert found["epochs"] < 1000
    assert found["scores"]["held_out"]["accuracy"] > 0.9
    shown = cli("train", "iris", "--optimizer", "lbfgs", "--no-picture", "--output", "i.safetensors", "--epochs", 3)
    assert "by lbfgs" in shown.stdout


def test_no_hidden_layer_and_nothing_held_out(cli):
    pytest.importorskip("sklearn", reason="iris is scikit-learn's")
    found = results(cli, "iris", "--hidden", "none", "--test-size", 0, "--epochs", 5, "--picture", "p.png")
    assert found["layer_sizes"] == [4, 3]
    assert found["scores"]["held_out"] is None


def test_quiet_says_nothing(cli, tmp_path):
    pytest.importorskip("sklearn", reason="iris is scikit-learn's")
    result = cli("train", "iris", *FAST, "--quiet", "--no-picture")
    assert (result.exit_code, result.output) == (0, "")
    assert [path.name for path in tmp_path.iterdir()] == ["model.safetensors"]


def test_the_model_file_says_how_it_was_made(cli):
    pytest.importorskip("sklearn", reason="iris is scikit-learn's")
    cli("train", "iris", *FAST, "--quiet", "--no-picture")
    (card,) = read_metadata("model.safetensors").values()
    card = json.loads(card)
    assert card["data"] == "iris"
    assert card["target"]["classes"] == ["setosa", "versicolor", "virginica"]
    assert len(card["preprocessing"]["standardisation"]["mean"]) == 4
    assert card["report"]["scores"]["held_out"]["accuracy"] > 0.0


@pytest.mark.parametrize("name", ["torch:cpu", "array_api_strict:device1"])
def test_another_backend_learns_the_same(cli, name):
    pytest.importorskip("sklearn", reason="iris is scikit-learn's")
    try:
        rp.get_backend(name)
    except ImportError as error:
        pytest.skip(str(error))
    options = ("iris", "--epochs", 2, "--hidden", 8, "--no-picture", "--backend")
    other, own = results(cli, *options, name), results(cli, *options, "numpy")
    assert other["backend"] == name
    assert other["scores"]["held_out"]["accuracy"] == pytest.approx(own["scores"]["held_out"]["accuracy"], abs=0.04)


def test_the_options_are_the_arguments_of_fit():
    pytest.importorskip("typer", reason="the command line needs typer")
    from retroprop.cli.train import train

    of_command = {name: p.default for name, p in inspect.signature(train).parameters.items()}
    of_fit = {name: p.default for name, p in inspect.signature(tabular.fit).parameters.items()}
    own = {"output", "picture", "no_picture", "quiet", "as_json", "resume"}
    assert set(of_command) - own == set(of_fit) - {"progress"}
    written = {"hidden": "100", "drop": None, "categorical": None, "numeric": None}
    assert {name: of_command[name] for name in of_command if name not in own} == {
        name: written.get(name, default) for name, default in of_fit.items() if name != "progress"
    }


def test_load_of_the_model_of_a_table_warns(cli):
    pytest.importorskip("sklearn", reason="iris is scikit-learn's")
    cli("train", "iris", *FAST, "--quiet", "--no-picture")
    with pytest.warns(UserWarning, match=r"the model of a table.*retroprop\.tabular\.load"):
        net = rp.load("model.safetensors", backend="numpy")
    assert net.layer_sizes == (4, 8, 3)


def test_nothing_is_overwritten_but_what_is_named(cli, tmp_path):
    pytest.importorskip("sklearn", reason="iris is scikit-learn's")
    pytest.importorskip("matplotlib", reason="a picture needs matplotlib")
    (tmp_path / "model.safetensors").write_text("mine")
    (tmp_path / "m.png").write_text("mine")
    shown = cli("train", "iris", *FAST, "--no-picture")
    assert "Model    model-2.safetensors" in shown.stdout
    shown = cli("train", "iris", *FAST, "-o", "m.safetensors")
    assert "Picture  m-2.png" in shown.stdout
    cli("train", "iris", *FAST, "-o", "m.safetensors", "--picture", "m-2.png")
    names = {"model.safetensors", "model-2.safetensors", "m.safetensors", "m.png", "m-2.png"}
    assert {path.name for path in tmp_path.iterdir()} == names
    assert (tmp_path / "model.safetensors").read_text() == (tmp_path / "m.png").read_text() == "mine"


def test_what_diverges_late_leaves_its_last_good_parameters(cli, tmp_path):
    """A step of 2.1 on a parabola overshoots by a tenth more each time, until float32 overflows after hundreds."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=50)
    lines = [f"{a:.4f},{b:.4f}" for a, b in zip(x, 2 * x + 0.3 * rng.normal(size=50), strict=True)]
    (tmp_path / "late.csv").write_text("\n".join(["x,y", *lines]) + "\n")
    rates = ["--optimizer", "sgd", "--learning-rate", "2.1", "--schedule", "constant", "--batch-size", "50"]
    plain = ["--hidden", "none", "--l2", "0", "--epochs", "3000", "--test-size", "0", "--target", "y"]
    (tmp_path / "good.safetensors").write_bytes(b"a good model")
    result = cli("train", "late.csv", *rates, *plain, "-o", "good.safetensors")
    assert result.exit_code == 1
    assert "the training diverged: at epoch" in result.stderr
    assert "Lower --learning-rate (it was 2.1), pass --clip-norm 1.0" in result.stderr
    assert "They are in good-2.safetensors." in result.stderr
    assert "diverged; these are the last good parameters" in result.stdout
    assert (tmp_path / "good.safetensors").read_bytes() == b"a good model"
    model = tabular.load("good-2.safetensors", backend="numpy")
    assert model.report.numbers["epochs"] > 100
    assert np.isfinite(model.predict("late.csv")).all()
    with pytest.raises(rp.DivergenceError) as caught:
        tabular.fit(
            "late.csv", target="y", hidden=(), optimizer="sgd", learning_rate=2.1, schedule="constant", batch_size=50,
            l2=0.0, epochs=3000, test_size=0.0,
        )  # fmt: skip
    np.testing.assert_array_equal(caught.value.model.predict("late.csv"), model.predict("late.csv"))


@pytest.mark.parametrize(
    ("rate", "checkpoint"),
    [
        ("2.4", ("--checkpoint", "run")),
        *(pytest.param(rate, (), marks=pytest.mark.long) for rate in ("2.2", "2.4", "2.6")),
    ],
)
def test_mini_batches_that_diverge_late_leave_their_last_good_parameters(cli, tmp_path, rate, checkpoint):
    """Where it diverges varies with the rounding of a processor: after the second epoch, and long before the last."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(300, 6)), rng.normal(size=300) * np.exp(2 * rng.normal(size=300))
    np.savez(tmp_path / "d.npz", X=x, y=y)
    (tmp_path / "m.safetensors").write_bytes(b"a good model")
    options = ["--optimizer", "sgd", "--learning-rate", rate, "--schedule", "constant", "--batch-size", "20"]
    result = cli("train", "d.npz", "-q", "--no-picture", "--hidden", "30,30", "--l2", "0", "--epochs", "2000",
                 *options, "-o", "m.safetensors", "--backend", "numpy", *checkpoint)  # fmt: skip
    assert result.exit_code == 1
    assert "the training diverged: at epoch" in result.stderr
    assert "They are in m-2.safetensors." in result.stderr
    model = tabular.load("m-2.safetensors", backend="numpy")
    assert 2 < model.report.numbers["epochs"] < 2000
    assert (tmp_path / "m.safetensors").read_bytes() == b"a good model"
    if checkpoint:
        newest = max(path.name for path in (tmp_path / "run").glob("*.safetensors"))
        assert f"The checkpoint before is 'run/{newest}'." in result.stderr


@pytest.mark.usefixtures("flowers")
def test_a_training_goes_on_from_its_checkpoint(cli):
    options = ["train", "flowers.csv", "--target", "kind", "--schedule", "constant", "-q", "--no-picture"]
    went_on = [*options, "-o", "part.safetensors", "--checkpoint", "run"]
    for command in (
        [*options, "--epochs", "6", "-o", "whole.safetensors"],
        [*went_on, "--epochs", "3"],
        [*went_on, "--epochs", "6", "--resume"],
    ):
        result = cli(*command)
        assert result.exit_code == 0, result.output
    whole, part = (tabular.load(f"{name}.safetensors", backend="numpy") for name in ("whole", "part"))
    assert [leaf.tobytes() for leaf in part.network.parameters.leaves] == [
        leaf.tobytes() for leaf in whole.network.parameters.leaves
    ]
    assert part.report.numbers["epochs"] == 6
    for command, message in (
        ([*went_on, "--epochs", "6"], "pass --resume to go on with it"),
        ([*went_on, "--epochs", "6", "--resume", "--batch-size", "50"], "--batch-size was"),
        ([*options, "--resume"], "--resume needs --checkpoint"),
    ):
        result = cli(*command)
        assert result.exit_code == 2
        assert message in result.stderr


@pytest.mark.usefixtures("flowers")
def test_a_folder_of_checkpoints_that_cannot_be_used_is_refused_in_one_line(cli, tmp_path):
    options = ["train", "flowers.csv", "--target", "kind", "-q", "--no-picture", "--epochs", "2", "--checkpoint"]
    (tmp_path / "file").write_text("")
    result = cli(*options, "run", "--resume")
    assert (result.exit_code, result.stderr) == (
        0,
        "retroprop: there is no checkpoint in 'run': the training starts anew.\n",
    )
    for more, message in (
        (["file"], "folder of Checkpoint is a file: 'file'."),
        ([""], "folder of Checkpoint must be a path, not an empty one."),
        (["run"], "'run' holds the checkpoints of a training: pass --resume to go on with it, or another folder."),
        (
            ["run", "--resume", "--batch-size", "7"],
            "is a checkpoint of another training: --batch-size was 16, and is 7 now.",
        ),
        (["run", "--resume", "--seed", "3"], "is a checkpoint of another training: seed was 0, and is 3 now."),
        (["run", "--resume", "--epochs", "5"], "optimizer.learning_rate.n_updates was 7, and is 16 now."),
    ):
        result = cli(*options, *more)
        assert result.exit_code == 2
        assert result.stderr.endswith(f"{message}\n")
        assert result.stderr.count("\n") == 1
