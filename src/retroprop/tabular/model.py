"""The whole model of a table: schema, preprocessing, network, target and report, saved as one file."""

import os
import warnings
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

import retroprop as rp
from retroprop.persistence import load_with_metadata
from retroprop.tabular.card import ModelCard, read_by
from retroprop.tabular.card_check import check
from retroprop.tabular.errors import DataError, listed, near_match, quoted
from retroprop.tabular.evaluation import EvaluatedPart
from retroprop.tabular.labels import exact
from retroprop.tabular.predictions import Predictions
from retroprop.tabular.preprocessing import FARTHEST, Preprocessing, described
from retroprop.tabular.report import Report
from retroprop.tabular.targets import TargetColumn, numbers_in
from retroprop.tabular.training import Trained, member_outputs_of
from retroprop.tabular.typed import Typed


@dataclass(frozen=True, kw_only=True)
class TabularModel:
    """A model of a table, which takes raw rows and returns labels; `retroprop.tabular.fit` and `load` return it.

    Attributes
    ----------
    network : Network
        The trained network. It takes standardised inputs, not raw rows.
    card : ModelCard
        All else that a prediction needs: the schema of the columns, their preprocessing, the target, the report.
    training : Trained or None
        The record of the training; None for a model that was loaded.
    parts : dict of str to EvaluatedPart
        The outputs and targets of the "training", "validation" and "held_out" rows; empty for a model that was loaded.
    """

    network: rp.Network
    card: ModelCard
    training: Trained | None = field(default=None, repr=False)
    parts: dict[str, EvaluatedPart] = field(default_factory=dict, repr=False)

    @property
    def task(self) -> str:
        """The task: "classification" or "regression"."""
        return self.card.target.task

    @property
    def classes(self) -> NDArray[Any]:
        """The classes (k,) as they stood in the data, in the order of the columns of `predict_proba`."""
        return exact(self.card.target.classes)

    @property
    def input_names(self) -> list[str]:
        """The names of the inputs of the network: a number, one category, one part of a date, an indicator."""
        return self.card.preprocessing.input_names

    @property
    def report(self) -> Report | Any:  # `Any` stands for None, which only old files have
        """The report on the training; None for a model file of version 1, which has none."""
        return self.card.report

    def predict(self, data: Any, **reading: Any) -> NDArray[Any]:
        """Return the predicted label or number of every row.

        Parameters
        ----------
        data : path, frame, array or dict of arrays
            Rows with the columns of the training, raw, in any order; the target and further columns may be there.
        **reading
            The options of `evaluate`.

        Returns
        -------
        array (m,)
            Labels as they stood in the training data (int64, uint64, str, bool, float64, or object for integers of more
            than 64 bits), or float64 numbers in the unit of the target.

        Warns
        -----
        UserWarning
            With one line for all that was ignored, filled or unknown.
        """
        return self._predicted(data, reading).values

    def predict_proba(self, data: Any, **reading: Any) -> NDArray[np.float64]:
        """Return the probability of every class (m, k) for every row; the columns are `classes`.

        Raises
        ------
        TypeError
            For a regression, which has none.
        """
        if not self.card.target.classes:
            raise TypeError("this model is a regression; it has no probabilities.")
        return np.asarray(self._predicted(data, reading).probabilities)

    def __repr__(self) -> str:
        """Return one line: the report and the schema are values of their own, with texts of their own."""
        card = self.card
        return f"<TabularModel {self.task} of {quoted(card.target.name)} from {quoted(card.data)}, {self.network!r}>"

    def _predicted(self, data: Any, reading: dict[str, Any]) -> Predictions:
        predictions = self.evaluate(data, **reading)
        if predictions.notes:
            warnings.warn("; ".join(predictions.notes), UserWarning, stacklevel=3)
        return predictions

    def evaluate(self, data: Any, *, unknown: str = "fill", **reading: Any) -> Predictions:
        """Return the predictions with their probabilities and, where the target is in the data, the scores.

        Parameters
        ----------
        data : path, frame, array or dict of arrays
            As for `predict`.
        unknown : str
            "fill": a category that training did not know counts as missing, with a note; "refuse": it is an error.
        **reading
            features, target (arrays of an .npz file), drop, header, separator, encoding, max_memory: as for
            `retroprop.tabular.fit`, where the new data are written otherwise than the training data were.

        Raises
        ------
        DataError
            If the data cannot be read, lack a column, or hold a value that cannot be used.
        """
        if unknown not in ("fill", "refuse"):
            raise ValueError(f'unknown must be fill or refuse, not "{unknown}".')
        card = self.card
        typed, notes = read_by(card, data, **reading)
        if not typed.n_rows:
            raise DataError(f"{typed.source} has no rows of data.")
        if card.missing == "refuse":
            card.preprocessing.refuse_missing(typed)
        notes += (
            *_filled(card.preprocessing, typed),
            *_unknown(card.preprocessing, typed, refused=unknown == "refuse"),
        )
        x = card.preprocessing(typed)
        if (np.abs(x) == FARTHEST).any():
            notes += tuple(
                f"column {quoted(name)}: {typed.place(row)} is more than {FARTHEST:g} standard deviations from the "
                f"training data, and is clipped there"
                for name, row in card.preprocessing.far(typed).items()
            )
        members = member_outputs_of(self.network, x)
        outputs = members.mean(axis=0)
        finite = np.isfinite(outputs).all(axis=1)
        if not finite.all():
            row = int(np.argmin(finite))
            raise DataError(
                f"{typed.source}, {typed.place(row)}: the prediction is not finite; the values of this row are too far "
                f"from those of the training data."
            )
        true, scores = None, None
        if typed.target is not None and not typed.target.missing.all():
            encoded = card.target.encode(typed.target)
            scored = encoded >= 0 if card.target.classes else ~typed.target.missing
            labels: list[Any] = typed.target.labels if card.target.classes else numbers_in(typed.target).tolist()
            true = [None if gone else label for label, gone in zip(labels, typed.target.missing, strict=True)]
            scores = EvaluatedPart(target=card.target, outputs=outputs[scored], encoded=encoded[scored]).scores()
            lost = int((~scored & ~typed.target.missing).sum())
            if lost:
                notes += (f"{lost} rows have a target that is no class of the model; the score leaves them out",)
        return Predictions(
            values=card.target.decode(outputs),
            classes=card.target.classes,
            probabilities=card.target.probabilities(outputs) if card.target.classes else None,
            std=_std(card.target, members, outputs) if len(members) > 1 else None,
            true=true,
            scores=scores,
            notes=notes,
        )

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the model to one file, which `retroprop.tabular.load` and `retroprop predict` read.

        Raises
        ------
        OSError
            If the file cannot be written.
        """
        rp.save(self.network, path, metadata=self.card.to_metadata())


def load(path: str | os.PathLike[str], *, backend: Any = None) -> TabularModel:
    """Return a model that `TabularModel.save` or `retroprop train` wrote.

    Parameters
    ----------
    path : path
        The model file.
    backend : str, Backend or None
        Where to compute; see `retroprop.get_backend`.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ModelFileError
        If it is no model file.
    DataError
        If it holds a network alone, is altered, or was written by a newer version.
    """
    network, metadata = load_with_metadata(path, backend=backend)
    card = ModelCard.from_metadata(metadata, os.fspath(path))
    try:
        check(card, network)
    except ValueError as error:
        raise DataError(f'"{os.fspath(path)}" is altered: {error}.') from error
    return TabularModel(network=network, card=card)


def _std(target: TargetColumn, members: NDArray[Any], outputs: NDArray[Any]) -> NDArray[np.float64]:
    """Return the standard deviation over members of the number, or of the probability of the predicted class."""
    if not target.classes:
        return np.asarray(np.std([target.numbers(one) for one in members], axis=0))
    spread = np.std([target.probabilities(one) for one in members], axis=0)
    chosen = np.argmax(target.probabilities(outputs), axis=1)
    return np.asarray(np.take_along_axis(spread, chosen[:, None], axis=1)[:, 0])


def _filled(preprocessing: Preprocessing, typed: Typed) -> tuple[str, ...]:
    """Return a note for each column with missing values where training had none."""
    missing = preprocessing.missing(typed)
    columns = {column.name: column for column in preprocessing.columns}
    return tuple(
        f"column {quoted(name)}: {count:,} missing {'value' if count == 1 else 'values'}, where training had none, "
        f"filled with {described(columns[name])}"
        for name, count in missing.items()
        if not getattr(columns[name], "indicator", getattr(columns[name], "missing", False))
    )


def _unknown(preprocessing: Preprocessing, typed: Typed, *, refused: bool) -> tuple[str, ...]:
    """Return a note for each column with categories unknown to training; raise DataError where they are refused."""
    known = {column.name: getattr(column, "texts", ("false", "true")) for column in preprocessing.columns}
    notes = []
    for name, texts in typed.unknown.items():
        text, row = next(iter(texts.items()))
        if refused:
            near = near_match(text, known[name])
            raise DataError(
                f"{typed.where(row, name)}: {quoted(text)} did not occur in training.{near} "
                f"Known: {listed(known[name])}."
            )
        said = f"{listed(texts, 5)} did not occur in training (first in {typed.place(row)})"
        notes.append(f"column {quoted(name)}: {said}, and counts as missing")
    return tuple(notes)
