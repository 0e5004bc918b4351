"""Reading the real data sets that scikit-learn brings; nothing is downloaded."""

from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from retroprop.tabular.cells import Cells
from retroprop.tabular.errors import need
from retroprop.tabular.raw import Layout, RawTable


def read_built_in(name: str) -> RawTable:
    """Read one of the data sets of `retroprop.tabular.files.BUILT_IN`; its target is the column "target".

    Raises
    ------
    DataError
        If scikit-learn is missing.
    """
    data = (_digits() if name == "digits" else None) or _loaded(name)
    names = [str(feature) for feature in data.feature_names]
    x = np.asarray(data.data, dtype=np.float64, order="F")
    y = np.asarray(data.target)
    # Classes are written as their names (setosa, malignant); the targets of digits and diabetes are numbers.
    classes = np.asarray(getattr(data, "target_names", np.arange(10)))
    columns = {feature: Cells(x[:, i]) for i, feature in enumerate(names)}
    columns["target"] = Cells(classes[y] if classes.dtype.kind == "U" else y)
    return RawTable(
        source=name,
        columns=columns,
        n_rows=len(x),
        named=True,
        layout=Layout(format="built-in", names=tuple(columns), width=len(columns)),
        target="target",
    )


def _loaded(name: str) -> Any:
    datasets = need("sklearn.datasets", extra="sklearn", purpose=f'the data set "{name}"')
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
