"""The figure of symmetry: how far apart the neurons of the hidden layers are, and the costs, epoch by epoch."""

from typing import Any, NamedTuple

import numpy as np

from retroprop.explain import style
from retroprop.functions.types import Array

_DASHES: tuple[Any, ...] = ("-", (0, (4, 2)), (0, (1, 1.5)), (0, (6, 2, 1, 2)))


class CourseOfDistances(NamedTuple):
    """The figures of one training.

    Attributes
    ----------
    name : str
        For the legend.
    nearest, farthest : array (epochs + 1, layers)
        The smallest and the largest distance of two neurons of a layer.
    cost : list of float
        J of each epoch.
    """

    name: str
    nearest: Array
    farthest: Array
    cost: list[float]


def plot_symmetry(
    courses: list[CourseOfDistances], layers: tuple[int, ...], *, path: Any = None, dark: bool = False
) -> Any:
    """Draw the distances at the left and the costs at the right, and write the figure to `path` if it is given."""
    if path is not None:
        style.check_path(path)
    theme = style.theme(dark=dark)
    figure = style.new_figure(8.0, 3.9, theme, dpi=100, layout="constrained")
    distances, costs = figure.subplots(1, 2)
    figure.get_layout_engine().set(w_pad=0.1, h_pad=0.1)
    style.dress(distances, "Distance between hidden neurons", theme, xlabel="epoch", ylabel="nearest to farthest pair")
    style.dress(costs, "Cost J", theme, xlabel="epoch")
    for course, color in zip(courses, theme.colors, strict=False):
        name = course.name.replace(" ", "-")
        for i, layer in enumerate(layers):
            epochs, dashes = np.arange(len(course.nearest)), _DASHES[i % len(_DASHES)]
            low, high = course.nearest[:, i], course.farthest[:, i]
            label = f"{course.name}, layer {layer}" if len(layers) > 1 else course.name
            band = distances.fill_between(epochs, low, high, color=color, alpha=0.2, linewidth=0.0)
            band.set_gid(f"band-{name}-{layer}")
            for which, values in (("nearest", low), ("farthest", high)):
                (line,) = distances.plot(epochs, values, color=color, linewidth=1.8, linestyle=dashes)
                line.set_gid(f"{which}-{name}-{layer}")
            line.set_label(label)
        (line,) = costs.plot(range(1, len(course.cost) + 1), course.cost, color=color, linewidth=1.8, label=course.name)
        line.set_gid(f"cost-{name}")
    for axes in (distances, costs):
        low, high = axes.get_ylim()
        axes.set_ylim(min(low, 0.0), high)
        style.legend(axes, theme, size=9, loc="upper center", bbox_to_anchor=(0.5, -0.16), ncols=2)
    if path is not None:
        words = "Left: the distances of the nearest and of the farthest neurons of each hidden layer. Right: the cost."
        style.write(figure, path, title="Symmetry of equal weights", description=words)
    return figure
