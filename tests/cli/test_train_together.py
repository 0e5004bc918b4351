"""`retroprop train --ensemble` and `--search`, and what `predict` reads of them."""

import json

import pytest

from retroprop.cli.search_report import words


def printed(cli, *arguments):
    result = cli(*arguments)
    assert result.exit_code == 0, result.output
    return result.stdout


def test_ensemble_and_search_of_one_table(cli, tmp_path):
    pytest.importorskip("sklearn", reason="iris is scikit-learn's")
    pytest.importorskip("matplotlib", reason="a picture needs matplotlib")
    model, predictions = tmp_path / "m.safetensors", tmp_path / "p.csv"
    options = ("--epochs", "9", "--hidden", "8", "--dropout", "0.1")
    shown = printed(cli, "train", "iris", "--search", "--ensemble", "2", *options, "--output", str(model))
    for part in ("Search: 4 candidates, 3 folds, 18 fits", "Learning rate", "2 networks", "one alone", "m.search.png"):
        assert part in shown, shown
    assert (tmp_path / "m.search.png").stat().st_size > 5000
    assert (tmp_path / "m.png").exists()
    printed(cli, "predict", str(model), "iris", "--output", str(predictions))
    assert predictions.read_text().splitlines()[0] == "prediction,std"


def test_json_has_the_candidates(cli, tmp_path):
    pytest.importorskip("sklearn", reason="iris is scikit-learn's")
    options = ("--epochs", "3", "--hidden", "4", "--dropout", "0.1", "--l2", "0.1", "--no-picture", "--json")
    found = json.loads(printed(cli, "train", "iris", "--search", *options, "--output", str(tmp_path / "m.safetensors")))
    assert [one["rounds"] for one in found["search"]["candidates"]] == [3, 1]
    assert found["members"] is None
    assert "search_picture" not in found


def test_a_divergence_names_the_member_and_the_candidate_as_typed(cli, tmp_path):
    pytest.importorskip("sklearn", reason="iris is scikit-learn's")
    diverges = ("train", "iris", "--epochs", "1", "--learning-rate", "1e30", "--no-picture", "-o", "m.safetensors")
    result = cli(*diverges, "--ensemble", "2", "--hidden", "3")
    assert result.exit_code == 1
    lines = [line for line in result.stderr.splitlines() if "member" in line]
    assert [line.partition(": at epoch")[0] for line in lines] == [
        f"retroprop: member {k} of 2: the training diverged" for k in (1, 2)
    ]
    assert "Lower --learning-rate (it was" in lines[0]
    result = cli(*diverges, "--search", "--dropout", "0.1", "--l2", "0.1")
    assert result.exit_code == 1
    assert "retroprop: candidate --hidden 100,50, fold 2 of 3: the training diverged: at epoch 1" in result.stderr
    assert "nets[" not in result.stderr


def test_values_are_shown_as_they_are_typed():
    assert [words(value) for value in ((100, 50), [32], None, 0.001, 0.2)] == [
        "100,50",
        "32",
        "default",
        "0.001",
        "0.2",
    ]
