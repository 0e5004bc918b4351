"""A panel of a network drawn neuron by neuron: the parts that forward and backward propagation share."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from retroprop.explain import naming
from retroprop.explain.edge_labels import LabelledEdge, write_labels
from retroprop.explain.network_numbers import NetworkNumbers
from retroprop.explain.neuron_layout import NeuronLayout
from retroprop.explain.path_highlights import coupling
from retroprop.explain.paths import neuron_paths
from retroprop.explain.sheet import Box, Sheet, digits
from retroprop.functions.types import Array
from retroprop.network import Network

Choices = Callable[[int, int, int, float], tuple[str, ...]]
LEAST_PITCH_OF_NOTES = 0.75  # inches from neuron to neuron, from which there is room for a line below each


class NeuronPanel:
    """A panel: the neurons of a network, their connections and the labels.

    Parameters
    ----------
    sheet : Sheet
        Where to draw.
    layout : NeuronLayout
        The places.
    net : Network
        The network.
    numbers : NetworkNumbers
        Its numbers; without x, names alone are written.
    row : int
        The observation whose numbers are shown, from 0.
    prefix : str
        Of the identifiers of everything in this panel.
    """

    def __init__(
        self, sheet: Sheet, layout: NeuronLayout, net: Network, numbers: NetworkNumbers, row: int, prefix: str
    ) -> None:
        self.sheet, self.layout, self.net, self.numbers, self.row = sheet, layout, net, numbers, row
        self.prefix, self.sizes, self.theme = prefix, net.layer_sizes, sheet.theme

    # Parts of both panels ----------------------------------------------------------------------------------

    def headings(self, title: str) -> None:
        """Write the panel's title, and the number, size and function of every layer."""
        sheet, layout = self.sheet, self.layout
        sheet.text(
            0.16, layout.top - 0.1, title, f"{self.prefix}-title", size=11, ha="left", va="center", fontweight="bold"
        )
        for layer, n in enumerate(self.sizes, start=1):
            f = "" if layer == 1 else f", {_short(self.net.architecture.activations[layer - 2].name)}"
            x, y = self.layout.middles[layer - 1], layout.top
            sheet.text(x, y - 0.36, f"layer {layer}", f"{self.prefix}-layer-{layer}", size=9.5, fontweight="bold")
            words = rf"$n_{{{layer}}} = {n}${f}"
            sheet.text(x, y - 0.55, words, f"{self.prefix}-size-{layer}", size=8.5, color=self.theme.muted)

    def cell(self, box: Box, name: str, value: float | None, gid: str) -> None:
        """Write a name in a box, and the value below it."""
        x, y = (box.left + box.right) / 2, (box.bottom + box.top) / 2
        up = 0.0 if value is None else 0.105
        self.sheet.text(x, y + up, f"${name}$", f"{self.prefix}-label-{gid}", size=9)
        if value is not None:
            self.sheet.text(x, y - 0.115, digits(value, most=7), f"{self.prefix}-value-{gid}", size=8)

    def neuron(self, layer: int, neuron: int, left: tuple[str, Any], right: tuple[str, Any]) -> None:
        """Draw a neuron of layer 2 or above: a name and a value at its left and at its right."""
        sheet, theme, name = self.sheet, self.theme, f"{layer}-{neuron}"
        halves = self.layout.halves(layer, neuron)
        if halves[0].right < halves[1].left:
            for half, part in zip(halves, ("z", "a"), strict=True):
                sheet.pill(
                    half, f"{self.prefix}-neuron-{name}-{part}", fill=theme.surface if part == "a" else theme.faint
                )
        else:
            sheet.pill(self.layout.whole(layer, neuron), f"{self.prefix}-neuron-{name}")
            middle = self.layout.middles[layer - 1]
            ys = (halves[0].bottom + 0.02, halves[0].top - 0.02)
            split = f"{self.prefix}-split-{name}"
            sheet.line((middle, middle), ys, split, color=theme.edge, width=0.9, zorder=5, solid_capstyle="butt")
        for half, (words, value), part in zip(halves, (left, right), ("z", "a"), strict=True):
            self.cell(half, words, value, f"{name}-{part}")

    def note(self, box: Box, words: str, gid: str) -> None:
        """Write a line below a neuron or a half of one, where there is room for it."""
        if words and self.layout.pitch >= LEAST_PITCH_OF_NOTES:
            x, y = (box.left + box.right) / 2, box.bottom - 0.115
            self.sheet.text(x, y, words, f"{self.prefix}-{gid}", size=8, color=self.theme.muted, **self.sheet.patch)

    def inputs(self) -> None:
        """Draw the inputs x."""
        for k in range(1, self.sizes[0] + 1):
            box = self.layout.whole(1, k)
            self.sheet.pill(box, f"{self.prefix}-neuron-1-{k}")
            self.cell(box, naming.of_neuron("a", 1, k).latex, self.of_row(self.numbers.a, 1, k), f"1-{k}")

    def of_row(self, arrays: Sequence[Any], layer: int, neuron: int) -> float | None:
        """Return an entry of the observation shown, or None without numbers."""
        if not arrays or arrays[layer - 1] is None:
            return None
        return float(arrays[layer - 1][self.row, neuron - 1])

    def cost(self) -> None:
        """Draw J."""
        box = self.layout.whole(self.layout.last + 1, 1)
        self.sheet.pill(box, f"{self.prefix}-cost", fill=self.theme.faint, rounding=0.06)
        gradient = self.numbers.gradient
        self.cell(box, "J", None if gradient is None else float(gradient.cost), "cost")

    def ends(self, layer: int, to: int, from_: int) -> tuple[tuple[float, float], tuple[float, float]]:
        """Return the ends of the connection to neuron `to` of layer l + 1, or to J, from a neuron of layer l."""
        layout = self.layout
        return (layout.rights[layer - 1], layout.y(layer, from_)), (layout.lefts[layer], layout.y(layer + 1, to))

    def crossings(self, paint: Callable[..., None]) -> None:
        """Call `paint` for every connection of a z with an a in an output layer that is not elementwise."""
        last = self.layout.last
        for to in range(1, self.sizes[-1] + 1 if self.layout.crossing else 1):
            for z, a in neuron_paths(self.sizes, last - 1, to, **coupling(self.net)):
                paint(z, a, *self.crossing_ends(z, a))

    def crossing_ends(self, z: int, a: int) -> tuple[tuple[float, float], tuple[float, float]]:
        """Return the ends of the connection of z with a of the output layer."""
        left, right = self.layout.halves(self.layout.last, z)[0], self.layout.halves(self.layout.last, a)[1]
        return (left.right, self.layout.y(self.layout.last, z)), (right.left, self.layout.y(self.layout.last, a))

    def edges(self, arrays: Sequence[Array], *, signed: bool, back: bool, faint: bool, choices: Choices) -> None:
        """Draw every connection as wide as its number is large, in the colour of its sign, with labels that fit."""
        largest = max(float(np.max(np.abs(array))) for array in arrays) if arrays else 0.0
        for layer in range(1, self.layout.last):
            labelled = []
            for to in range(1, self.sizes[layer] + 1):
                for from_ in range(1, self.sizes[layer - 1] + 1):
                    value = float(arrays[layer - 1][to - 1, from_ - 1]) if arrays else 0.0
                    color = self.theme.signed(value) if signed else self.theme.edge
                    width = 0.7 + (2.1 * abs(value) / largest if largest else 0.5)
                    ends, name = self.ends(layer, to, from_), f"{layer}-{to}-{from_}"
                    self.edge(
                        ends,
                        f"{self.prefix}-edge-{name}",
                        color if not faint else self.theme.faint,
                        width,
                        back and layer > 1,
                    )
                    words = self.theme.ink if faint or not signed else color
                    gid = f"{self.prefix}-label-theta-{name}"
                    labelled.append(LabelledEdge(*ends, choices(layer, to, from_, value), gid, words))
            write_labels(self.sheet, labelled)

    def edge(self, ends: Any, gid: str, color: str, width: float, back: bool) -> None:
        """Draw a connection, backward as an arrow that ends at the earlier layer."""
        (x0, y0), (x1, y1) = ends
        if back:
            self.sheet.arrow((x1, y1), (x0, y0), gid, color=color, width=width)
        else:
            self.sheet.line((x0, x1), (y0, y1), gid, color=color, width=width)


def _short(name: str) -> str:
    """Return the name of a function, cut where it would reach the next column."""
    name = name.replace("$", "")
    return name if len(name) <= 14 else name[:13] + "…"
