"""`save_onnx`: a network, an estimator or the model of a table as one ONNX file."""

import os
from typing import Any

from retroprop.interop.onnx_estimators import estimator_graph
from retroprop.interop.onnx_network import network_graph
from retroprop.interop.onnx_tables import table_graph
from retroprop.network import Network
from retroprop.persistence.files import write_whole
from retroprop.tabular.model import TabularModel


def save_onnx(model: Any, path: str | os.PathLike[str]) -> None:
    """Write a model to an ONNX file, which any ONNX runtime computes without Python and without retroprop.

    The graph is the recorded forward propagation of the network, operation by operation, and the number of rows is
    free. The file is of opset 18 (IR version 8), checked by ONNX's checker, and written completely or not at all.

    Parameters
    ----------
    model : Network, MLPClassifier, MLPRegressor, an ensemble of them, or TabularModel
        A network has the input `x` (m, n_1) and the output `a` (m, n_L), in its dtype; one of K with a model axis has
        `a` (K, m, n_L). A classifier has the input `X`, and the outputs `label` and `probabilities` (several columns of
        classes: `label_0`, `probabilities_0`, ...); a regressor has `prediction`. An ensemble has those of one of its
        members, of the members' mean. The model of a table, also one with members, has one input (m, 1) for each column
        that it uses, raw: float64 for numbers (NaN is missing), text for categories and booleans (anything that
        training did not know is missing), and seconds since 1970 as float64 for dates (NaN is missing); and the outputs
        `label` and `probabilities`, or `prediction`.
    path : path
        The file; an existing file is replaced.

    Raises
    ------
    ExportError
        If a part of it has no ONNX form, such as a custom activation that calls a function that cannot be recorded; the
        message names the function and the operation.
    ImportError
        If onnx is not installed.
    OSError
        If the file cannot be written.
    TypeError
        If `model` is no such model.
    """
    write_whole(path, onnx_bytes(model))


def onnx_bytes(model: Any) -> bytes:
    """Return the content of the file that `save_onnx` writes; the errors are the same."""
    if isinstance(model, Network):
        return network_graph(model).to_bytes()
    if isinstance(model, TabularModel):
        return table_graph(model).to_bytes()
    members = getattr(model, "networks_", None) if hasattr(model, "estimators_") else None
    own = getattr(model, "network_", None) if hasattr(model, "coefs_") else None
    if isinstance(own or (members and members[0]), Network):
        return estimator_graph(model).to_bytes()
    raise TypeError(
        "model must be a Network, a fitted MLPClassifier or MLPRegressor of retroprop, a fitted ensemble of them, or a "
        f"model of retroprop.tabular, not {type(model).__name__}."
    )
