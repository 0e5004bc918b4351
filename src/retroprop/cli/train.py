"""`retroprop train`: one call of `retroprop.tabular.fit`, then the model file, the picture and the report."""

import json
from contextlib import suppress
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from tempfile import gettempdir
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from retroprop.cli import options as shared
from retroprop.cli.destinations import check_destination, check_picture, default_picture, free_path
from retroprop.cli.error_handling import note, warnings_as_notes
from retroprop.cli.errors import CommandError, as_typed
from retroprop.cli.network_options import hidden_sizes, names_of
from retroprop.cli.parallel_option import engine_of
from retroprop.persistence.files import descriptor_of, is_special

if TYPE_CHECKING:
    from retroprop.tabular import TabularModel

_DEFAULT_MODEL = Path("model.safetensors")
# The exit codes by the reason that a training ended: as a shell reports SIGINT and SIGTERM.
_SIGNALLED = {"interrupted": 130, "terminated": 143}
# The arguments that the error of a divergence names.
_REMEDIES = {"learning_rate": "--learning-rate", "clip_norm": "--clip-norm"}
# With those that name a candidate of the search.
_NAMED = _REMEDIES | {name: f"--{name}" for name in ("hidden", "l2", "dropout")}


def train(
    data: shared.Data,
    *,
    target: Annotated[
        str | None,
        typer.Option(help="The column to learn, by name or position (.npy: the last by default; .npz: array y)."),
    ] = None,
    features: shared.Features = None,
    drop: Annotated[
        list[str] | None, typer.Option(help="Columns to leave out, by name or position, as a,b; may be repeated.")
    ] = None,
    categorical: Annotated[
        list[str] | None, typer.Option(help="Columns to read as categories, whatever they look like, as a,b.")
    ] = None,
    numeric: Annotated[
        list[str] | None, typer.Option(help="Columns to read as numbers, whatever they look like, as a,b.")
    ] = None,
    header: shared.Header = None,
    separator: shared.Separator = None,
    encoding: shared.Encoding = None,
    decimal: Annotated[
        str | None,
        typer.Option(help='The decimal mark, "." or ",", where numbers as 1,234 could be read in two ways.'),
    ] = None,
    max_memory: shared.MaxMemory = None,
    missing: Annotated[
        str,
        typer.Option(help="fill: medians, and a category of its own; refuse: a missing value is an error."),
    ] = "fill",
    validation: Annotated[
        str | None,
        typer.Option(help="A file with the same columns, evaluated after each epoch.", show_default=False),
    ] = None,
    task: Annotated[
        str | None,
        typer.Option(
            help="classification or regression; by default texts, booleans and a few whole numbers are classes."
        ),
    ] = None,
    hidden: Annotated[str, typer.Option(help='Sizes of the hidden layers, as 100,50; "none" for none.')] = "100",
    activation: shared.HiddenActivation = "relu",
    loss: shared.LossOfTask = None,
    optimizer: shared.OptimizerName = "adam",
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
    l2: shared.L2 = 1e-3,
    l1: shared.L1 = 0.0,
    initializer: shared.Initializer = "glorot_uniform",
    clip_norm: Annotated[float | None, typer.Option(help="The largest norm of the gradient.")] = None,
    class_weight: Annotated[
        str | None, typer.Option(help="balanced: every class has the same weight in the cost.", show_default=False)
    ] = None,
    early_stopping: Annotated[
        bool,
        typer.Option(
            "--early-stopping", help="Set 15 % of the rows aside (or --validation); stop when their cost is no better."
        ),
    ] = False,
    patience: Annotated[
        int | None, typer.Option(help="Epochs without improvement before it stops (10); implies --early-stopping.")
    ] = None,
    test_size: Annotated[float, typer.Option(help="The part of the rows held out to test the model.")] = 0.2,
    seed: shared.Seed = 0,
    dtype: shared.DType = "float32",
    backend: shared.Backend = None,
    checkpoint: Annotated[
        str | None,
        typer.Option(help="A folder for checkpoints of the training, one an epoch; see --resume.", show_default=False),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on from the newest checkpoint, with the other options as they were.")
    ] = False,
    ensemble: Annotated[
        int | None,
        typer.Option(help="Train so many networks together; predictions are their mean, with a std.", min=1),
    ] = None,
    search: Annotated[
        bool,
        typer.Option(
            "--search",
            help="Choose by cross-validation those of hidden, l2, dropout, learning rate that have their defaults.",
        ),
    ] = False,
    parallel: Annotated[
        str | None,
        typer.Option(
            help='mpi: the processes that "mpiexec -n 4 python -m mpi4py -m retroprop train ..." has started.'
        ),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="The model file; by default a new model.safetensors.")
    ] = None,
    picture: Annotated[
        Path | None, typer.Option(help="The picture; by default a new one beside the model.", show_default=False)
    ] = None,
    no_picture: Annotated[bool, typer.Option("--no-picture", help="Draw no picture.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing but errors.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the results as JSON.")] = False,
) -> None:
    """Train a network on DATA, measure it on rows held out, and save it with a picture."""
    engine = engine_of(parallel)
    quiet = quiet or not (engine is None or engine.is_first)  # rank 0 prints and writes
    model_file = output or free_path(_DEFAULT_MODEL)
    check_destination(model_file, option="--output")
    picture_file = _picture(model_file, picture, wanted=not no_picture, quiet=quiet)
    for path, option in ((model_file, "--output"), (picture_file, "--picture")):
        for read in filter(None, (data, validation)):
            if path is not None:
                check_destination(path, option=option, not_over=read)
    if picture_file is not None and picture_file.resolve() == model_file.resolve():
        raise CommandError(f'--output and --picture are the same file, "{model_file}".')
    if resume and checkpoint is None:
        raise CommandError("--resume needs --checkpoint, the folder to go on from.")
    sizes = hidden_sizes(hidden, option="--hidden")
    activations = names_of(activation, len(sizes), option="--activation")
    from retroprop import Checkpoint, DivergenceError, tabular

    fit = partial(
        tabular.fit,
        data,
        target=target,
        features=features,
        drop=drop or (),
        categorical=categorical or (),
        numeric=numeric or (),
        header=header,
        separator=separator,
        encoding=encoding,
        decimal=decimal,
        max_memory=max_memory,
        missing=missing,
        validation=validation,
        task=task,
        hidden=sizes,
        activation=activations,
        loss=loss,
        optimizer=optimizer,
        learning_rate=learning_rate,
        schedule=schedule,
        epochs=epochs,
        batch_size=batch_size,
        dropout=dropout,
        l2=l2,
        l1=l1,
        initializer=initializer,
        clip_norm=clip_norm,
        class_weight=class_weight,
        early_stopping=early_stopping,
        patience=patience,
        test_size=test_size,
        seed=seed,
        dtype=dtype,
        backend=backend,
        progress=not quiet,
        checkpoint=None if checkpoint is None else Checkpoint(checkpoint, resume=resume),
        ensemble=ensemble,
        search=search,
        parallel=engine,
    )
    divergence: DivergenceError | None = None
    try:
        with warnings_as_notes(_NAMED, quiet=engine is not None and not engine.is_first):
            model = fit()
    except DivergenceError as error:
        if error.model is None:
            raise
        # What it had learned is kept, but not in the place of a model that may be better.
        model, divergence = error.model, error
        if descriptor_of(model_file) is None and not is_special(model_file):
            model_file = free_path(model_file)
        picture_file = None if picture_file is None else free_path(picture_file)
    if engine is not None and not engine.is_first:
        return
    assert model.report is not None
    reason, epochs_done = (model.report.numbers[key] for key in ("stop_reason", "epochs"))
    if not epochs_done:
        note(f"{reason} before the first epoch was done: nothing is saved.", quiet=False)
        raise typer.Exit(_SIGNALLED[reason])
    model_file, failure = _saved(model, model_file)
    if picture_file is not None:
        from retroprop.cli.pictures import draw

        try:
            draw(model, picture_file)
            if search:
                from retroprop.cli.search_report import draw_search

                draw_search(model.report.numbers["search"], search_picture(picture_file))
        except (OSError, ValueError, ArithmeticError) as error:  # the results are shown all the same
            failure, picture_file = failure or error, None
    files: dict[str, str | None] = {
        "model": str(model_file),
        "picture": None if picture_file is None else str(picture_file),
        **({"search_picture": str(search_picture(picture_file))} if search and picture_file is not None else {}),
    }
    # Where the model is written to standard output, the text goes to standard error.
    to_stderr = descriptor_of(model_file) == 1
    if as_json:
        typer.echo(json.dumps({**model.report.numbers, **files}, indent=2), err=to_stderr)
    elif not quiet:
        from retroprop.cli.training_report import show

        show(Console(stderr=to_stderr), model.report, {**files, "data": data})
    if reason in _SIGNALLED:
        further = "" if checkpoint is None else f"; --resume goes on from {checkpoint}"
        note(f"{reason} after {epochs_done} epochs; the model as it stood is in {model_file}{further}", quiet=False)
        raise typer.Exit(_SIGNALLED[reason])
    if divergence is not None:
        notes = " ".join(getattr(divergence, "__notes__", ()))
        note(f"{as_typed(str(divergence), _REMEDIES)} They are in {model_file}. {notes}".rstrip(), quiet=False)
        raise typer.Exit(1)
    if failure is not None:
        raise failure


def _saved(model: "TabularModel", path: Path) -> tuple[Path, Exception | None]:
    """Save a model, where its place cannot be written among the temporary files; return its place and that error."""
    try:
        model.save(path)
    except OSError as error:
        if descriptor_of(path) is not None or is_special(path):
            raise
        elsewhere = free_path(Path(gettempdir()) / path.name)
        with suppress(OSError):
            model.save(elsewhere)
            note(f"the model could not be written to {path}, and is in {elsewhere}", quiet=False)
            return elsewhere, error
        raise
    return path, None


def search_picture(picture: Path) -> Path:
    """Return the file of the picture of the candidates, beside that of the training."""
    return picture.with_name(f"{picture.stem}.search{picture.suffix}")


def _picture(model_file: Path, picture: Path | None, *, wanted: bool, quiet: bool) -> Path | None:
    """Return the file of the picture, or None for no picture."""
    if not wanted:
        if picture is not None:
            raise CommandError("--picture and --no-picture: choose one.")
        return None
    if picture is not None:
        check_picture(picture, option="--picture")
    path = picture or default_picture(model_file)
    if path is not None and find_spec("matplotlib") is None:
        note('no picture: it needs matplotlib, which is not installed: pip install "retroprop[plot]"', quiet=quiet)
        return None
    return path
