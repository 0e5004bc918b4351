"""The one style of all pictures: colours that differ for everybody, files whole and the same at each writing."""

import itertools
import re
import subprocess
import sys

import numpy as np
import pytest

from retroprop.explain import style

# Full deuteranopia and protanopia in linear RGB: Machado, Oliveira and Fernandes (2009), severity 1.
BLIND = {
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
}
XYZ = [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]


def linear(color):
    srgb = np.array([int(color[i : i + 2], 16) for i in (1, 3, 5)]) / 255.0
    return np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)


def lab(rgb):
    x, y, z = np.cbrt(np.maximum(np.array(XYZ) @ np.clip(rgb, 0.0, 1.0) / [0.9505, 1.0, 1.089], 1e-3))
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


def contrast(one, other):
    light, dark = sorted((float(np.array(XYZ)[1] @ linear(color)) for color in (one, other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("theme", [style.LIGHT, style.DARK])
@pytest.mark.parametrize("kind", [None, *BLIND])
def test_colours_differ_for_everybody(theme, kind):
    sight = np.eye(3) if kind is None else np.array(BLIND[kind])
    seen = {color: lab(sight @ linear(color)) for color in (*theme.colors, theme.surface)}
    distances = {pair: np.linalg.norm(seen[pair[0]] - seen[pair[1]]) for pair in itertools.combinations(seen, 2)}
    assert min(distances.values()) > 17.0, min(distances, key=distances.get)
    assert np.linalg.norm(seen[theme.positive] - seen[theme.negative]) > 50.0


@pytest.mark.parametrize("theme", [style.LIGHT, style.DARK])
def test_text_and_signs_can_be_read(theme):
    assert contrast(theme.ink, theme.surface) > 10.0
    assert contrast(theme.muted, theme.surface) > 4.5
    assert min(contrast(color, theme.surface) for color in (theme.positive, theme.negative)) > 3.0


@pytest.mark.parametrize("suffix", [".svg", ".png", pytest.param(".pdf", marks=pytest.mark.long)])
def test_a_file_is_whole_and_the_same_each_time(tmp_path, suffix):
    pytest.importorskip("matplotlib", reason="a picture needs matplotlib")
    contents = []
    for name in ("one", "two"):
        figure = style.new_figure(2.0, 1.0)
        axes = figure.add_subplot()
        axes.plot([0, 3], [1, 2], label="line", clip_on=True)
        style.dress(axes, "Costs", xlabel="epoch")
        style.legend(axes)
        style.write(figure, tmp_path / f"{name}{suffix}", title="A title", description="1 < 2 & so on")
        contents.append((tmp_path / f"{name}{suffix}").read_bytes())
    assert contents[0] == contents[1]
    if suffix == ".svg":
        svg = contents[0].decode()
        assert re.search(r'<svg role="img"[^>]*>\s*<title>A title</title>\s*<desc>1 &lt; 2 &amp; so on</desc>', svg)
        assert "<dc:date>" not in svg


def test_another_suffix_is_refused():
    for name in ("picture", "picture.gif"):
        with pytest.raises(ValueError, match=rf"path must end in \.png, \.svg or \.pdf, not '{name}'"):
            style.check_path(name)


def test_importing_the_style_loads_no_library():
    code = (
        "import retroprop.explain.style, sys; assert not {'matplotlib', 'sympy', 'rich', 'pandas'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_without_matplotlib_one_line_says_how_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ModuleNotFoundError) as error:
        style.new_figure(1.0, 1.0)
    assert str(error.value) == 'a picture needs matplotlib, which is not installed: pip install "retroprop[explain]"'
