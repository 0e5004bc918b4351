"""JSON of unknown origin, read within bounds of memory and time."""

import json
import re
from typing import Any

MOST_ITEMS = 200_000
# A string, or what is left of one at the end of the text. Nothing is tried twice, so the time is linear in the text.
_STRING = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+"?', re.DOTALL)
_HALF_A_PAIR = re.compile(r"\\u[dD][89a-fA-F]")


def parse(text: str, *, most_items: int = MOST_ITEMS) -> Any:
    """Return the value of a JSON text.

    Parameters
    ----------
    text : str
        The text.
    most_items : int
        Of how many items all its lists and objects may consist. An empty list takes 64 bytes and 3 characters, so
        a text would otherwise become an object of twenty times its size.

    Raises
    ------
    ValueError
        If it is no JSON, has more items, is nested too deeply, names a key twice, or holds NaN, Infinity or a half of
        a surrogate pair.
    """
    outside = _STRING.sub("", text)
    items = sum(map(outside.count, ",[{"))
    if items > most_items:
        raise ValueError(f"it lists {items} items, and at most {most_items} are read")
    try:
        value = json.loads(text, object_pairs_hook=_distinct, parse_constant=_no_constant)
        if _HALF_A_PAIR.search(text):
            json.dumps(value, ensure_ascii=False).encode()
    except RecursionError:
        # Without the chain of its frames: an error of a thousand levels is no explanation.
        raise ValueError("it is nested too deeply") from None
    except UnicodeEncodeError:
        raise ValueError("it holds a half of a surrogate pair, which is no text") from None
    return value


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise ValueError(f"it names {twice!r} twice")
    return found


def _no_constant(name: str) -> Any:
    raise ValueError(f"it holds {name}, which is no number of JSON")
