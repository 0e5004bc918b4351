"""Parsing the parts of a network as a user types them: comma-separated sizes and names."""

from collections.abc import Iterable

from retroprop.cli.errors import CommandError


def choices(names: Iterable[str]) -> str:
    """Return the names of a table as a help text lists them."""
    *others, last = names
    return f"{', '.join(others)} or {last}"


def sizes_of(given: str, *, option: str) -> list[int]:
    """Return "100,50" as [100, 50].

    Raises
    ------
    CommandError
        If a size is not a whole number of 1 or above.
    """
    sizes = []
    for part in given.split(","):
        if not part.strip().isdecimal() or int(part) < 1:
            raise CommandError(
                f'{option} "{given}": sizes are whole numbers of 1 or above, separated by commas, as 100,50; '
                f'"{part.strip()}" is not one.'
            )
        sizes.append(int(part))
    return sizes


def hidden_sizes(given: str, *, option: str) -> list[int]:
    """Return the sizes of the hidden layers; "none" means no hidden layer."""
    return [] if given.strip().lower() == "none" else sizes_of(given, option=option)


def names_of(given: str, n_layers: int, *, option: str) -> str | list[str]:
    """Return one name for all layers, or a list with one name per layer.

    Raises
    ------
    CommandError
        If the length of the list is not the number of hidden layers.
    """
    names = [name.strip() for name in given.split(",")]
    if len(names) == 1:
        return names[0]
    if len(names) != n_layers:
        raise CommandError(
            f'{option} "{given}" names {len(names)} activations, and there are {n_layers} hidden layers; give one '
            f"for all, or one for each."
        )
    return names
