import pytest
from browser import browsers

import retroprop as rp


@pytest.fixture(scope="package")
def browser(tmp_path_factory):
    yield from browsers(tmp_path_factory)


@pytest.fixture
def opened(browser, tmp_path):
    """Return a function that writes a page and opens it."""

    def opened(net, x, y, *, fragment="", width=1280, **options):
        made = rp.explain.page(net, x, y, tmp_path / "page.html", **options)
        browser.open("about:blank", width)
        browser.open(f"{(tmp_path / 'page.html').as_uri()}{fragment and made.link()}{fragment}", width)
        return made

    return opened
