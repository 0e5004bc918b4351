"""The page in Chromium: undo, reload, addresses, keyboard, small screens, motion, colours, and nothing leaves."""

import itertools
import json
import os
import time
from pathlib import Path

import numpy as np
import pytest
from page_driver import assert_equal, enter, expected, go, press, read, settled, text_of
from page_networks import network

import retroprop as rp
from retroprop.explain.page.words import text_of as text_of_file
from retroprop.explain.page.words import words

AXE = os.environ.get("AXE_CORE", "")  # the file axe.min.js of the package axe-core of npm
STATES = ("", "&at=3&of=delta-2-1", "&at=8&of=theta-1-1-1&lang=es", "&exercise=gradient-1", "&sheet=3&lang=es")


def open_state(browser, opened, name="classes", fragment="", **options):
    net, x, y, own = network(name)
    return opened(net, x, y, fragment=fragment, **own | options)


@pytest.mark.long
def test_undo_and_reload_give_the_identical_state(browser, opened):
    open_state(browser, opened)
    before = read(browser)
    press(browser, "epoch")
    enter(browser, "in-theta-1-2-1", "0.25")
    enter(browser, "in-x-2-row1", "−1,5")
    enter(browser, "eta", "0.3")
    press(browser, "step")
    after, fragment = read(browser), settled(browser)
    assert after["J"] != before["J"]
    net, x, y, options = network("classes")
    opened(net, x, y, **options)
    assert go(browser, fragment) == ""
    assert read(browser) == after
    assert settled(browser) == fragment


@pytest.mark.long
def test_each_undo_goes_one_change_back(browser, opened):
    open_state(browser, opened)
    seen = [read(browser)]
    for change in (
        lambda: press(browser, "step"),
        lambda: enter(browser, "in-b-2-3", "2"),
        lambda: press(browser, "epoch"),
        lambda: press(browser, "reset"),
    ):
        change()
        seen.append(read(browser))
    for earlier in reversed(seen[:-1]):
        press(browser, "undo")
        assert read(browser) == earlier
    assert browser.run("document.getElementById('undo').getAttribute('aria-disabled')") == "true"


@pytest.mark.long
@pytest.mark.parametrize("language", ["en", "es"])
def test_an_address_that_is_no_state_of_the_page_is_refused(browser, opened, language):
    page = open_state(browser, opened, language=language)
    said, own = words(language), read(browser)
    assert go(browser, "net=0123456789ab&at=2") == said["other_network"]
    for broken in (
        "at=99",
        "p=AAAA",
        "of=theta-7-1-1",
        "of=delta-1-1",
        "exercise=delta-1",
        "row=9",
        "eta=nan",
        "begin=1",
    ):
        assert go(browser, f"{page.link()}&{broken}") == said["broken_address"]
        assert read(browser) == own
    assert go(browser, f"{page.link(at=2)}") == ""


def test_a_link_is_refused_where_the_page_refuses_it(browser):
    made = rp.explain.page(rp.Network([3, 2, 1], bias=False, seed=0), [[0.8, 0.5, 0.1]], [[0.0]])

    def taken(**field):
        try:
            return bool(made.link(**field))
        except ValueError:
            return False

    places = ["", *("-" + "-".join(map(str, p)) for n in (1, 2, 3) for p in itertools.product(range(5), repeat=n))]
    keys = [letter + p for letter in ("theta", "b", "x", "z", "a", "delta", "gradient", "J") for p in places]
    found, most = browser.run(
        "(() => { const DATA = {bias: false, sizes: [3, 2, 1]};\n"
        + "\n".join(text_of_file(f"{name}.js") for name in ("quantities", "exercise", "sheet"))
        + f"\nreturn [{json.dumps(keys)}.map(key => [exists(parseKey(key)), !!exerciseOf(key)]), MOST_SEED]; }})()"
    )
    assert found == [[taken(of=key), taken(exercise=key)] for key in keys]
    assert [sum(column) for column in zip(*found, strict=True)] == [8 + 3 + 3 * 3, 3 * 2]
    assert taken(sheet=most)
    assert not taken(sheet=most + 1)


@pytest.mark.long
def test_no_number_changes_nothing(browser, opened):
    open_state(browser, opened)
    before = read(browser)
    for control, typed in (("in-theta-1-1-1", "two"), ("in-b-1-1", ""), ("eta", "-1"), ("epsilon", "0")):
        enter(browser, control, typed)
        assert typed in text_of(browser, "say") or not typed
        assert read(browser) == before


@pytest.mark.long
@pytest.mark.parametrize("fragment", STATES)
def test_every_control_is_reached_by_the_tabulator(browser, opened, fragment):
    open_state(browser, opened, "2-2-2", fragment)
    wanted = browser.run(
        "[...document.querySelectorAll('button, input, select, summary, [tabindex=\"0\"]')]"
        ".filter(e => !e.disabled && e.checkVisibility()).map((e, i) => e.dataset.mark = i)"
    )
    browser.run("document.activeElement.blur()")
    reached = set()
    for _ in range(len(wanted) + 5):
        for kind in ("keyDown", "keyUp"):
            browser.call("Input.dispatchKeyEvent", type=kind, key="Tab", code="Tab", windowsVirtualKeyCode=9)
        reached.add(browser.run("document.activeElement.dataset.mark"))
    assert {str(i) for i in wanted} <= reached


@pytest.mark.long
def test_keys_operate_it_and_the_focus_stays(browser, opened):
    open_state(browser, opened, "2-2-2")
    for control, read_back, wanted in (
        ("walk-on", "new URLSearchParams(location.hash.slice(1)).get('at')", "1"),
        ("theta-1-1-1", "new URLSearchParams(location.hash.slice(1)).get('of')", "theta-1-1-1"),
        ("step", "new URLSearchParams(location.hash.slice(1)).get('steps')", "1"),
        ("lang-es", "document.documentElement.lang", "es"),
    ):
        browser.run(f"document.getElementById('{control}').focus()")
        key = {"key": "Enter", "code": "Enter", "windowsVirtualKeyCode": 13, "text": "\r"}
        for kind in ("keyDown", "keyUp"):
            browser.call("Input.dispatchKeyEvent", type=kind, **key)
        settled(browser)
        assert browser.run(read_back) == wanted
        assert browser.run("document.activeElement.id") == control


@pytest.mark.long
@pytest.mark.parametrize("name", ["2-2-2", "classes", "deep"])
@pytest.mark.parametrize("fragment", STATES[:4])
def test_it_fits_360_pixels(browser, opened, name, fragment):
    if "theta" in fragment or name != "deep":
        open_state(browser, opened, name, fragment, width=360)
        assert browser.run("document.documentElement.scrollWidth <= document.documentElement.clientWidth")


@pytest.mark.long
def test_motion_and_colours_are_the_readers(browser, opened):
    open_state(browser, opened, "2-2-2")
    seen = {}
    for feature, value in (
        ("prefers-color-scheme", "light"), ("prefers-color-scheme", "dark"), ("prefers-reduced-motion", "reduce"),
    ):  # fmt: skip
        browser.call("Emulation.setEmulatedMedia", features=[{"name": feature, "value": value}])
        style = "getComputedStyle(document.body).backgroundColor + getComputedStyle(document.body).color"
        seen[value] = (
            browser.run(style),
            browser.run("getComputedStyle(document.querySelector('.neuron')).transitionDuration"),
        )
    browser.call("Emulation.setEmulatedMedia", features=[])
    assert seen["light"][0] != seen["dark"][0]
    assert (seen["light"][1], seen["reduce"][1]) == ("0.25s", "0s")


@pytest.mark.long
@pytest.mark.skipif(not Path(AXE).is_file(), reason="AXE_CORE names no file axe.min.js: npm pack axe-core")
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 360])
@pytest.mark.parametrize("fragment", STATES)
def test_axe_reports_no_violation(browser, opened, fragment, width, scheme):
    browser.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
    open_state(browser, opened, "2-2-2", fragment, width=width)
    if "exercise" in fragment:
        browser.run(
            "document.querySelectorAll('[data-answer]').forEach((e, i) => { e.value = ['1', '', 'x'][i % 3]; })"
        )
        press(browser, "check")
    browser.run(Path(AXE).read_text(encoding="utf-8") + "; true")
    found = browser.run(
        "axe.run(document).then(r => r.violations.map(v => [v.id, v.nodes.map(n => n.html.slice(0, 120))]))"
    )
    browser.call("Emulation.setEmulatedMedia", features=[])
    assert found == []


@pytest.mark.long
def test_nothing_leaves_the_page(browser, opened):
    open_state(browser, opened)
    for control in ("walk-last", "step", "epoch", "undo", "lang-es", "sheet-make"):
        press(browser, control)
    enter(browser, "exercise-choice", "delta-2")
    press(browser, "check")
    assert browser.run("performance.getEntriesByType('resource').length") == 0
    refused = "fetch('data:,1').then(() => 'sent', () => 'refused')"
    assert browser.run(refused) == "refused", "the page forbids itself every request"


@pytest.mark.long
@pytest.mark.parametrize("language", ["en", "es"])
def test_without_javascript_a_line_says_so(browser, tmp_path, language):
    net, x, y, options = network("2-2-2")
    rp.explain.page(net, x, y, tmp_path / "page.html", language=language, **options)
    browser.call("Emulation.setScriptExecutionDisabled", value=True)
    try:
        browser.call("Page.navigate", url=(tmp_path / "page.html").as_uri())
        time.sleep(0.5)  # nothing in the page can tell when it is complete
        assert browser.run("document.body.innerText").strip() == words(language)["noscript"]
    finally:
        browser.call("Emulation.setScriptExecutionDisabled", value=False)


class Cumulative:
    needs_z = True
    name = "cumulative"

    def value(self, z, xp):
        return xp.tanh(z) + 0.0 * xp.cumulative_sum(z, axis=-1)

    def derivative(self, z, a, xp):
        return 1.0 - xp.tanh(z) ** 2


class Numpy(Cumulative):
    name = "<numpy>"

    def value(self, z, xp):
        return np.tanh(z)


@pytest.mark.long
@pytest.mark.parametrize(
    ("f", "operation"), [(Cumulative(), "cumulative_sum is not recorded"), (Numpy(), "np.tanh(z)")]
)
def test_a_function_without_javascript_is_named_and_the_page_does_not_step(browser, opened, f, operation):
    net = rp.Network([2, 3, 1], hidden=f, seed=0, dtype="float64", backend="numpy")
    x, y = np.array([[0.5, -1.0], [0.2, 0.4]]), np.array([[1.0], [0.0]])
    opened(net, x, y, language="es")
    said = text_of(browser, "alert")
    assert f.name in said
    assert operation in said
    assert said.endswith("muestra los números de un solo estado y no avanza.")
    assert_equal(read(browser), expected(net, x, y, 0))
    assert browser.run("['step', 'undo', 'eta'].every(id => document.getElementById(id).disabled)")
    press(browser, "walk-last")
    enter(browser, "row", "1")
    assert_equal(read(browser), expected(net, x, y, 1))


@pytest.mark.long
def test_a_large_page_opens_and_steps_at_once(browser, opened):
    net = rp.Network([64, 100, 10], hidden="relu", output="softmax", loss="cross_entropy", seed=0, backend="numpy")
    rng = np.random.default_rng(0)
    opened(net, rng.normal(size=(50, 64)), rng.integers(0, 10, 50), batch_size=10)
    assert browser.run("performance.getEntriesByType('navigation')[0].loadEventEnd") < 1000
    click = "document.getElementById('step').click()"
    step = f"(() => {{ const t = performance.now(); {click}; return performance.now() - t; }})()"
    times = sorted(browser.run(step) for _ in range(15))
    assert times[7] < 50.0
