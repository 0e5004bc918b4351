"""`retroprop predict`: the predictions of a saved model on new data."""

import csv
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from retroprop.cli.data_sources import read_table
from retroprop.cli.destinations import check_destination
from retroprop.cli.errors import CommandError, near_match
from retroprop.cli.evaluation import outputs_of, scores
from retroprop.cli.model_card import ModelCard
from retroprop.cli.table import DataTable, Selection
from retroprop.persistence import load_with_metadata
from retroprop.persistence.files import write_whole


@dataclass(frozen=True, kw_only=True)
class PredictOptions:
    """The options of `retroprop predict`, named as on the command line; see its help."""

    model: Path
    data: str
    drop: tuple[str, ...]
    features: str | None
    header: bool | None
    proba: bool
    output: Path | None
    backend: str | None


@dataclass(frozen=True, kw_only=True)
class Predictions:
    """The predictions of a model for every row of a table.

    Attributes
    ----------
    table : DataTable
        The data.
    card : ModelCard
        The description of the model's training data.
    values : list
        The predicted class or number of every row.
    probabilities : array (m, k) or None
        The probability of every class; None for a regression.
    scores : dict or None
        The metrics; None where the data do not contain the target.
    """

    table: DataTable
    card: ModelCard
    values: list[Any]
    probabilities: NDArray[Any] | None
    scores: dict[str, float] | None

    def to_csv(self, *, proba: bool) -> str:
        """Return the predictions as the text of a .csv file, one row per line; `proba` adds the probabilities."""
        text = StringIO()
        writer = csv.writer(text, lineterminator="\n")
        if proba and self.probabilities is not None:
            writer.writerow(["prediction", *(f"probability_{name}" for name in self.card.target.classes)])
            writer.writerows(
                [value, *map(str, row)] for value, row in zip(self.values, self.probabilities, strict=True)
            )
        else:
            writer.writerow(["prediction"])
            writer.writerows([value] for value in self.values)
        return text.getvalue()


def predict(options: PredictOptions) -> Predictions:
    """Load the model, read the data, predict every row, and write the output file if there is one.

    Raises
    ------
    CommandError, ModelFileError, ValueError, TypeError
        For wrong input, before anything is written.
    """
    if options.output is not None:
        check_destination(options.output, option="--output", not_over=options.data)
        check_destination(options.output, option="--output", not_over=str(options.model))
    check_model(options.model)
    net, metadata = load_with_metadata(options.model, backend=options.backend)
    card = ModelCard.from_metadata(metadata, options.model)
    if options.proba and not card.target.classes:
        raise CommandError(f'--proba: "{options.model}" is a regression; it has no probabilities.')
    table = read_table(options.data, _selection(options, card))
    x = card.preprocessing(table)
    outputs = outputs_of(net, x)
    decoded = card.target.decode(outputs)
    if card.target.classes:
        values = [card.target.classes[i] for i in decoded]
    else:
        # Printed in the network's own dtype, which gives the shortest form: 151.3, not 151.30000305175781.
        values = [str(value) for value in decoded.astype(net.dtype)]
    predictions = Predictions(
        table=table,
        card=card,
        values=values,
        probabilities=card.target.probabilities(outputs) if card.target.classes else None,
        scores=None if table.y is None else scores(card.target, outputs, card.target.encode(table)),
    )
    if options.output is not None:
        write_whole(options.output, predictions.to_csv(proba=options.proba).encode())
    return predictions


def check_model(path: Path) -> None:
    """Raise CommandError unless there is a file at `path`."""
    if path.is_dir():
        raise CommandError(f'MODEL "{path}" is a folder.')
    if not path.exists():
        near = near_match(path.name, (other.name for other in path.parent.iterdir())) if path.parent.is_dir() else ""
        raise CommandError(f'no model file "{path}".{near}')


def _selection(options: PredictOptions, card: ModelCard) -> Selection:
    """Return the column selection of the training: its dropped columns are ignored, its target is optional."""
    pair = options.data.lower().endswith(".npz")
    return Selection(
        target=card.target.name,
        features=options.features or (card.features if pair else None),
        drop=options.drop,
        ignored=card.dropped,
        header=options.header,
        target_needed=False,
        width=len(card.preprocessing.feature_names) + len(card.dropped) + 1,
    )


def true_values(predictions: Predictions) -> list[Any] | None:
    """Return the target of every row as written in the data, or None without a target."""
    y = predictions.table.y
    if y is None:
        return None
    if y.dtype.kind == "f" and np.all(y == np.floor(y)):
        return [int(value) for value in y]
    return list(y.tolist())
