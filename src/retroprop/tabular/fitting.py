"""`retroprop.tabular.fit`: from a raw table to a model that predicts raw rows."""

from collections.abc import Sequence
from typing import Any

from retroprop.tabular.card import columns_of, reading_options
from retroprop.tabular.model import TabularModel
from retroprop.tabular.pipeline import fitted, prepared
from retroprop.tabular.reading import read
from retroprop.tabular.schema import find_schema
from retroprop.tabular.training import check
from retroprop.tabular.training_options import TrainingOptions
from retroprop.training.parallel import checked
from retroprop.training.share import ready


def fit(
    data: Any,
    *,
    target: str | int | None = None,
    features: str | None = None,
    drop: Sequence[str | int] = (),
    categorical: Sequence[str | int] = (),
    numeric: Sequence[str | int] = (),
    header: bool | None = None,
    separator: str | None = None,
    encoding: str | None = None,
    decimal: str | None = None,
    max_memory: float | None = None,
    missing: str = "fill",
    validation: Any = None,
    task: str | None = None,
    hidden: Any = (100,),
    activation: Any = "relu",
    loss: str | None = None,
    optimizer: str = "adam",
    learning_rate: float | None = None,
    schedule: str | None = None,
    epochs: int | None = None,
    batch_size: int | None = None,
    dropout: float = 0.0,
    l2: float = 1e-3,
    l1: float = 0.0,
    initializer: str = "glorot_uniform",
    clip_norm: float | None = None,
    class_weight: Any = None,
    early_stopping: bool = False,
    patience: int | None = None,
    test_size: float = 0.2,
    seed: int = 0,
    dtype: str = "float32",
    backend: Any = None,
    progress: bool = False,
    checkpoint: Any = None,
    ensemble: int | None = None,
    search: bool = False,
    parallel: Any = None,
) -> TabularModel:
    """Train a network on a raw table, evaluate it on rows held out, and return the whole model.

    `retroprop train` is one call of it; each of its options is the argument of the same name.

    Parameters
    ----------
    data : path, frame, array or dict of arrays
        A .csv, .tsv, .txt, .data, .parquet, .npz or .npy file (also .csv.gz, or "-" for standard input), a pandas or
        polars frame, a 2-D array, a dict of arrays, or the name of a built-in data set.
    target : str or int
        The column to learn, by name or position (.npy: the last by default; .npz: the array y).
    features : str, optional
        The array of an .npz file with the features.
    drop : sequence of str or int
        Columns to leave out, by name or position.
    categorical, numeric : sequence of str or int
        Columns to read as categories, or as numbers, whatever they look like.
    header : bool, optional
        Whether the first line of a text file holds names; found out by default.
    separator, encoding : str, optional
        Of a text file; found out by default.
    decimal : str, optional
        The decimal mark, "." or ",", where numbers such as 1,234 could be read in two ways.
    max_memory : float, optional
        The most memory in GiB that the data may take; by default a quarter of the machine's, at most 4 GiB.
    missing : str
        "fill": missing numbers are the median of the training rows, with an input that says so, and missing categories
        a category of their own; rows without the target are left out. "refuse": a missing value is an error.
    validation : path or frame, optional
        Rows with the same columns, evaluated after each epoch, also for early stopping.
    task : str, optional
        "classification" or "regression". By default texts and booleans are classes, and whole numbers where there are
        at most 20 different ones and at most one for every 3 rows.
    hidden : sequence of int
        Sizes of the hidden layers.
    activation : str or sequence of str
        Of the hidden layers: one for all, or one for each.
    loss : str, optional
        By default "cross_entropy" for classes, "squared_error" for numbers.
    optimizer : str
        One of `retroprop.optimizers.OPTIMIZERS`.
    learning_rate : float, optional
        By default the optimizer's own, with the cosine three times that.
    schedule : str, optional
        "cosine", where the learning rate falls to 0 (the default), or "constant".
    epochs : int, optional
        By default 60, or until 1000 updates are made.
    batch_size : int, optional
        By default near 1/50 of the rows, 16 to 512; for lbfgs all.
    dropout : float
        The fraction of the hidden neurons masked at each step.
    l2, l1 : float
        The weights of the penalties.
    initializer : str
        The distribution of the initial parameters.
    clip_norm : float, optional
        The largest norm of the gradient.
    class_weight : str or dict, optional
        "balanced": every class has the same weight in the cost; or {label: weight}.
    early_stopping : bool
        Whether 15 % of the rows (or the `validation` data) are watched, and training stops when their cost no longer
        improves.
    patience : int, optional
        Epochs without improvement before it stops (10); implies `early_stopping`.
    test_size : float
        The fraction of the rows held out to test the model.
    seed : int
        Draws the split, the parameters, the batches and the masks.
    dtype : str
        "float32" or "float64".
    backend : str, Backend or None
        Where to compute; see `retroprop.get_backend`.
    progress : bool
        Whether a bar is shown.
    checkpoint : Checkpoint, optional
        Checkpoints of the training, from which a call with the same arguments goes on bit for bit.
    ensemble : int, optional
        The number of networks that are trained together, each with its own seed. Their mean is the prediction, and the
        standard deviation over them its uncertainty, `Predictions.std`.
    search : bool
        Whether hidden layers, l2, dropout and learning rate are chosen by cross-validation on the training rows, those
        of them that have their default values. `report.numbers["search"]` has the candidates.
    parallel : Parallel, optional
        The engine that connects the processes that share the training, as `retroprop.scale.MPI()`: each reads the whole
        table, and has the same model. The networks of an ensemble and of a search are divided among them.

    Returns
    -------
    TabularModel

    Raises
    ------
    DataError, ValueError, TypeError
        For bad data or options, before any training; the message names the line and column.
    DivergenceError
        If the training diverges; after the first epoch its `model` is the TabularModel with the last good parameters.

    Notes
    -----
    Ctrl-C ends the training with the parameters as they stand; `report.numbers["stop_reason"]` is then "interrupted".
    With checkpoints SIGTERM and SIGUSR1 do so too, and it is "terminated".
    """
    options = TrainingOptions(
        task=task,
        hidden=(hidden,) if isinstance(hidden, int) else tuple(hidden),
        activation=activation,
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
        missing=missing,
        seed=seed,
        dtype=dtype,
        backend=backend,
        progress=progress,
        checkpoint=checkpoint,
        ensemble=ensemble,
        search=search,
        parallel=parallel,
    )
    engine = checked(parallel)
    # A file that one rank cannot read, or that another reads otherwise, ends all before they train.
    with ready(engine) as job:
        options.check()
        if engine is not None and engine.shard:
            raise ValueError("parallel of a table does not go with shard=True: every rank reads the whole table.")
        form = reading_options(header=header, separator=separator, encoding=encoding, max_memory=max_memory)
        target = None if target is None else str(target)
        raw = read(data, features=features, target=target, **form)
        schema = find_schema(
            raw,
            target=target,
            drop=columns_of(drop, raw.columns),
            categorical=columns_of(categorical, raw.columns),
            numeric=columns_of(numeric, raw.columns),
            decimal=decimal,
        )
        if job is not None:
            job.compare({"the table": repr(schema)})
        table = prepared(options, raw, schema, validation, max_memory)
        if job is not None:
            check(options, table.card.target, *table.inputs["training"])
    return fitted(options, table)
