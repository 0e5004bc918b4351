"""`retroprop predict`: one call of the loaded model, then the .csv file or a preview."""

import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from retroprop.cli import options as shared
from retroprop.cli.destinations import check_destination
from retroprop.cli.error_handling import note
from retroprop.cli.errors import CommandError
from retroprop.persistence.files import descriptor_of, write_whole


def predict(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="A file retroprop train wrote.", show_default=False)],
    data: shared.Data,
    *,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="A .csv file for the predictions; by default piped output is the CSV."),
    ] = None,
    proba: Annotated[bool, typer.Option("--proba", help="Write the probability of every class too.")] = False,
    exact: shared.Exact = False,
    unknown: Annotated[
        str, typer.Option(help="A category that training did not know: fill (it counts as missing) or refuse.")
    ] = "fill",
    target: Annotated[
        str | None, typer.Option(help="The array of an .npz file with the true targets.", show_default=False)
    ] = None,
    features: shared.Features = None,
    drop: Annotated[
        list[str] | None, typer.Option(help="Columns that are no features, by name or position, as a,b.")
    ] = None,
    header: shared.Header = None,
    separator: shared.Separator = None,
    encoding: shared.Encoding = None,
    max_memory: shared.MaxMemory = None,
    backend: shared.Backend = None,
) -> None:
    """Predict every row of DATA with a saved MODEL; with the target in DATA, print the score too."""
    from retroprop import tabular
    from retroprop.cli.printed_tables import preview_table, score_line
    from retroprop.tabular.errors import printable
    from retroprop.tabular.spreadsheets import formulas

    if output is not None:
        check_destination(output, option="--output", not_over=data)
        check_destination(output, option="--output", not_over=str(model))
    check_model(model)
    loaded = tabular.load(model, backend=backend)
    if proba and loaded.task == "regression":
        raise CommandError(f'--proba: "{model}" is a regression; it has no probabilities.')
    predictions = loaded.evaluate(
        data,
        unknown=unknown,
        target=target,
        features=features,
        drop=drop or (),
        header=header,
        separator=separator,
        encoding=encoding,
        max_memory=max_memory,
    )
    text = predictions.to_csv(proba=proba, exact=exact)
    if output is not None:
        write_whole(output, text.encode())
    piped = output is None and not sys.stdout.isatty()
    console = Console(stderr=piped or (output is not None and descriptor_of(output) == 1))
    for remark in predictions.notes:
        note(remark, quiet=False)
    runnable = [] if exact else formulas([*set(predictions.values.tolist())] if predictions.classes else [])
    if runnable and (piped or output is not None):
        words = f"{len(runnable)} classes begin as a formula of a spreadsheet does, and are written after a '"
        note(f"{words} (--exact leaves it out)", quiet=False)
    if piped:
        typer.echo(text, nl=False)
    else:
        console.print(preview_table(predictions, loaded.card.target.name))

    def line(title: str, words: str) -> None:
        console.print(f"{title:<12} {printable(words)}", soft_wrap=True, highlight=False, markup=False)

    if predictions.scores is not None:
        line("Score", score_line(predictions.scores))
        if data == loaded.card.data and features is None:
            line("", "(training rows included; for an unbiased score see the held-out one of train)")
    if output is not None:
        line("Predictions", str(output))
    elif not piped:
        from shlex import quote

        line("Next", f"retroprop predict {quote(str(model))} {quote(data)} --output predictions.csv")


def check_model(path: Path) -> None:
    """Raise CommandError unless there is a file at `path`."""
    from retroprop.tabular.errors import near_match

    if path.is_dir():
        raise CommandError(f'MODEL "{path}" is a folder.')
    if not path.exists():
        near = near_match(path.name, (other.name for other in path.parent.iterdir())) if path.parent.is_dir() else ""
        raise CommandError(f'no model file "{path}".{near}')
