"""The arguments of `retroprop explain`, and how its parts are printed."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from retroprop.cli.network_options import choices
from retroprop.explain.page.words import LANGUAGES
from retroprop.functions import activations, losses
from retroprop.tabular.files import BUILT_IN


def explain(
    sizes: Annotated[
        str | None,
        typer.Argument(
            metavar="[NETWORK]",
            help=f"Neurons of each layer, inputs first, as 2-2-2; a saved network; or data: {choices(BUILT_IN)}.",
            show_default=False,
        ),
    ] = None,
    *,
    x: Annotated[
        str | None,
        typer.Option(help='The inputs, as 1,0.5; several observations as "1,0.5;0,1". Drawn by default.'),
    ] = None,
    y: Annotated[
        str | None, typer.Option(help="The targets, as 0,1; for cross_entropy a class from 0. Drawn by default.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Draws the parameters, and x and y where they are not given.")] = 0,
    hidden: Annotated[
        str | None,
        typer.Option(
            help=f"Activation of the hidden layers, one for all or one for each, by default sigmoid: "
            f"{choices(activations.elementwise_names())}."
        ),
    ] = None,
    output: Annotated[
        str | None,
        typer.Option(help="Activation of the last layer; by default the loss's own, for squared_error sigmoid."),
    ] = None,
    loss: Annotated[str | None, typer.Option(help=f"By default squared_error: {choices(losses.LOSSES)}.")] = None,
    no_bias: Annotated[bool, typer.Option("--no-bias", help="Without biases, as the source text.")] = False,
    model: Annotated[
        Path | None, typer.Option(help="A saved network, in the place of NETWORK.", show_default=False)
    ] = None,
    theta: Annotated[
        str | None, typer.Option(metavar="L,TO,FROM", help="Derive ∂J/∂θ of one weight, as 1,1,1.")
    ] = None,
    bias: Annotated[str | None, typer.Option(metavar="L,TO", help="Derive ∂J/∂b of one bias, as 1,1.")] = None,
    transpose: Annotated[
        int | None, typer.Option(metavar="LAYER", help="Show where the transposes of the products of a Θ come from.")
    ] = None,
    count: Annotated[
        bool, typer.Option("--count", help="Count the terms of all partial derivatives, with and without sharing.")
    ] = False,
    symmetry: Annotated[
        bool, typer.Option("--symmetry", help="Train twice: neurons with equal weights stay twins, random ones part.")
    ] = False,
    png: Annotated[Path | None, typer.Option(help="Draw it, or the twins, to a .png, .svg or .pdf file.")] = None,
    html: Annotated[
        Path | None,
        typer.Option(
            help="Write a page that steps through the training in a browser, with exercises; needs no network."
        ),
    ] = None,
    batch_size: Annotated[
        int | None, typer.Option(help="The observations of one step of the page; by default all, of data 3.")
    ] = None,
    language: Annotated[str, typer.Option(help=f"The language of the page: {choices(LANGUAGES)}.")] = "en",
    latex: Annotated[bool, typer.Option("--latex", help="Print LaTeX.")] = False,
) -> None:
    """Show the seven steps of a backpropagation with numbers, or derive one partial derivative, of any network."""
    from retroprop.cli.explain import ExplainOptions
    from retroprop.cli.explain import explain as run_explanation
    from retroprop.cli.explained_network import NetworkChoice

    if sizes is not None and model is None and sizes.endswith(".safetensors"):
        model, sizes = Path(sizes), None
    explained = run_explanation(
        ExplainOptions(
            network=NetworkChoice(
                sizes=sizes, model=model, hidden=hidden, output=output, loss=loss, bias=not no_bias, seed=seed
            ),
            x=x,
            y=y,
            latex=latex,
            theta=theta,
            bias_of=bias,
            transpose=transpose,
            count=count,
            symmetry=symmetry,
            png=png,
            html=html,
            batch_size=batch_size,
            language=language,
        )
    )
    console = Console()
    for i, part in enumerate(explained.parts):
        if i:
            typer.echo()
        if latex:
            typer.echo(part.latex)
        elif console.is_terminal and hasattr(part, "__rich_console__"):
            console.print(part)
        else:
            typer.echo(str(part))
    if not latex:
        if explained.again is not None:
            typer.echo(f"\nAgain    {explained.again}")
        if png is not None:
            typer.echo(f"Picture  {png}")
        if html is not None:
            typer.echo(f"Page     {html}")
