"""Two languages on one site: English, and Spanish below ``es/``.

The front matter of a page says by ``translation: es/page.md`` which page is the same in the other language; the
language button leads there, and from a page without a translation to the first page of the other language. Labels
of the theme follow the language of the page. The search, a dialogue that the theme leaves without a name, gets one.
"""

from typing import Any

NAMES = {"en": "English", "es": "Español"}
HOME = {"en": "index.md", "es": "es/index.md"}
SEARCH = {"en": "Search", "es": "Búsqueda"}


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
    """Return the HTML of a page with a named search; called by mkdocs for every page."""
    return with_named_search(output, language_of(page.file.src_uri))


def on_post_template(output: str, *, template_name: str, **_: Any) -> str:
    """Return the HTML of the page for unknown addresses with a named search; called by mkdocs for every template."""
    return with_named_search(output, "en") if template_name.endswith(".html") else output


def with_named_search(output: str, language: str) -> str:
    """Return the HTML of a page with a name of its search for screen readers."""
    return output.replace('role="dialog"', f'role="dialog" aria-label="{SEARCH[language]}"', 1)


def language_of(path: str) -> str:
    """Return "en" or "es", the language of a page."""
    return "es" if path.startswith("es/") else "en"


def partner(page: Any, lang: str) -> str:
    """Return the path of the same page in another language, else of the first page of that language."""
    return str(page.meta.get("translation", HOME[lang]))
