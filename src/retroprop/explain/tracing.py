"""A trace: every number of a network at a batch, as tables, pandas, JSON and HTML."""

from typing import Any

import numpy as np

from retroprop.core.backward import backward
from retroprop.core.forward import forward
from retroprop.explain.document import Block
from retroprop.explain.pass_numbers import PassNumbers
from retroprop.explain.shown import Shown
from retroprop.explain.trace_tables import tables
from retroprop.functions.outputs import ProjectedOutput
from retroprop.network import Network
from retroprop.one_network import require_one_network


class NetworkTrace(PassNumbers, Shown):
    """Every number of a network at one batch; see `trace`, and `PassNumbers` for the arrays."""

    @property
    def blocks(self) -> tuple[Block, ...]:
        """The tables, shortened for a large network, with the number of rows left out."""
        return tables(self)

    def to_dict(self) -> dict[str, Any]:
        """Return the sizes, the functions and every number by its name, as Python's own types; floats are exact."""
        return {
            "layer_sizes": list(self.layer_sizes),
            "activations": [f.name for f in self.architecture.activations],
            "loss": self.architecture.output.loss.name,
            "dtype": str(self.x.dtype),
            "observations": self.m,
            "values": {entry.name: float(entry.value) for entry in self.entries()},
        }

    def to_json(self, *, indent: int | None = None) -> str:
        """Return `to_dict` as JSON, from which every number is read back exactly.

        JSON has no NaN and no infinity: they are the texts "NaN", "Infinity" and "-Infinity".
        """
        import json

        plain = self.to_dict()
        plain["values"] = {name: _json_number(value) for name, value in plain["values"].items()}
        return json.dumps(plain, indent=indent, allow_nan=False)

    def to_pandas(self) -> Any:
        """Return a DataFrame, a number a row: name, kind, layer, to (its neuron), from, observation, value.

        Raises
        ------
        ImportError
            If pandas is not installed.
        """
        try:
            import pandas as pd
        except ImportError as error:
            raise ImportError("to_pandas needs pandas, which is not installed: pip install pandas") from error
        rows = []
        for name, kind, quantity, value in self.entries():
            to, from_ = (*quantity.neurons, None, None)[:2]
            rows.append((name, kind, quantity.layer, to, from_, quantity.row, value))
        columns = ["name", "kind", "layer", "to", "from", "observation", "value"]
        whole = dict.fromkeys(("layer", "to", "from", "observation"), "Int64")
        return pd.DataFrame(rows, columns=columns).astype(whole | {"value": str(self.x.dtype)})


def trace(net: Network, x: Any, y: Any, sample_weight: Any = None) -> NetworkTrace:
    """Return every z, a, f′, δ and partial derivative of a network at a batch, by the source text's names.

    They are computed in the network's dtype, on its backend and by its own functions, without dropout, as
    `Network.gradient` does.

    Parameters
    ----------
    net : Network
        Without model axes.
    x, y, sample_weight
        As for `Network.gradient`.

    Returns
    -------
    NetworkTrace
        It prints as tables, and has `to_dict`, `to_json` and `to_pandas`.

    Raises
    ------
    TypeError, ValueError
        For data that do not fit, and for several networks in one.
    """
    require_one_network(net, "trace")
    batch = net.batch(x, y, sample_weight, check=True)
    if batch.x.ndim != 2:
        raise ValueError(f"x must have two axes, one observation a row, not the shape {tuple(batch.x.shape)}.")
    backend, architecture, xp = net.backend, net.architecture, net.backend.xp
    operations, m = backend.operations(), batch.x.shape[-2]
    with backend.active():
        passed = forward(operations, architecture, net.parameters, batch.x, keep_z=True)
        found = backward(operations, architecture, net.parameters, passed, batch.y, batch.weight, wrt_input=True)
        z, a, output = passed.z, passed.a, architecture.output
        y_rows = operations.one_hot(batch.y, a[-1]) if xp.isdtype(batch.y.dtype, "integral") else batch.y
        total = operations.total(batch.weight, m)
        share = (xp.ones_like(a[0][:, 0]) if batch.weight is None else batch.weight) / total
        # J = Σ_o y_o a_o has the derivatives y; every other output has a loss
        to_output = y_rows if isinstance(output, ProjectedOutput) else output.loss.derivative(a[-1], y_rows, xp)
        slopes = [
            f.derivative(z[l], a[l], xp) if f.elementwise else None
            for l, f in enumerate(architecture.activations, start=1)
        ]
        to_output = to_output * share[:, None]

    def host(array: Any) -> Any:
        return None if array is None else backend.to_numpy(array)

    return NetworkTrace(
        architecture=architecture,
        x=host(batch.x),
        y=host(y_rows),
        share=host(share),
        thetas=list(map(host, net.parameters.thetas)),
        biases=list(map(host, net.parameters.biases)),
        z=list(map(host, z)),
        a=list(map(host, a)),
        slopes=[None, *map(host, slopes)],
        output_slopes=host(to_output),
        deltas=list(map(host, found.deltas)),
        gradient_thetas=list(map(host, found.thetas)),
        gradient_biases=list(map(host, found.biases)),
        gradient_x=host(found.x),
        cost=host(found.cost)[()],
    )


def _json_number(value: float) -> float | str:
    if np.isfinite(value):
        return value
    return "NaN" if np.isnan(value) else "Infinity" if value > 0 else "-Infinity"
