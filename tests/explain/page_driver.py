"""Reading and operating the page of a network in a browser."""

import numpy as np

_READ = """
(() => {
  const found = {J: document.getElementById('cost').dataset.value};
  for (const e of document.querySelectorAll('[data-name]')) found[e.dataset.name] = e.dataset.value;
  return found;
})()
"""


def read(browser):
    """Return every number of the page by its name, from the attributes that hold it exactly."""
    return {name: float(value) for name, value in browser.run(_READ).items()}


def text_of(browser, element):
    return browser.run(f"document.getElementById('{element}').textContent")


def go(browser, fragment):
    """Take the page to another address of its own; return the line about it, empty if there is none."""
    browser.run(
        "new Promise(done => { addEventListener('hashchange', () => done(true), {once: true});"
        f" location.hash = {fragment!r}; }})"
    )
    return text_of(browser, "alert")


def press(browser, control):
    browser.run(f"document.getElementById('{control}').click()")


def settled(browser):
    """Return the address, once it is written."""
    return browser.run("new Promise(done => setTimeout(() => done(location.hash), 150))")


def enter(browser, control, value):
    """Put a value into a field or a choice, as if typed, and let the page take it."""
    browser.run(
        f"(() => {{ const e = document.getElementById('{control}'); e.value = {value!r};"
        " e.dispatchEvent(new Event('change', {bubbles: true})); })()"
    )
    browser.run("new Promise(done => setTimeout(() => done(true), 20))")


def named(letter, arrays, row=None):
    """Return arrays of parameters, or of one observation of the layers from 2 on, by the names of the page."""
    found = {}
    for l, array in enumerate(arrays, start=1 if row is None else 2):
        for place, value in np.ndenumerate(np.asarray(array if row is None else array[row])):
            comma = "," if any(n > 8 for n in place) else ""
            found[f"{letter}^({l})_{comma.join(str(n + 1) for n in place)}"] = float(value)
    return found


def expected(net, x, y, row):
    """Return the numbers of a batch by the names of the page, from the library."""
    trace, g = net.forward(x, keep_z=True), net.gradient(x, y)
    found = {"J": float(g.cost), **named("θ", net.thetas), **named("b", net.biases)}
    found |= {**named("∂J/∂θ", g.thetas), **named("∂J/∂b", g.biases)}
    for letter, arrays in (("z", trace.z), ("a", trace.a), ("δ", g.deltas)):
        found |= named(letter, arrays[1:], row)
    return found


def assert_equal(found, wanted):
    assert wanted.keys() <= found.keys()
    given = np.array([found[name] for name in wanted])
    np.testing.assert_allclose(given, list(wanted.values()), rtol=1e-12, atol=1e-12)
