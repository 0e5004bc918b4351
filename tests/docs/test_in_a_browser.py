"""The built site in Chromium, at the widths of a screen and of a telephone: nothing cut off, formulas, search."""

import functools
import http.server
import os
import threading
from pathlib import Path

import pytest

pytestmark = pytest.mark.long

WIDTHS = (1280, 375)
AXE = os.environ.get("AXE_CORE", "")  # the file axe.min.js of the package axe-core of npm

# Elements that reach beyond the viewport or hide a part of themselves, named by their first words.
CUT_OFF = """
(() => {
  document.querySelectorAll('details').forEach(d => { d.open = true; });
  const wide = document.documentElement.clientWidth;
  const name = e => e.tagName + ' ' + e.textContent.trim().slice(0, 40);
  const article = document.querySelector('article');
  const inside = [...article.querySelectorAll('pre, pre > code, table, img, .formula, .md-typeset__scrollwrap')];
  return {
    page: document.documentElement.scrollWidth > wide,
    hidden: inside.filter(e => e.scrollWidth > e.clientWidth + 1 && e.clientWidth).map(name),
    outside: [...inside, ...article.querySelectorAll('math')]
      .filter(e => e.getBoundingClientRect().right > wide + 1).map(name),
  };
})()
"""

FORMULAS = """
(() => {
  const all = [...document.querySelectorAll('article math')];
  const sizes = all.map(e => e.getBoundingClientRect());
  const fractions = [...document.querySelectorAll('article mfrac')].map(e => e.getBoundingClientRect().height);
  return {
    count: all.length,
    flat: sizes.filter(s => s.width < 3 || s.height < 5).length,
    fraction: Math.max(0, ...fractions),
    font: document.fonts.check('16px "STIX Two Math"'),
    raw: /\\\\(frac|delta|theta|partial|begin)/.test(document.querySelector('article').innerText),
  };
})()
"""

# Types a query as a reader would, and answers with the addresses found, at the latest after 20 s with none.
SEARCH = """
new Promise(done => {
  document.querySelector('[data-md-toggle=search]').click();
  const box = document.querySelector('input[name=query]');
  box.focus();
  box.value = %r;
  box.dispatchEvent(new Event('keyup', {bubbles: true}));
  box.dispatchEvent(new Event('input', {bubbles: true}));
  const found = () => [...document.querySelectorAll('.md-search-result__item > a')].map(a => a.href.split('?')[0]);
  let left = 200;
  const timer = setInterval(() => {
    if (found().length || !--left) { clearInterval(timer); done(found()); }
  }, 100);
})
"""


# Violations of impact "serious" or "critical" in a colour scheme, its transitions over at once. Frames are left out.
VIOLATIONS = """
(() => {
  const style = document.createElement('style');
  style.textContent = '* { transition: none !important; }';
  document.head.append(style);
  document.body.setAttribute('data-md-color-scheme', %r);
  return axe.run(document, {resultTypes: ['violations'], iframes: false}).then(found => found.violations
    .filter(v => ['serious', 'critical'].includes(v.impact)).map(v => [v.id, v.nodes.map(n => n.html.slice(0, 120))]));
})()
"""


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    from browser import browsers

    yield from browsers(tmp_path_factory)


@pytest.fixture(scope="module")
def address(site):
    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=site)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


@pytest.mark.parametrize("width", WIDTHS)
def test_nothing_is_cut_off(browser, address, site, width):
    faults = {}
    for page in sorted(site.rglob("*.html")):
        if page.name == "404.html" or "computed" in page.parts:  # the pages of networks have tests of their own
            continue
        browser.open(address + page.relative_to(site).as_posix(), width)
        found = browser.run(CUT_OFF)
        if found["page"] or found["hidden"] or found["outside"]:
            faults[page.relative_to(site).as_posix()] = found
    assert not faults


@pytest.mark.skipif(not Path(AXE).is_file(), reason="AXE_CORE names no file axe.min.js: npm pack axe-core")
@pytest.mark.parametrize("scheme", ["default", "slate"])
@pytest.mark.parametrize("width", WIDTHS)
def test_axe_reports_nothing_serious(browser, address, site, width, scheme):
    faults = {}
    for page in sorted(site.rglob("*.html")):
        if "computed" in page.parts:  # the pages of networks have tests of their own
            continue
        browser.open(address + page.relative_to(site).as_posix(), width)
        browser.run(Path(AXE).read_text(encoding="utf-8") + "; true")
        if found := browser.run(VIOLATIONS % scheme):
            faults[page.relative_to(site).as_posix()] = found
    assert faults == {}


@pytest.mark.parametrize("page", ["backpropagation.html", "es/retropropagacion.html"])
def test_formulas_are_typeset(browser, address, page):
    browser.open(address + page, 1280)
    found = browser.run(FORMULAS)
    assert found["count"] > 60
    assert found["flat"] == 0
    assert found["fraction"] > 30, "a fraction is two lines high"
    assert found["font"]
    assert not found["raw"]


@pytest.mark.parametrize("over", ["http", "file"])
@pytest.mark.parametrize(
    ("words", "page"),
    [
        ("imbalanced", "howto/data.html"),
        ("missing values", "howto/data.html"),
        ("delta", "backpropagation.html"),
        ("traspuesta", "es/retropropagacion.html"),
    ],
)
def test_search_answers(browser, address, site, over, words, page):
    base = address if over == "http" else site.as_uri() + "/"
    browser.open(base + "index.html", 1280)
    found = [link.removeprefix(base).partition("#")[0] for link in browser.run(SEARCH % words)]
    assert page in found[:6]


@pytest.mark.parametrize(
    ("page", "language", "other"),
    [
        ("backpropagation.html", "en", "es/retropropagacion.html"),
        ("es/docencia.html", "es", "teaching.html"),
        ("howto/gpu.html", "en", "es/index.html"),
    ],
)
def test_a_page_leads_to_the_other_language(browser, site, page, language, other):
    browser.open(f"{site.as_uri()}/{page}", 1280)
    assert browser.run("document.documentElement.lang") == language
    links = browser.run("[...document.querySelectorAll('.md-select__link')].map(a => a.href)")
    assert links[language == "en"] == f"{site.as_uri()}/{other}"
