"""The page in Chromium: its numbers are the library's, its state is in the address, and answers are graded."""

import numpy as np
import pytest
from browser import CHROMIUM, Browser
from page_networks import NETWORKS, address, data, network

import retroprop as rp

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")

READ = """
(() => {
  const found = {J: document.getElementById('cost').dataset.value};
  for (const e of document.querySelectorAll('[data-name]')) found[e.dataset.name] = e.dataset.value;
  return found;
})()
"""


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    one = Browser(tmp_path_factory.mktemp("profile"))
    yield one
    one.close()


@pytest.fixture
def opened(browser, tmp_path):
    """Return a function that writes a page and opens it."""

    def opened(net, x, y, *, fragment="", width=1280, **options):
        made = rp.explain.page(net, x, y, tmp_path / "page.html", **options)
        browser.open("about:blank", width)
        browser.open((tmp_path / "page.html").as_uri() + fragment, width)
        return made

    return opened


def read(browser):
    """Return every number of the page by its name, from the attributes that hold it exactly."""
    return {name: float(value) for name, value in browser.run(READ).items()}


def go(browser, fragment):
    """Take the page to an address of its own."""
    browser.run(
        "new Promise(done => { addEventListener('hashchange', () => done(true), {once: true});"
        f" location.hash = {fragment!r}; }})"
    )
    assert browser.run("document.getElementById('alert').textContent") == ""


def press(browser, control):
    browser.run(f"document.getElementById('{control}').click()")


def settle(browser):
    """Wait until the address is written."""
    return browser.run("new Promise(done => setTimeout(() => done(location.hash), 500))")


def named(net, letter, arrays, row=None):
    """Return arrays of parameters, or of one observation of a layer, by the names of the page."""
    found = {}
    for l, array in enumerate(arrays, start=1 if row is None else 2):
        values = np.asarray(array if row is None else array[row])
        for place, value in np.ndenumerate(values):
            comma = "," if any(n > 8 for n in place) else ""
            found[f"{letter}^({l})_{comma.join(str(n + 1) for n in place)}"] = value
    return found


def expected(net, x, y, row):
    """Return the numbers of a batch by the names of the page, from the library."""
    trace, g = net.forward(x, keep_z=True), net.gradient(x, y)
    found = {"J": g.cost, **named(net, "θ", net.thetas), **named(net, "b", net.biases)}
    found |= {**named(net, "∂J/∂θ", g.thetas), **named(net, "∂J/∂b", g.biases)}
    for letter, arrays in (("z", trace.z), ("a", trace.a), ("δ", g.deltas)):
        found |= named(net, letter, arrays[1:], row)
    return {name: float(value) for name, value in found.items()}


def assert_equal(found, wanted):
    assert wanted.keys() <= found.keys()
    given = np.array([found[name] for name in wanted])
    np.testing.assert_allclose(given, list(wanted.values()), rtol=1e-12, atol=1e-12)


def check_states(browser, opened, name, count):
    """Compare random states of a network, and the parameters after one step from each."""
    net, x, y, options = network(name)
    page = opened(net, x, y, **options)
    rng = np.random.default_rng(7)
    size = options["batch_size"] or len(x)
    for _ in range(count):
        scale = rng.choice([0.3, 1.0, 3.0])
        net.thetas = [rng.normal(size=theta.shape) * scale for theta in net.thetas]
        net.biases = [rng.normal(size=b.shape) for b in net.biases]
        x, y = data(net, len(x), rng)
        begin = size * int(rng.integers(0, -(-len(x) // size)))
        part = slice(begin, begin + size)
        row, eta = int(rng.integers(0, len(x[part]))), float(rng.uniform(0.001, 0.5))
        go(browser, address(page, net, x, y, eta=repr(eta), begin=begin, row=row + 1))
        assert_equal(read(browser), expected(net, x[part], y[part], row))
        rule = options["optimizer"] or rp.optimizers.SGD(0.1)
        stepped = rp.Network.from_parameters(net.thetas, net.biases, **options_of(name))
        rp.fit(stepped, x[part], y[part], optimizer=type(rule)(eta, **constants(rule)), epochs=1, shuffle=False)
        press(browser, "step")
        assert_equal(read(browser), named(net, "θ", stepped.thetas) | named(net, "b", stepped.biases))


def options_of(name):
    options = {key: value for key, value in NETWORKS[name][1].items() if key != "bias"}
    return {"dtype": "float64", "backend": "numpy", **options}


def constants(rule):
    return {name: value for name, value in vars(rule).items() if name != "learning_rate"}


@pytest.mark.parametrize("name", ["2-2-2", "custom branches"])
def test_its_numbers_are_the_librarys(browser, opened, name):
    check_states(browser, opened, name, 2)


@pytest.mark.long
@pytest.mark.parametrize("name", NETWORKS)
def test_random_states_have_the_librarys_numbers(browser, opened, name):
    check_states(browser, opened, name, 25)
