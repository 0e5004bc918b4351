"""A network drawn by layer: boxes with n_l and norms, heatmaps of Θ and of ∂J/∂Θ between them."""

from itertools import pairwise
from typing import Any

import numpy as np

from retroprop.explain.network_numbers import NetworkNumbers
from retroprop.explain.sheet import Box, Sheet, digits
from retroprop.explain.style import Theme
from retroprop.functions.types import Array
from retroprop.network import Network

MOST_LAYERS_BY_LAYER = 8
_MOST_ENTRIES = 20_000
_WIDTH, _MARGIN, _BOX, _COST, _GAP = 8.0, 0.16, 1.02, 0.62, 0.16
_TITLE, _HEAD, _UNDER, _FOOT, _LEAST_SIDE = 0.5, 0.34, 0.8, 0.3, 0.22


def draw_layers(net: Network, numbers: NetworkNumbers, theme: Theme, row: int, backward: bool) -> Sheet:
    """Draw the layers as boxes and the matrices between them as heatmaps; a second row of them backward."""
    sizes = net.layer_sizes
    n = len(sizes)
    # What the boxes leave is the heatmaps', at least enough for the words below each.
    side = max((_WIDTH - 2 * _MARGIN - n * _BOX - _COST - 2 * n * _GAP + _GAP) / (n - 1), 1.0)
    side = min(side, 1.9)
    used = n * _BOX + _COST + (n - 1) * side + (2 * n - 1) * _GAP
    panel = _HEAD + side + _UNDER
    width = max(_WIDTH, used + 2 * _MARGIN)
    sheet = Sheet(width, _TITLE + panel * (2 if backward else 1) + _FOOT, theme)
    left = (width - used) / 2
    _panel(sheet, net, numbers, row, left, side, sheet.height - _TITLE, "forward")
    if backward:
        _panel(sheet, net, numbers, row, left, side, sheet.height - _TITLE - panel, "backward")
    key = "blue: positive, orange: negative; the strongest colour is the largest absolute entry of each matrix"
    sheet.text(0.2, 0.16, key, "key", size=8.5, color=theme.muted, ha="left")
    return sheet


def _panel(
    sheet: Sheet, net: Network, numbers: NetworkNumbers, row: int, left: float, side: float, top: float, way: str
) -> None:
    """Draw one panel: boxes, heatmaps, and the arrows between them."""
    back, theme, gradient = way == "backward", sheet.theme, numbers.gradient
    title = r"Backward: δ and $\partial J/\partial\Theta$" if back else r"Forward: a and $\Theta$"
    sheet.text(_MARGIN, top - 0.1, title, f"{way}-title", size=11, ha="left", fontweight="bold")
    y, x, ends = top - _HEAD - side / 2, left, []
    sizes = net.layer_sizes
    for layer, n in enumerate(sizes, start=1):
        box = Box.around(x + _BOX / 2, y, (_BOX, 1.0))
        ends.append((box.left, box.right))
        sheet.pill(box, f"{way}-layer-{layer}", rounding=0.08)
        f = "input" if layer == 1 else net.architecture.activations[layer - 2].name[:14].replace("$", "")
        arrays = [] if not numbers.a else (gradient.deltas if back and gradient else [] if back else numbers.a)
        letter = (r"\delta" if back else "a") + f"^{{({layer})}}"
        shows = bool(arrays) and arrays[layer - 1] is not None
        lines = [(f"layer {layer}", 9.5, theme.ink), (f"$n_{{{layer}}} = {n}$", 9.0, theme.ink), (f, 8.5, theme.muted)]
        if shows:
            norm = float(np.linalg.norm(np.asarray(arrays[layer - 1])[row]))
            lines.append((rf"$\Vert {letter}\Vert$ = {digits(norm)}", 8.5, theme.ink))
        for i, (words, size, color) in enumerate(lines):
            at = y + (len(lines) - 1) * 0.105 - 0.21 * i
            weight = "bold" if i == 0 else "normal"
            sheet.text(
                box.left + _BOX / 2,
                at,
                words,
                f"{way}-layer-{layer}-line-{i + 1}",
                size=size,
                color=color,
                fontweight=weight,
            )
        x = box.right + _GAP
        if layer < len(sizes):
            matrix: Any = (
                gradient.thetas[layer - 1] if back and gradient else None if back else numbers.thetas[layer - 1]
            )
            area = _heatmap(
                sheet,
                matrix,
                (sizes[layer], n),
                Box.around(x + side / 2, y, (side, side)),
                f"{way}-theta-{layer}",
                layer,
                back,
            )
            ends.append((area.left, area.right))
            x += side + _GAP
    cost = Box.around(x + _COST / 2, y, (_COST, 0.5))
    sheet.pill(cost, f"{way}-cost", rounding=0.06, fill=theme.faint)
    sheet.text(x + _COST / 2, y + (0.11 if gradient is not None else 0.0), "$J$", f"{way}-label-cost", size=9.5)
    if gradient is not None:
        sheet.text(x + _COST / 2, y - 0.12, digits(float(gradient.cost)), f"{way}-value-cost", size=8.5)
    ends.append((cost.left, cost.right))
    for i, ((_, start), (end, _)) in enumerate(pairwise(ends), start=1):
        points = ((end - 0.03, y), (start + 0.03, y)) if back else ((start + 0.03, y), (end - 0.03, y))
        sheet.arrow(*points, f"{way}-arrow-{i}", color=theme.edge, width=1.2)


def _heatmap(
    sheet: Sheet, matrix: Array | None, shape: tuple[int, int], room: Box, gid: str, layer: int, back: bool
) -> Box:
    """Draw a matrix in its own proportions, with its shape, its norm and its largest entry below; return its place."""
    theme = sheet.theme
    scale = (room.right - room.left) / max(shape)
    tall, wide = (max(n * scale, _LEAST_SIDE) for n in shape)
    x, y = (room.left + room.right) / 2, (room.bottom + room.top) / 2
    area = Box.around(x, y, (wide, tall))
    name = rf"\Theta^{{({layer})}}"
    lines = [rf"$\partial J/\partial {name}$" if back else f"${name}$"]
    lines[0] += f"  {shape[0]} × {shape[1]}"
    if matrix is None:
        sheet.pill(area, gid, rounding=0.0)
    else:
        most = float(np.max(np.abs(matrix))) or 1.0
        image = sheet.axes.imshow(
            np.asarray(matrix),
            cmap=theme.diverging,
            vmin=-most,
            vmax=most,
            extent=(area.left, area.right, area.bottom, area.top),
            aspect="auto",
            # A small matrix entry by entry; of a large one, the mean of the entries below each point.
            interpolation="none" if matrix.size <= _MOST_ENTRIES else "auto",
            zorder=3,
        )
        image.set_gid(gid)
        outline = (
            (area.left, area.right, area.right, area.left, area.left),
            (area.top,) * 2 + (area.bottom,) * 2 + (area.top,),
        )
        sheet.line(*outline, f"{gid}-outline", color=theme.edge, width=0.7, zorder=4)
        sheet.axes.set(xlim=(0.0, sheet.width), ylim=(0.0, sheet.height))
        lines += [f"norm {digits(float(np.linalg.norm(matrix)))}", f"largest {digits(float(np.max(np.abs(matrix))))}"]
    for i, words in enumerate(lines):
        sheet.text(
            x,
            area.bottom - 0.13 - 0.17 * i,
            words,
            f"{gid}-line-{i + 1}",
            size=8.5,
            color=theme.ink if i == 0 else theme.muted,
        )
    return area
