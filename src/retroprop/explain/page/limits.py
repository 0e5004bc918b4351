"""Sizes above which a network or its data are refused by a page, with what is offered instead."""

from retroprop.explain.page.words import words
from retroprop.network import Network

MOST_LAYERS = 12
MOST_PARAMETERS = 20_000
MOST_NUMBERS = 50_000  # of x and y together


def check_network(net: Network, language: str) -> None:
    """Raise ValueError for a network that is too large for a page, in the reader's language."""
    said = words(language)
    if (n := len(net.layer_sizes)) > MOST_LAYERS:
        raise ValueError(said["too_many_layers"].format(n=n, most=MOST_LAYERS))
    if net.n_parameters > MOST_PARAMETERS:
        raise ValueError(said["too_many_parameters"].format(n=f"{net.n_parameters:,}", most=f"{MOST_PARAMETERS:,}"))


def check_data(net: Network, m: int, language: str) -> None:
    """Raise ValueError for more observations than a page holds, in the reader's language."""
    width = net.layer_sizes[0] + net.layer_sizes[-1]
    if m * width > MOST_NUMBERS:
        offered = MOST_NUMBERS // width
        said = words(language)["too_much_data"]
        raise ValueError(said.format(n=f"{m * width:,}", most=f"{MOST_NUMBERS:,}", offered=offered))
