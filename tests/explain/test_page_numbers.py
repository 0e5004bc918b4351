"""The numbers of the page in Chromium are the library's: of random states, after a step, after an epoch."""

import numpy as np
import pytest
from page_driver import assert_equal, expected, go, named, press, read
from page_networks import NETWORKS, address, data, network

import retroprop as rp


def constants(rule):
    return {name: value for name, value in vars(rule).items() if name != "learning_rate"}


def check_states(browser, opened, name, count):
    """Compare random states of a network, and the parameters after one step from each."""
    net, x, y, options = network(name)
    page = opened(net, x, y, **options)
    rng = np.random.default_rng(7)
    size = options["batch_size"] or len(x)
    functions = {key: value for key, value in NETWORKS[name][1].items() if key != "bias"}
    for _ in range(count):
        scale = rng.choice([0.3, 1.0, 3.0])
        net.thetas = [rng.normal(size=theta.shape) * scale for theta in net.thetas]
        net.biases = [rng.normal(size=b.shape) for b in net.biases]
        x, y = data(net, len(x), rng)
        begin = size * int(rng.integers(0, -(-len(x) // size)))
        part = slice(begin, begin + size)
        row, eta = int(rng.integers(0, len(x[part]))), float(rng.uniform(0.001, 0.5))
        assert go(browser, address(page, net, x, y, eta=repr(eta), begin=begin, row=row + 1)) == ""
        assert_equal(read(browser), expected(net, x[part], y[part], row))
        rule = options["optimizer"] or rp.optimizers.SGD(0.1)
        stepped = rp.Network.from_parameters(net.thetas, net.biases, dtype="float64", backend="numpy", **functions)
        rp.fit(stepped, x[part], y[part], optimizer=type(rule)(eta, **constants(rule)), epochs=1, shuffle=False)
        press(browser, "step")
        assert_equal(read(browser), named("θ", stepped.thetas) | named("b", stepped.biases))


@pytest.mark.parametrize("name", ["2-2-2", "custom branches"])
def test_a_state_has_the_librarys_numbers(browser, opened, name):
    check_states(browser, opened, name, 2)


@pytest.mark.long
@pytest.mark.parametrize("name", NETWORKS)
def test_25_random_states_have_the_librarys_numbers(browser, opened, name):
    check_states(browser, opened, name, 25)


@pytest.mark.long
@pytest.mark.parametrize("name", ["classes", "momentum", "rmsprop"])
def test_epochs_are_those_of_fit(browser, opened, name):
    net, x, y, options = network(name)
    opened(net, x, y, **options)
    for _ in range(5):
        press(browser, "epoch")
    rule = options["optimizer"] or rp.optimizers.SGD(0.1)
    rp.fit(net, x, y, optimizer=rule, epochs=5, batch_size=options["batch_size"], shuffle=False)
    assert_equal(read(browser), named("θ", net.thetas) | named("b", net.biases))


@pytest.mark.long
@pytest.mark.parametrize("of", ["theta-1-2-1", "b-2-1", "x-2", "z-2-3", "a-2-1", "delta-3-2"])
def test_a_nudge_approaches_the_partial_derivative(browser, opened, of):
    net, x, y, options = network("classes")
    opened(net, x[:3], y[:3], fragment=f"&of={of}&row=2", **options | {"batch_size": None})

    def nudge(which):
        return float(browser.run(f"document.querySelector('[data-nudge={which}]').dataset.value"))

    partial, distances = nudge("partial"), []
    for _ in range(3):
        distances.append(abs(nudge("ratio") - partial))
        press(browser, "smaller")
    assert partial != 0.0
    assert distances[0] < 1e-3
    assert distances[2] < 0.02 * distances[0] + 1e-9
    g = net.gradient(x[:3], y[:3], wrt_input=True)
    wanted = {
        "theta-1-2-1": g.thetas[0][1, 0],
        "b-2-1": g.biases[1][0],
        "x-2": g.x[1, 1],
        "z-2-3": g.deltas[1][1, 2],
        "a-2-1": (g.deltas[2] @ net.thetas[1])[1, 0],
        "delta-3-2": g.deltas[2][1, 1],
    }
    assert partial == pytest.approx(wanted[of], rel=1e-12)
