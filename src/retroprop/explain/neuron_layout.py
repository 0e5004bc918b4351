"""Places of the neurons of a network drawn neuron by neuron: layers are columns, a neuron is z and a side by side."""

from typing import NamedTuple

from retroprop.explain.sheet import Box

MOST_NEURONS, MOST_LAYERS = 10, 5
WIDTH = 8.0  # inches: 800 pixels of a page
HEADER, NOTE = 0.78, 0.22  # above the first neuron and below the last
_INPUT, _COST, _MARGIN, _CROSSING = 0.58, 0.58, 0.16, 0.5


class NeuronLayout(NamedTuple):
    """Where the neurons of a panel are, in inches; layers and neurons are counted from 1.

    Attributes
    ----------
    sizes : tuple of int
        n_1, ..., n_L.
    lefts, middles, rights : tuple of float
        The x of every layer: of its left edge, between z and a, and of its right edge; last those of J.
    crossing : float
        The width between z and a of the output layer; above 0 where its f is not elementwise.
    pitch, height : float
        From neuron to neuron, and of a neuron.
    top : float
        The y of the panel's upper edge.
    """

    sizes: tuple[int, ...]
    lefts: tuple[float, ...]
    middles: tuple[float, ...]
    rights: tuple[float, ...]
    crossing: float
    pitch: float
    height: float
    top: float = 0.0

    @property
    def panel_height(self) -> float:
        """The height of a panel, its header included."""
        return HEADER + (max(self.sizes) - 1) * self.pitch + self.height + NOTE

    @property
    def last(self) -> int:
        """L, the number of layers."""
        return len(self.sizes)

    def y(self, layer: int, neuron: int) -> float:
        """Return the y of a neuron's centre; of layer L + 1, J's."""
        n = 1 if layer > self.last else self.sizes[layer - 1]
        centre = self.top - HEADER - self.height / 2 - (max(self.sizes) - 1) / 2 * self.pitch
        return centre + ((n + 1) / 2 - neuron) * self.pitch

    def whole(self, layer: int, neuron: int) -> Box:
        """Return the box of a neuron, z and a together."""
        y = self.y(layer, neuron)
        return Box(self.lefts[layer - 1], y - self.height / 2, self.rights[layer - 1], y + self.height / 2)

    def halves(self, layer: int, neuron: int) -> tuple[Box, Box]:
        """Return the boxes of z and of a."""
        box, middle = self.whole(layer, neuron), self.middles[layer - 1]
        gap = self.crossing / 2 if layer == self.last else 0.0
        return box._replace(right=middle - gap), box._replace(left=middle + gap)


def fits(sizes: tuple[int, ...]) -> bool:
    """Return whether a network is small enough to be drawn neuron by neuron."""
    return max(sizes) <= MOST_NEURONS and len(sizes) <= MOST_LAYERS


def arrange(sizes: tuple[int, ...], *, numbers: bool, crosses: bool) -> NeuronLayout:
    """Return the places of the neurons.

    Parameters
    ----------
    sizes : tuple of int
        n_1, ..., n_L.
    numbers : bool
        Whether a neuron has a second line of text, its value.
    crosses : bool
        Whether every z of the output layer is connected to every a (softmax).
    """
    crossing = _CROSSING if crosses else 0.0
    half = 0.54 if len(sizes) == MOST_LAYERS else 0.58
    widths = [_INPUT, *[2 * half] * (len(sizes) - 2), 2 * half + crossing, _COST]
    gap = max((WIDTH - 2 * _MARGIN - sum(widths)) / (len(widths) - 1), 0.45)
    gap = min(gap, 1.9)
    used = sum(widths) + gap * (len(widths) - 1)
    x, lefts = max((WIDTH - used) / 2, _MARGIN), []
    for width in widths:
        lefts.append(x)
        x += width + gap
    rights = tuple(left + width for left, width in zip(lefts, widths, strict=True))
    middles = tuple((left + right) / 2 for left, right in zip(lefts, rights, strict=True))
    n = max(sizes)
    pitch = 1.45 if n <= 2 else 1.3 if n == 3 else 1.0 if n == 4 else 0.78 if n <= 6 else 0.6
    return NeuronLayout(sizes, tuple(lefts), middles, rights, crossing, pitch, 0.46 if numbers else 0.36)


def width_of(layout: NeuronLayout) -> float:
    """Return the width of the picture in inches."""
    return max(WIDTH, layout.rights[-1] + _MARGIN)
