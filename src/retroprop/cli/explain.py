"""`retroprop explain`: the seven steps of a backpropagation with numbers, or one part of it, of any network."""

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import retroprop as rp
from retroprop.cli.destinations import check_destination, check_picture
from retroprop.cli.errors import CommandError
from retroprop.cli.explained_data import BATCH_SIZE, is_data, network_of_data, refuse_typed
from retroprop.cli.explained_network import (
    NetworkChoice,
    layer_sizes_of,
    network_of,
    observations,
    output_of,
    typed,
)
from retroprop.explain.neuron_layout import MOST_LAYERS, MOST_NEURONS, fits


@dataclass(frozen=True, kw_only=True)
class ExplainOptions:
    """The options of `retroprop explain`, named as on the command line; see its help."""

    network: NetworkChoice
    x: str | None
    y: str | None
    latex: bool
    theta: str | None
    bias_of: str | None
    transpose: int | None
    count: bool
    symmetry: bool
    png: Path | None
    html: Path | None
    batch_size: int | None
    language: str


@dataclass(frozen=True, kw_only=True)
class Explained:
    """The parts to print, in order, and the command that gives them again.

    Attributes
    ----------
    parts : list
        Objects with `__str__` and `latex`; those of explain also print in colours.
    again : str or None
        The whole command where x or y were drawn; None where the user gave them.
    """

    parts: list[Any]
    again: str | None


def explain(options: ExplainOptions) -> Explained:
    """Compute the explanation that the options name, by default the seven steps, and write the picture.

    Raises
    ------
    CommandError, ModelFileError, ValueError, TypeError
        For wrong input, before anything is computed or written.
    """
    theta = _places(options.theta, "--theta", "layer,to,from, as 1,1,1", 3)
    bias = _places(options.bias_of, "--bias", "layer,to, as 1,1", 2)
    if options.symmetry and options.latex:
        raise CommandError("--symmetry has no LaTeX form: leave --latex out.")
    if options.symmetry and theta and options.png is not None:
        raise CommandError("--png draws either the paths of --theta or the twins of --symmetry: leave one out.")
    if options.png is not None:
        check_picture(options.png, option="--png")
        check_destination(options.png, option="--png")
    if options.html is not None:
        _check_page(options)
    asked = options.theta or options.bias_of or options.transpose is not None or options.symmetry
    counts = [_counts(options.network)] if options.count else []
    if options.count and not asked and options.png is None and options.html is None:
        return Explained(parts=counts, again=None)
    net, x, y = _network_and_data(options)
    last = len(net.layer_sizes) - 1
    if options.transpose is not None and not 1 <= options.transpose <= last:
        raise CommandError(f"--transpose must be the layer of a Θ, from 1 to {last}, not {options.transpose}.")
    if options.html is not None:
        size = options.batch_size or (BATCH_SIZE if is_data(options.network) else None)
        rp.explain.page(net, x, y, options.html, batch_size=size, language=options.language)
    silent = asked or options.count or options.html is not None
    parts: list[Any] = counts if silent else [rp.explain.steps(net, x, y)]
    if theta:
        layer, to, from_ = theta
        parts.append(rp.explain.derive(net, "theta", layer=layer, to=to, from_=from_, x=x, y=y))
        _check_drawable(net, parts[-1].n_paths, options.png)
    if bias:
        if not net.biases:
            raise CommandError(f'--bias "{options.bias_of}": the network has no biases.')
        layer, to = bias
        parts.append(rp.explain.derive(net, "bias", layer=layer, to=to, x=x, y=y))
    if options.transpose is not None:
        parts.append(rp.explain.transpose(net, x, y, layer=options.transpose))
    twins = rp.explain.symmetry(net, x, y) if options.symmetry else None
    if twins is not None:
        parts.append(twins)
    if options.png is not None and twins is not None:
        twins.draw(path=options.png)
    elif options.png is not None:
        rp.explain.draw(net, x, y, theta=theta, path=options.png)
    drawn = (options.x is None or options.y is None) and not is_data(options.network)
    return Explained(parts=parts, again=_again(options, typed(x), typed(y)) if drawn else None)


def _network_and_data(options: ExplainOptions) -> tuple[rp.Network, Any, Any]:
    """Return the network of sizes, of a saved model or of a data set, with the observations typed, drawn or its own."""
    choice = options.network
    if is_data(choice):
        refuse_typed(options.x, options.y, str(choice.sizes))
        return network_of_data(choice)
    net = network_of(choice)
    return net, *observations(net, options.x, options.y, choice.seed)


def _check_page(options: ExplainOptions) -> None:
    """Raise CommandError if the page cannot be written, or its options fit no page."""
    assert options.html is not None  # it is asked for
    if options.html.suffix.lower() not in (".html", ".htm"):
        raise CommandError(f'--html "{options.html}": a page is a .html file.')
    check_destination(options.html, option="--html")
    if options.batch_size is not None and options.batch_size < 1:
        raise CommandError(f"--batch-size must be 1 or above, not {options.batch_size}.")


def _check_drawable(net: rp.Network, n_paths: int, png: Path | None) -> None:
    """Raise CommandError if the paths of a weight are to be drawn in a network that is drawn by layer."""
    if png is not None and not fits(net.layer_sizes):
        raise CommandError(
            f"--png: this θ has {n_paths:,} path{'s' * (n_paths > 1)} to J, and single paths are drawn up to "
            f"{MOST_LAYERS} layers of {MOST_NEURONS} neurons; leave --png out for the derivation alone, or --theta for "
            "the picture by layer."
        )


def _counts(choice: NetworkChoice) -> Any:
    """Return the counts of the terms, which need no parameters: of any size."""
    if choice.model is not None or choice.sizes is None:
        architecture = network_of(choice).architecture
        f = architecture.output.activation
        sizes: Any = architecture.layer_sizes
    else:
        sizes, f = layer_sizes_of(choice.sizes), rp.activations.get(output_of(choice)[0])
    return rp.explain.count_terms(sizes, getattr(f, "sizes", "elementwise" if f.elementwise else "softmax"))


def _places(given: str | None, option: str, form: str, n: int) -> tuple[int, ...] | None:
    """Return "1,2,1" as whole numbers."""
    if given is None:
        return None
    parts = [part.strip() for part in given.split(",")]
    if len(parts) != n or not all(part.isdecimal() and part.isascii() for part in parts):
        raise CommandError(f'{option} "{given}": give {form}, each counted from 1.')
    return tuple(map(int, parts))


def _again(options: ExplainOptions, x: str, y: str) -> str:
    """Return the command with x and y written out."""
    network = options.network
    given: dict[str, Any] = {
        "--model": network.model,
        "--hidden": network.hidden,
        "--output": network.output,
        "--loss": network.loss,
        "--seed": network.seed if network.model is None else None,
        "--x": x,
        "--y": y,
        "--theta": options.theta,
        "--bias": options.bias_of,
        "--transpose": options.transpose,
        "--png": options.png,
        "--html": options.html,
        "--batch-size": options.batch_size,
        "--language": options.language if options.html is not None and options.language != "en" else None,
    }
    words = ["retroprop", "explain", *([network.sizes] if network.sizes else [])]
    words += [word for option, value in given.items() if value is not None for word in (option, str(value))]
    flags = {"--no-bias": not network.bias, "--count": options.count, "--symmetry": options.symmetry}
    return shlex.join([*words, *(flag for flag, on in flags.items() if on)])
