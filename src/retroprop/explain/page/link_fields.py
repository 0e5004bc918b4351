"""The checks of a link to a state of a page: quantities, exercises and sheets that the page has."""

from collections.abc import Sequence

from retroprop.explain.targets import whole

_MOST_SHEETS = 10**9  # as in sheet.js


def check_quantity(of: str | None, sizes: Sequence[int], *, bias: bool) -> None:
    """Raise ValueError unless a network of these sizes has the quantity, as "theta-1-2-1"."""
    if of is None:
        return
    letter, numbers = _parted(of)
    layer = 1 if letter == "x" else numbers[0] if numbers else 0
    places = numbers if letter == "x" else numbers[1:]
    # Θ and b of layer l lead to layer l + 1; the input has neither z nor δ, and its a is x.
    first, last = {"x": (1, 1), "theta": (1, len(sizes) - 1), "b": (1, (len(sizes) - 1) * bias)}.get(
        letter, (2, len(sizes) if letter in ("z", "a", "delta") else 0)
    )
    if first <= layer <= last:
        most = {"theta": sizes[layer - 1 : layer + 1][::-1], "b": sizes[layer : layer + 1]}
        widths = most.get(letter, sizes[layer - 1 : layer])
        if len(places) == len(widths) and all(1 <= n <= width for n, width in zip(places, widths, strict=True)):
            return
    shown = "-".join(map(str, sizes))
    raise ValueError(
        f"of must be a quantity of the {shown} network, as 'theta-1-1-1' or 'delta-{len(sizes)}-1', not {of!r}."
    )


def check_exercise(exercise: str | None, n_layers: int) -> None:
    """Raise ValueError unless a page of so many layers has the exercise, as "delta-2"."""
    if exercise is None:
        return
    kind, numbers = _parted(exercise)
    first, last = {"a": (2, n_layers), "delta": (2, n_layers), "gradient": (1, n_layers - 1)}.get(kind, (1, 0))
    if len(numbers) != 1 or not first <= numbers[0] <= last:
        raise ValueError(
            f"exercise must be 'a' or 'delta' of layer 2 to {n_layers}, or 'gradient' of layer 1 to {n_layers - 1}, as "
            f"'delta-{n_layers}', not {exercise!r}."
        )


def check_sheet(sheet: int | None) -> None:
    """Raise ValueError unless it is the number of a sheet."""
    if sheet is not None and not 1 <= whole("sheet", sheet) <= _MOST_SHEETS:
        raise ValueError(f"sheet must be from 1 to {_MOST_SHEETS}, not {sheet!r}.")


def _parted(text: str) -> tuple[str, list[int]]:
    letter, *numbers = str(text).split("-")
    return letter, [int(n) if n.isascii() and n.isdigit() else 0 for n in numbers]
