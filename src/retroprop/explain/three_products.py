"""The three products of one Θ^(l), by indices, as matrices and by shapes: forward, backward, and the gradient's."""

from typing import Any

from retroprop.explain import formulas
from retroprop.explain.document import Block, Run, Span, TextLine, formula, words
from retroprop.explain.matrices import (
    AND,
    IS,
    SHOWN,
    SPACE,
    bias_names,
    layer_names,
    layer_symbol,
    of_numbers,
    of_symbols,
    shape,
    theta_names,
    written,
)
from retroprop.explain.naming import theta
from retroprop.explain.pass_numbers import HostArray, PassNumbers


def _heading(text: str) -> TextLine:
    return TextLine((words(text),), heading=True)


def storage(n: PassNumbers, l: int) -> list[Block]:
    """Return how Θ^(l) is stored: row j, column k."""
    n_to, n_from = n.thetas[l - 1].shape
    name = layer_symbol("theta", l)
    rows = (
        f" has a row for each of the {n_to} neurons that it goes to, a column for each of the {n_from} it comes from: "
    )
    which: Run = (Span(f"θ^({l})_jk", rf"\theta_{{jk}}^{{({l})}}", "theta"), words(" goes to neuron j, from neuron k."))
    blocks: list[Block] = [
        _heading(f"Layer {l}: the parameters"),
        TextLine((name, words(rows), *which)),
        written(name, IS, theta_names(n, l), IS, of_numbers(n.thetas[l - 1], "theta"), shape(n_to, n_from, "theta")),
    ]
    if max(n_to, n_from) > SHOWN:
        blocks.append(TextLine((words(f"Of each matrix the first {SHOWN} rows and columns are shown."),)))
    if n.m > 1:
        blocks.append(TextLine((words(f"Of the {n.m} observations the sums of the first are shown."),)))
    return blocks


def _shapes(first: Span, second: Span, result: Span) -> TextLine:
    return TextLine((words("Shapes: "), first, SPACE, second, formulas.EQUALS, result))


def forward(n: PassNumbers, l: int) -> list[Block]:
    """Return z^(l+1) = a^(l) Θ^(l)ᵀ, and why Θ is transposed."""
    n_to, n_from = n.thetas[l - 1].shape
    rule: Run = (
        words("A neuron sums over all k that send to it: "),
        formula(
            f"z^({l + 1})_j = Σ_k θ^({l})_jk a^({l})_k" + (f" + b^({l})_j" if n.biases else ""),
            rf"z_j^{{({l + 1})}} = \sum_k \theta_{{jk}}^{{({l})}} a_k^{{({l})}}"
            + (f" + b_j^{{({l})}}" if n.biases else ""),
        ),
    )
    why = (
        "k is the column index of Θ. A row times a matrix sums over the rows of the matrix, so k must index the rows: "
        "Θ stands transposed."
    )
    z = n.z[l]
    assert z is not None  # a trace keeps every z
    plus: list[Any] = [AND, bias_names(n, l)] if n.biases else []
    plus_numbers: list[Any] = [AND, of_numbers(n.biases[l - 1][None, :], "b")] if n.biases else []
    b: Run = (formulas.PLUS, Span(f"b^({l})", f"b^{{({l})}}", "b")) if n.biases else ()
    a_theta = (layer_symbol("a", l), SPACE, layer_symbol("theta", l, transposed=True))
    head = (layer_symbol("z", l + 1), formulas.EQUALS, *a_theta, *b)
    return [
        _heading("Forward: why Θ is transposed"),
        TextLine(rule),
        *(formulas.pre_activation(n, l, j, 0) for j in range(min(n_to, SHOWN))),
        TextLine((words(why),)),
        written(head, IS, layer_names(n, "a", l, 1), theta_names(n, l, transposed=True), *plus),
        written(
            IS,
            of_numbers(n.a[l - 1][:1], "a"),
            of_numbers(n.thetas[l - 1].T, "theta"),
            *plus_numbers,
            IS,
            of_numbers(z[:1], "z"),
        ),
        _shapes(shape(n.m, n_from, "a"), shape(n_from, n_to, "theta"), shape(n.m, n_to, "z")),
    ]


def backward(n: PassNumbers, l: int) -> list[Block]:
    """Return δ^(l+1) Θ^(l), and why Θ is not transposed."""
    n_to, n_from = n.thetas[l - 1].shape
    sent = formula(f"Σ_i δ^({l + 1})_i θ^({l})_ij", rf"\sum_i \delta_i^{{({l + 1})}} \theta_{{ij}}^{{({l})}}")
    ending = ", times f′ of that neuron." if l > 1 else ": at layer 1 that is ∂J/∂x, and there is no f′."
    why = (
        "i is the row index of Θ, over which a row times a matrix sums already: nothing is transposed. (With "
        "observations as columns the same sum reads Θᵀδ, and the forward one Θa: one of the two has the transpose.)"
    )
    delta, slopes = n.deltas[l], n.slopes[l - 1]
    assert delta is not None  # every layer but the first has a δ
    back, values = delta[:1] @ n.thetas[l - 1], of_numbers(n.thetas[l - 1], "theta")
    product = (layer_symbol("delta", l + 1), SPACE, layer_symbol("theta", l))
    blocks: list[Block] = [
        _heading("Backward: why Θ is not transposed"),
        TextLine((words("Neuron j gets back the errors of all i that it sent to: "), sent, words(ending))),
        *(formulas.error_sent_back(n, l, j, 0) for j in range(min(n_from, SHOWN))),
        TextLine((words(why),)),
        written(product, IS, layer_names(n, "delta", l + 1, 1), theta_names(n, l)),
        written(IS, of_numbers(delta[:1], "delta"), values, IS, of_numbers(back, "delta")),
    ]
    own = n.deltas[l - 1]
    if own is not None and slopes is not None:
        slope = formula(f") ∘ f′^({l})", rf") \circ f'^{{({l})}}")
        head = (layer_symbol("delta", l), formulas.EQUALS, formula("(", "("), *product, slope)
        circle = formula("∘", r"\circ")
        numbers = (of_numbers(back, "delta"), circle, of_numbers(slopes[:1]), IS, of_numbers(own[:1], "delta"))
        blocks.append(written(head, IS, *numbers))
    return [*blocks, _shapes(shape(n.m, n_to, "delta"), shape(n_to, n_from, "theta"), shape(n.m, n_from, "delta"))]


def gradient(n: PassNumbers, l: int) -> list[Block]:
    """Return (δ^(l+1))ᵀ a^(l), and why δ is transposed."""
    n_to, n_from = n.thetas[l - 1].shape
    delta = n.deltas[l]
    assert delta is not None  # every layer but the first has a δ
    rule = formula(
        f"∂J/∂θ^({l})_jk = Σ δ^({l + 1})_j a^({l})_k",
        rf"\partial J / \partial \theta_{{jk}}^{{({l})}} = \sum \delta_j^{{({l + 1})}} a_k^{{({l})}}",
    )
    why = (
        "An observation is a row of δ and a row of a, and the sum runs over the rows of both. A product of matrices "
        "sums over the columns of the first, so δ stands transposed, and the result has the shape of Θ: row j, "
        "column k."
    )
    penalty = "" if n.architecture.penalties[l - 1] == (0.0, 0.0) else " The penalties then add λ₂ Θ + λ₁ sign Θ."
    product: HostArray = delta.T @ n.a[l - 1]
    head = (layer_symbol("delta", l + 1, transposed=True), SPACE, layer_symbol("a", l))
    names = of_symbols((n_to, n_from), lambda j, k: theta(l, j, k), "∂J/∂")
    left: list[Any] = [names, IS] if not penalty else []
    entries = [(j, k) for j in range(min(n_to, 2)) for k in range(min(n_from, 2))]
    return [
        _heading("Gradient: why δ is transposed"),
        TextLine((words("The sum runs over the observations: "), rule)),
        *(formulas.weight_gradient(n, l, j, k) for j, k in entries),
        TextLine((words(why + penalty),)),
        written(*left, head, IS, layer_names(n, "delta", l + 1, n.m, transposed=True), layer_names(n, "a", l, n.m)),
        written(IS, of_numbers(delta.T, "delta"), of_numbers(n.a[l - 1], "a"), IS, of_numbers(product)),
        _shapes(shape(n_to, n.m, "delta"), shape(n.m, n_from, "a"), shape(n_to, n_from, "theta")),
    ]
