"""`retroprop train --parallel mpi` under mpiexec: errors printed once, ensembles and searches divided by ranks."""

import json
import re

import numpy as np
import pytest
from launching import launchers, needs_mpi, run

from retroprop import tabular

LAUNCHER = needs_mpi()


def train(launcher, *options, size=2):
    return run(launcher, size, "-m", "retroprop", "train", *options)


ERRORS = {
    "engine": (("digits", "--parallel", "mpx"), '--parallel must be mpi, not "mpx".'),
    "usage": (("digits", "--parallel", "mpi", "--epohs", "1"), "No such option: --epohs"),
    "option": (("digits", "--parallel", "mpi", "--epochs", "0"), "--epochs must be 1 or above, not 0."),
    "sizes": (("digits", "--parallel", "mpi", "--hidden", "3,a"), "sizes are whole numbers of 1 or above"),
    "activation": (("digits", "--parallel", "mpi", "--activation", "foo"), "unknown activation 'foo'"),
    "batch": (("digits", "--parallel", "mpi", "--batch-size", "1"), "a batch must have a row for each rank"),
    "file": (("absent.csv", "--parallel", "mpi"), 'no file "absent.csv"'),
    "column": (("digits", "--parallel", "mpi", "--target", "foo"), "digits has no such column"),
    "folder": (("digits", "--parallel", "mpi", "-o", "/absent/m.safetensors"), 'there is no folder "/absent"'),
    "member": (
        ("iris", "--parallel", "mpi", "--ensemble", "2", "--learning-rate", "1e30"),
        "member 2 of 2: the training diverged",
    ),
}


def assert_once(launcher, name):
    options, message = ERRORS[name]
    job = train(launcher, *options, "--no-picture")
    assert job.code != 0
    assert (job.out + job.err).count(message) == 1, job.err


def test_an_error_is_printed_once():
    assert_once(LAUNCHER, "engine")


@pytest.mark.long
@pytest.mark.parametrize("name", list(ERRORS))
@pytest.mark.parametrize("launcher", launchers(), ids=lambda one: one.mpiexec)
def test_every_error_is_printed_once(launcher, name):
    assert_once(launcher, name)


@pytest.mark.long
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("epochs=0", "epochs must be 1 or above, not 0"),
        (None, "The 'alpha' parameter of MLPClassifier must be"),
        ("", "fit has no argument epohs=3"),
        ("optimizer='foo'", "unknown optimizer 'foo'"),
        ("activation='foo', ensemble=2", "unknown activation 'foo'"),
        ("test_size=0.00001, search=True", "it needs at least two"),
        ("class_weight={7: 1.0, 77: 1.0}", "class_weight has"),
    ],
)
def test_an_error_of_a_script_is_printed_once(options, message):
    code = f"import retroprop as rp; rp.tabular.fit('digits', {options}, parallel=rp.scale.MPI())"
    if not options:
        code = "import retroprop as rp; rp.fit(rp.Network([1, 1]), [[0]], [[0]], epohs=3, parallel=rp.scale.MPI())"
    if options is None:
        call = "MLPClassifier(alpha=-1.0, parallel=rp.scale.MPI()).fit([[0.0], [1.0]], [0, 1])"
        code = f"import retroprop as rp; from retroprop.estimators import MLPClassifier; {call}"
    job = run(LAUNCHER, 2, "-c", code)
    assert job.code != 0
    assert len(re.findall(f"^\\S*Error: .*{re.escape(message)}", job.err, re.MULTILINE)) == 1, job.err


@pytest.mark.long
def test_an_error_of_one_process_ends_all(tmp_path):
    code = f"""
import sys
from mpi4py import MPI
from retroprop.cli import main
further = ["--no-picture", "--picture", "p.png"] if MPI.COMM_WORLD.rank == 1 else ["--no-picture"]
sys.argv = ["retroprop", "train", "digits", "--parallel", "mpi", "-o", "{tmp_path}/m.safetensors", *further]
main()
"""
    job = run(LAUNCHER, 3, "-c", code, limit=20.0)
    assert job.code != 0
    assert len(re.findall("^retroprop: .*choose one", job.err, re.MULTILINE)) == 1, job.err
    assert not list(tmp_path.iterdir())


@pytest.mark.long
@pytest.mark.parametrize("option", [("--ensemble", "3"), ("--search", "--hidden", "6", "--dropout", "0.1")])
def test_the_networks_of_a_table_are_divided(option, tmp_path):
    options = ("iris", *option, "--epochs", "3", "--no-picture", "--json")
    model, alone = tmp_path / "m.safetensors", tmp_path / "alone.safetensors"
    job = train(LAUNCHER, *options, "--parallel", "mpi", "-o", model)
    assert job.code == 0, job.err
    single = train(LAUNCHER, *options, "-o", alone, size=1)
    found, wanted = json.loads(job.out), json.loads(single.out)
    assert found["members"] == wanted["members"]
    pairs = zip(tabular.load(model).network.thetas, tabular.load(alone).network.thetas, strict=True)
    for theta, other in pairs:
        np.testing.assert_allclose(theta, other, rtol=1e-4, atol=1e-6)
    if found["search"] is not None:
        every = [[one["mean"] for one in each["search"]["candidates"]] for each in (found, wanted)]
        np.testing.assert_allclose(*every, rtol=1e-4)
