"""Arguments and results of a step: nested tuples, flattened into leaves and rebuilt."""

from collections.abc import Callable, Iterator
from typing import Any


def is_branch(tree: Any) -> bool:
    """Return whether it is a tuple of subtrees."""
    return isinstance(tree, tuple)


def leaves(tree: Any) -> Iterator[Any]:
    """Yield every leaf, in order."""
    if is_branch(tree):
        for part in tree:
            yield from leaves(part)
    else:
        yield tree


def mapped(tree: Any, change: Callable[[Any], Any]) -> Any:
    """Return the same tree with every leaf changed; named tuples keep their class."""
    if not is_branch(tree):
        return change(tree)
    parts = [mapped(part, change) for part in tree]
    return tuple(parts) if type(tree) is tuple else type(tree)(*parts)
