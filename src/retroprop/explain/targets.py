"""The parameter that a derivation is about, checked against the network."""

from operator import index
from typing import Any

from retroprop.core.architecture import Architecture
from retroprop.explain.chain import Target
from retroprop.functions.names import unknown

# The arguments that name a quantity
_NEEDED = {"theta": ("layer", "to", "from_"), "bias": ("layer", "to"), "x": ("from_",)}
_SYNONYMS = {"weight": "theta", "w": "theta", "b": "bias", "input": "x"}


def target_of(architecture: Architecture, of: str, given: dict[str, int | None]) -> Target:
    """Return the target that the arguments of `derive` name.

    Raises
    ------
    TypeError
        If an argument is missing, superfluous, or no whole number.
    ValueError
        If the network has no such parameter; the message says which it has.
    """
    if of not in _NEEDED:
        raise unknown("quantity", of, _NEEDED, _SYNONYMS)
    needed = _NEEDED[of]
    missing = [name for name in needed if given[name] is None]
    allowed = (*needed, "row") if of == "x" else needed
    superfluous = [name for name, value in given.items() if value is not None and name not in allowed]
    if missing or superfluous:
        what = f"without {missing[0]}=" if missing else f"with {superfluous[0]}="
        raise TypeError(f'derive(net, "{of}") takes {", ".join(f"{name}=" for name in needed)}; it was called {what}.')
    layer, to, from_ = (0 if given[name] is None else whole(name, given[name]) for name in ("layer", "to", "from_"))
    sizes = architecture.layer_sizes
    if of == "x":
        _check("x", "inputs", from_, sizes[0], f"input {from_}")
        return Target("x", 0, 0, from_, None if given["row"] is None else whole("row", given["row"]))
    if of == "bias" and not architecture.bias:
        raise ValueError(f"the network has no biases (bias=False); it has theta of layers 1..{len(sizes) - 1}.")
    _check(of, "layers", layer, len(sizes) - 1, f"layer {layer}")
    name = f"{of} of layer {layer}"
    _check(name, f"neurons of layer {layer + 1}, to which it goes,", to, sizes[layer], f"to={to}")
    if of == "theta":
        _check(name, f"neurons of layer {layer}, from which it comes,", from_, sizes[layer - 1], f"from_={from_}")
    return Target(of, layer, to, from_)


def _check(name: str, what: str, number: int, largest: int, given: str) -> None:
    if not 1 <= number <= largest:
        raise ValueError(f"{name} has {what} 1..{largest}; {given} does not exist.")


def whole(name: str, value: Any) -> int:
    """Return a whole number; raise TypeError, with its name, if it is none."""
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise TypeError(f"{name} must be a whole number, not {value!r}.")
    return index(value)


def of_row(target: Target, m: int) -> Target:
    """Return the target with its observation among `m`: of one none is named, and an input of several needs one."""
    if target.kind != "x":
        return target
    if target.row is None and m > 1:
        raise TypeError(f'derive(net, "x") of {m} observations takes row=, from 1.')
    if target.row is not None:
        _check("x", "observations", target.row, m, f"row={target.row}")
    return target._replace(row=target.row if m > 1 else None)
