"""Tables in the shape in which they are published: from the raw file to a sensible model with one command."""

import csv
import json

import numpy as np
import pytest
from published_tables import PUBLISHED, write

from retroprop import tabular

pytest.importorskip("polars", reason="tables need polars")


@pytest.fixture
def cli(tmp_path, monkeypatch):
    testing = pytest.importorskip("typer.testing", reason="the command line needs typer")
    from retroprop.cli.app import app

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RETROPROP_BACKEND", "numpy")

    def run(*arguments):
        done = testing.CliRunner().invoke(app, [str(argument) for argument in arguments])
        assert done.exit_code == 0, done.output
        return done

    return run


@pytest.mark.parametrize("name", PUBLISHED)
@pytest.mark.filterwarnings("ignore:column:UserWarning")
def test_one_command_makes_a_sensible_model(cli, tmp_path, name):
    _, _, target, options, task, n_features, least = PUBLISHED[name]
    path = write(name, tmp_path)
    done = cli("train", path, "--target", target, "--no-picture", "--json", *options, "-o", "m.safetensors")
    numbers = json.loads(done.stdout)
    assert numbers["task"] == task
    assert n_features is None or numbers["features"] == n_features, numbers["left_out"]
    figure = "balanced_accuracy" if task == "classification" else "r2"
    assert numbers["scores"]["held_out"][figure] >= least
    assert numbers["verdict"] is None or "tell the classes apart" in numbers["verdict"]
    # The command line and Python give the same, cell by cell.
    cli("predict", "m.safetensors", path, "-o", "p.csv", *(["--proba"] if task == "classification" else []))
    with (tmp_path / "p.csv").open(newline="") as file:
        rows = list(csv.reader(file))[1:]
    model = tabular.load("m.safetensors")
    assert [row[0] for row in rows] == [str(value) for value in model.predict(path).tolist()]
    if task == "classification":
        np.testing.assert_array_equal(np.asarray([row[1:] for row in rows], dtype=float), model.predict_proba(path))
    assert len(rows) == numbers["rows"]


def test_the_lines_that_say_so(cli, tmp_path):
    said = cli("train", write("titanic", tmp_path), "--target", "Survived", "--no-picture", "--epochs", 2).stdout
    for words in (
        'Filled: "Age", 120 of 600 values missing',
        'Filled: "Embarked"',
        "identifiers",
        "PassengerId",
        "Ticket",
    ):
        assert words in said, words
