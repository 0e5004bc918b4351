"""The decision boundary of a network with two inputs, epoch by epoch: small multiples with the data and the cost."""

from math import ceil
from typing import Any, NamedTuple

import numpy as np

from retroprop.explain import style
from retroprop.explain.sheet import digits
from retroprop.explain.snapshots import Snapshot, Snapshots
from retroprop.functions.activations import Sigmoid
from retroprop.functions.types import Array
from retroprop.network import Network
from retroprop.one_network import require_one_network

_SIDE = 120  # grid points along each axis
_WIDTH, _MARGIN, _GAP, _HEAD, _FOOT = 8.0, 0.35, 0.22, 0.34, 0.58
_MARKERS = "os^Dv>hX"


class Plane(NamedTuple):
    """The data of a picture, and the grid on which the networks are evaluated.

    Attributes
    ----------
    kind : str
        "classes", "probability" (one sigmoid output) or "values".
    x : array (m, 2)
        The observations.
    y : array (m,)
        Class indices, or values.
    grid : array (n · n, 2)
        The points, row by row.
    limits : tuple of float
        The lowest and the highest of either input.
    """

    kind: str
    x: Array
    y: Array
    grid: Array
    limits: tuple[float, float, float, float]


def boundary(snapshots: Any, x: Any, y: Any, *, columns: int = 3, path: Any = None, dark: bool = False) -> Any:
    """Draw how a network with two inputs divides the plane, at one epoch or several.

    One sigmoid output gives the probability in shades and its boundary at 1/2, softmax the region of every class; any
    other single output is a regression, drawn as filled contours.

    Parameters
    ----------
    snapshots : Snapshots or Network
        The callback of a finished `fit`, or one network.
    x : array (m, 2)
        The data, on the host.
    y : array (m,), (m, 1) or (m, n_L)
        The targets, as for `fit`.
    columns : int
        The number of panels side by side.
    path : str or Path, optional
        Where the picture is written as well: .svg, .png or .pdf.
    dark : bool
        Whether it is for a dark page.

    Returns
    -------
    Figure
        Matplotlib's, without pyplot.

    Raises
    ------
    TypeError, ValueError
        If there is no snapshot, the network has other than two inputs, several outputs that are not classes, or if x
        or y do not fit it.
    """
    if path is not None:
        style.check_path(path)
    shown = _networks(snapshots)
    if not hasattr(columns, "__index__") or isinstance(columns, bool) or columns < 1:
        raise ValueError(f"columns must be a whole number, 1 or above, not {columns!r}.")
    plane = _plane(shown[0].network, x, y)
    theme, columns = style.theme(dark=dark), min(columns, len(shown))
    n_rows, side = ceil(len(shown) / columns), (_WIDTH - 2 * _MARGIN - (columns - 1) * _GAP) / columns
    side = min(side, 4.2)
    height = n_rows * (side + _HEAD) + (n_rows - 1) * _GAP + _FOOT
    figure = style.new_figure(_WIDTH, height, theme, dpi=100)
    left = (_WIDTH - columns * side - (columns - 1) * _GAP) / 2
    outputs = [snapshot.network.predict(plane.grid) for snapshot in shown]
    levels = _levels(plane, outputs)
    for i, (snapshot, output) in enumerate(zip(shown, outputs, strict=True)):
        row, column = divmod(i, columns)
        x0 = (left + column * (side + _GAP)) / _WIDTH
        y0 = (height - (row + 1) * (side + _HEAD) - row * _GAP) / height
        axes = figure.add_axes((x0, y0, side / _WIDTH, side / height))
        axes.set_gid(f"panel-{i + 1}")
        cost = digits(float(snapshot.network.cost(x, y)))
        words = f"J = {cost}" if isinstance(snapshots, Network) else f"epoch {snapshot.epoch},  J = {cost}"
        axes.set_title(words, loc="left", fontsize=10, color=theme.ink, pad=5).set_gid(f"title-{i + 1}")
        areas = _paint(axes, plane, np.asarray(output), theme, levels)
        _scatter(axes, plane, theme, areas)
    _key(figure, plane, theme, areas, levels, height)
    if path is not None:
        said = f"The outputs of a network over the plane of its two inputs, at {len(shown)} epochs, with the data."
        style.write(figure, path, title="Decision boundary", description=said)
    return figure


def _networks(snapshots: Any) -> list[Snapshot]:
    """Return the networks to draw, each checked."""
    if not isinstance(snapshots, Snapshots):
        require_one_network(snapshots, "boundary")
        shown = [Snapshot(0, snapshots)]
    elif not snapshots.kept:
        raise ValueError(
            f"snapshots is empty: pass it to rp.fit(callbacks=[...]); it waits for epochs {snapshots.epochs}."
        )
    else:
        shown = snapshots.kept
    net = shown[0].network
    if net.layer_sizes[0] != 2:
        raise ValueError(f"a decision boundary needs a network with 2 inputs; this one has {net.layer_sizes[0]}.")
    n_out = net.layer_sizes[-1]
    if n_out > 1 and net.architecture.output.activation.name != "softmax":
        raise ValueError(
            f"a decision boundary needs one output, or softmax; this network has {n_out} outputs without it."
        )
    if n_out > len(_MARKERS):
        raise ValueError(f"a decision boundary has colours for {len(_MARKERS)} classes; this network has {n_out}.")
    return shown


def _plane(net: Network, x: Any, y: Any) -> Plane:
    """Return the data as they are drawn, and the grid around them."""
    batch = net.batch(x, y, check=True)
    points, targets = (np.asarray(net.backend.to_numpy(array)) for array in (batch.x, batch.y))
    if net.layer_sizes[-1] > 1:
        kind, targets = "classes", targets if targets.ndim == 1 else targets.argmax(axis=1)
    else:
        kind = "probability" if isinstance(net.architecture.output.activation, Sigmoid) else "values"
        targets = targets[:, 0]
    low, high = points.min(axis=0), points.max(axis=0)
    margin = 0.12 * np.where(high > low, high - low, 1.0)
    (x0, y0), (x1, y1) = low - margin, high + margin
    across, up = np.meshgrid(np.linspace(x0, x1, _SIDE), np.linspace(y0, y1, _SIDE))
    grid = np.stack([across.ravel(), up.ravel()], axis=1)
    return Plane(kind, points, targets, grid, (float(x0), float(x1), float(y0), float(y1)))


def _levels(plane: Plane, outputs: list[Any]) -> Array:
    """Return the limits between the shades, the same in every panel."""
    from matplotlib.ticker import MaxNLocator

    if plane.kind == "classes":
        return np.arange(outputs[0].shape[-1] + 1) - 0.5
    if plane.kind == "probability":
        return np.linspace(0.0, 1.0, 11)
    everything = np.concatenate([plane.y, *(np.asarray(output).ravel() for output in outputs)])
    low, high = float(everything.min()), float(everything.max())
    return np.asarray(MaxNLocator(12).tick_values(low, high if high > low else low + 1.0))


def _paint(axes: Any, plane: Plane, output: Array, theme: style.Theme, levels: Array) -> Any:
    """Fill the plane with the outputs, and draw the boundary of a classification; return the colours of the values."""
    from matplotlib import colormaps
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import BoundaryNorm, ListedColormap

    across, up = (plane.grid[:, i].reshape(_SIDE, _SIDE) for i in (0, 1))
    if plane.kind == "classes":
        colors = ScalarMappable(BoundaryNorm(levels, len(levels) - 1), ListedColormap(theme.colors[: len(levels) - 1]))
        heights = output.argmax(axis=1)
    else:
        cmap = theme.diverging if plane.kind == "probability" else colormaps["cividis"]
        colors = ScalarMappable(BoundaryNorm(levels, cmap.N), cmap)
        heights = output[:, 0]
    heights = heights.reshape(_SIDE, _SIDE)
    alpha = 0.35 if plane.kind == "classes" else 0.75
    axes.contourf(across, up, heights, levels=levels, cmap=colors.cmap, norm=colors.norm, alpha=alpha, extend="neither")
    if plane.kind == "probability":
        axes.contour(across, up, heights, levels=[0.5], colors=[theme.ink], linewidths=1.4)
    elif plane.kind == "classes":
        shares = output.reshape(_SIDE, _SIDE, -1)
        for k in range(shares.shape[-1]):
            # Above 0 where class k is the most probable.
            lead = shares[..., k] - np.delete(shares, k, axis=-1).max(axis=-1)
            axes.contour(across, up, lead, levels=[0.0], colors=[theme.ink], linewidths=1.0)
    axes.set_facecolor(theme.surface)
    axes.set(xlim=plane.limits[:2], ylim=plane.limits[2:], xticks=[], yticks=[])
    for line in axes.spines.values():
        line.set_color(theme.edge)
    return colors


def _scatter(axes: Any, plane: Plane, theme: style.Theme, colors: Any) -> None:
    """Draw the observations: a marker and a colour for each class, or the colour of the value."""
    size = 26 if len(plane.x) <= 200 else 9
    look = {"s": size, "edgecolors": theme.ink, "linewidths": 0.6, "zorder": 3}
    if plane.kind == "values":
        axes.scatter(*plane.x.T, c=plane.y, cmap=colors.cmap, norm=colors.norm, **look).set_gid("points")
        return
    for k, (name, color) in enumerate(_classes(plane, theme)):
        some = plane.x[(plane.y >= 0.5) == k if plane.kind == "probability" else plane.y == k]
        drawn = axes.scatter(*some.T, color=color, marker=_MARKERS[k], label=name, **look)
        drawn.set_gid(f"points-{k}")


def _classes(plane: Plane, theme: style.Theme) -> list[tuple[str, str]]:
    """Return the name and the colour of every class."""
    if plane.kind == "probability":
        return [("y = 0", theme.negative), ("y = 1", theme.positive)]
    return [(f"class {k}", theme.colors[k]) for k in range(int(plane.y.max()) + 1)]


def _key(figure: Any, plane: Plane, theme: style.Theme, colors: Any, levels: Array, height: float) -> None:
    """Write the classes below the panels, or draw the scale of the values."""
    if plane.kind == "values":
        axes = figure.add_axes((0.25, 0.27 / height, 0.5, 0.09 / height))
        bar = figure.colorbar(colors, cax=axes, orientation="horizontal")
        bar.set_ticks(levels[:: max(1, len(levels) // 6)])
        bar.ax.xaxis.set_major_formatter(lambda value, _: digits(value))
        bar.outline.set_edgecolor(theme.edge)
        axes.tick_params(colors=theme.muted, labelsize=8.5, length=0)
        return
    handles, labels = figure.axes[0].get_legend_handles_labels()
    options = {"frameon": False, "fontsize": 9.5, "labelcolor": theme.ink, "ncols": len(labels), "handletextpad": 0.1}
    figure.legend(handles, labels, loc="lower center", bbox_to_anchor=(0.5, 0.02 / height), **options)
