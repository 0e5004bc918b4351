"""Forward propagation drawn neuron by neuron, with the paths of one θ in colours where they are requested."""

from collections import defaultdict
from itertools import pairwise
from math import hypot

from retroprop.explain import naming
from retroprop.explain.neuron_panel import NeuronPanel
from retroprop.explain.path_highlights import PathsOfTheta, sum_in_symbols
from retroprop.explain.sheet import Sheet, digits

_THICK, _STEP = 2.4, 0.043  # of a path in points, and from one to the next in inches
ROW = 0.25

Ends = tuple[tuple[float, float], tuple[float, float]]


def draw_forward(panel: NeuronPanel, paths: PathsOfTheta | None) -> None:
    """Draw the neurons expanded to z and a, the weights, and J."""
    numbers, theme, layout = panel.numbers, panel.theme, panel.layout
    with_numbers, faint = bool(numbers.a), paths is not None
    panel.headings("Forward: z and a")
    panel.edges(
        numbers.thetas,
        signed=with_numbers,
        back=False,
        faint=faint,
        choices=lambda layer, to, from_, value: _choices(paths, layer, to, from_, value, with_numbers=with_numbers),
    )
    thin = theme.faint if faint else theme.edge
    panel.crossings(lambda z, a, *ends: panel.edge(ends, f"forward-crossing-{z}-{a}", thin, 0.8, False))
    for j in range(1, panel.sizes[-1] + 1):
        panel.edge(panel.ends(layout.last, 1, j), f"forward-edge-{layout.last}-1-{j}", thin, 1.0, False)
    if paths is not None:
        _paint(panel, paths)
    panel.inputs()
    for layer in range(2, layout.last + 1):
        for j in range(1, panel.sizes[layer - 1] + 1):
            left, right = (
                (naming.of_neuron(letter, layer, j).latex, panel.of_row(arrays, layer, j))
                for letter, arrays in (("z", numbers.z), ("a", numbers.a))
            )
            panel.neuron(layer, j, left, right)
            _notes(panel, layer, j)
    panel.cost()


def _choices(
    paths: PathsOfTheta | None, layer: int, to: int, from_: int, value: float, *, with_numbers: bool
) -> tuple[str, ...]:
    """Return the words for a weight, the fullest first; in the end only those of the θ whose paths are shown."""
    name = f"${naming.theta(layer, to, from_).latex}$"
    full = (f"{name}\n{digits(value)}", digits(value)) if with_numbers else (name,)
    its_own = paths is not None and (paths.layer, paths.to, paths.from_) == (layer, to, from_)
    return (*full, full[0] if its_own else "")


def _notes(panel: NeuronPanel, layer: int, neuron: int) -> None:
    """Write the bias of a neuron below its z and, of an output, the target below its a."""
    numbers, is_output = panel.numbers, layer == panel.layout.last
    left, right = panel.layout.halves(layer, neuron)
    if numbers.biases:
        name = f"${naming.bias(layer - 1, neuron).latex}$"
        value = f" = {digits(float(numbers.biases[layer - 2][neuron - 1]))}" if numbers.a else ""
        place = left if is_output else panel.layout.whole(layer, neuron)
        panel.note(place, f"{name}{value}", f"bias-{layer}-{neuron}")
    if is_output and numbers.y is not None:
        panel.note(right, f"$y_{{{neuron}}}$ = {digits(float(numbers.y[panel.row, neuron - 1]))}", f"y-{neuron}")


def _paint(panel: NeuronPanel, paths: PathsOfTheta) -> None:
    """Draw every path in its colour, side by side where several take the same connection."""
    takers: dict[Ends, list[int]] = defaultdict(list)
    routes = [_route(panel, paths, path.neurons) for path in paths.shown]
    for i, route in enumerate(routes):
        for ends in route:
            takers[ends].append(i)
    for i, route in enumerate(routes):
        for part, ends in enumerate(route, start=1):
            (x0, y0), (x1, y1) = ends
            # Steep bundles are drawn thinner: their ends stay within the height of the neurons.
            n, cosine = len(takers[ends]), (x1 - x0) / hypot(x1 - x0, y1 - y0)
            step = min(_STEP, 0.8 * panel.layout.height * cosine / n)
            dy = ((n - 1) / 2 - takers[ends].index(i)) * step / cosine
            panel.sheet.line(
                (x0, x1),
                (y0 + dy, y1 + dy),
                f"path-{i + 1}-part-{part}",
                color=panel.theme.colors[i],
                width=_THICK * step / _STEP,
                zorder=3,
                solid_capstyle="butt",
            )


def _route(panel: NeuronPanel, paths: PathsOfTheta, neurons: tuple[int, ...]) -> list[Ends]:
    """Return the connections that a path takes, from θ's to that with J."""
    last = panel.layout.last
    through = neurons[: last - paths.layer]
    route = [panel.ends(paths.layer, through[0], paths.from_)]
    route += [panel.ends(paths.layer + 1 + i, to, from_) for i, (from_, to) in enumerate(pairwise(through))]
    if len(neurons) > len(through):
        route.append(panel.crossing_ends(through[-1], neurons[-1]))
    return [*route, panel.ends(last, 1, neurons[-1])]


def legend_height(paths: PathsOfTheta | None) -> float:
    """Return the height of the list of the paths, in inches."""
    return 0.0 if paths is None else ROW * (len(paths.shown) + (paths.others is not None) + 1) + 0.2


def write_products(sheet: Sheet, paths: PathsOfTheta, top: float, m: int) -> None:
    """Write the product of every path beside its colour, and their sum."""
    y = top - 0.2
    for i, path in enumerate(paths.shown, start=1):
        sheet.line((0.2, 0.5), (y, y), f"key-{i}", color=sheet.theme.colors[i - 1], width=_THICK + 1.0)
        value = "" if path.product is None else f"  =  {digits(path.product)}"
        sheet.text(0.62, y, path.factors + value, f"product-{i}", ha="left")
        y -= ROW
    if paths.others is not None:
        count, rest = paths.others
        words = f"the other {count:,} path{'s' if count > 1 else ''} together  =  {digits(rest)}"
        sheet.text(0.62, y, words, "product-others", ha="left", color=sheet.theme.muted)
        y -= ROW
    several = f", each product summed over the {m} observations" if m > 1 else ""
    sheet.text(0.62, y, f"{sum_in_symbols(paths)}{several}", "product-sum", ha="left")
