"""`retroprop explain`: the seven steps with numbers, the counts, the transposes, LaTeX, saved networks, bad input."""

import io
import re
import shlex

import numpy as np
import pytest

import retroprop as rp

pytest.importorskip("typer", reason="the command line needs typer")


def shown(cli, *arguments):
    result = cli("explain", *arguments)
    assert result.exit_code == 0, result.output
    return result.stdout


def test_the_seven_steps_are_those_of_the_library(cli):
    net = rp.Network([2, 2, 2], hidden="sigmoid", output="sigmoid", seed=3, dtype="float64", bias=False)
    text = shown(cli, "2-2-2", "--x", "1,0.5", "--y", "0,1", "--seed", 3, "--no-bias")
    assert text == f"{rp.explain.steps(net, [[1.0, 0.5]], [[0.0, 1.0]])}\n"
    assert [line[:2] for line in text.splitlines() if re.match(r"\d\.", line)] == [f"{i}." for i in range(1, 8)]


@pytest.mark.parametrize(
    "arguments",
    [
        ("2-3-2",),
        ("3-2-4", "--loss", "cross_entropy", "--hidden", "tanh", "--seed", 5),
        ("2-2-3-1", "--loss", "poisson", "--hidden", "gelu,elu", "--no-bias"),
        ("2-2", "--loss", "huber", "--x", "-1,2;0.25,-3e-5"),
        ("1-2", "--y", "0,1;1,1;0,0", "--transpose", 1),
    ],
)
def test_drawn_data_are_printed_so_that_the_run_can_be_repeated(cli, arguments):
    text = shown(cli, *arguments)
    body, _, command = text.partition("\nAgain    retroprop explain ")
    again = shlex.split(command)
    assert {"--x", "--y"} <= set(again)
    assert shown(cli, *again) == body
    assert shown(cli, *arguments) == text


def test_several_observations_and_classes(cli):
    net = rp.Network([2, 3], output="softmax", loss="cross_entropy", seed=0, dtype="float64")
    x = [[1.0, -0.5], [0.0, 1.0]]
    text = shown(cli, "2-3", "--loss", "cross_entropy", "--x", "1,-0.5;0,1", "--y", "2;0")
    assert text == f"{rp.explain.steps(net, x, np.array([2, 0]))}\n"
    rows = shown(cli, "2-3", "--loss", "cross_entropy", "--x", "1,-0.5;0,1", "--y", "0,0,1;1,0,0")
    assert rows == text


def test_counts_need_no_network(cli):
    text = shown(cli, "2-2-2", "--count")
    assert text == f"{rp.explain.count_terms([2, 2, 2])}\n"
    assert re.search(r"all +8 +12 +52 +18\n", text)
    soft = shown(cli, "2-2-2", "--count", "--loss", "cross_entropy")
    assert soft == f"{rp.explain.count_terms([2, 2, 2], 'softmax')}\n"
    assert re.search(r"all +\S+ +1\.01e\+34 +3\.33e\+35 ", shown(cli, "-".join(["100"] * 17), "--count"))
    both = shown(cli, "2-2-2", "--count", "--transpose", 2, "--x", "1,1", "--y", "0,0")
    assert both.startswith(text)
    assert "why δ is transposed" in both
    assert "1. Forward" not in both


def test_transposes_and_latex(cli):
    net = rp.Network([2, 2, 2], hidden="sigmoid", output="sigmoid", seed=0, dtype="float64")
    data = ("--x", "1,0.5", "--y", "0,1")
    explained = rp.explain.transpose(net, [[1.0, 0.5]], [[0.0, 1.0]], layer=2)
    assert shown(cli, "2-2-2", *data, "--transpose", 2) == f"{explained}\n"
    assert shown(cli, "2-2-2", *data, "--transpose", 2, "--latex") == f"{explained.latex}\n"
    assert r"\begin{bmatrix}" in shown(cli, "2-2-2", "--latex")
    assert "Again" not in shown(cli, "2-2-2", "--latex")


def test_derivations(cli):
    net = rp.Network([2, 2, 2], hidden="sigmoid", output="sigmoid", seed=0, dtype="float64")
    x, y = [[1.0, 0.5]], [[0.0, 1.0]]
    data = ("2-2-2", "--x", "1,0.5", "--y", "0,1")
    theta = rp.explain.derive(net, "theta", layer=1, to=2, from_=1, x=x, y=y)
    bias = rp.explain.derive(net, "bias", layer=2, to=1, x=x, y=y)
    assert shown(cli, *data, "--theta", "1,2,1") == f"{theta}\n"
    assert shown(cli, *data, "--theta", "1,2,1", "--bias", "2,1") == f"{theta}\n\n{bias}\n"
    assert shown(cli, *data, "--bias", "2,1", "--latex") == f"{bias.latex}\n"


def test_the_picture_is_of_the_network_and_the_weight(cli, tmp_path):
    pytest.importorskip("matplotlib", reason="a picture is matplotlib's")
    data = ("1-1-1", "--x", "1", "--y", "0", "--theta", "1,1,1")
    drawn = shown(cli, *data, "--png", "net.svg")
    assert drawn == f"{shown(cli, *data)}Picture  net.svg\n"
    picture = (tmp_path / "net.svg").read_text()
    assert "A network of 3 layers with 1, 1, 1 neurons" in picture
    assert "theta^(1)_11" in picture


def test_twins(cli, monkeypatch):
    net = rp.Network([2, 3, 1], hidden="sigmoid", output="sigmoid", seed=2, dtype="float64")
    x, y = [[1.0, 0.5], [0.0, 1.0]], [[0.0], [1.0]]
    found = rp.explain.symmetry(net, x, y)
    data = ("2-3-1", "--x", "1,0.5;0,1", "--y", "0;1", "--seed", 2, "--symmetry")
    assert shown(cli, *data) == f"{found}\n"
    drawn = []
    monkeypatch.setattr(rp.explain.Symmetry, "draw", lambda twins, *, path: drawn.append((str(twins), str(path))))
    assert shown(cli, *data, "--png", "twins.png") == f"{found}\nPicture  twins.png\n"
    assert drawn == [(str(found), "twins.png")]


def test_a_terminal_gets_colours(cli, monkeypatch):
    from rich.console import Console

    from retroprop.cli import explain_command

    file = io.StringIO()
    monkeypatch.setattr(
        explain_command, "Console", lambda: Console(file=file, force_terminal=True, color_system="truecolor", width=120)
    )
    shown(cli, "2-2-2")
    assert "\x1b[38;2;34;119;201mθ^(1)_11" in file.getvalue()


def test_a_saved_network(cli, tmp_path):
    net = rp.Network([2, 3, 1], hidden="tanh", seed=4, dtype="float32", backend="numpy")
    rp.save(net, tmp_path / "[red]net.safetensors")
    text = shown(cli, "--model", "[red]net.safetensors", "--x", "1,2", "--y", "0.5")
    assert text == f"{rp.explain.steps(net, [[1.0, 2.0]], [[0.5]])}\n"
    drawn = cli("explain", "--model", "[red]net.safetensors")
    assert "Again    retroprop explain --model '[red]net.safetensors' --x " in drawn.stdout
    assert drawn.stderr == ""


def test_a_trained_model_says_that_its_inputs_are_its_own(cli, flowers):
    pytest.importorskip("polars", reason=".csv files need polars")
    trained = cli("train", "flowers.csv", "--target", "kind", "--epochs", 1, "--hidden", 3, "--no-picture", "--quiet")
    assert trained.exit_code == 0, trained.output
    result = cli("explain", "--model", "model.safetensors")
    assert result.exit_code == 0, result.output
    assert "was trained by retroprop train: x and y are in the network's own space" in result.stderr
    assert result.stderr.count("\n") == 1
    assert "softmax with cross_entropy" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "give the layer sizes, as retroprop explain 2-2-2"),
        (("2",), 'NETWORK "2": give the neurons of each layer'),
        (("2,2",), 'NETWORK "2,2"'),
        (("2-x-2",), "as 2-3-2"),
        (("2-0",), "as 2-3-2"),
        (("2-²",), "as 2-3-2"),
        (("9999-9999",), "has 99,980,001 weights, and up to 10,000,000 are computed; --count"),
        (("2-2", "--x", "1"), '--x "1": it has 1 number, and the network has 2 inputs.'),
        (("1-2", "--x", "1,2"), "it has 2 numbers, and the network has 1 input."),
        (("2-2", "--x", "1,2;1,2,3"), "observation 2 has 3 numbers"),
        (("2-2", "--x", "1,b"), 'finite numbers, separated by commas, observations by semicolons, as "1,0.5;0,1"; "b"'),
        (("2-2", "--x", "1,nan"), '"nan" is not one'),
        (("2-2", "--y", ""), '"" is not one'),
        (("2-2", "--y", "1,2,3"), "it has 3 numbers, and the network has 2 outputs."),
        (("2-2", "--x", "1,2;3,4", "--y", "1,2"), "--x has 2 observations and --y 1"),
        (("2-2", "--loss", "cross_entropy", "--y", "2"), "a class is a whole number from 0 to 1"),
        (("2-2", "--loss", "cross_entropy", "--y", "0.5"), "a class is a whole number from 0 to 1"),
        (("2-2", "--transpose", "2"), "--transpose must be the layer of a Θ, from 1 to 1, not 2."),
        (("2-2-2", "--theta", "1,1"), '--theta "1,1": give layer,to,from, as 1,1,1, each counted from 1.'),
        (("2-2-2", "--bias", "a,1"), '--bias "a,1": give layer,to, as 1,1'),
        (("2-2-2", "--theta", "1,3,1"), "to=3 does not exist"),
        (("2-2-2", "--theta", "3,1,1"), "layers 1..2"),
        (("2-2-2", "--bias", "1,1", "--no-bias"), '--bias "1,1": the network has no biases.'),
        (("3-12-12-2", "--theta", "1,1,1", "--png", "a.png"), "--png: this θ has 24 paths to J"),
        (("2-2-2", "--symmetry", "--latex"), "--symmetry has no LaTeX form"),
        (("2-2-2", "--symmetry", "--theta", "1,1,1", "--png", "a.png"), "leave one out"),
        (("2-1-2", "--symmetry"), "symmetry needs a hidden layer of 2 neurons or more"),
        (("2-2-2", "--hidden", "tanh,relu"), "--hidden"),
        (("2-2-2", "--hidden", "tanhh"), "Did you mean 'tanh'?"),
        (("2-2-2", "--loss", "l3"), "l3"),
        (("2-2-2", "--output", "softmax", "--loss", "poisson", "--y", "-1,2"), "--y"),
        (("2-2-2", "--seed", "-1"), "--seed must be 0 or above"),
        (("2-2-2", "--png", "a.gif"), '--png "a.gif": a picture is a .png, .svg or .pdf file.'),
        (("2-2-2", "--png", "no/a.png"), 'there is no folder "no"'),
        (("--model", "no.safetensors"), 'no model file "no.safetensors"'),
        (("--model", "."), "is a folder"),
        (("2-2", "--model", "m", "--hidden", "relu", "--no-bias"), "leave NETWORK, --hidden, --no-bias out"),
    ],
)
def test_bad_input(refused, arguments, words):
    message = refused("explain", *arguments)
    assert words in message, message


def test_a_page_is_written(cli, tmp_path):
    page = tmp_path / "out.html"
    text = shown(cli, "2-2-2", "--html", page, "--language", "es", "--seed", 3)
    assert text.endswith(f"Page     {page}\n")
    assert "1. Forward" not in text
    assert '<html lang="es">' in page.read_text(encoding="utf-8")
    again = shlex.split(text.partition("retroprop explain ")[2].partition("\n")[0])
    first = page.read_bytes()
    shown(cli, *again)
    assert page.read_bytes() == first


def test_a_page_of_a_saved_network_and_of_data(cli, tmp_path):
    pytest.importorskip("sklearn", reason="the data sets come with scikit-learn")
    model, page = tmp_path / "net.safetensors", tmp_path / "out.html"
    rp.save(rp.Network([3, 2, 1], seed=0), model)
    shown(cli, model, "--html", page)
    assert '"sizes":[3,2,1]' in page.read_text(encoding="utf-8")
    for data, sizes, m in (("iris", "[4,4,3]", 150), ("diabetes", "[10,4,1]", 150)):
        text = shown(cli, data, "--html", page)
        assert text == f"Page     {page}\n"
        written = page.read_text(encoding="utf-8")
        assert f'"sizes":{sizes}' in written
        assert f'"m":{m},"batch_size":3' in written
    assert "Forward propagation" in shown(cli, "iris", "--hidden", "tanh")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("2-2", "--html", "page.txt"), '--html "page.txt": a page is a .html file'),
        (("2-2", "--html", "none/page.html"), 'there is no folder "none"'),
        (("2-2", "--html", "page.html", "--batch-size", 0), "--batch-size must be 1 or above, not 0"),
        (("2-2", "--html", "page.html", "--language", "fr"), "--language must be 'en' or 'es'"),
        (("200-200-2", "--html", "page.html"), "a page holds up to 20,000"),
        (("200-200-2", "--html", "page.html", "--language", "es"), "en una página caben 20,000"),
        (("iris", "--x", "1,2,3,4"), '"iris" brings its own observations: leave --x and --y out'),
        (("irish", "--html", "page.html"), "or data: digits, iris"),
    ],
)
def test_bad_input_for_a_page(refused, tmp_path, monkeypatch, arguments, words):
    monkeypatch.chdir(tmp_path)
    assert words in refused("explain", *arguments)
    assert not list(tmp_path.iterdir())
