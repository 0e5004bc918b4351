"""A new activation, loss or optimizer is one class and its row of the table: nothing else has to know of it."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from harness import tolerance
from new_rows import ROWS, Adagrad, PseudoHuber, Softsign
from oracles import TABLES, built_in

import retroprop as rp
from retroprop import tabular

TESTS = Path(__file__).parents[1]
RNG = np.random.default_rng(0)
X = RNG.normal(size=(40, 3))
Y = np.sin(X @ [[1.0], [0.5], [-1.0]])
BY_NAME = {"loss": "pseudo_huber", "hidden": "softsign"}
ADDED = {"activation": "softsign", "loss": "pseudo_huber", "optimizer": "adagrad"}


@pytest.fixture
def new_rows(monkeypatch):
    """The three rows in their tables, for the time of a test."""
    for table, row in ROWS:
        monkeypatch.setitem(table, row.name, row)


@pytest.fixture
def recorded(caplog):
    """Fail the test if a step fell back to the plain expressions: the logger says that it is not recorded."""
    caplog.set_level("INFO", logger="retroprop")
    yield
    assert [record.getMessage() for record in caplog.records if "not recorded" in record.getMessage()] == []


@pytest.mark.parametrize("kind", sorted(TABLES))
def test_every_built_in_row_has_an_oracle_or_a_reason(kind):
    oracles, _ = TABLES[kind]
    assert set(oracles) == built_in(kind)
    for name, row in oracles.items():
        for found in row:
            assert callable(found) or isinstance(found, list) or len(found) > 20, f"{name}: no oracle, and no reason"


@pytest.mark.parametrize("kind", sorted(TABLES))
def test_the_rows_of_this_test_are_new(kind):
    assert ADDED[kind] not in TABLES[kind][1]


@pytest.mark.usefixtures("new_rows")
def test_the_derivatives_are_those_of_the_values(dtype):
    h, points = 1e-6, np.linspace(-4.0, 4.0, 80)
    difference = (Softsign().value(points + h, np) - Softsign().value(points - h, np)) / (2.0 * h)
    np.testing.assert_allclose(Softsign().derivative(None, Softsign().value(points, np), np), difference, atol=1e-9)
    for loss in (PseudoHuber(), PseudoHuber(0.3)):
        a, y = points[:, None], np.full((80, 1), 0.7)
        difference = (loss.value(a + h, y, np) - loss.value(a - h, y, np)) / (2.0 * h)
        np.testing.assert_allclose(loss.derivative(a, y, np)[:, 0], difference, atol=1e-9)
    net = rp.Network([3, 5, 1], **BY_NAME, seed=0, dtype=dtype, backend="numpy")
    assert rp.check_gradient(net, X, Y).ok


def test_adagrad_is_pytorchs():
    torch = pytest.importorskip("torch", reason="PyTorch is the witness")
    theta = torch.ones(3, dtype=torch.float64)
    theirs = torch.optim.Adagrad([theta], lr=0.1)
    ours, state = np.ones(3), np.zeros(3)
    for grad in RNG.normal(size=(10, 3)):
        theta.grad = torch.tensor(grad)
        theirs.step()
        ours, state = Adagrad(0.1).formula(np, ours, grad, state, 0.1)
    np.testing.assert_allclose(ours, theta.numpy(), rtol=1e-12)


@pytest.mark.usefixtures("new_rows", "recorded")
def test_fit_trains_them_on_every_backend(backend, dtype):
    net = rp.Network([3, 8, 1], **BY_NAME, seed=0, dtype=dtype, backend=backend)
    there = rp.Network([3, 8, 1], **BY_NAME, seed=0, dtype="float64", backend="numpy")
    options = {"optimizer": "adagrad", "epochs": 4, "batch_size": 10, "seed": 1}
    history, expected = rp.fit(net, X, Y, **options), rp.fit(there, X, Y, **options)
    assert history.cost[-1] < 0.9 * history.cost[0]
    np.testing.assert_allclose(history.cost, expected.cost, rtol=tolerance(dtype))


@pytest.mark.usefixtures("new_rows", "recorded")
def test_the_estimators_train_them_on_every_backend(backend):
    estimators = pytest.importorskip("retroprop.estimators", reason="the estimators need scikit-learn")
    options = {"activation": "softsign", "solver": "adagrad", "learning_rate_init": 0.1, "epsilon": 1e-6,
               "hidden_layer_sizes": (8,), "max_iter": 20, "tol": 0.0, "n_iter_no_change": np.inf,
               "random_state": 0}  # fmt: skip
    x = X if backend.name == "numpy" else backend.asarray(X, "float64")
    with pytest.warns(match="Maximum iterations"):
        found = estimators.MLPRegressor(loss="pseudo_huber", **options).fit(x, Y.ravel())
    assert found._optimizer.rule == Adagrad(0.1, epsilon=1e-6), "the parameters of the estimator arrive by their names"
    assert found.loss_curve_[-1] < 0.5 * found.loss_curve_[0]
    assert found.network_.architecture.output.loss == PseudoHuber()
    with pytest.warns(match="Maximum iterations"):
        classifier = estimators.MLPClassifier(loss="pseudo_huber", **options).fit(x, (Y.ravel() > 0.0).astype("int64"))
    assert classifier.loss_curve_[-1] < classifier.loss_curve_[0]


@pytest.mark.usefixtures("new_rows")
def test_the_estimators_list_them():
    estimators = pytest.importorskip("retroprop.estimators", reason="the estimators need scikit-learn")
    for parameter, name in (("activation", "softsign"), ("loss", "pseudo_huber"), ("solver", "adagrad")):
        with pytest.raises(
            ValueError, match=rf"'{parameter}' parameter .* a str among {{.*'{name}'.*}}.*Did you mean '{name}'"
        ):
            estimators.MLPRegressor(**{parameter: f"{name}x"}).fit(X, Y.ravel())
    with pytest.raises(ValueError, match=r"solver='lbfgs' does not go with dropout=0\.5: use one of .*adagrad"):
        estimators.MLPRegressor(solver="lbfgs", dropout=0.5).fit(X, Y.ravel())


COMMAND = ["train", "data.npz", "--hidden", "8", "--activation", "softsign", "--loss", "pseudo_huber", "--optimizer",
           "adagrad", "--epochs", "5", "--no-picture"]  # fmt: skip


@pytest.mark.usefixtures("new_rows", "recorded")
def test_the_command_line_trains_them(backend, tmp_path, monkeypatch):
    pytest.importorskip("rich", reason="the command line needs rich")
    testing = pytest.importorskip("typer.testing", reason="the command line needs typer")
    from retroprop.cli.app import app

    monkeypatch.chdir(tmp_path)
    np.savez("data.npz", X=X, y=Y.ravel())
    result = testing.CliRunner().invoke(app, [*COMMAND, "--backend", str(backend)])
    assert result.exit_code == 0, result.output
    net = tabular.load("model.safetensors", backend="numpy").network
    assert (net.architecture.hidden[0], net.architecture.output.loss) == (Softsign(), PseudoHuber())


def test_the_help_of_the_command_line_lists_the_tables():
    """In a process of its own: the help is made when the command line is imported."""
    pytest.importorskip("rich", reason="the command line needs rich")
    pytest.importorskip("typer", reason="the command line needs typer")
    code = (
        "import new_rows; new_rows.pytest_configure(None)\n"
        "from typer.testing import CliRunner; from retroprop.cli.app import app\n"
        "print([CliRunner().invoke(app, [command, '--help']).output for command in ('train', 'check')])"
    )
    told = in_a_process("-c", code).stdout
    names = (
        {name for _, table in TABLES.values() for name in table} | set(rp.initializers.INITIALIZERS) | {*ADDED.values()}
    )
    assert [name for name in sorted(names) if name not in told] == []


def test_every_table_driven_test_takes_them():
    """What pytest makes of the new rows in the tests of functions, core and optimizers, in a process of its own."""
    files = ["functions/test_activations.py", "functions/test_losses.py", "core/test_witnesses.py",
             "training/test_optimizers.py", "persistence/test_model_file.py"]  # fmt: skip
    chosen = " or ".join([*ADDED.values(), "PseudoHuber", "Adagrad", "every_activation", "name"])
    run = in_a_process(
        "-m",
        "pytest",
        "-q",
        "-p",
        "new_rows",
        "-p",
        "no:cacheprovider",
        "-k",
        f"({chosen}) and not jax",
        *(str(TESTS / f) for f in files),
    )
    assert run.returncode == 0, run.stdout[-4000:]
    assert int(run.stdout.rpartition(" passed")[0].split()[-1]) > 100


def in_a_process(*arguments):
    path = os.pathsep.join([str(TESTS), *sys.path])
    environment = {**os.environ, "PYTHONPATH": path, "COLUMNS": "300"}
    return subprocess.run(
        [sys.executable, *arguments], env=environment, capture_output=True, text=True, check=False, cwd=TESTS.parent
    )
