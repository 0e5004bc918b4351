"""Two languages on one site: English, and Spanish below ``es/``.

The front matter of a page says by ``translation: es/page.md`` which page is the same in the other language; the
language button leads there, and from a page without a translation to the first page of the other language. Labels
of the theme follow the language of the page; the search has one for readers of screens, which the theme lacks.
"""

from typing import Any

NAMES = {"en": "English", "es": "Español"}
SEARCH = {"en": "Search", "es": "Búsqueda"}
HOME = {"en": "index.md", "es": "es/index.md"}


def on_page_context(context: dict[str, Any], *, page: Any, config: Any, nav: Any) -> dict[str, Any]:
    """Set the language and the language button of a page; called by mkdocs before it writes the page."""
    here = language_of(page.file.src_uri)
    pages = {other.file.src_uri: other for other in nav.pages}
    config.theme["language"] = here
    config.extra["alternate"] = [
        {"name": name, "lang": lang, "link": page.url if lang == here else pages[partner(page, lang)].url}
        for lang, name in NAMES.items()
    ]
    return context


def on_post_page(output: str, *, page: Any, **_: Any) -> str:
    """Return the HTML of a page with the label of its search; called by mkdocs for every page."""
    label = SEARCH[language_of(page.file.src_uri)]
    return output.replace(
        'data-md-component="search" role="dialog"', f'data-md-component="search" role="dialog" aria-label="{label}"'
    )


def language_of(path: str) -> str:
    """Return "en" or "es", the language of a page."""
    return "es" if path.startswith("es/") else "en"


def partner(page: Any, lang: str) -> str:
    """Return the path of the same page in another language, else of the first page of that language."""
    return str(page.meta.get("translation", HOME[lang]))
