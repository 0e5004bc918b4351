"""Reading the real data sets that scikit-learn bundles."""

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
    datasets = need("sklearn.datasets", extra="sklearn", purpose=f'the bundled data set "{name}"')
    data = getattr(datasets, f"load_{name}")()
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
