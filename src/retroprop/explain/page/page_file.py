"""The page as one HTML file: its words, data, functions, scripts and styles put into the frame."""

import re
from html import escape
from json import dumps
from typing import Any

from retroprop._version import __version__
from retroprop.explain.document import ROLES
from retroprop.explain.page.words import LANGUAGES, text_of, words

SCRIPTS = ("arrays", "quantities", "model", "address", "formulas", "picture", "walk", "chosen", "tables", "exercise",
           "sheet", "main")  # fmt: skip
_PLACE = re.compile(r"\{\{(\w+)\}\}")
_BUTTON = '<button type="button" id="lang-{0}" data-do="language" data-lang="{0}" lang="{0}">{1}</button>'


def html_of(data: dict[str, Any], functions: str, language: str) -> str:
    """Return the whole file.

    Parameters
    ----------
    data : dict
        What `content` returns; further keys "numbers" and "refused" for a page that cannot step.
    functions : str
        The JavaScript of the recorded functions.
    language : str
        The language in which it opens.
    """
    said = words(language)
    parts = {
        "language": language,
        "version": __version__,
        "title": escape(said["title"].format(sizes="-".join(map(str, data["sizes"])))),
        "noscript": escape(said["noscript"]),
        "languages": "".join(_BUTTON.format(one, words(one)["language"]) for one in LANGUAGES),
        "style": _colours() + text_of("page.css"),
        "words": _script_data({one: words(one) for one in LANGUAGES}),
        "data": _script_data({**data, "language": language}),
        "functions": functions,
        "script": "\n".join(text_of(f"{name}.js") for name in SCRIPTS),
    }
    return _PLACE.sub(lambda place: parts[place[1]], text_of("page.html"))


def _script_data(data: Any) -> str:
    """Return data as a literal of JavaScript that cannot end the script."""
    return dumps(data, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")


def _colours() -> str:
    """Return the rules that give a quantity its colour in the library's explanations, readable on light and on dark."""
    return "".join(
        f".role-{role} {{ color: color-mix(in srgb, {color} var(--part), var(--shade)); }}\n"
        for role, color in ROLES.items()
    )
