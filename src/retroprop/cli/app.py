"""The commands: each parses its arguments, makes one call, and prints the result."""

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from retroprop.cli.error_handling import Commands, note
from retroprop.cli.explain_command import explain
from retroprop.cli.export import export
from retroprop.cli.network_options import choices
from retroprop.cli.options import L1, L2, Backend, DType, HiddenActivation, Initializer
from retroprop.cli.predict import predict
from retroprop.cli.train import train
from retroprop.functions import activations, losses

app = typer.Typer(
    cls=Commands,
    help="Multilayer perceptrons trained by hand-derived backpropagation, on the array library of your choice.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def run() -> None:
    """Parse the arguments, run the command, and end the process with its exit code."""
    app(prog_name="retroprop")


def _print_version(wanted: bool) -> None:
    if wanted:
        from retroprop._version import __version__

        typer.echo(f"retroprop {__version__}")
        raise typer.Exit


@app.callback()
def common(
    *,
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    """Handle the options that stand before a command."""


@app.command()
def info(
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    clear_cache: Annotated[bool, typer.Option("--clear-cache", help="First empty the cache of loops.")] = False,
) -> None:
    """Show the backends and devices of this machine, why one is missing, and the cache of compiled loops."""
    from retroprop.cli.info import clear, gather
    from retroprop.cli.printed_tables import info_tables

    if clear_cache:
        clear()
    found = gather()
    if as_json:
        typer.echo(json.dumps(found, indent=2))
    else:
        Console().print(*info_tables(found), sep="\n")


app.command()(train)
app.command()(predict)


@app.command()
def check(
    *,
    layers: Annotated[str, typer.Option(help="Sizes of all layers, the inputs first.")] = "4,8,3",
    hidden: HiddenActivation = "tanh",
    output: Annotated[
        str | None,
        typer.Option(
            help=f"Activation of the last layer: {choices(activations.ACTIVATIONS)}; by default the loss's own."
        ),
    ] = None,
    loss: Annotated[str, typer.Option(help=f"{choices(losses.LOSSES)}.")] = "cross_entropy",
    initializer: Initializer = "glorot_uniform",
    l2: L2 = 0.0,
    l1: L1 = 0.0,
    bias: Annotated[bool, typer.Option("--bias/--no-bias", help="With or without biases.")] = True,
    rows: Annotated[int, typer.Option(help="How many observations are drawn.")] = 8,
    seed: Annotated[int, typer.Option(help="Draws parameters and observations.")] = 0,
    dtype: DType = "float64",
    backend: Backend = None,
) -> None:
    """Check the gradient of a network against central differences; exit code 1 if they disagree."""
    from retroprop.cli.check import CheckOptions
    from retroprop.cli.check import check as run_check
    from retroprop.cli.printed_tables import gradient_check_table

    net, found = run_check(
        CheckOptions(
            layers=layers,
            hidden=hidden,
            output=output,
            loss=loss,
            initializer=initializer,
            l2=l2,
            l1=l1,
            bias=bias,
            rows=rows,
            seed=seed,
            dtype=dtype,
            backend=backend,
        )
    )
    Console().print(gradient_check_table(net, found))
    if not found.ok:
        raise typer.Exit(1)


app.command()(explain)
app.command()(export)


@app.command()
def bench(
    files: Annotated[
        list[Path] | None,
        typer.Argument(metavar="[RESULTS.json]...", help="With --report: results of earlier runs.", show_default=False),
    ] = None,
    *,
    quick: Annotated[bool, typer.Option("--quick", help="Small networks alone.")] = False,
    full: Annotated[
        bool,
        typer.Option("--full", help="Everything: a grid of sizes, both dtypes, parts of a step, memory. Long."),
    ] = False,
    networks: Annotated[
        str | None,
        typer.Option(
            help='Your own, as "784-100-10@128,256x9@256": layer sizes, then the batch (with --parallel of a rank).',
            show_default=False,
        ),
    ] = None,
    backends: Annotated[
        str | None, typer.Option(help='As "numpy,torch:cpu"; by default all devices that are here.')
    ] = None,
    optimizer: Annotated[
        str | None, typer.Option(help="sgd, adam or both; by default adam, with --full both.", show_default=False)
    ] = None,
    dtype: Annotated[
        str | None,
        typer.Option(help="float32, float64 or both; by default float32, with --full both.", show_default=False),
    ] = None,
    seconds: Annotated[
        float | None,
        typer.Option(help="For all rounds together; compiling comes on top.", show_default=False),
    ] = None,
    peers: Annotated[
        bool,
        typer.Option(
            "--peers",
            help="Time PyTorch, JAX, Thinc and scikit-learn too, where installed; with --parallel PyTorch's "
            "DistributedDataParallel.",
        ),
    ] = False,
    parallel: Annotated[
        bool,
        typer.Option("--parallel", help="Time training that the ranks of an MPI job share, instead of backends."),
    ] = False,
    ranks: Annotated[
        str | None,
        typer.Option(help='With --parallel: as "2,4"; by default powers of two up to the cores.', show_default=False),
    ] = None,
    report: Annotated[bool, typer.Option("--report", help="Measure nothing: tables and plot of RESULTS.json.")] = False,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the results to a file.")] = None,
    plot: Annotated[Path | None, typer.Option(help="Draw them to a .png, .svg or .pdf file.")] = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Write the tables to a Markdown file.")] = None,
) -> None:
    """Time training steps on every backend and device of this machine, and report from which size each is fastest."""
    from retroprop.cli.bench import BenchOptions
    from retroprop.cli.bench import bench as run_bench

    results = run_bench(
        BenchOptions(
            files=tuple(files or ()),
            quick=quick,
            full=full,
            networks=networks,
            backends=backends,
            optimizer=optimizer,
            dtype=dtype,
            seconds=seconds,
            peers=peers,
            parallel=parallel,
            ranks=ranks,
            report=report,
            json=json_file,
            plot=plot,
            output=output,
        )
    )
    if any(one.interrupted for one in results) and not report:
        note("interrupted; the tables contain the measurements made so far", quiet=False)
        raise typer.Exit(130)
