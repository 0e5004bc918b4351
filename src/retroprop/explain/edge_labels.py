"""Labels at the connections of two layers: the fullest that fit, at a place where none overlaps another."""

from collections.abc import Sequence
from typing import NamedTuple

from retroprop.explain.sheet import Box, Sheet

_SIZE = 8.5
# Along a connection: where labels of crossing connections are farthest from each other and from the crossings.
_PLACES = (0.33, 0.3, 0.27, 0.36, 0.24, 0.7, 0.73, 0.21, 0.42, 0.5)


class LabelledEdge(NamedTuple):
    """A connection, and the words that may stand at it.

    Attributes
    ----------
    start, end : tuple of float
        Its ends, in inches.
    choices : tuple of str
        The words, the fullest first; an edge without a choice of some fullness has "".
    gid : str
        The identifier of the label.
    color : str
        Of the words.
    """

    start: tuple[float, float]
    end: tuple[float, float]
    choices: tuple[str, ...]
    gid: str
    color: str

    def at(self, fraction: float) -> tuple[float, float]:
        """Return the point at a fraction of the way."""
        (x0, y0), (x1, y1) = self.start, self.end
        return x0 + fraction * (x1 - x0), y0 + fraction * (y1 - y0)


def write_labels(sheet: Sheet, edges: Sequence[LabelledEdge]) -> None:
    """Write a label at each edge between two layers: of the choices the first with a place for all, or none at all."""
    for choice in range(len(edges[0].choices)):
        shown = [(edge, edge.choices[choice]) for edge in edges if edge.choices[choice]]
        for fraction in (0.5,) if len(edges) == 1 else _PLACES:
            if _fit(sheet, shown, fraction):
                for edge, words in shown:
                    sheet.text(
                        *edge.at(fraction),
                        words,
                        edge.gid,
                        size=_SIZE,
                        color=edge.color,
                        linespacing=1.45,
                        **sheet.patch,
                    )
                return


def _fit(sheet: Sheet, shown: Sequence[tuple[LabelledEdge, str]], fraction: float) -> bool:
    """Return whether the labels at a fraction of the way touch neither each other nor the neurons."""
    boxes: list[Box] = []
    for edge, words in shown:
        box = Box.around(*edge.at(fraction), sheet.size_of(words, _SIZE))
        inside = edge.start[0] + 0.05 < box.left and box.right < edge.end[0] - 0.05
        if not inside or any(box.overlaps(other, 0.015) for other in boxes):
            return False
        boxes.append(box)
    return True
