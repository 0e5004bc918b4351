"""One content in every form: plain text, a terminal's colours, HTML, LaTeX; names are never read as markup or code."""

import io
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from networks import network

import retroprop as rp
from retroprop.explain.document import ROLES, Span, number


class Hostile:
    """An activation whose name is markup to rich, code to a browser and a command to LaTeX."""

    name = r"[red]<script>alert(1)</script>\input{x}_&"
    needs_z = False

    def value(self, z, xp):
        return xp.tanh(z)

    def derivative(self, z, a, xp):
        return 1.0 - a * a


def hostile():
    net = rp.Network([2, 2, 2], hidden=Hostile(), seed=0, dtype="float64", backend="numpy")
    return [rp.explain.trace(net, [[1, 2]], [[0, 1]]), rp.explain.steps(net, [[1, 2]], [[0, 1]])]


def printed(explanation, width=200, **options):
    from rich.console import Console

    file = io.StringIO()
    Console(file=file, width=width, **options).print(explanation)
    return file.getvalue()


class Tags(HTMLParser):
    def __init__(self):
        super().__init__()
        self.open, self.seen, self.text = [], set(), ""

    def handle_starttag(self, tag, attributes):
        self.open.append(tag)
        self.seen.add(tag)
        assert not {"src", "href", "onclick"} & {name for name, _ in attributes}

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


def test_names_are_text_in_every_form():
    for explanation in hostile():
        assert Hostile.name in str(explanation)
        tags = Tags()
        tags.feed(explanation._repr_html_())
        assert tags.open == []
        assert tags.seen <= {"div", "style", "table", "caption", "tr", "th", "td", "p", "span"}
        assert Hostile.name in tags.text
        assert "@import" not in explanation._repr_html_()
        assert r"\input" not in explanation.latex.replace(r"\textbackslash{}input", "")
        pytest.importorskip("rich", reason="a terminal's tables are rich's")
        assert Hostile.name in printed(explanation)


def test_a_narrow_terminal_loses_no_number():
    pytest.importorskip("rich", reason="a terminal's tables are rich's")
    net, x, y, weight = network("classes")
    for explanation, width in (
        (rp.explain.trace(net, x, y, weight), 100),
        (rp.explain.steps(net, x, y, weight), 40),
        (rp.explain.transpose(net, x, y, layer=2), 60),
    ):
        wide = str(explanation)
        narrow = re.sub(r"\s", "", printed(explanation, width=width))
        for found in set(re.findall(r"-?\d+\.\d+", wide)):
            assert found in narrow


def test_colours_are_those_of_the_roles():
    pytest.importorskip("rich", reason="a terminal's tables are rich's")
    explanation = rp.explain.transpose(*network("general")[:3], layer=2)
    red, green, blue = (int(ROLES["theta"][i : i + 2], 16) for i in (1, 3, 5))
    colored = printed(explanation, force_terminal=True, color_system="truecolor")
    assert f"\x1b[38;2;{red};{green};{blue}mθ^(2)_11" in colored
    sixteen = printed(explanation, force_terminal=True, color_system="standard")
    assert "\x1b[36mθ^(2)_11" in sixteen
    assert "\x1b[32ma^(2)_1" in sixteen
    mixed = f"color-mix(in srgb, {ROLES['theta']} 70%, currentcolor)"
    assert f".theta {{ color: {ROLES['theta']}; color: {mixed}; }}" in explanation._repr_html_()
    assert '<span class="theta">θ^(2)_11</span>' in explanation._repr_html_()
    assert rf"\textcolor{{{ROLES['theta']}}}{{\theta_{{11}}^{{(2)}}}}" in explanation.latex


def luminance(color):
    c = np.array([int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)])
    return float(np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4) @ [0.2126, 0.7152, 0.0722])


def test_every_colour_is_readable_on_white_and_on_black():
    for color in ROLES.values():
        assert 1.05 / (luminance(color) + 0.05) > 4.0
        assert (luminance(color) + 0.05) / (luminance("#111111") + 0.05) > 4.0


def test_latex_is_balanced_and_has_no_sign_that_it_lacks():
    for kind in ("classes", "softmax", "weighted"):
        net, x, y, weight = network(kind)
        for explanation in (rp.explain.steps(net, x, y, weight), rp.explain.transpose(net, x, y, layer=1)):
            latex = re.sub(r"\\[{}]", "", explanation.latex)
            assert latex.count("{") == latex.count("}")
            assert latex.count(r"\[") == latex.count(r"\]")
            assert latex.count(r"\left(") == latex.count(r"\right)")
            for formula in re.findall(r"\$[^$]*\$|\\\[.*?\\\]", latex, flags=re.DOTALL):
                assert re.sub(r"\\text\{[^{}]*\}", "", formula).isascii(), formula


@pytest.mark.parametrize(
    ("value", "factor", "text", "latex"),
    [
        (0.5, True, "0.5", "0.5"),
        (-0.5, True, "(-0.5)", "(-0.5)"),
        (-0.5, False, "-0.5", "-0.5"),
        (-0.0, True, "0", "0"),
        (np.float32(1e-7), False, "1e-07", r"1 \cdot 10^{-7}"),
        (float("-inf"), True, "(-inf)", r"(-\infty)"),
        (float("nan"), False, "nan", r"\mathrm{nan}"),
    ],
)
def test_numbers(value, factor, text, latex):
    assert number(value, factor=factor) == Span(text, latex)
