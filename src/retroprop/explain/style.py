"""The style of every picture of the project: colours, light and dark, figures without pyplot, and files written whole.

A Figure without pyplot has no window and no global state, and none is left open. Importing this module loads no
plotting library.
"""

import re
from html import escape
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

from retroprop.persistence.files import write_whole

SUFFIXES = (".png", ".svg", ".pdf")


class Theme(NamedTuple):
    """The colours of a picture.

    Attributes
    ----------
    ink, muted, faint, surface : str
        Text; secondary text and axes; grids and fills; the background.
    edge : str
        Lines that are neither text nor grid: outlines, connections without a value.
    colors : tuple of str
        Colours for series, the first two blue and orange; distinguishable under red-green colour blindness.
    """

    ink: str
    muted: str
    faint: str
    surface: str
    edge: str
    colors: tuple[str, ...]

    @property
    def positive(self) -> str:
        """The colour of numbers above 0: blue."""
        return self.colors[0]

    @property
    def negative(self) -> str:
        """The colour of numbers below 0: orange."""
        return self.colors[1]

    def signed(self, value: float) -> str:
        """Return the colour of the sign of a number; 0 has that of outlines."""
        return self.edge if value == 0.0 else self.positive if value > 0.0 else self.negative

    @property
    def diverging(self) -> Any:
        """A matplotlib colormap from orange over the background to blue, for numbers around 0."""
        from matplotlib.colors import LinearSegmentedColormap

        return LinearSegmentedColormap.from_list("diverging", [self.negative, self.surface, self.positive])


LIGHT = Theme(
    ink="#1f2430",
    muted="#6b7280",
    faint="#e5e7eb",
    surface="#ffffff",
    edge="#9aa1ad",
    colors=("#2f6db5", "#d9622b", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#6b2c6f", "#1f2430"),
)
DARK = Theme(
    ink="#e8eaf0",
    muted="#a3abb9",
    faint="#343a48",
    surface="#1e2129",
    edge="#6d7686",
    colors=("#6aa9f0", "#f08a4e", "#29cb87", "#f397d0", "#fdcf49", "#f5e8f5", "#9c63ab", "#bb5c4f"),
)


def theme(*, dark: bool) -> Theme:
    """Return the theme for a dark page, or for a light one."""
    return DARK if dark else LIGHT


def new_figure(width: float, height: float, colors: Theme = LIGHT, **options: Any) -> Any:
    """Return a matplotlib Figure without pyplot.

    Parameters
    ----------
    width, height : float
        In inches.
    colors : Theme
        Its background.
    **options
        Further arguments of matplotlib's Figure.

    Raises
    ------
    ModuleNotFoundError
        If matplotlib is missing; the message is the command that installs it.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            'a picture needs matplotlib, which is not installed: pip install "retroprop[explain]"', name="matplotlib"
        ) from error
    figure = Figure(figsize=(width, height), facecolor=colors.surface, **options)
    FigureCanvasAgg(figure)
    return figure


def dress(axes: Any, title: str, colors: Theme = LIGHT, *, xlabel: str = "", ylabel: str = "") -> None:
    """Style axes: a title at the left, a faint grid, no frame."""
    axes.set_facecolor(colors.surface)
    axes.set_title(title, loc="left", fontsize=12, fontweight="bold", color=colors.ink, pad=10)
    axes.set_xlabel(xlabel, fontsize=9.5, color=colors.muted)
    axes.set_ylabel(ylabel, fontsize=9.5, color=colors.muted)
    axes.tick_params(colors=colors.muted, labelsize=9, length=0, which="both")
    axes.grid(True, color=colors.faint, linewidth=0.8)
    axes.set_axisbelow(True)
    for side in axes.spines.values():
        side.set_visible(False)


def legend(axes: Any, colors: Theme = LIGHT, *, size: float = 9.5, **options: Any) -> None:
    """Add a legend without a frame, if any line has a label."""
    if axes.get_legend_handles_labels()[0]:
        axes.legend(frameon=False, fontsize=size, labelcolor=colors.ink, **options)


def check_path(path: Any) -> Path:
    """Return the path of a picture; raise ValueError unless its suffix is one of `SUFFIXES`."""
    picture = Path(path)
    if picture.suffix.lower() not in SUFFIXES:
        raise ValueError(f"path must end in {', '.join(SUFFIXES[:-1])} or {SUFFIXES[-1]}, not {picture.name!r}.")
    return picture


def write(figure: Any, path: Any, *, dpi: int = 150, title: str = "", description: str = "") -> None:
    """Write a picture in the format of its suffix (.png, .svg, .pdf), completely or not at all.

    The same figure gives the same bytes: there is no date and no random identifier in the file.

    Parameters
    ----------
    figure : Figure
        The picture.
    path : str or Path
        The file.
    dpi : int
        Pixels per inch of a PNG, and of the images within a vector graphic.
    title, description : str
        Of an SVG, for readers who cannot see it.

    Raises
    ------
    ValueError
        For another suffix.
    OSError
        If the file cannot be written.
    """
    import matplotlib

    path = check_path(path)
    suffix, image = path.suffix.lower(), BytesIO()
    # The default metadata hold the date, and the identifiers of clip paths a random salt.
    undated: dict[str, dict[str, Any]] = {
        ".svg": {"Date": None, "Creator": None, **({"Title": title} if title else {})},
        ".pdf": {"CreationDate": None},
        ".png": {"Software": None},
    }
    settings: Any = {"svg.hashsalt": "retroprop", "svg.fonttype": "path", "image.composite_image": False}
    with matplotlib.rc_context(settings):
        figure.savefig(image, format=suffix[1:], dpi=dpi, facecolor=figure.get_facecolor(), metadata=undated[suffix])
    content = image.getvalue()
    write_whole(path, _described(content.decode(), description).encode() if suffix == ".svg" else content)


def _described(svg: str, description: str) -> str:
    """Return an SVG as one image with a description, which matplotlib does not write, and of fewer characters."""
    # Hundredths of a point; numbers below 1 may be scales, and keep their digits.
    svg = re.sub(r"\n +", "\n", re.sub(r"(?<![\w.#])(-?[1-9]\d*\.\d\d)\d+", r"\1", svg))
    head, opening, rest = svg.partition("<svg ")
    attributes, _, body = rest.partition(">")
    title, closing, after = body.partition("</title>")
    named, inner = (title + closing, after) if closing else ("", body)
    words = f"\n <desc>{escape(description, quote=False)}</desc>" if description else ""
    return f'{head}{opening}role="img" {attributes}>{named}{words}{inner}'
