"""From a table to the inputs of a network: one-hot categories, then mean 0 and standard deviation 1.

Everything is estimated from the training rows alone and stored in the model file, so that a prediction preprocesses
its data as the training did.
"""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from retroprop.cli.errors import CommandError, listed, near_match
from retroprop.cli.table import DataTable

MOST_CATEGORIES = 50
_FEW_ROWS = 10  # in a longer table, a text column that differs in every row holds identifiers, not categories


@dataclass(frozen=True, kw_only=True)
class Preprocessing:
    """The map from features to inputs.

    Attributes
    ----------
    feature_names : tuple of str
        The columns, in order.
    named : bool
        Whether the names come from the data; otherwise they are positions.
    categories : dict of str to tuple of str
        The texts of every text column; each text becomes an input of 0 and 1.
    mean, scale : tuple of float
        Mean and standard deviation of every input; the scale of a constant input is 1.
    """

    feature_names: tuple[str, ...]
    named: bool
    categories: dict[str, tuple[str, ...]]
    mean: tuple[float, ...]
    scale: tuple[float, ...]

    @classmethod
    def fit(cls, table: DataTable, rows: NDArray[np.intp]) -> Self:
        """Estimate the preprocessing from the given rows of a table.

        Raises
        ------
        CommandError
            For a text column with too many different texts, and for numbers too large to be standardised.
        """
        for name, texts in table.categories.items():
            if len(texts) > MOST_CATEGORIES or len(texts) == table.n_rows > _FEW_ROWS:
                raise CommandError(
                    f'{table.source}, column "{name}": {len(texts)} different texts in {table.n_rows} rows are too '
                    f'many to be categories (up to {MOST_CATEGORIES}); leave it out with --drop "{name}".'
                )
        encoded = _encode(table.x[rows], table.feature_names, table.categories)
        with np.errstate(over="ignore", invalid="ignore"):
            mean = encoded.mean(axis=0)
            # The computed deviation of a constant column is rounding error: dividing by it would amplify that error.
            constant = np.ptp(encoded, axis=0) == 0.0
            spread = np.where(constant, 0.0, encoded.std(axis=0))
        constant |= spread <= 10.0 * np.finfo(np.float64).eps * np.abs(mean)
        if not np.isfinite(spread).all():
            at = int(np.argmin(np.isfinite(spread)))
            name = _encoded_names(table.feature_names, table.categories)[at]
            raise CommandError(
                f'{table.source}, column "{name}": numbers up to {np.abs(encoded[:, at]).max():g} are too large.'
            )
        return cls(
            feature_names=table.feature_names,
            named=table.named,
            categories=dict(table.categories),
            mean=tuple(mean.tolist()),
            scale=tuple(np.where(constant, 1.0, spread).tolist()),
        )

    def __call__(self, table: DataTable) -> NDArray[np.float64]:
        """Return the inputs, float64 (m, n_1), of a table with the same columns in any order.

        Raises
        ------
        CommandError
            If columns are missing or unknown, or a text did not occur in training.
        """
        x = self._aligned(table)
        encoded = _encode(x, self.feature_names, self.categories)
        inputs: NDArray[np.float64] = (encoded - np.asarray(self.mean)) / np.asarray(self.scale)
        return inputs

    def _aligned(self, table: DataTable) -> NDArray[np.float64]:
        """Return the features of `table` in the order of the training, texts as indices of its categories."""
        if not (self.named and table.named):
            if len(table.feature_names) != len(self.feature_names):
                raise CommandError(
                    f"{table.source} has {len(table.feature_names)} feature columns, and the model was trained on "
                    f"{len(self.feature_names)}. (--drop leaves a column out.)"
                )
            names = table.feature_names
        else:
            self._check_names(table)
            names = self.feature_names
        position = {name: i for i, name in enumerate(table.feature_names)}
        x = table.x[:, [position[name] for name in names]]
        for i, (own, name) in enumerate(zip(self.feature_names, names, strict=True)):
            known, given = self.categories.get(own), table.categories.get(name)
            if known is not None:
                x[:, i] = _recode(table, x[:, i], name, given, known)
            elif given is not None:
                raise CommandError(
                    f'{table.source}, {table.place(0)}, column "{name}": "{given[int(x[0, i])]}" is not a number; '
                    f"in training this column held numbers."
                )
        return x

    def _check_names(self, table: DataTable) -> None:
        missing = [name for name in self.feature_names if name not in table.feature_names]
        extra = [name for name in table.feature_names if name not in self.feature_names]
        faults = []
        if missing:
            near = near_match(missing[0], extra) if extra else ""
            faults.append(f"missing: {listed(missing)}.{near}")
        if extra:
            faults.append(f"not known to the model: {listed(extra)} (leave them out with --drop).")
        if faults:
            raise CommandError(
                f"the columns of {table.source} are not those the model was trained on; {' '.join(faults)}"
            )

    def to_plain(self) -> dict[str, Any]:
        """Return the preprocessing as a dict that JSON can hold, the argument of `from_plain`."""
        return {
            "feature_names": list(self.feature_names),
            "named": self.named,
            "categories": {name: list(texts) for name, texts in self.categories.items()},
            "mean": list(self.mean),
            "scale": list(self.scale),
        }

    @classmethod
    def from_plain(cls, plain: dict[str, Any]) -> Self:
        """Rebuild the preprocessing from the dict of `to_plain`."""
        return cls(
            feature_names=tuple(plain["feature_names"]),
            named=bool(plain["named"]),
            categories={name: tuple(texts) for name, texts in plain["categories"].items()},
            mean=tuple(plain["mean"]),
            scale=tuple(plain["scale"]),
        )


def _encoded_names(names: tuple[str, ...], categories: dict[str, tuple[str, ...]]) -> list[str]:
    return [name for name in names for _ in categories.get(name, ("",))]


def _encode(
    x: NDArray[np.float64], names: tuple[str, ...], categories: dict[str, tuple[str, ...]]
) -> NDArray[np.float64]:
    """Return x with every text column one-hot encoded: a column of 0 and 1 per category."""
    if not categories:
        return x
    blocks = [
        (x[:, i, None] == np.arange(len(categories[name]))).astype(np.float64) if name in categories else x[:, i, None]
        for i, name in enumerate(names)
    ]
    return np.concatenate(blocks, axis=1)


def _recode(
    table: DataTable, column: NDArray[np.float64], name: str, given: tuple[str, ...] | None, known: tuple[str, ...]
) -> NDArray[np.float64]:
    """Return a text column as indices of the categories of the training."""
    if given is None:
        raise CommandError(
            f'{table.source}, {table.place(0)}, column "{name}": {column[0]:g} is a number; in training this '
            f"column held text: {listed(known)}."
        )
    position = {text: i for i, text in enumerate(known)}
    positions = np.asarray([position.get(text, -1) for text in given], dtype=np.float64)
    recoded = positions[column.astype(np.intp)]
    if (recoded < 0).any():
        row = int(np.argmax(recoded < 0))
        text = given[int(column[row])]
        raise CommandError(
            f'{table.source}, {table.place(row)}, column "{name}": "{text}" did not occur in training.'
            f"{near_match(text, known)} Known: {listed(known)}."
        )
    return recoded
