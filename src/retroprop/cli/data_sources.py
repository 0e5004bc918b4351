"""Reading DATA of the command line: a bundled data set by its name, or a file by its suffix."""

from pathlib import Path

from retroprop.cli.errors import CommandError, listed, near_match
from retroprop.cli.table import DataTable, Selection, check_table

BUNDLED = ("digits", "iris", "wine", "breast_cancer", "diabetes")
SUFFIXES = (".csv", ".tsv", ".parquet", ".npz", ".npy")


def read_table(source: str, selection: Selection) -> DataTable:
    """Read the data set or file that `source` names.

    Parameters
    ----------
    source : str
        One of `BUNDLED` (scikit-learn's real data sets), or the path of a .csv, .tsv, .parquet, .npz or .npy file.
    selection : Selection
        Its target, and the columns to leave out.

    Raises
    ------
    CommandError
        If there is no such data set or file, or it has a fault; the message names the line or row, and the column.
    """
    if source in BUNDLED:
        from retroprop.cli.bundled_data import read_bundled

        return check_table(read_bundled(source, selection))
    path = Path(source)
    suffix = path.suffix.lower()
    _check_file(path, source, suffix)
    if suffix == ".parquet":
        from retroprop.cli.data_frames import read_parquet

        return check_table(read_parquet(path, source, selection))
    if suffix in (".npz", ".npy"):
        from retroprop.cli.npy_files import read_npy

        return check_table(read_npy(path, source, selection))
    from retroprop.cli.csv_files import read_csv

    return check_table(read_csv(path, source, selection))


def _check_file(path: Path, source: str, suffix: str) -> None:
    accepted = f"DATA is {listed(BUNDLED)}, or a {listed(SUFFIXES[:-1])} or {SUFFIXES[-1]} file."
    if path.is_dir():
        raise CommandError(f'"{source}" is a folder. {accepted}')
    if not path.exists():
        if not suffix:
            raise CommandError(f'no data "{source}".{near_match(source, BUNDLED)} {accepted}')
        here = path.parent
        if not here.is_dir():
            raise CommandError(f'no file "{source}": there is no folder "{here}".')
        near = near_match(path.name, (other.name for other in here.iterdir()))
        raise CommandError(f'no file "{source}".{near}')
    if suffix not in SUFFIXES:
        unknown = f"a {suffix} file" if suffix else "a file without suffix"
        raise CommandError(f'"{source}": cannot read {unknown}. {accepted}')
