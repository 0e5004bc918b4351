"""Reading a table from a file, standard input, a data set, a frame or arrays."""

from typing import Any

from retroprop.tabular.errors import DataError
from retroprop.tabular.files import BUILT_IN, open_source
from retroprop.tabular.host_data import on_host
from retroprop.tabular.raw import Layout, RawTable


def read(
    source: Any,
    *,
    layout: Layout | None = None,
    header: bool | None = None,
    separator: str | None = None,
    encoding: str | None = None,
    features: str | None = None,
    target: str | None = None,
    max_bytes: int | None = None,
) -> RawTable:
    """Read a table; no column has a type yet.

    Parameters
    ----------
    source : str, path, pandas or polars frame, NumPy array or dict of arrays
        The path of a text file (separated by commas, semicolons, tabs, vertical bars or white space, perhaps
        compressed with gzip), of a .parquet, .npz or .npy file, "-" for standard input, or the name of a data set that
        scikit-learn brings (iris, digits, wine, breast_cancer, diabetes).
    layout : Layout or None
        The layout of the training file: a later file is read in the same way.
    header, separator, encoding
        Of a text file: whether its first row holds names, its separator, its encoding. None finds them.
    features, target : str or None
        The arrays of an .npz file.
    max_bytes : int or None
        The most memory that the table may take; None is a quarter of the memory, at most 4 GiB.

    Raises
    ------
    DataError
        If there is no such data or they have a fault: one line.
    """
    text_only = {"header": header, "separator": separator, "encoding": encoding}
    arrays_only = {"features": features}
    if isinstance(source, str) and source in BUILT_IN:
        from retroprop.tabular.built_in import read_built_in

        _refuse_options(source, "a text file", text_only)
        _refuse_options(source, "an .npz file", arrays_only)
        return read_built_in(source)
    if not isinstance(source, str) and not hasattr(source, "__fspath__"):
        from retroprop.tabular.frames import read_frame

        _refuse_options("the data", "a text file", text_only)
        return read_frame(on_host(source), layout=layout, features=features, target=target)
    file = open_source(str(source), max_bytes)
    if file.format != "text":
        _refuse_options(file.source, "a text file", text_only)
    if file.format in ("npy", "npz"):
        from retroprop.tabular.arrays import read_arrays

        return read_arrays(file, layout=layout, features=features, target=target, max_bytes=max_bytes)
    _refuse_options(file.source, "an .npz file", arrays_only)
    if file.format == "parquet":
        from retroprop.tabular.parquet import read_parquet

        return read_parquet(file, max_bytes=max_bytes)
    from retroprop.tabular.text_files import TextOptions, read_text

    return read_text(file, TextOptions(header=header, separator=separator, encoding=encoding), layout)


def _refuse_options(source: str, kind: str, options: dict[str, Any]) -> None:
    for name, value in options.items():
        if value is not None:
            raise DataError(f"{name}=... is an option of {kind}; {source} is not one.")
