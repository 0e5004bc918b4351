"""The tables of a trace; those of a large network are shortened, and say by how many rows."""

from collections.abc import Iterator
from itertools import islice, product

from retroprop.explain.document import Block, Run, Span, TableBlock, TextLine, number, symbol, words
from retroprop.explain.naming import bias, of_neuron, theta
from retroprop.explain.pass_numbers import HostArray, PassNumbers

NEURONS, OBSERVATIONS, WEIGHTS = 8, 3, 12  # shown of each layer, of a batch, of each Θ
_EMPTY: Run = (words(""),)


def tables(numbers: PassNumbers) -> tuple[Block, ...]:
    """Return the network in a line, then the tables of its neurons, of its parameters, and of a softmax's Jacobian."""
    blocks: list[Block] = [summary(numbers), _neurons(numbers), _parameters(numbers)]
    if not numbers.architecture.output.activation.elementwise:
        blocks += _jacobian(numbers)
    if any(isinstance(block, TableBlock) and block.left_out for block in blocks):
        blocks.append(TextLine((words("to_pandas(), to_dict() and to_json() have every number."),)))
    return tuple(blocks)


def summary(numbers: PassNumbers) -> TextLine:
    """Return the network, the number of observations and J in a line."""
    f, loss = numbers.architecture.activations, numbers.architecture.output.loss
    hidden = ", ".join(one.name for one in f[:-1]) or "none"
    head = (
        f"Network {'-'.join(map(str, numbers.layer_sizes))}, hidden {hidden}, output {f[-1].name}, loss {loss.name}, "
        f"{numbers.x.dtype}; {numbers.m} observation{'s' * (numbers.m > 1)}; J = "
    )
    return TextLine((words(head), number(numbers.cost)))


def _neurons(numbers: PassNumbers) -> TableBlock:
    rows: list[tuple[Run, ...]] = []
    several, n_layers = numbers.m > 1, len(numbers.layer_sizes)
    for i in range(min(numbers.m, OBSERVATIONS)):
        for l, size in enumerate(numbers.layer_sizes, start=1):
            inner, last = l > 1, l == n_layers
            z, slopes, deltas = numbers.z[l - 1], numbers.slopes[l - 1], numbers.deltas[l - 1]
            for j in range(min(size, NEURONS)):
                cells = [
                    _cell(z, i, j, "z"),
                    _cell(numbers.a[l - 1], i, j, "a"),
                    (words("Jacobian"),) if last and inner and slopes is None else _cell(slopes, i, j),
                    _cell(deltas, i, j, "delta"),
                    _cell(numbers.y if last else None, i, j),
                    _cell(numbers.output_slopes if last else None if inner else numbers.gradient_x, i, j),
                ]
                place = [(words(str(l)),), (words(str(j + 1)),)]
                rows.append((*([(words(str(i + 1)),)] if several else []), *place, *cells))
    titles = ["observation"] * several + ["layer", "neuron"]
    columns = (
        *((words(title),) for title in titles),
        *((Span(text, latex, role),) for text, latex, role in _COLUMNS),
    )
    return TableBlock("Neurons", columns, rows, numbers.m * sum(numbers.layer_sizes) - len(rows))


_COLUMNS = (
    ("z", "z", "z"),
    ("a", "a", "a"),
    ("f′", "f'", None),
    ("δ", r"\delta", "delta"),
    ("y", "y", None),
    ("∂J/∂a", r"\partial J / \partial a", None),
)


def _cell(array: HostArray | None, i: int, j: int, role: str | None = None) -> Run:
    return _EMPTY if array is None else (number(array[i, j], role),)


def _parameters(numbers: PassNumbers) -> TableBlock:
    rows = [*_weights(numbers), *_biases(numbers)]
    columns = ((words("parameter"),), (words("value"),), (Span("∂J/∂", r"\partial J / \partial"),))
    total = sum(one.size for one in (*numbers.thetas, *numbers.biases))
    return TableBlock("Parameters", columns, rows, total - len(rows))


def _weights(numbers: PassNumbers) -> Iterator[tuple[Run, ...]]:
    for l, (values, slopes) in enumerate(zip(numbers.thetas, numbers.gradient_thetas, strict=True), start=1):
        for j, k in islice(product(*map(range, values.shape)), WEIGHTS):
            quantity = theta(l, j + 1, k + 1)
            yield (symbol(quantity),), (number(values[j, k], "theta"),), (number(slopes[j, k]),)


def _biases(numbers: PassNumbers) -> Iterator[tuple[Run, ...]]:
    for l, (values, slopes) in enumerate(zip(numbers.biases, numbers.gradient_biases, strict=True), start=1):
        for j in range(min(len(values), NEURONS)):
            yield (symbol(bias(l, j + 1)),), (number(values[j], "b"),), (number(slopes[j]),)


def _jacobian(numbers: PassNumbers) -> list[Block]:
    n, last, values = numbers.layer_sizes[-1], len(numbers.layer_sizes), numbers.jacobian()
    shown = range(min(n, NEURONS))
    which = " of observation 1" if numbers.m > 1 else ""
    cut = f"; {len(shown)} of {n} columns are shown" if n > NEURONS else ""
    extent = "group" if hasattr(numbers.architecture.output.activation, "sizes") else "layer"
    note = (
        f"A softmax has no elementwise f′: every output depends on every z of its {extent}. Its derivatives are a "
        f"Jacobian, ∂a_o/∂z_i{which}{cut}."
    )
    columns: list[Run] = [(words("o"),), *((symbol(of_neuron("z", last, i + 1)),) for i in shown)]
    rows: list[tuple[Run, ...]] = [
        ((symbol(of_neuron("a", last, o + 1)),), *((number(values[o, i]),) for i in shown)) for o in shown
    ]
    return [TextLine((words(note),)), TableBlock("Jacobian of the softmax", tuple(columns), rows, n - len(shown))]
