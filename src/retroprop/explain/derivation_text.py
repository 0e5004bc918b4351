"""A derivation as text for a terminal."""

from retroprop.explain.chain_sum import ChainSum
from retroprop.explain.formula_text import TEXT
from retroprop.explain.naming import Quantity
from retroprop.explain.notation import Equation, Notation
from retroprop.explain.number_statements import number_sections
from retroprop.explain.statements import sections
from retroprop.functions.activations import Softmax

WIDTH = 100
_INDENT = 4


def derivation_text(derivation: ChainSum) -> str:
    """Return the derivation as lines of at most `WIDTH` columns, where no single formula is longer."""
    blocks = ["\n".join(_introduction(derivation))]
    steps = [*sections(derivation, TEXT), *number_sections(derivation, TEXT)]
    for number, section in enumerate(steps, start=1):
        width = max((len(equation.left) for equation in section.equations), default=0)
        lines = [line for equation in section.equations for line in _lines(equation, min(width, 28))]
        blocks.append("\n".join([f"{number}. {section.heading}", *lines]))
    return "\n\n".join(blocks)


def _introduction(derivation: ChainSum) -> list[str]:
    d, architecture = derivation, derivation.architecture
    n = Notation(d, TEXT)
    sizes = "-".join(map(str, architecture.layer_sizes))
    count = f"{d.n_paths:,} path{'s' if d.n_paths > 1 else ''}"
    each = "" if d.values is None or d.values.m == 1 or d.target.kind == "x" else " for each observation"
    layers = [f"layer {l} {f.name}" for l, f in enumerate(architecture.activations, start=2)]
    lines = [
        f"{n.partial} of a {sizes} network: {count} from {n.name(d.target.quantity)} to J{each}",
        f"{', '.join(layers)}, loss {architecture.output.loss.name}",
    ]
    if not d.is_written_out:
        some = "one path is" if d.values is None else "the largest are"
        lines.append(f"They are more than limit={d.limit}: {some} written, and the recursion sums all.")
    if d.formulas.averaging:
        mean = {"mean": "the mean of the J[i] of {} observations", "weights": "Σ w[i] J[i] / Σw of {} observations"}
        m = d.n_rows
        which = d.target.mark
        lines.append(f"J is {mean[d.formulas.averaging].format(m)}; quantities without a mark are those of [{which}].")
    if isinstance(architecture.output.activation, Softmax):
        ones = "; the y sum to 1" if architecture.output.loss.takes_indices else ""
        lines.append(f"Every a of a softmax depends on every z of its layer, so the paths cross there{ones}.")
    if any(d.formulas.masked):
        lines.append("r is mask/(1 − p) of the dropout.")
    return [*lines, *(["", *_arrows(d, n)] if d.neurons else [])]


def _arrows(derivation: ChainSum, n: Notation) -> list[str]:
    """Return the paths as arrows, one a line: "θ^(1)_11 → z^(2)_1 → a^(2)_1 → ... → J"."""
    lines = []
    J = Quantity("J", row=derivation.target.mark if derivation.formulas.averaging else None)
    for number, factors in enumerate(derivation.chains, start=1):
        nodes = [n.name(factor.bottom) for factor in reversed(factors)]
        nodes = [node for node in nodes if node != n.name(J)] + [n.name(J)]
        lines += _broken(f"  path {number}: ", [" → " + node if at else node for at, node in enumerate(nodes)])
    return lines


def _lines(equation: Equation, width: int) -> list[str]:
    """Return an equation, broken between the terms, and within a term that is longer than a line."""
    lines = [f"  {equation.left:<{width}} ="]
    for at, term in enumerate(equation.terms):
        pieces = list(term)
        if at == 0:
            pieces[0] = f" {pieces[0]}"
        whole = "".join(pieces)
        if len(lines[-1]) + len(whole) <= WIDTH:
            lines[-1] += whole
            continue
        first, *others = _broken(" " * _INDENT + pieces[0].lstrip(), pieces[1:], _INDENT + 4)
        lines += [first, *others]
    return lines


def _broken(start: str, pieces: list[str], indent: int = _INDENT + 4) -> list[str]:
    """Return a line, and further ones where it would be longer than `WIDTH`."""
    lines = [start]
    for piece in pieces:
        if len(lines[-1]) + len(piece) > WIDTH:
            lines.append(" " * indent + piece.lstrip())
        else:
            lines[-1] += piece
    return lines
