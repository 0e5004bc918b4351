"""Arguments and results of a step: nested tuples, flattened into leaves and rebuilt."""

from collections.abc import Callable
from typing import Any


def is_branch(tree: Any) -> bool:
    """Return whether it is a tuple of subtrees."""
    return isinstance(tree, tuple)


def leaves(tree: Any) -> list[Any]:
    """Return every leaf, in order."""
    if not isinstance(tree, tuple):
        return [tree]
    found: list[Any] = []
    for part in tree:
        found += leaves(part)
    return found


def mapped(tree: Any, change: Callable[[Any], Any]) -> Any:
    """Return the same tree with every leaf changed; named tuples keep their class."""
    if not isinstance(tree, tuple):
        return change(tree)
    parts = [mapped(part, change) for part in tree]
    return tuple(parts) if type(tree) is tuple else type(tree)(*parts)
