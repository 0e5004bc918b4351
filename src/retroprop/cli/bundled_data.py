"""Reading the real data sets that scikit-learn bundles."""

from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from retroprop.cli.errors import CommandError, need
from retroprop.cli.table import DataTable, Selection, find_column


def read_bundled(name: str, selection: Selection) -> DataTable:
    """Read one of the data sets of `retroprop.cli.data_sources.BUNDLED`; nothing is downloaded.

    Raises
    ------
    CommandError
        If scikit-learn is missing, or `selection` names a target other than the data set's own.
    """
    data = (_digits() if name == "digits" else None) or _loaded(name)
    if selection.target_needed and selection.target not in (None, "target"):
        raise CommandError(f'--target "{selection.target}": {name} has its own target; leave --target out.')
    names = [str(feature) for feature in data.feature_names]
    dropped = {find_column(given, names, option="--drop", source=name) for given in selection.drop}
    kept = [i for i in range(len(names)) if i not in dropped]
    y = np.asarray(data.target)
    # Classes are written as their names (setosa, malignant); the targets of digits and diabetes are numbers.
    classes = np.asarray(getattr(data, "target_names", np.arange(10)))
    return DataTable(
        source=name,
        x=np.asarray(data.data, dtype=np.float64)[:, kept],
        feature_names=tuple(names[i] for i in kept),
        named=True,
        y=classes[y] if classes.dtype.kind == "U" else y.astype(np.float64),
        target_name="target",
        dropped=tuple(names[i] for i in sorted(dropped)),
    )


def _loaded(name: str) -> Any:
    datasets = need("sklearn.datasets", extra="sklearn", purpose=f'the bundled data set "{name}"')
    return getattr(datasets, f"load_{name}")()


def _digits() -> SimpleNamespace | None:
    """Return the digits from scikit-learn's file: to import scikit-learn takes longer than to train on them."""
    found = find_spec("sklearn")
    files = [
        Path(folder, "datasets", "data", "digits.csv.gz")
        for folder in (found and found.submodule_search_locations) or ()
    ]
    for file in filter(Path.is_file, files):
        table = np.loadtxt(file, delimiter=",")
        names = [f"pixel_{row}_{column}" for row in range(8) for column in range(8)]
        return SimpleNamespace(data=table[:, :-1], target=table[:, -1].astype(int), feature_names=names)
    return None
