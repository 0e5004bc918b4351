"""The exercises of the page in Chromium: hidden numbers, answers graded by their mistake, and the printable sheet."""

import numpy as np
import pytest
from page_driver import enter, go, press, read, text_of

import retroprop as rp

THETAS = [np.array([[0.5, -0.2], [0.3, 0.8]]), np.array([[0.4, 0.6], [-0.7, 0.1]])]
X, Y = np.array([[1.0, 2.0], [-0.5, 1.0]]), np.array([[1.0, 0.0], [0.0, 1.0]])


@pytest.fixture
def net():
    return rp.Network.from_parameters(THETAS, hidden="sigmoid", output="sigmoid", backend="numpy")


def verdicts(browser, answers):
    """Type the answers by their keys, check them, and return the verdicts by key."""
    for key, value in answers.items():
        text = value if isinstance(value, str) else f"{value:.4g}"
        browser.run(f"document.getElementById('answer-{key}').value = {text!r}")
    press(browser, "check")
    found = browser.run(
        "Object.fromEntries([...document.querySelectorAll('[data-answer]')].map(e =>"
        " [e.dataset.answer, document.getElementById('verdict-' + e.dataset.answer).dataset.verdict]))"
    )
    return {key: found[key] for key in answers}


def test_answers_are_graded_by_their_mistake(browser, opened, net):
    g = net.gradient(X, Y).thetas[1]
    opened(net, X, Y, fragment="&exercise=gradient-2")
    keys = [["dtheta-2-1-1", "dtheta-2-1-2"], ["dtheta-2-2-1", "dtheta-2-2-2"]]
    assert set(verdicts(browser, {keys[j][k]: g[j, k] for j in (0, 1) for k in (0, 1)}).values()) == {"right"}
    assert "4 of 4" in text_of(browser, "say")
    mistakes = {
        keys[0][0]: (-g[0, 0], "wrong_sign"),
        keys[0][1]: (g[1, 0], "transposed"),
        keys[1][0]: (2.0 * g[1, 0], "mean_forgotten"),
        keys[1][1]: (10.0 * g[1, 1], "wrong"),
    }
    found = verdicts(browser, {key: value for key, (value, _) in mistakes.items()})
    assert found == {key: verdict for key, (_, verdict) in mistakes.items()}
    others = {keys[0][0]: "", keys[0][1]: "one", keys[1][0]: -2.0 * g[1, 0], keys[1][1]: 1.02 * g[1, 1]}
    assert list(verdicts(browser, others).values()) == ["empty", "no_number", "mean_and_sign", "rounded"]


@pytest.mark.long
def test_mistakes_of_the_other_kinds(browser, opened, net):
    trace, g = net.forward(X, keep_z=True), net.gradient(X, Y)
    page = opened(net, X, Y, fragment="&exercise=delta-2&row=2")
    back = g.deltas[2] @ THETAS[1]
    transposed = (g.deltas[2] @ THETAS[1].T) * trace.a[1] * (1.0 - trace.a[1])
    assert verdicts(browser, {"delta-2-1": g.deltas[1][1, 0], "delta-2-2": transposed[1, 1]}) == {
        "delta-2-1": "right", "delta-2-2": "transposed"}  # fmt: skip
    assert verdicts(browser, {"delta-2-1": back[1, 0], "delta-2-2": 2 * g.deltas[1][1, 1]}) == {
        "delta-2-1": "slope_forgotten", "delta-2-2": "mean_forgotten"}  # fmt: skip
    assert go(browser, page.link(exercise="a-2").removeprefix("#")) == ""
    wrong = 1.0 / (1.0 + np.exp(-X[0] @ THETAS[0]))
    assert verdicts(browser, {"a-2-1": trace.z[1][0, 0], "a-2-2": wrong[1]}) == {
        "a-2-1": "activation_forgotten", "a-2-2": "transposed"}  # fmt: skip


@pytest.mark.long
@pytest.mark.parametrize(("exercise", "hidden"), [("a-2", "azδ∂J"), ("delta-2", "δ∂"), ("gradient-1", "∂")])
def test_what_is_asked_for_is_hidden(browser, opened, net, exercise, hidden):
    opened(net, X, Y, fragment=f"&at=8&exercise={exercise}")
    names = browser.run(
        "[...document.querySelectorAll('[data-name], [data-line]')].map(e => e.dataset.name ?? e.dataset.line)"
    )
    shown = {name[0] for name in names} | (
        {"J"} if browser.run("!!document.getElementById('cost').dataset.value") else set()
    )
    given = {"δ"} if exercise == "delta-2" else set()  # that of the layer above
    assert shown & set(hidden) <= given
    assert shown >= set("azδJ") - set(hidden)
    assert browser.run("document.getElementById('nudge').checkVisibility()") is False
    press(browser, "solve")
    assert browser.run("document.querySelectorAll('#exercise [data-line]').length") > 0


@pytest.mark.long
def test_a_sheet_is_drawn_by_its_number_and_its_key_is_right(browser, opened, net):
    page = opened(net, X, Y)
    enter(browser, "seed", "7")
    press(browser, "sheet-make")
    sheet = browser.run("document.getElementById('sheet').innerHTML")
    assert go(browser, page.link(sheet=8).removeprefix("#")) == ""
    assert browser.run("document.getElementById('sheet').innerHTML") != sheet
    assert go(browser, page.link(sheet=7).removeprefix("#")) == ""
    assert browser.run("document.getElementById('sheet').innerHTML") == sheet
    cells = "t => [...t.rows].map(r => [...r.cells].map(c => c.textContent))"
    rows = f"[...document.querySelectorAll('.questions .paper')].map({cells})"
    given = [[[float(v.replace("−", "-")) for v in row] for row in table] for table in browser.run(rows)[:2]]
    entries = browser.run(
        "[...document.querySelectorAll('.questions .entry')].slice(0, 8).map(e => e.textContent.split('=')[1])"
    )
    numbers = np.array([float(v.replace("−", "-")) for v in entries]).reshape(2, 4)
    drawn = rp.Network.from_parameters(
        [np.array(theta) for theta in given], hidden="sigmoid", output="sigmoid", backend="numpy"
    )
    g = drawn.gradient(numbers[:, :2], numbers[:, 2:])
    entry = "e => [e.dataset.key, e.dataset.value]"
    key = browser.run(f"Object.fromEntries([...document.querySelectorAll('.key [data-key]')].map({entry}))")
    assert float(key["J"]) == pytest.approx(float(g.cost), rel=1e-12)
    assert float(key["∂J/∂θ^(1)_21"]) == pytest.approx(g.thetas[0][1, 0], rel=1e-12)
    assert float(key["δ^(3)_2[2]"]) == pytest.approx(g.deltas[2][1, 1], rel=1e-12)
    enter(browser, "seed", "0")
    press(browser, "sheet-make")
    assert text_of(browser, "say").startswith("The number of a sheet")


@pytest.mark.long
def test_what_is_printed_is_the_sheet_or_the_key(browser, opened, net):
    opened(net, X, Y, fragment="&sheet=3")
    browser.call("Emulation.setEmulatedMedia", media="print")
    seen = {}
    for which in ("questions", "key"):
        browser.run(f"document.body.dataset.print = {which!r}")
        seen[which] = browser.run(
            "['.questions', '.key', '#walk', '#change', 'header', '#sheet-choice'].map(s =>"
            " document.querySelector(s).checkVisibility())"
        )
    browser.call("Emulation.setEmulatedMedia", media="")
    assert seen == {"questions": [True] + [False] * 5, "key": [False, True] + [False] * 4}
    assert read(browser)
