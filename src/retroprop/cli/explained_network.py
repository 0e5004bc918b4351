"""The network and the observations of `retroprop explain`, as the user types them."""

import math
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import retroprop as rp
from retroprop.cli.check import random_targets
from retroprop.cli.error_handling import note
from retroprop.cli.errors import CommandError
from retroprop.cli.network_options import choices, names_of
from retroprop.cli.predict import check_model
from retroprop.persistence import TABULAR_KEY, load_with_metadata
from retroprop.tabular.files import BUILT_IN

LARGEST = 10_000_000  # parameters of a network that is computed


@dataclass(frozen=True, kw_only=True)
class NetworkChoice:
    """The options that choose a network; None where the user gave none."""

    sizes: str | None
    model: Path | None
    hidden: str | None
    output: str | None
    loss: str | None
    bias: bool
    seed: int


def layer_sizes_of(given: str) -> list[int]:
    """Return "2-3-2" as [2, 3, 2].

    Raises
    ------
    CommandError
        If it is not two or more whole numbers of 1 or above, joined by hyphens.
    """
    parts = [part.strip() for part in given.split("-")]
    if len(parts) < 2 or not all(part.isdecimal() and part.isascii() and int(part) > 0 for part in parts):
        raise CommandError(
            f'NETWORK "{given}": give the neurons of each layer, inputs first, two layers or more, as 2-3-2; a '
            f".safetensors file; or data: {choices(BUILT_IN)}."
        )
    return list(map(int, parts))


def output_of(choice: NetworkChoice) -> tuple[str, str]:
    """Return the names of the output activation and the loss: squared_error with a sigmoid, or the loss's own."""
    loss = choice.loss or "squared_error"
    own = "sigmoid" if loss == "squared_error" else rp.losses.get(loss).link or "identity"
    return choice.output or own, loss


def network_of(choice: NetworkChoice) -> rp.Network:
    """Build the network that the options describe, or load the model.

    Raises
    ------
    CommandError, ModelFileError, ValueError, TypeError
        For options that describe none, for one too large to compute, and for a file that is no model.
    """
    if choice.model is not None:
        return _loaded(choice.model, choice)
    if choice.sizes is None:
        raise CommandError("give the layer sizes, as retroprop explain 2-2-2, or a saved network by --model.")
    sizes = layer_sizes_of(choice.sizes)
    weights = sum(n_in * n_out for n_in, n_out in pairwise(sizes))
    if weights > LARGEST:
        raise CommandError(
            f'NETWORK "{choice.sizes}" has {weights:,} weights, and up to {LARGEST:,} are computed; --count counts the '
            "terms of a network of any size."
        )
    output, loss = output_of(choice)
    names = names_of(choice.hidden or "sigmoid", len(sizes) - 2, option="--hidden")
    given: dict[str, Any] = {"hidden": names, "output": output, "loss": loss}
    return rp.Network(sizes, bias=choice.bias, seed=choice.seed, dtype="float64", **given)


def _loaded(path: Path, choice: NetworkChoice) -> rp.Network:
    given = {"NETWORK": choice.sizes, "--hidden": choice.hidden, "--output": choice.output, "--loss": choice.loss}
    named = [option for option, value in given.items() if value is not None] + ["--no-bias"] * (not choice.bias)
    if named:
        raise CommandError(f"--model has its own architecture: leave {', '.join(named)} out.")
    check_model(path)
    net, metadata = load_with_metadata(path)
    if TABULAR_KEY not in metadata:
        return net  # a network saved in Python: its inputs are what its user gives it
    note(
        f'"{path}" was trained by retroprop train: x and y are in the network\'s own space, the columns encoded and '
        "scaled, not as they stand in the data.",
        quiet=False,
    )
    return net


def observations(net: rp.Network, x: str | None, y: str | None, seed: int) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return x and y: those typed, else drawn by the seed.

    Raises
    ------
    CommandError
        If they are no numbers, or do not fit the network or each other.
    """
    rng = np.random.default_rng(seed)
    n_in, n_out = net.layer_sizes[0], net.layer_sizes[-1]
    loss, f = net.architecture.output.loss, net.architecture.output.activation
    given_x = None if x is None else _rows(x, "--x", n_in, "inputs")
    given_y = None if y is None else _targets(y, n_out, indices=loss.takes_indices)
    m = len(given_x) if given_x is not None else 1 if given_y is None else len(given_y)
    if given_y is not None and len(given_y) != m:
        raise CommandError(f"--x has {_counted(m, 'observation')} and --y {len(given_y)}: give as many of each.")
    drawn_x = np.round(rng.standard_normal((m, n_in)), 2)
    if f.range == (0.0, 1.0) and not loss.takes_indices:
        drawn_y: NDArray[Any] = rng.integers(0, 2, (m, n_out)).astype(np.float64)
    else:
        drawn_y = np.round(random_targets(loss, m, n_out, rng), 2)
    return drawn_x if given_x is None else given_x, drawn_y if given_y is None else given_y


def typed(array: NDArray[Any]) -> str:
    """Return observations as `--x` and `--y` take them."""
    rows = array if array.ndim == 2 else array[:, None]
    return ";".join(",".join(str(int(v)) if v == int(v) else str(v) for v in row.tolist()) for row in rows)


def _counted(n: int, thing: str) -> str:
    return f"{n} {thing}{'s' * (n != 1)}"


def _rows(given: str, option: str, width: int, things: str) -> NDArray[np.float64]:
    rows = _numbers(given, option)
    for i, row in enumerate(rows, start=1):
        if len(row) != width:
            which = f"observation {i}" if len(rows) > 1 else "it"
            raise CommandError(
                f'{option} "{given}": {which} has {_counted(len(row), "number")}, and the network has '
                f"{width} {things[: None if width != 1 else -1]}."
            )
    return np.asarray(rows, dtype=np.float64)


def _targets(given: str, n_out: int, *, indices: bool) -> NDArray[Any]:
    """Return target rows; with one number each for a loss that takes them, the indices of classes, from 0."""
    rows = _numbers(given, "--y")
    if not indices or n_out == 1 or any(len(row) != 1 for row in rows):
        return _rows(given, "--y", n_out, "outputs")
    classes = [row[0] for row in rows]
    for one in classes:
        if one != int(one) or not 0 <= one < n_out:
            raise CommandError(
                f'--y "{given}": a class is a whole number from 0 to {n_out - 1}, and "{one:g}" is none; or give '
                f"{n_out} numbers for each observation."
            )
    return np.asarray(classes, dtype=np.int64)


def _numbers(given: str, option: str) -> list[list[float]]:
    rows = []
    for text in given.split(";"):
        row = []
        for part in text.split(","):
            try:
                row.append(float(part))
            except ValueError:
                row.append(math.nan)
            if not math.isfinite(row[-1]):
                raise CommandError(
                    f'{option} "{given}": finite numbers, separated by commas, observations by semicolons, as '
                    f'"1,0.5;0,1"; "{part.strip()}" is not one.'
                )
        rows.append(row)
    return rows
