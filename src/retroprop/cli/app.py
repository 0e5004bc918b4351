"""The commands: each parses its arguments, makes one call, and prints the result."""

import json
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from retroprop.cli.error_handling import Commands, note
from retroprop.cli.errors import CommandError
from retroprop.cli.explain_command import explain
from retroprop.cli.network_options import choices
from retroprop.functions import activations, initializers, losses
from retroprop.training import optimizers

app = typer.Typer(
    cls=Commands,
    help="Multilayer perceptrons trained by hand-derived backpropagation, on the array library of your choice.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

Backend = Annotated[
    str | None,
    typer.Option(help='Where to compute: "numpy", "cupy", "torch:cuda:0", ... (see retroprop info).'),
]
Header = Annotated[
    bool | None,
    typer.Option(
        "--header/--no-header", help="Whether the first line of a .csv file holds names; found out by default."
    ),
]
Drop = Annotated[list[str] | None, typer.Option(help="Leave a column out, by name or position; may be repeated.")]
Features = Annotated[str | None, typer.Option(help="The array of an .npz file with the features (default X).")]
Data = Annotated[
    str,
    typer.Argument(
        metavar="DATA",
        help="digits, iris, wine, breast_cancer, diabetes, or a .csv, .tsv, .parquet, .npz or .npy file.",
        show_default=False,
    ),
]
# The names that these options accept are those of the tables.
HiddenActivation = Annotated[
    str,
    typer.Option(
        help=f"Activation of the hidden layers: {choices(activations.elementwise_names())}; one for all, or one for "
        "each, as relu,tanh."
    ),
]
Initializer = Annotated[
    str, typer.Option(help=f"Distribution of the initial parameters: {choices(initializers.INITIALIZERS)}.")
]
DType = Annotated[str, typer.Option(help="float32 or float64.")]
L2 = Annotated[float, typer.Option(help="The weight λ of the penalty λ/2 ‖Θ‖².")]
L1 = Annotated[float, typer.Option(help="The weight λ of the penalty λ ‖Θ‖₁.")]
Seed = Annotated[int, typer.Option(help="Draws the split, the parameters, the batches and the masks.")]


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


@app.command()
def train(
    data: Data,
    *,
    target: Annotated[
        str | None,
        typer.Option(help="The column to learn, by name or position (.npy: the last by default; .npz: array y)."),
    ] = None,
    features: Features = None,
    drop: Drop = None,
    header: Header = None,
    task: Annotated[
        str | None,
        typer.Option(help="classification or regression; by default text and a few whole numbers are classes."),
    ] = None,
    hidden: Annotated[str, typer.Option(help='Sizes of the hidden layers, as 100,50; "none" for none.')] = "100",
    activation: HiddenActivation = "relu",
    loss: Annotated[
        str | None,
        typer.Option(
            help=f"{choices(losses.LOSSES)}; by default cross_entropy for classes, squared_error for numbers."
        ),
    ] = None,
    optimizer: Annotated[str, typer.Option(help=f"{choices(optimizers.OPTIMIZERS)}.")] = "adam",
    learning_rate: Annotated[
        float | None,
        typer.Option(help="By default the optimizer's own, with the cosine three times that; lbfgs has none."),
    ] = None,
    schedule: Annotated[
        str | None, typer.Option(help="Of the learning rate: cosine (falls to 0, by default) or constant.")
    ] = None,
    epochs: Annotated[
        int | None,
        typer.Option(help="How often all training rows are seen; by default 60, or until 1000 steps are done."),
    ] = None,
    batch_size: Annotated[
        int | None, typer.Option(help="Rows a step; by default near 1/50 of the rows, 16 to 512, for lbfgs all.")
    ] = None,
    dropout: Annotated[float, typer.Option(help="The part of the hidden neurons masked at each step.")] = 0.0,
    l2: L2 = 1e-3,
    l1: L1 = 0.0,
    initializer: Initializer = "glorot_uniform",
    clip_norm: Annotated[float | None, typer.Option(help="The largest norm of the gradient.")] = None,
    early_stopping: Annotated[
        bool,
        typer.Option("--early-stopping", help="Set 15 % of the rows aside; stop when their cost no longer improves."),
    ] = False,
    patience: Annotated[
        int | None, typer.Option(help="Epochs without improvement before it stops (10); implies --early-stopping.")
    ] = None,
    test_size: Annotated[float, typer.Option(help="The part of the rows held out to test the model.")] = 0.2,
    seed: Seed = 0,
    dtype: DType = "float32",
    backend: Backend = None,
    output: Annotated[Path, typer.Option("--output", "-o", help="The model file.")] = Path("model.safetensors"),
    picture: Annotated[
        Path | None, typer.Option(help="The picture; by default beside the model, as .png.", show_default=False)
    ] = None,
    no_picture: Annotated[bool, typer.Option("--no-picture", help="Draw no picture.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing but errors.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the results as JSON.")] = False,
) -> None:
    """Train a network on DATA, measure it on rows held out, and save it with a picture."""
    from retroprop.cli.table import Selection
    from retroprop.cli.train import TrainOptions
    from retroprop.cli.train import train as run_training
    from retroprop.cli.training_report import plain, show

    if no_picture and picture is not None:
        raise CommandError("--picture and --no-picture: choose one.")
    wanted = None if no_picture else picture or output.parent / f"{output.stem}.png"
    if wanted is not None and find_spec("matplotlib") is None:
        note('no picture: it needs matplotlib, which is not installed: pip install "retroprop[plot]"', quiet=quiet)
        wanted = None
    trained = run_training(
        TrainOptions(
            data=data,
            selection=Selection(target=target, features=features, drop=tuple(drop or ()), header=header),
            task=task,
            hidden=hidden,
            activation=activation,
            loss=loss,
            initializer=initializer,
            optimizer=optimizer,
            learning_rate=learning_rate,
            schedule=schedule,
            epochs=epochs,
            batch_size=batch_size,
            dropout=dropout,
            l2=l2,
            l1=l1,
            clip_norm=clip_norm,
            early_stopping=early_stopping or patience is not None,
            patience=10 if patience is None else patience,
            test_size=test_size,
            seed=seed,
            dtype=dtype,
            backend=backend,
            output=output,
            picture=wanted,
            progress=not quiet,
        )
    )
    if wanted is not None:
        from retroprop.cli.pictures import draw

        draw(trained, wanted)
    results = plain(trained, wanted)
    if as_json:
        typer.echo(json.dumps(results, indent=2))
    elif not quiet:
        console = Console()
        show(console, results)
        console.print(f"Next     retroprop predict {_quoted(output)} {_quoted(data)}", soft_wrap=True, highlight=False)
    if trained.history.stop_reason == "interrupted":
        note(f"interrupted after {len(trained.history)} epochs; the model as it stood is in {output}", quiet=False)
        raise typer.Exit(130)


@app.command()
def predict(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="A file retroprop train wrote.", show_default=False)],
    data: Data,
    *,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="A .csv file for the predictions; by default piped output is the CSV."),
    ] = None,
    proba: Annotated[bool, typer.Option("--proba", help="Write the probability of every class too.")] = False,
    features: Features = None,
    drop: Drop = None,
    header: Header = None,
    backend: Backend = None,
) -> None:
    """Predict every row of DATA with a saved MODEL; with the target in DATA, print the score too."""
    from retroprop.cli.predict import PredictOptions
    from retroprop.cli.predict import predict as run_prediction
    from retroprop.cli.printed_tables import preview_table, score_line

    predictions = run_prediction(
        PredictOptions(
            model=model,
            data=data,
            drop=tuple(drop or ()),
            features=features,
            header=header,
            proba=proba,
            output=output,
            backend=backend,
        )
    )
    piped = output is None and not sys.stdout.isatty()
    console = Console(stderr=piped)
    if piped:
        typer.echo(predictions.to_csv(proba=proba), nl=False)
    else:
        console.print(preview_table(predictions))
    if predictions.scores is not None:
        console.print(f"Score        {score_line(predictions.scores)}", soft_wrap=True, highlight=False)
        if data == predictions.card.data:
            console.print("             (training rows included; for an unbiased score see the held-out one of train)")
    if output is not None:
        console.print(f"Predictions  {output}", soft_wrap=True, highlight=False, markup=False)
    elif not piped:
        console.print(f"Next         retroprop predict {_quoted(model)} {_quoted(data)} --output predictions.csv")


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
        typer.Option(help='Your own, as "784-100-10@128,256x9@256": layer sizes, then the batch.', show_default=False),
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
        bool, typer.Option("--peers", help="Time PyTorch, JAX, Thinc and scikit-learn too, where installed.")
    ] = False,
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
            report=report,
            json=json_file,
            plot=plot,
            output=output,
        )
    )
    if any(one.interrupted for one in results) and not report:
        note("interrupted; the tables contain the measurements made so far", quiet=False)
        raise typer.Exit(130)


def _quoted(argument: Path | str) -> str:
    from shlex import quote

    return quote(str(argument))
