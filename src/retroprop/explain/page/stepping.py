"""The functions of a page as JavaScript, or the reason why the page has none."""

from collections.abc import Callable, Sequence
from pathlib import Path
from traceback import extract_tb
from typing import Any

import retroprop
from retroprop.backends import host_backend
from retroprop.backends.record.recorder import Form, record
from retroprop.core.architecture import Architecture
from retroprop.core.operations import Operations
from retroprop.explain.page.lowering import lowered
from retroprop.explain.page.recorded import functions
from retroprop.training.optimizers import UpdateRule

_OURS = str(Path(retroprop.__file__).parent)
_FAULTS = (TypeError, AttributeError, ValueError)  # of a function that is called with symbols in place of arrays


def stepping(architecture: Architecture, rule: UpdateRule, rows: Sequence[int]) -> tuple[str, dict[str, str] | None]:
    """Return the JavaScript, and None; or nothing, and the function that cannot be lowered with its operation."""
    try:
        return functions(architecture, rule, rows), None
    except _FAULTS as error:
        if (fault := _fault(architecture)) is None:
            raise  # it is none of the network's own functions
        return "", fault if fault["operation"] else {**fault, "operation": str(error)}


def _fault(architecture: Architecture) -> dict[str, str] | None:
    """Return the first function of a network that cannot be lowered by itself."""
    loss, sizes = architecture.output.loss, architecture.layer_sizes
    of_losses: list[Callable[..., Any]] = [
        lambda operations, a, y: loss.value(a, y, operations.xp),
        lambda operations, a, y: loss.derivative(a, y, operations.xp),
    ]
    tried = [(loss.name, one, (sizes[-1], sizes[-1])) for one in of_losses]
    for f, n in zip(architecture.activations, sizes[1:], strict=True):
        of_f: list[Callable[..., Any]] = [
            lambda operations, z, a, f=f: f.value(z, operations.xp),
            lambda operations, z, a, f=f: f.pull_back(a, z, a, operations.xp),
        ]
        tried += [(f.name, one, (n, n)) for one in of_f]
    for name, function, widths in tried:
        try:
            lowered(_recorded(function, widths), ("p", "q"))
        except _FAULTS as error:
            return {"name": name, "operation": _operation(error)}
    return None


def _recorded(function: Callable[[Operations, Any, Any], Any], widths: tuple[int, int]) -> Any:
    forms = tuple(Form((1, width), "float64") for width in widths)
    return record(function, host_backend().operations(), forms, ())


def _operation(error: Exception) -> str:
    """Return the user's line at which the recording ended, and the message."""
    lines = [frame.line for frame in extract_tb(error.__traceback__) if not frame.filename.startswith(_OURS)]
    own = [line for line in lines if line and "record(" not in line]
    return f"{own[-1]}: {error}" if own else str(error)
