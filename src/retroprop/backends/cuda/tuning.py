"""Which algorithm of a product was measured to be the fastest: for the process, and in the user's cache for the next.

Each measurement is a file of its own, named by what it is of, so that processes that write at once are in nobody's way.
What is read is believed only as far as it is one of the algorithms that cublasLt offers today.
"""

import hashlib
import json
import logging
from contextlib import suppress
from pathlib import Path
from typing import Any

from retroprop.backends.cpu import user_cache

log = logging.getLogger("retroprop")
_known: dict[str, str] = {}


def recalled(what: tuple[Any, ...]) -> str | None:
    """Return the name of the algorithm that was remembered for a product, None if none was.

    Parameters
    ----------
    what : tuple
        All that the measurement depends on: numbers, strings, and tuples of those.
    """
    key = json.dumps(what)
    if key not in _known:
        # A file that is not there, is not ours or is damaged is a measurement that has not been made.
        with suppress(OSError, ValueError, TypeError, KeyError):
            stored = json.loads(_path(key).read_text(encoding="utf-8"))
            if stored["of"] == key and isinstance(stored["algorithm"], str):
                _known[key] = stored["algorithm"]
    return _known.get(key)


def remember(what: tuple[Any, ...], algorithm: str) -> None:
    """Keep the name of the algorithm that is the fastest for a product."""
    key = json.dumps(what)
    _known[key] = algorithm
    try:
        user_cache.replaced(_path(key), json.dumps({"of": key, "algorithm": algorithm}))
    except OSError as error:
        log.info("what was measured of a product is not kept for the next run: %s", error)


def _path(key: str) -> Path:
    return user_cache.folder("products") / f"{hashlib.sha256(key.encode()).hexdigest()[:24]}.json"
