"""Pages whose results are computed when the site is built: their code runs, says the same in both languages, and their
formulas convert. A test marked long reads the built site."""

import html
import importlib.util
import re
from pathlib import Path
from types import SimpleNamespace

import pytest

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
LANGUAGES = [("backpropagation.md", "es/retropropagacion.md"), ("teaching.md", "es/docencia.md")]
FORMULA = re.compile(r"\$\$(?P<block>.+?)\$\$|(?<![\\$])\$(?P<inline>[^$\n]+)\$", re.DOTALL)


def hook(name):
    spec = importlib.util.spec_from_file_location(f"docs_{name}", DOCS / "hooks" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


examples, formulas = hook("examples"), hook("formulas")


def text_of(page):
    """Return the text of a page without its front matter."""
    return (DOCS / page).read_text(encoding="utf-8").split("---\n", 2)[2]


def computed_pages():
    return [
        path.relative_to(DOCS).as_posix()
        for path in sorted(DOCS.rglob("*.md"))
        if re.match(r"---\n(?:.*\n)*?run: true\n", path.read_text(encoding="utf-8"))
    ]


def formulas_of(markdown):
    """Return the formulas of a text with the kind of each, those within code left out."""
    prose = re.sub(r"^( *)```.*?^\1```$|`[^`\n]+`", "", markdown, flags=re.MULTILINE | re.DOTALL)
    return [(found["block"] or found["inline"], bool(found["block"])) for found in FORMULA.finditer(prose)]


def test_the_computed_pages_are_those_of_both_languages():
    assert computed_pages() == sorted(["howto/explain.md", *(page for pair in LANGUAGES for page in pair)])


@pytest.mark.parametrize("page", ["backpropagation.md", "teaching.md", "howto/explain.md"])
def test_a_page_runs_and_its_formulas_convert(page, monkeypatch):
    for name in ("sympy", "matplotlib", "sklearn", "latex2mathml"):
        pytest.importorskip(name, reason=f"{page} needs {name}")
    figures = []
    monkeypatch.setattr(examples, "svg_of", lambda figure: str(figures.append(figure)))
    result = examples.run(text_of(page), lambda content, suffix=".svg": f"kept{suffix}", name=page)
    assert "{{ " not in result
    assert result.count("```text") > text_of(page).count("```text"), "what is printed is shown"
    assert len(figures) == 2 * text_of(page).count("]({{ "), "one for each scheme"
    for formula, block in formulas_of(result):
        formulas.to_mathml(formula, block=block, page=page)


@pytest.mark.parametrize(("english", "spanish"), LANGUAGES)
def test_both_languages_compute_the_same(english, spanish):
    code = examples.code_of(text_of(english))
    assert len(code) > 10
    assert examples.code_of(text_of(spanish)) == code


@pytest.mark.parametrize(("english", "spanish"), [*LANGUAGES, ("index.md", "es/index.md")])
def test_both_languages_name_each_other(english, spanish):
    for page, other in ((english, spanish), (spanish, english)):
        front_matter = (DOCS / page).read_text(encoding="utf-8").split("---\n", 2)[1]
        assert f"translation: {other}" in front_matter.splitlines()


@pytest.mark.parametrize(("english", "spanish"), LANGUAGES)
def test_both_languages_have_the_same_parts(english, spanish):
    def parts(page):
        text = text_of(page)
        symbols = [re.sub(r"\s+", "", formula) for formula, block in formulas_of(text) if block]
        return re.findall(r"^#+(?= )|^\?\?\?", text, re.MULTILINE), symbols

    assert parts(spanish) == parts(english)


def test_the_source_text_is_linked_once_in_each_language():
    for page in LANGUAGES[0]:
        assert text_of(page).count("](https://www.jeremyjordan.me/neural-networks-training/)") == 1


def test_the_colours_of_the_formulas_are_those_of_the_pictures():
    from retroprop.explain.style import DARK, LIGHT

    css = (DOCS / "assets" / "site.css").read_text(encoding="utf-8")
    for light, dark in zip(LIGHT.colors[:2], DARK.colors[:2], strict=True):
        assert f'[mathcolor="{light}"] {{ color: {dark}; }}' in css
        assert all(rf"\textcolor{{{light}}}" in text_of(page) for page in LANGUAGES[0])


def test_a_page_shows_what_its_code_prints_and_draws(monkeypatch):

    monkeypatch.setattr(examples, "svg_of", lambda figure: f"svg {figure}")
    page = "\n".join(
        (
            "Two is {{ 1 + 1 }}.",
            "    ```python",
            "    n = 3",
            "    print(n)",
            "    ```",
            "![A line]({{ [n, dark] }})",
            "![The same]({{ n }})",
            "```sh",
            "{{ untouched }}",
            "```",
        )
    )
    result = examples.run(page, lambda svg: svg.removeprefix("svg ") + ".svg")
    assert "Two is 2." in result
    assert "    ```\n\n    ```text\n    3\n    ```\n" in result
    assert "[![A line]([3, False].svg#only-light)]([3, False].svg#only-light)" in result
    assert "[3, True].svg#only-dark" in result
    assert "[![The same](3.svg)](3.svg)" in result
    assert "{{ untouched }}" in result


def test_a_block_that_fails_names_its_page_and_line():
    with pytest.raises(ZeroDivisionError) as failed:
        examples.run("text\n\n```python\n1 / 0\n```\n", str, name="some.md")
    assert (str(failed.traceback[-1].path), failed.traceback[-1].lineno + 1) == ("some.md", 4)


def test_a_matrix_in_latex():
    assert examples.matrix([[1, -0.5], [0.25, 2]], 1) == r"\begin{bmatrix} 1.0 & -0.5 \\ 0.2 & 2.0 \end{bmatrix}"
    assert examples.matrix([1, 2], 0) == r"\begin{bmatrix} 1 & 2 \end{bmatrix}"


def test_formulas_become_mathml():
    pytest.importorskip("latex2mathml", reason="formulas are converted by latex2mathml")
    page = '<p><span class="arithmatex">\\(a &lt; b\\)</span>.</p><div class="arithmatex">\\[\n\\frac{a}{b}\n\\]</div>'

    content = formulas.on_page_content(page, page=SimpleNamespace(file=SimpleNamespace(src_uri="some.md")))
    assert "<mo>&#x0003C;</mo>" in content
    assert "<mfrac>" in content
    assert "</math>.</span></p>" in content
    assert "arithmatex" not in content
    assert "\\" not in content
    with pytest.raises(ValueError, match=r"some\.md: latex2mathml does not know \\unheard in"):
        formulas.to_mathml(r"\unheard{x}", page="some.md")
    assert "columnalign" in formulas.to_mathml(r"\begin{aligned} a &= b \end{aligned}")


@pytest.mark.long
def test_the_built_site(site):
    anchors = {
        path.relative_to(site).as_posix(): set(re.findall(r'\bid="([^"]+)"', path.read_text(encoding="utf-8")))
        for path in site.rglob("*.html")
    }
    embedded = {name for name in anchors if name.startswith(f"{examples.COMPUTED}/")}
    assert len(embedded) >= 6, "pages of networks, in two languages"
    for name in anchors.keys() - {"404.html"} - embedded:
        path = site / name
        page = path.read_text(encoding="utf-8")
        article = page[page.index("<article") : page.index("</article>")]
        prose = re.sub(r"<pre.*?</pre>|<code.*?</code>", "", article, flags=re.DOTALL)
        assert not re.search(r"\\(?:frac|delta|theta|partial|begin|left|sum)|\$\$|\{\{ ", prose), f"{name}: raw LaTeX"
        fetched = re.findall(r'<(?:script|img|link rel="(?:stylesheet|icon)")[^>]*(?:src|href)="(https?:[^"]+)', page)
        assert not fetched, f"{name} fetches from the network"
        for target in re.findall(r'(?:href|src)="([^"]+)"', article):
            address, _, anchor = html.unescape(target).partition("#")
            if re.match(r"\w+:", address):
                continue
            file = (path.parent / address).resolve() if address else path
            assert file.exists(), f"{name}: {target}"
            if state := re.match(r"net=(\w+)", anchor):
                assert f'"id":"{state[1]}"' in file.read_text(encoding="utf-8"), f"{name}: {target}"
            elif anchor and file.suffix == ".html":
                assert anchor in anchors[file.relative_to(site.resolve()).as_posix()], f"{name}: {target}"


@pytest.mark.long
@pytest.mark.parametrize(("english", "spanish"), LANGUAGES)
def test_both_languages_show_the_same_results(site, english, spanish):
    def shown(page):
        text = (site / page).with_suffix(".html").read_text(encoding="utf-8")
        # Comments of the code are in the language of the page.
        text = re.sub(r'<span class="c1">.*?</span>', "", text)
        printed = re.findall(r"<pre[^>]*>(.*?)</pre>", text, re.DOTALL)
        return [re.sub("<[^>]+>", "", one) for one in printed], re.findall(r"computed/(\w+\.svg)", text)

    printed, pictures = shown(english)
    assert len(printed) >= 10
    assert shown(spanish) == (printed, pictures)
