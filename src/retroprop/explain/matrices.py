"""Matrices of a network in symbols and in numbers, of large ones the first rows and columns."""

from collections.abc import Callable

from retroprop.explain.document import Grid, MatrixEquation, Run, Span, formula, number, symbol
from retroprop.explain.naming import Quantity, bias, of_neuron, theta
from retroprop.explain.pass_numbers import HostArray, PassNumbers

SHOWN = 4  # rows and columns of a matrix
_DOTS: Run = (formula("⋯", r"\cdots"),)


IS, AND, SPACE = formula("=", "="), formula("+", "+"), formula(" ", r"\,")


def grid(n_rows: int, n_columns: int, cell: Callable[[int, int], Span]) -> Grid:
    """Return a matrix of these cells; beyond `SHOWN` rows or columns, the first ones and dots."""
    rows = [[(cell(j, k),) for k in range(min(n_columns, SHOWN))] for j in range(min(n_rows, SHOWN))]
    lines: list[list[Run]] = [[*row, *([_DOTS] if n_columns > SHOWN else [])] for row in rows]
    if n_rows > SHOWN:
        lines.append([_DOTS] * len(lines[0]))
    return Grid(tuple(map(tuple, lines)))


def of_symbols(shape: tuple[int, int], name: Callable[[int, int], Quantity], before: str = "") -> Grid:
    """Return a matrix of names; the rows and columns of `name` are counted from 1."""
    return grid(*shape, lambda j, k: symbol(name(j + 1, k + 1), before))


def of_numbers(values: HostArray, role: str | None = None) -> Grid:
    """Return a matrix of numbers."""
    n_rows, n_columns = values.shape
    return grid(n_rows, n_columns, lambda j, k: number(values[j, k], role))


def theta_names(n: PassNumbers, l: int, *, transposed: bool = False) -> Grid:
    """Return Θ^(l) in symbols."""
    n_to, n_from = n.thetas[l - 1].shape
    if transposed:
        return of_symbols((n_from, n_to), lambda k, j: theta(l, j, k))
    return of_symbols((n_to, n_from), lambda j, k: theta(l, j, k))


def layer_names(n: PassNumbers, letter: str, l: int, rows: int, *, transposed: bool = False) -> Grid:
    """Return z, a or δ of layer l in symbols, an observation a row."""
    size = n.layer_sizes[l - 1]
    if transposed:
        return of_symbols((size, rows), lambda j, i: of_neuron(letter, l, j, n.row(i - 1)))
    return of_symbols((rows, size), lambda i, j: of_neuron(letter, l, j, n.row(i - 1)))


def bias_names(n: PassNumbers, l: int) -> Grid:
    """Return b^(l) in symbols, as a row."""
    return of_symbols((1, n.layer_sizes[l]), lambda _, j: bias(l, j))


def written(*parts: Grid | Span | Run) -> MatrixEquation:
    """Return matrices and signs as an equation."""
    return MatrixEquation(tuple((part,) if isinstance(part, Span) else part for part in parts))


def shape(rows: int | str, columns: int | str, role: str | None = None) -> Span:
    """Return a shape in the colour of its matrix: "(2 × 3)"."""
    return Span(f"({rows} × {columns})", rf"({rows} \times {columns})", role)


def layer_symbol(letter: str, l: int, *, transposed: bool = False) -> Span:
    """Return the symbol of a whole layer or of Θ: "Θ^(2)ᵀ", "δ^(3)", "a^(2)"."""
    signs = {"theta": ("Θ", r"\Theta"), "delta": ("δ", r"\delta")}
    plain, latex = signs.get(letter, (letter, letter))
    if (letter, l) == ("a", 1):
        text, latex = "x", "x"
    else:
        text, latex = f"{plain}^({l})", f"{latex}^{{({l})}}"
    if transposed:
        text, latex = text + "ᵀ", rf"{{{latex}}}^{{\top}}"
    return Span(text, latex, letter if letter != "f'" else None)
