"""A plot of the number of terms with and without sharing, which part as a network grows deeper."""

from collections.abc import Sequence
from typing import Any

from retroprop.explain import style
from retroprop.explain.counting import count_terms

_MARKERS = "osD^v"


def plot_terms(
    widths: Sequence[int] = (2, 10),
    *,
    most_layers: int = 8,
    output: str = "elementwise",
    path: Any = None,
    dark: bool = False,
) -> Any:
    """Plot the counts of `count_terms` against the number of layers, on a logarithmic axis.

    Parameters
    ----------
    widths : sequence of int
        The number of neurons of every layer; one pair of lines each, five at most.
    most_layers : int
        The largest number of layers, 3 or above.
    output : str
        "elementwise" or "softmax".
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
    ModuleNotFoundError
        If matplotlib is missing; the message is the command that installs it.
    ValueError
        For no widths or more than five, for fewer than three layers, and for a path of another format.
    """
    if path is not None:
        style.check_path(path)
    if not 1 <= len(widths) <= len(_MARKERS):
        raise ValueError(f"widths must be 1 to {len(_MARKERS)} whole numbers, not {widths!r}.")
    if most_layers < 3:
        raise ValueError(f"most_layers must be 3 or above, not {most_layers!r}.")
    theme = style.theme(dark=dark)
    figure = style.new_figure(7.5, 4.8, theme, layout="constrained")
    axes = figure.add_subplot()
    title = "Terms written out path by path, and of the recursion"
    style.dress(axes, title, theme, xlabel="layers", ylabel="terms of all partial derivatives")
    layers = range(2, most_layers + 1)
    with_sharing, without_sharing = theme.colors[:2]
    for width, marker in zip(widths, _MARKERS, strict=False):
        counts = [count_terms([width] * n, output) for n in layers]
        neurons = f"{width} neuron{'s' * (width > 1)} a layer"
        for counted, color, name, dashes in (
            ([one.without_sharing for one in counts], without_sharing, "path by path", "-"),
            ([one.with_sharing for one in counts], with_sharing, "recursion", "--"),
        ):
            options: dict[str, Any] = {"linestyle": dashes, "marker": marker, "markersize": 5, "linewidth": 2}
            axes.plot(layers, counted, color=color, label=f"{name}, {neurons}", **options)
            said = f"{counted[-1]:,}" if counted[-1] < 10**6 else f"{counted[-1]:.1e}"
            axes.annotate(f"  {said}", (most_layers, counted[-1]), color=color, va="center", fontsize=9)
    axes.set_yscale("log")
    axes.set_xticks(list(layers))
    axes.set_xlim(1.85, most_layers + 0.12 * (most_layers - 2))
    style.legend(axes, theme, size=9)
    if path is not None:
        words = (
            "Two lines for each width, on a logarithmic axis: the terms path by path grow with each layer as a power."
        )
        style.write(figure, path, title=title, description=words)
    return figure
