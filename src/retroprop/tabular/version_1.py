"""Model cards of version 1, which `retroprop train` wrote before there was a schema, as cards of version 2."""

from typing import Any

import numpy as np

from retroprop.tabular.column_inputs import CategoryInputs, NumberInputs
from retroprop.tabular.columns import Column
from retroprop.tabular.raw import Layout
from retroprop.tabular.schema import Schema
from retroprop.tabular.standardisation import Standardisation
from retroprop.tabular.targets import TargetColumn


def upgraded(plain: dict[str, Any]) -> dict[str, Any]:
    """Return the dict of a card of version 2 that predicts as the card of version 1 did; missing values are refused."""
    own, given = plain["preprocessing"], plain["target"]
    categories = {name: tuple(texts) for name, texts in own["categories"].items()}
    at, inputs, columns = 0, [], []
    for name in own["feature_names"]:
        texts = categories.get(name)
        mean, scale = own["mean"][at], own["scale"][at]
        if texts is None:
            inputs.append(NumberInputs(name=name, fill=mean, indicator=False).to_plain())
            # Version 1 read the texts true and false as the numbers 1 and 0.
            flag = 0.0 < mean < 1.0 and bool(np.isclose(scale, (mean * (1.0 - mean)) ** 0.5, rtol=1e-9))
            columns.append(
                Column(name=name, kind="boolean", categories=("false", "true"))
                if flag
                else Column(name=name, kind="number")
            )
        else:
            kept = tuple(range(len(texts)))
            inputs.append(CategoryInputs(name=name, texts=texts, kept=kept, other=False, missing=False).to_plain())
            columns.append(Column(name=name, kind="category", categories=texts))
        at += 1 if texts is None else len(texts)
    target = TargetColumn(
        name=given["name"],
        task=given["task"],
        classes=tuple(given["classes"]),
        unit=Standardisation(unit=(1.0,), mean=(given["mean"],), scale=(given["scale"],)),
    )
    texts = tuple(label for label in target.classes if isinstance(label, str))
    columns.append(
        Column(name=target.name, kind="category", categories=texts)
        if texts
        else Column(name=target.name, kind="number", labels="number")
    )
    names = [*own["feature_names"], *plain["dropped"], target.name]
    if not own["named"] and all(name.isdecimal() for name in names):
        names.sort(key=int)  # the names are positions in the training file
    suffix = str(plain["data"]).lower().rpartition(".")[2]
    layout = Layout(
        format={"parquet": "parquet", "npy": "npy", "npz": "npz"}.get(suffix, "text"),
        header=own["named"],
        names=tuple(names) if own["named"] else (),
        width=len(names),
        features=plain["features"],
        target=target.name if suffix == "npz" else None,
    )
    schema = Schema(
        columns=tuple(columns),
        target=target.name,
        named=own["named"],
        names=tuple(names),
        dropped=tuple(plain["dropped"]),
        layout=layout,
    )
    scaling = Standardisation(
        unit=(1.0,) * len(own["mean"]), mean=tuple(own["mean"]), scale=tuple(map(float, own["scale"]))
    )
    return {
        "version": 2,
        "data": plain["data"],
        "schema": schema.to_plain(),
        "preprocessing": {"columns": inputs, "standardisation": scaling.to_plain()},
        "target": target.to_plain(),
        "missing": "refuse",
        "report": None,
    }
