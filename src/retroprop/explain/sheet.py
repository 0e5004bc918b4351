"""A sheet to draw on: a figure whose coordinates are inches, with the few shapes that the pictures of networks need."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from retroprop.explain.style import Theme, new_figure


class Box(NamedTuple):
    """A rectangle, in inches."""

    left: float
    bottom: float
    right: float
    top: float

    @classmethod
    def around(cls, x: float, y: float, size: tuple[float, float]) -> "Box":
        """Return the rectangle of a width and height around a centre."""
        return cls(x - size[0] / 2, y - size[1] / 2, x + size[0] / 2, y + size[1] / 2)

    def overlaps(self, other: "Box", margin: float = 0.0) -> bool:
        """Return whether the two come closer than `margin`."""
        across = self.left < other.right + margin and other.left < self.right + margin
        return across and self.bottom < other.top + margin and other.bottom < self.top + margin


class Sheet:
    """A figure with one axes over all of it, in which a unit is an inch and (0, 0) the lower left corner.

    Parameters
    ----------
    width, height : float
        In inches.
    theme : Theme
        The colours.

    Attributes
    ----------
    figure, axes : Figure, Axes
        Matplotlib's.
    theme : Theme
        The colours.
    """

    def __init__(self, width: float, height: float, theme: Theme) -> None:
        self.theme = theme
        self.figure = new_figure(width, height, theme, dpi=100)
        self.axes = self.figure.add_axes((0.0, 0.0, 1.0, 1.0), xlim=(0.0, width), ylim=(0.0, height))
        self.axes.set_axis_off()
        self.width, self.height = width, height
        self._sizes: dict[tuple[str, float], tuple[float, float]] = {}

    def text(self, x: float, y: float, words: str, gid: str, *, size: float = 9.0, color: str = "", **more: Any) -> Any:
        """Write words around a point."""
        options = {"ha": "center", "va": "center", "zorder": 6} | more
        written = self.axes.text(x, y, words, fontsize=size, color=color or self.theme.ink, **options)
        written.set_gid(gid)
        return written

    @property
    def patch(self) -> dict[str, Any]:
        """The options of words on a background, which interrupts the lines below them."""
        return {"bbox": {"facecolor": self.theme.surface, "edgecolor": "none", "pad": 0.5}, "zorder": 5}

    def size_of(self, words: str, size: float) -> tuple[float, float]:
        """Return the width and height of words in inches."""
        if (words, size) not in self._sizes:
            probe = self.axes.text(0.0, 0.0, words, fontsize=size)
            extent = probe.get_window_extent(self.figure.canvas.get_renderer())
            probe.remove()
            self._sizes[words, size] = (extent.width / self.figure.dpi, extent.height / self.figure.dpi)
        return self._sizes[words, size]

    def line(self, xs: Sequence[float], ys: Sequence[float], gid: str, *, color: str, width: float, **more: Any) -> Any:
        """Draw a line of a width in points."""
        options = {"solid_capstyle": "round", "zorder": 2, "clip_on": False} | more
        (drawn,) = self.axes.plot(xs, ys, color=color, linewidth=width, **options)
        drawn.set_gid(gid)
        return drawn

    def arrow(
        self, start: tuple[float, float], end: tuple[float, float], gid: str, *, color: str, width: float
    ) -> None:
        """Draw an arrow whose head ends at a point."""
        from matplotlib.patches import FancyArrowPatch

        head: dict[str, Any] = {"arrowstyle": "-|>", "mutation_scale": 7.0 + width, "shrinkA": 0.0, "shrinkB": 0.0}
        drawn = FancyArrowPatch(
            start, end, color=color, linewidth=width, zorder=2, joinstyle="miter", clip_on=False, **head
        )
        drawn.set_gid(gid)
        self.axes.add_patch(drawn)

    def pill(self, box: Box, gid: str, *, fill: str = "", outline: str = "", rounding: float | None = None) -> None:
        """Draw a box with round ends, or with corners of a given radius."""
        from matplotlib.patches import FancyBboxPatch

        width, height = box.right - box.left, box.top - box.bottom
        radius = min(width, height) / 2 if rounding is None else rounding
        drawn = FancyBboxPatch(
            (box.left, box.bottom),
            width,
            height,
            boxstyle=f"round,pad=0,rounding_size={radius}",
            facecolor=fill or self.theme.surface,
            edgecolor=outline or self.theme.edge,
            linewidth=1.1,
            zorder=4,
            clip_on=False,
        )
        drawn.set_gid(gid)
        self.axes.add_patch(drawn)


def digits(value: float, *, most: int = 9) -> str:
    """Return a number with three significant digits, fewer where it has more than `most` characters."""
    value += 0.0  # −0 becomes 0
    plain = value == 0.0 or 1e-3 <= abs(value) < 1e5
    choices = [f"{value:.{n}g}" if plain else f"{value:.{n - 2}e}" for n in (3, 2)]
    choices = [words.replace("e-0", "e-").replace("e+0", "e").replace("-", "−") for words in choices]
    return next((words for words in choices if len(words) <= most), choices[-1])
