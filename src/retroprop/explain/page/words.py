"""The words of the page in each language."""

import json
from functools import cache
from importlib.resources import files

LANGUAGES = ("en", "es")


def text_of(name: str) -> str:
    """Return a file of the page: of its HTML, CSS, JavaScript or words."""
    return files("retroprop.explain.page").joinpath("files", name).read_text(encoding="utf-8")


@cache
def words(language: str) -> dict[str, str]:
    """Return the words of a language by their key."""
    found: dict[str, str] = json.loads(text_of(f"{language}.json"))
    return found


def check_language(language: str) -> None:
    """Raise ValueError for a language that the page does not have."""
    if language not in LANGUAGES:
        raise ValueError(f"language must be {' or '.join(map(repr, LANGUAGES))}, not {language!r}.")
