"""The content of a page: the numbers that it begins with, the formulas and derivations, as plain data."""

from base64 import urlsafe_b64encode
from hashlib import sha256
from json import dumps
from typing import Any

import numpy as np

from retroprop.backends import host, host_backend
from retroprop.core.architecture import Architecture
from retroprop.core.parameters import Parameters
from retroprop.explain.document import ROLES
from retroprop.explain.formula_text import FormulaStyle, written
from retroprop.explain.naming import SYMBOLS
from retroprop.explain.page.mathml import mathml, style_of, tidied
from retroprop.explain.page.path_formulas import derivations
from retroprop.explain.page.quantity_formulas import QuantityFormulas
from retroprop.explain.page.recorded import step_of
from retroprop.functions.types import Array
from retroprop.training.optimizers import UpdateRule


def content(
    architecture: Architecture, rule: UpdateRule, parameters: Parameters, x: Array, y: Array, batch_size: int
) -> dict[str, Any]:
    """Return everything that the page shows, but its words and functions; layers are counted from 1 in the keys."""
    style, m = style_of(architecture), len(x)
    batches = batch_sizes(m, batch_size)
    found = {
        "sizes": list(architecture.layer_sizes),
        "activations": [f.name for f in architecture.activations],
        "loss": architecture.output.loss.name,
        "bias": architecture.bias,
        "optimizer": _described(rule),
        "slots": rule.slots,
        "eta": float(rule.learning_rate),
        "m": m,
        "batch_size": batch_size,
        "n_parameters": sum(leaf.size for leaf in parameters.leaves),
        "thetas": [_bits(theta) for theta in parameters.thetas],
        "biases": [_bits(bias) for bias in parameters.biases],
        "x": _bits(x),
        "y": _bits(y),
        "symbols": {letter: symbol for letter, (symbol, _) in SYMBOLS.items()} | {"eta": "η"},
        "roles": list(ROLES),
        "formulas": {rows: _formulas(architecture, rows, rule, style) for rows in batches},
        "derivations": {
            "many" if rows > 1 else "one": _derivations(architecture, rows, style) for rows in sorted(batches)
        },
    }
    # Another network, and the same one with other numbers, is another page: its states are not this one's.
    return {"id": sha256(dumps(found).encode()).hexdigest()[:12], **found}


def batch_sizes(m: int, batch_size: int) -> list[int]:
    """Return the different numbers of observations of the batches of an epoch."""
    return list(dict.fromkeys(min(batch_size, m - begin) for begin in range(0, m, batch_size)))


def numbers_of_one_state(
    architecture: Architecture, rule: UpdateRule, parameters: Parameters, x: Array, y: Array, batch_size: int
) -> Any:
    """Return the numbers of the first step, for a page that cannot compute them."""
    slots = rule.start(parameters, np.zeros_like)
    with host.quiet():
        found = step_of(architecture, rule)(
            host_backend().operations(), parameters, slots, float(rule.learning_rate), x[:batch_size], y[:batch_size]
        )
    return _plain(found)


def _formulas(architecture: Architecture, m: int, rule: UpdateRule, style: FormulaStyle) -> dict[str, str]:
    found = dict(QuantityFormulas(architecture, m, rule).all())
    mean = found.pop("mean", None)  # J = Σ_i 1/m J_i
    summed = {} if mean is None else {"mean": tidied(style.summed("i", written(mean, style)))}
    return {key: mathml(expression, style) for key, expression in found.items()} | summed


def _derivations(architecture: Architecture, m: int, style: FormulaStyle) -> dict[str, Any]:
    try:
        return dict(derivations(architecture, m, style))
    except TypeError:
        return {}  # a custom function has no formula in symbols: the recursion over δ needs none


def _bits(array: Array) -> str:
    """Return float64 numbers in C order, little-endian and in base64, as the address of a state has them too."""
    return urlsafe_b64encode(np.ascontiguousarray(array, dtype="<f8").tobytes()).decode().rstrip("=")


def _described(rule: UpdateRule) -> str:
    given = (f"{name}={value}" for name, value in vars(rule).items() if value and name != "learning_rate")
    return " ".join([rule.name, *given])


def _plain(tree: Any) -> Any:
    if isinstance(tree, tuple):
        names = getattr(tree, "_fields", None)
        return dict(zip(names, map(_plain, tree), strict=True)) if names else [_plain(part) for part in tree]
    return np.asarray(tree, dtype=np.float64).ravel().tolist()
