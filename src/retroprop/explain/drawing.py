"""`draw`: a picture of a network at work, neuron by neuron as the source text draws it, by layer where it is larger."""

from typing import Any

from retroprop.explain import style
from retroprop.explain.backward_panel import draw_backward
from retroprop.explain.forward_panel import draw_forward, legend_height, write_products
from retroprop.explain.layer_panels import MOST_LAYERS_BY_LAYER, draw_layers
from retroprop.explain.network_numbers import NetworkNumbers, on_host
from retroprop.explain.neuron_layout import MOST_LAYERS, MOST_NEURONS, arrange, fits, width_of
from retroprop.explain.neuron_panel import LEAST_PITCH_OF_NOTES, NeuronPanel
from retroprop.explain.path_highlights import PathsOfTheta, check_theta, coupling, find_paths
from retroprop.explain.paths import n_paths
from retroprop.explain.sheet import Sheet, digits
from retroprop.network import Network

_TITLE, _GAP, _FOOT = 0.5, 0.2, 0.36


def draw(
    net: Network,
    x: Any = None,
    y: Any = None,
    *,
    theta: tuple[int, int, int] | None = None,
    row: int = 1,
    backward: bool | None = None,
    path: Any = None,
    dark: bool = False,
) -> Any:
    """Draw a network at work: each neuron as z and a, the weights between them and, in a second panel, δ flowing back.

    A network of up to 5 layers of up to 10 neurons is drawn neuron by neuron; a larger one, of up to 8 layers, by
    layer, with heatmaps of Θ and of ∂J/∂Θ and their norms.

    Parameters
    ----------
    net : Network
        Without model axes.
    x : array (m, n_1), optional
        The observations; with them, every value is written, and the weights have the colour of their sign.
    y : array (m, n_L) or (m,), optional
        The targets; with them there is J, and its partial derivatives.
    theta : tuple of int, optional
        (l, j, k), from 1: all paths from θ^(l)_jk to J are drawn in colours, with the product of each and their sum.
    row : int
        The observation whose z, a and δ are shown, from 1. Gradients and products are those of all observations.
    backward : bool, optional
        Whether there is a second panel with δ and the partial derivatives; None is where y is given.
    path : str or Path, optional
        Where the picture is written as well: .svg, .png or .pdf.
    dark : bool
        Whether it is for a dark page.

    Returns
    -------
    Figure
        Matplotlib's, without pyplot. Every neuron, connection, path and label has a gid.

    Raises
    ------
    TypeError, ValueError
        If x or y do not fit, θ does not exist, or the network is too large.
    ModuleNotFoundError
        If matplotlib is missing.

    Examples
    --------
    >>> import retroprop as rp
    >>> net = rp.Network([2, 2, 2], hidden="sigmoid", output="sigmoid", bias=False, seed=0)
    >>> figure = rp.explain.draw(net, [[0.1, 0.9]], [[1, 0]], theta=(1, 1, 1), path="network.svg")  # doctest: +SKIP
    """
    if path is not None:
        style.check_path(path)
    host_net, numbers = on_host(net, x, y)
    sizes = net.layer_sizes
    if theta is not None:
        theta = check_theta(theta, sizes)
    _check_row(row, numbers.m)
    if len(sizes) > MOST_LAYERS_BY_LAYER:
        raise ValueError(
            f"net has {len(sizes)} layers, and a picture has room for {MOST_LAYERS_BY_LAYER}: see rp.explain.trace."
        )
    by_neuron = fits(sizes)
    if theta is not None and not by_neuron:
        count = n_paths(sizes, theta[0], theta[1], **coupling(net))
        raise ValueError(
            f"theta={theta} has {count:,} path{'s' if count > 1 else ''} to J, and single paths are drawn up to "
            f"{MOST_LAYERS} layers of {MOST_NEURONS} neurons: leave theta out for the picture by layer, or see "
            "rp.explain.derive."
        )
    theme = style.theme(dark=dark)
    shows_backward = numbers.gradient is not None if backward is None else backward
    paths = None if theta is None else find_paths(host_net, numbers, theta)
    title = f"{'-'.join(map(str, sizes))} network, loss {net.architecture.output.loss.name}"
    if by_neuron:
        sheet = _by_neuron(host_net, numbers, theme, paths, row - 1, shows_backward)
    else:
        sheet = draw_layers(host_net, numbers, theme, row - 1, shows_backward)
    _write_title(sheet, title, numbers, row)
    if path is not None:
        style.write(sheet.figure, path, title=title, description=_described(net, numbers, paths, shows_backward))
    return sheet.figure


def _check_row(row: Any, m: int) -> None:
    if not hasattr(row, "__index__") or isinstance(row, bool) or not 1 <= row <= max(m, 1):
        raise ValueError(f"row must be a whole number from 1 to {max(m, 1)}, the observations of x, not {row!r}.")


def _by_neuron(
    net: Network, numbers: NetworkNumbers, theme: style.Theme, paths: PathsOfTheta | None, row: int, backward: bool
) -> Sheet:
    """Draw the panels of a network neuron by neuron, one below the other."""
    layout = arrange(
        net.layer_sizes, numbers=bool(numbers.a), crosses=not net.architecture.output.activation.elementwise
    )
    height = _TITLE + layout.panel_height + legend_height(paths) + _FOOT
    if backward:
        height += layout.panel_height + _GAP
    sheet = Sheet(width_of(layout), height, theme)
    top = height - _TITLE
    draw_forward(NeuronPanel(sheet, layout._replace(top=top), net, numbers, row, "forward"), paths)
    top -= layout.panel_height
    if paths is not None:
        write_products(sheet, paths, top, numbers.m)
        top -= legend_height(paths)
    if backward:
        top -= _GAP
        draw_backward(NeuronPanel(sheet, layout._replace(top=top), net, numbers, row, "backward"))
    shows_signs = (paths is None and bool(numbers.a)) or (backward and numbers.gradient is not None)
    hidden = [name for name, there in (("biases", numbers.biases), ("targets", numbers.y is not None)) if there]
    left_out = f"; {' and '.join(hidden)} not shown" if hidden and layout.pitch < LEAST_PITCH_OF_NOTES else ""
    _write_key(sheet, left_out, signed=shows_signs, backward=backward and numbers.gradient is not None)
    return sheet


def _write_title(sheet: Sheet, title: str, numbers: NetworkNumbers, row: int) -> None:
    words = title
    if numbers.gradient is not None:
        words += f", J = {digits(float(numbers.gradient.cost))}"
    if numbers.m > 1:
        words += f"; z, a and δ of observation {row} of {numbers.m}"
    sheet.text(0.16, sheet.height - 0.22, words, "title", size=10, color=sheet.theme.muted, ha="left")


def _write_key(sheet: Sheet, left_out: str, *, signed: bool, backward: bool) -> None:
    """Write the meaning of widths and colours, and the omissions, along the lower edge."""
    y, theme, x = 0.16, sheet.theme, 0.2
    words = [("positive", theme.positive), ("negative", theme.negative)] if signed else []
    for name, color in words:
        sheet.line((x, x + 0.26), (y, y), f"key-{name}", color=color, width=2.2)
        sheet.text(x + 0.33, y, name, f"key-{name}-label", size=8.5, color=theme.muted, ha="left")
        x += 0.45 + sheet.size_of(name, 8.5)[0]
    width = r"width: $|\theta|$" + (r", below $|\partial J/\partial\theta|$" if backward else "")
    width += left_out
    sheet.text(x, y, width, "key-width", size=8.5, color=theme.muted, ha="left")


def _described(net: Network, numbers: NetworkNumbers, paths: PathsOfTheta | None, backward: bool) -> str:
    """Return the content of a picture in words."""
    sizes = net.layer_sizes
    words = [
        f"A network of {len(sizes)} layers with {', '.join(map(str, sizes))} neurons, from the inputs at the left to J."
    ]
    if numbers.gradient is not None:
        words.append(f"J = {digits(float(numbers.gradient.cost))}.")
    if paths is not None:
        n = len(paths.shown) + (paths.others[0] if paths.others else 0)
        words.append(f"{n} paths from theta^({paths.layer})_{paths.to}{paths.from_} to J are shown in colours.")
    if backward:
        words.append("A second panel has the error terms and partial derivatives, which flow from J back to the left.")
    return " ".join(words)
