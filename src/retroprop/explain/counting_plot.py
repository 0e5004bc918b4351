"""A plot of the number of terms with and without sharing, which part as a network grows deeper."""

from collections.abc import Sequence
from typing import Any

from retroprop.explain.counting import count_terms

# Blue and orange of the palette of Okabe and Ito, which readers with any colour vision tell apart
_WITHOUT, _WITH = "#D55E00", "#0072B2"
_MARKERS = "osD^v"


def plot_terms(widths: Sequence[int] = (2, 10), *, most_layers: int = 8, output: str = "elementwise") -> Any:
    """Plot the counts of `count_terms` against the number of layers, on a logarithmic axis.

    Parameters
    ----------
    widths : sequence of int
        The number of neurons of every layer; one pair of lines each, five at most.
    most_layers : int
        The largest number of layers, 3 or above.
    output : str
        "elementwise" or "softmax".

    Returns
    -------
    matplotlib.figure.Figure
        To be saved with `figure.savefig(path)`.

    Raises
    ------
    ImportError
        If matplotlib is not installed; the message is the command that installs it.
    ValueError
        For no widths or more than five, and for fewer than three layers.
    """
    if not 1 <= len(widths) <= len(_MARKERS):
        raise ValueError(f"widths must be 1 to {len(_MARKERS)} whole numbers, not {widths!r}.")
    if most_layers < 3:
        raise ValueError(f"most_layers must be 3 or above, not {most_layers!r}.")
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError(
            'a plot needs matplotlib, which is not installed: pip install "retroprop[explain]"'
        ) from error
    figure = Figure(figsize=(7.5, 4.6), layout="constrained")
    axes = figure.add_subplot()
    layers = range(2, most_layers + 1)
    for width, marker in zip(widths, _MARKERS, strict=False):
        counts = [count_terms([width] * n, output) for n in layers]
        without, shared = [one.without_sharing for one in counts], [one.with_sharing for one in counts]
        neurons = f"{width} neuron{'s' * (width > 1)} a layer"
        style: dict[str, Any] = {"marker": marker, "markersize": 5, "linewidth": 2}
        axes.plot(layers, without, color=_WITHOUT, label=f"path by path, {neurons}", **style)
        axes.plot(layers, shared, color=_WITH, linestyle="--", label=f"recursion, {neurons}", **style)
        for counted, color in ((without, _WITHOUT), (shared, _WITH)):
            last = counted[-1]
            said = f"{last:,}" if last < 10**6 else f"{last:.1e}"
            axes.annotate(f"  {said}", (most_layers, last), color=color, va="center", fontsize=9)
    axes.set_yscale("log")
    axes.set_xticks(list(layers))
    axes.set_xlim(2, most_layers + 0.12 * (most_layers - 2))
    axes.set_xlabel("layers")
    axes.set_ylabel("terms of all partial derivatives")
    axes.set_title("Terms written out path by path, and by the recursion over δ", loc="left", fontsize=11)
    axes.grid(visible=True, alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize=9)
    return figure
