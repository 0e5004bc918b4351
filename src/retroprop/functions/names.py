"""Looking a name up in a table, with an error that helps, and writing an object as plain data."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from typing import Any, ClassVar


class Named:
    """An entry of a table: equal to another of its class that has the same parameters."""

    name: ClassVar[str]

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and vars(other) == vars(self)

    def __hash__(self) -> int:
        return hash((type(self), *vars(self).values()))

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"


def unknown(kind: str, name: object, accepted: Iterable[str]) -> ValueError:
    """Return the error for a name that is not in a table, with the near match if there is one."""
    from difflib import get_close_matches

    accepted = sorted(accepted)
    near = get_close_matches(str(name).lower(), accepted, n=1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    return ValueError(f"unknown {kind} {name!r}.{hint} Accepted: {', '.join(accepted)}.")


def from_name(kind: str, name: object, table: Mapping[str, Any]) -> Any:
    """Return a default instance of the class that `table` holds under `name`.

    Raises
    ------
    TypeError
        If `name` is no string.
    ValueError
        If the table has no such name; the message suggests the nearest.
    """
    if not isinstance(name, str):
        if isinstance(name, type):
            raise TypeError(f"{kind} must be a name or an object, not a class: write {name.__name__}(...).")
        raise TypeError(f"{kind} must be a name or one of retroprop's own objects, not {name!r}.")
    if name not in table:
        raise unknown(kind, name, table)
    return table[name]()


def number(name: str, value: Any) -> float:
    """Return `value` as a Python float; raise TypeError, with its name, if it is no number."""
    if isinstance(value, (bool, str)) or not hasattr(value, "__float__"):
        raise TypeError(f"{name} must be a number, not {value!r}.")
    return float(value)


def flag(name: str, value: Any) -> bool:
    """Return `value` as a Python bool; raise TypeError, with its name, if it is neither True nor False."""
    its_type = type(value).__name__  # "bool_" or "bool" is NumPy's
    if its_type not in ("bool", "bool_", "int") or value not in (0, 1):
        raise TypeError(f"{name} must be True or False, not {value!r}.")
    return bool(value)


def in_words(names: Sequence[str]) -> str:
    """Return the names of the layers in order, once if they are all the same."""
    return ", ".join(names if len(set(names)) > 1 else names[:1])


def plain_numbers(thing: Any) -> None:
    """Make the numbers of a frozen dataclass Python's own.

    A NumPy scalar has a dtype of its own and would draw float32 arrays up to it; a Python float takes theirs.
    """
    for f in fields(thing):
        value = getattr(thing, f.name)
        if hasattr(value, "item") and getattr(value, "ndim", None) == 0:
            object.__setattr__(thing, f.name, value.item())


def to_plain(thing: Any) -> dict[str, Any]:
    """Return the name and the parameters of an entry of a table, as JSON can hold them."""
    parameters = {f.name: getattr(thing, f.name) for f in fields(thing)} if is_dataclass(thing) else {}
    return {"name": thing.name, **parameters}


def from_plain(kind: str, plain: Mapping[str, Any], table: Mapping[str, Any]) -> Any:
    """Return what `to_plain` was given."""
    parameters = dict(plain)
    name = parameters.pop("name")
    if name not in table:
        raise unknown(kind, name, table)
    return table[name](**parameters)
