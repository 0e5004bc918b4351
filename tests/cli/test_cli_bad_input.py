"""Every error that a user can cause: one message, exit code 2, no stack trace, no file left behind."""

import json

import numpy as np
import pytest

import retroprop as rp

FAST = ("--epochs", "2", "--hidden", "4", "--backend", "numpy", "--no-picture", "--quiet")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["digitz"], ['"digitz"', 'Did you mean "digits"?', ".parquet"]),
        (["flower.csv"], ['no file "flower.csv"', 'Did you mean "flowers.csv"?']),
        (["nowhere/a.csv"], ['no folder "nowhere"']),
        (["."], ["is a folder"]),
        (["notes.csv"], ["no rows"]),
    ],
)
def test_no_such_data(refused, tmp_path, flowers, arguments, words):
    (tmp_path / "notes.csv").write_text("hello")
    message = refused("train", *arguments)
    assert all(word in message for word in words), message


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", ["empty"]),
        ("\n \n", ["empty"]),
        ("a,b\n", ["no rows"]),
        ("a,b\n1,\n3,\n", ['"b"', "no value in any row"]),
        ("a,b\n1,2\n\n\n5\n6,7\n8,9\n", ["line 5", "1 cell", "2"]),
        ("a,b\n1,2\n5,6,7\n", ["line 3", "3 cells", "2"]),
        ("a,b\n1,2\nx,3\n5,6\n", ["line 3", '"a"', '"x"', "not a number"]),
        ('a,b\n"1\n",2\n\nx,3\n5,6\n', ["line 5", '"a"', '"x"']),
        ("a,b\n1,2\n3,inf\n" + "5,6\n7,8\n" * 9, ["line 3", '"b"', "inf"]),
        ("a,b\n-inf,2\n3,4\n" + "5,6\n7,8\n" * 9, ["line 2", '"a"', "inf"]),
        ('a,b\n1,2\n3,"4\n', ["line 3", "never closed"]),
        ("b,a,b\n1,2,3\n2,3,4\n", ['"b"', "more than once"]),
        ("a,c\n1,2\n", ["--target b", "no such column", "a, c"]),
        ("a,bb\n1,2\n", ["--target b", 'Did you mean "bb"?']),
        ("b\n1\n2\n", ["no feature column"]),
        (b"a,b\n1,2\n3,\xff\n", ["line 3", "UTF-8"]),
        ("a,b\n1,2\n3,2\n", ["in every row"]),
        ("a,b\n1,u\n3,v\n4,w\n5,x\n", ["too many to be classes"]),
        ("a,b\n" + "".join(f"t{i},{i % 2}\n" for i in range(60)), ["no feature column left"]),
        ("a,b\n1,0\n2,1\n", ["2 rows", "--test-size"]),
        ("a,b\n" + "".join(f"{i}e308,{i % 2}\n" for i in range(20)), ['"a"', "too large"]),
    ],
)
def test_bad_csv(refused, tmp_path, text, words):
    pytest.importorskip("polars", reason=".csv files need polars")
    (tmp_path / "data.csv").write_bytes(text if isinstance(text, bytes) else text.encode())
    message = refused("train", "data.csv", "--target", "b", "--no-picture")
    assert all(word in message for word in words), message


def test_a_near_match_is_suggested_for_a_column(refused, flowers):
    pytest.importorskip("polars", reason=".csv files need polars")
    assert 'Did you mean "kind"?' in refused("train", flowers, "--target", "kin")
    assert 'Did you mean "width"?' in refused("train", flowers, "--target", "kind", "--drop", "widht")
    assert "--target ..." in refused("train", flowers)
    assert "0 to 3" in refused("train", flowers, "--target", "9")
    assert "both" in refused("train", flowers, "--target", "kind", "--drop", "kind")


def test_bad_parquet(refused, tmp_path):
    pl = pytest.importorskip("polars", reason=".parquet files need polars")
    from datetime import date

    path = tmp_path / "data.parquet"
    pl.DataFrame({"a": [1, None], "d": [date(2020, 1, 1)] * 2, "y": [0, 1]}).write_parquet(path)
    assert "no feature column left" in refused("train", path, "--target", "y", "--drop", "a")
    message = refused("train", path, "--target", "y", "--drop", "d", "--missing", "refuse", "--test-size", 0)
    assert "row 1" in message
    assert '"a"' in message
    pl.DataFrame({"a": [[1], [2]], "y": [0, 1]}).write_parquet(path)
    assert 'column "a": List(Int64)' in refused("train", path, "--target", "y")
    path.write_bytes(b"PAR1")
    assert "not a readable .parquet" in refused("train", path, "--target", "y")


def test_bad_arrays(refused, tmp_path):
    npy, npz = tmp_path / "data.npy", tmp_path / "data.npz"
    np.save(npy, np.array([[1, 2], [3, None]], dtype=object), allow_pickle=True)
    assert "never loaded" in refused("train", npy)
    np.save(npy, np.arange(3.0))
    assert "shape is (3,)" in refused("train", npy)
    np.save(npy, np.array([["a", "b"]]))
    assert "real numbers" in refused("train", npy)
    np.save(npy, np.array([[1.0, 0.0], [np.inf, 1.0]]))
    message = refused("train", npy)
    assert "row 1" in message
    assert 'column "0"' in message
    np.save(npy, np.ones((30, 3)))
    npy.write_bytes(npy.read_bytes()[:200])
    assert "the file is damaged" in refused("train", npy)
    npy.write_bytes(b"hello")
    assert "not a file that NumPy wrote" in refused("train", npy)
    np.savez(npz, X=np.ones((4, 2)), z=np.ones(4))
    assert "--target ..." in refused("train", npz)
    assert "no such array" in refused("train", npz, "--features", "X", "--target", "y")
    assert "both" in refused("train", npz, "--features", "X", "--target", "X")
    np.savez(npz, X=np.ones((4, 2)), y=np.ones(3))
    assert '4 rows and array "y" 3' in refused("train", npz)
    np.savez(npz, X=np.ones((4, 2)), y=np.ones((4, 2)))
    assert "one value per row" in refused("train", npz)
    np.savez(npz, X=np.ones((4, 2)), y=np.array([1, None, 2, 3], dtype=object), allow_pickle=True)
    assert "never loaded" in refused("train", npz)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--hidden", "0"], ['"0"', "whole numbers of 1 or above"]),
        (["--hidden", "ten"], ['"ten"']),
        (["--activation", "rleu"], ["'rleu'", "'relu'"]),
        (["--activation", "relu,tanh"], ["2 activations", "1 hidden"]),
        (["--loss", "cross_entropi"], ["cross_entropy"]),
        (["--optimizer", "adan"], ["'adam'"]),
        (["--initializer", "glorot"], ["glorot_uniform"]),
        (["--learning-rate", "-1"], ["--learning-rate must be above 0", "-1"]),
        (["--optimizer", "lbfgs", "--learning-rate", "0.1"], ["--learning-rate", "lbfgs"]),
        (["--optimizer", "lbfgs", "--schedule", "constant"], ["--schedule", "lbfgs"]),
        (["--optimizer", "lbfgs", "--l1", "1"], ["go with --l1", "--l2 has none"]),
        (["--optimizer", "lbfgs", "--dropout", "0.1"], ["go with --dropout"]),
        (["--optimizer", "lbfgs", "--batch-size", "10"], ["lbfgs", "--batch-size must be 120 or above, not 10"]),
        (["--optimizer", "lbfgs", "--clip-norm", "1"], ["lbfgs", "go with --clip-norm"]),
        (["--schedule", "cosin"], ["cosine"]),
        (["--epochs", "0"], ["--epochs", "1 or above"]),
        (["--epochs", "many"], ["--epochs"]),
        (["--batch-size", "0"], ["--batch-size", "1 or above"]),
        (["--dropout", "1.5"], ["--dropout must be", "1.5"]),
        (["--l2", "-1"], ["--l2 must be", "-1"]),
        (["--l1", "nan"], ["--l1 must be", "nan"]),
        (["--clip-norm", "0"], ["--clip-norm must be above 0 and finite, not 0.0"]),
        (["--patience", "0"], ["--patience"]),
        (["--test-size", "1"], ["--test-size"]),
        (["--seed", "-1"], ["--seed"]),
        (["--dtype", "int32"], ["--dtype must be one of float32, float64, not 'int32'"]),
        (["--backend", "nunpy"], ["'numpy'"]),
        (["--backend", "numpy:gpu"], ["gpu"]),
        (["--task", "clasification"], ["classification"]),
        (["--task", "regression"], ["needs numbers"]),
        (["--target", "species"], ["--target species", "no such column", "target"]),
        (["--drop", "sepal"], ["no such column"]),
        (["--class-weight", "equal"], ["--class-weight must be balanced"]),
        (["--missing", "drop"], ["--missing must be fill or refuse"]),
        (["--max-memory", "-1"], ["--max-memory must be above 0"]),
        (["--output", "x" * 300], ["--output", "cannot write"]),
        (["--output", "x" * 253], ["--picture", "cannot write"]),
        (["--output", "nowhere/model.safetensors"], ['no folder "nowhere"']),
        (["--output", "."], ["is a folder"]),
        (["--picture", "nowhere/model.png"], ["--picture", 'no folder "nowhere"']),
        (["--output", "x.png", "--picture", "x.png"], ["the same file"]),
        (["--picture", "x.png", "--no-picture"], ["--picture and --no-picture"]),
        (["--picture", "model.gif"], ["--picture", ".png, .svg or .pdf"]),
        (["--epoch", "3"], ["--epochs"]),
    ],
)
def test_bad_options_of_train(refused, options, words):
    pytest.importorskip("sklearn", reason="iris is scikit-learn's")
    message = refused("train", "iris", *options)
    assert all(word in message for word in words), message


def test_more_that_cannot_be_trained(refused, flowers):
    pytest.importorskip("polars", reason=".csv files need polars")
    pytest.importorskip("sklearn", reason="diabetes is scikit-learn's")
    assert "for classification" in refused("train", "diabetes", "--loss", "cross_entropy")
    message = refused("train", flowers, "--target", "length", "--loss", "poisson")
    assert 'line 8, column "length": -0.465 is below 0: loss poisson needs numbers of 0 or above' in message
    assert "--class-weight is for a classification" in refused("train", "diabetes", "--class-weight", "balanced")
    assert "would replace" in refused("train", flowers, "--target", "kind", "--output", flowers)
    assert "is an option of an .npz file" in refused("train", flowers, "--target", "kind", "--features", "X")


def test_unknown_command(refused):
    assert "train" in refused("trian")


def test_divergence_ends_with_1_and_no_model(refused):
    pytest.importorskip("sklearn", reason="diabetes is scikit-learn's")
    message = refused("train", "diabetes", "--optimizer", "sgd", "--learning-rate", "1e20", "--no-picture", exit_code=1)
    assert "epoch 1" in message
    assert "Lower --learning-rate (it was" in message
    assert "pass --clip-norm 1.0" in message


def test_the_advice_on_lbfgs_is_about_lbfgs(refused):
    pytest.importorskip("sklearn", reason="diabetes is scikit-learn's")
    message = refused("train", "diabetes", "--optimizer", "lbfgs", "--l2", "1e300", "--no-picture", exit_code=1)
    assert "start from smaller parameters (--initializer ...)" in message
    assert "--learning-rate" not in message


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--layers", "4"], ["two layers"]),
        (["--layers", "4,0,2"], ['"0"']),
        (["--hidden", "tan"], ["'tanh'"]),
        (["--loss", "cross"], ["cross_entropy"]),
        (["--output", "relu"], ["relu"]),
        (["--rows", "0"], ["--rows"]),
        (["--dtype", "half"], ["--dtype must be one of", "half"]),
        (["--seed", "-1"], ["--seed must be 0 or above, not -1"]),
        (["--l1", "-1"], ["--l1 must be"]),
        (["--layers", "4,1", "--output", "sigmoid"], ["--loss binary_cross_entropy with --output sigmoid"]),
    ],
)
def test_bad_options_of_check(refused, options, words):
    message = refused("check", *options)
    assert all(word in message for word in words), message


@pytest.fixture
def model(cli, flowers, tmp_path):
    pytest.importorskip("polars", reason=".csv files need polars")
    assert cli("train", flowers, "--target", "kind", *FAST).exit_code == 0
    return tmp_path / "model.safetensors"


def test_bad_models(refused, model, flowers, tmp_path):
    assert 'Did you mean "model.safetensors"?' in refused("predict", "mode.safetensors", flowers)
    assert "is a folder" in refused("predict", tmp_path, flowers)
    assert "not a safetensors file" in refused("predict", flowers, flowers)
    rp.save(rp.Network([2, 1], seed=0), tmp_path / "bare.safetensors")
    assert "not written by retroprop train" in refused("predict", "bare.safetensors", flowers)
    whole = model.read_bytes()
    model.write_bytes(whole[:-5])
    assert "truncated" in refused("predict", model, flowers)
    flipped = bytearray(whole)
    flipped[-1] ^= 1
    model.write_bytes(flipped)
    assert "altered" in refused("predict", model, flowers)


@pytest.mark.parametrize(("card", "words"), [('{"version": 99}', "newer"), ("[]", "altered"), ("{", "altered")])
def test_a_model_file_with_a_damaged_description_of_its_data(refused, flowers, tmp_path, card, words):
    rp.save(rp.Network([2, 1], seed=0), tmp_path / "m.safetensors", metadata={"retroprop_train": card})
    assert words in refused("predict", "m.safetensors", flowers)


@pytest.mark.parametrize(
    ("header", "row", "words"),
    [
        ("length,colour", "1,red", ["lacks columns", "width"]),
        (
            "length,widht,colour",
            "1,2,red",
            ["lacks columns", "width", 'Did you mean "widht"?'],
        ),
        ("length,width,colour", "1,2,green", ["line 2", '"colour"', '"green"', "blue, red"]),
        ("length,width,colour", "1,tall,red", ["line 2", '"width"', '"tall"', "not a number"]),
    ],
)
def test_data_that_does_not_fit_the_model(refused, model, tmp_path, header, row, words):
    (tmp_path / "new.csv").write_text(f"{header}\n{row}\n")
    message = refused("predict", model, "new.csv", "--unknown", "refuse")
    assert all(word in message for word in words), message


def test_more_that_cannot_be_predicted(refused, model, flowers, tmp_path):
    assert "would replace" in refused("predict", model, flowers, "--output", flowers)
    assert "would replace" in refused("predict", model, flowers, "--output", model)
    assert "no folder" in refused("predict", model, flowers, "--output", "nowhere/p.csv")
    assert "'numpy'" in refused("predict", model, flowers, "--backend", "nunpy")
    np.save(tmp_path / "wide.npy", np.ones((2, 9)))
    assert "9 feature columns" in refused("predict", model, "wide.npy")


def test_no_probabilities_of_a_regression(cli, refused):
    pytest.importorskip("sklearn", reason="diabetes is scikit-learn's")
    cli("train", "diabetes", *FAST)
    assert "--proba" in refused("predict", "model.safetensors", "diabetes", "--proba")


def test_json_is_not_mixed_with_words(cli):
    pytest.importorskip("sklearn", reason="iris is scikit-learn's")
    json.loads(cli("train", "iris", *FAST[:-1], "--json").stdout)
