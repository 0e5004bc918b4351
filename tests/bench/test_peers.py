"""Every peer does the work ours does: the same parameters after a step from the same ones, on the same batch."""

import sys

import numpy as np
import pytest

import retroprop as rp
from retroprop.bench import ours
from retroprop.bench.contestant import UnavailableContestantError
from retroprop.bench.peers import HAND_WRITTEN, PEERS, Peer, prepare
from retroprop.bench.workloads import draw, parse

# Other people's libraries warn of what we cannot change, while they are imported and while they compile.
pytestmark = pytest.mark.filterwarnings("ignore")

STEPPERS = [
    pytest.param(peer, marks=[pytest.mark.long] if peer.name == "torch.compile" else [], id=peer.name)
    for peer in (HAND_WRITTEN, *PEERS)
    if not peer.fits
]
# Where ε stands in Adam: with the others it is inside the bias correction, which shows where gradients are tiny.
SAME_ADAM = ("hand-written NumPy", "Thinc")


def ready(peer, problem, **settings):
    try:
        return prepare(peer, problem, **settings)
    except UnavailableContestantError as error:
        pytest.skip(f"{peer.name} {error}")


def after_a_step(contestant, steps=1):
    with contestant.active():
        for _ in range(steps):
            contestant.call()
        contestant.finish()
    return [np.asarray(leaf) for leaf in contestant.parameters()]


@pytest.mark.parametrize("sizes", ["7-5-6-3@11", "4-3@5"])
@pytest.mark.parametrize("peer", STEPPERS)
def test_a_step_of_gradient_descent_is_ours(peer, sizes, dtype):
    problem = draw(parse(sizes), "sgd", dtype, learning_rate=0.5)
    theirs, mine = after_a_step(ready(peer, problem)), after_a_step(ours.step(rp.get_backend("numpy"), problem))
    start = [*problem.thetas, *problem.biases]
    rtol = 1e-5 if dtype == "float32" else 1e-12
    for a, b, before in zip(theirs, mine, start, strict=True):
        assert a.dtype == np.dtype(dtype)
        np.testing.assert_allclose(a, b, rtol=rtol, atol=rtol)
        assert np.max(np.abs(a - before)) > 100.0 * rtol  # it did move


@pytest.mark.parametrize("peer", STEPPERS)
def test_steps_of_adam_are_ours(peer):
    problem = draw(parse("7-5-6-3@11"), "adam", learning_rate=0.01)
    steps = 3 if peer.name in SAME_ADAM else 1
    theirs = after_a_step(ready(peer, problem), steps)
    mine = after_a_step(ours.step(rp.get_backend("numpy"), problem), steps)
    # A first step is near η whatever the gradient, so ε moves it little.
    atol = 1e-5 if peer.name in SAME_ADAM else 1e-4
    for a, b in zip(theirs, mine, strict=True):
        np.testing.assert_allclose(a, b, rtol=0.0, atol=atol)


def test_the_fit_of_scikit_learn_starts_from_our_gradient():
    """Its first parameters are its own: they come of two fits, for a step of plain descent is linear in η."""
    (peer,) = (peer for peer in PEERS if peer.fits)
    workload, etas = parse("7-5-3@11"), (0.125, 0.25)
    once, twice = (
        after_a_step(ready(peer, draw(workload, "sgd", "float64", learning_rate=eta), epochs=1)) for eta in etas
    )
    start = [2.0 * a - b for a, b in zip(once, twice, strict=True)]
    problem = draw(workload, "sgd", "float64")
    net = problem.network("numpy")
    net.thetas, net.biases = start[:2], start[2:]
    found = net.gradient(problem.x, problem.y)
    for before, after, gradient in zip(start, once, [*found.thetas, *found.biases], strict=True):
        np.testing.assert_allclose((before - after) / etas[0], gradient, rtol=1e-9, atol=1e-12)


def test_a_peer_that_is_not_installed_says_what_to_install(monkeypatch):
    missing = Peer("nobody", "nobody", needs=("no_such_module",), install="nobody")
    with pytest.raises(UnavailableContestantError, match="needs no_such_module: pip install nobody"):
        prepare(missing, draw(parse("2-2@2")))
    with pytest.raises(UnavailableContestantError, match="float32 only"):
        prepare(Peer("half", "half", dtypes=("float32",)), draw(parse("2-2@2"), dtype="float64"))


def test_peers_are_not_loaded_before_they_are_asked_for():
    import subprocess

    code = "import sys, retroprop.bench, retroprop.bench.__main__; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    loaded = {name.partition(".")[0] for name in done.stdout.split()}
    assert not loaded & {"torch", "jax", "optax", "thinc", "sklearn", "matplotlib", "rich", "typer"}


def test_the_devices_of_a_peer():
    libraries = [rp.backends.BackendInfo("torch", "2", ("cuda:0", "cpu"), True, None)]
    eager = PEERS[0]
    assert eager.devices(libraries) == ("cuda:0", "cpu")
    assert [eager.called(device) for device in eager.devices(libraries)] == ["torch eager, cuda:0", "torch eager"]
    assert HAND_WRITTEN.devices(libraries) == ("cpu",)
