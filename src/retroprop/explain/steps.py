"""The seven steps of a backpropagation as the source text lists them, with the numbers of a network."""

from dataclasses import dataclass
from itertools import islice, product
from typing import Any

from retroprop.explain import formulas
from retroprop.explain.document import Block, Run, Span, TextLine, formula, number, words
from retroprop.explain.matrices import IS, SPACE, layer_symbol, of_numbers, written
from retroprop.explain.naming import Quantity
from retroprop.explain.pass_numbers import PassNumbers
from retroprop.explain.shown import Shown
from retroprop.explain.trace_tables import summary
from retroprop.explain.tracing import NetworkTrace, trace
from retroprop.network import Network

NEURONS, OBSERVATIONS, WEIGHTS = 4, 2, 8  # written out of each layer, of a batch, of each Θ


@dataclass(frozen=True)
class BackpropagationSteps(Shown):
    """The seven steps with the numbers of one network and batch.

    Attributes
    ----------
    trace : NetworkTrace
        Every number of them.
    """

    trace: NetworkTrace

    @property
    def blocks(self) -> tuple[Block, ...]:
        """The steps; of a large network the first sums of each layer, with the number of those left out."""
        n, last = self.trace, len(self.trace.layer_sizes)
        blocks: list[Block] = [summary(n), *_forward(n), *_output(n), *_gradients(n, last - 1, "3. ")]
        for l in range(last - 1, 1, -1):
            step = "4. Go" if l == last - 1 else "7. Repeat 4 to 6: go"
            blocks.append(_heading(f"{step} back one layer, l = {l}"))
            blocks += [*_hidden(n, l), *_gradients(n, l - 1, "6. ")]
        if last == 2:
            ending = (
                "There is no hidden layer, so steps 4 to 6 have nothing to do: every partial derivative is computed."
            )
        else:
            ending = "Layer 1 is the input, which has no error term: every partial derivative is computed."
        return (*blocks, _heading("7. Repeat 4 to 6 until the input layer"), TextLine((words(ending),)))


def steps(net: Network, x: Any, y: Any, sample_weight: Any = None) -> BackpropagationSteps:
    """Return the seven steps of one backpropagation with the numbers of a network.

    Parameters
    ----------
    net : Network
        Without model axes.
    x, y, sample_weight
        As for `Network.gradient`.

    Returns
    -------
    BackpropagationSteps
        It prints in colours by rich, as plain text, as HTML in a notebook, and has `latex`.

    Raises
    ------
    TypeError, ValueError
        For data that do not fit, and for several networks in one.
    """
    return BackpropagationSteps(trace(net, x, y, sample_weight))


def _heading(text: str) -> TextLine:
    return TextLine((words(text),), heading=True)


def _left_out(total: int, shown: int, things: str) -> list[Block]:
    return [TextLine((words(f"… and {total - shown:,} more: {things}"),))] if total > shown else []


def _observations(n: PassNumbers) -> range:
    return range(min(n.m, OBSERVATIONS))


def _forward(n: PassNumbers) -> list[Block]:
    blocks: list[Block] = [_heading("1. Forward propagation")]
    for l in range(1, len(n.layer_sizes)):
        size = n.layer_sizes[l]
        b = (formulas.PLUS, Span(f"b^({l})", f"b^{{({l})}}", "b")) if n.biases else ()
        a = (layer_symbol("a", l), SPACE, layer_symbol("theta", l, transposed=True))
        blocks.append(TextLine((words(f"Layer {l + 1}: "), layer_symbol("z", l + 1), formulas.EQUALS, *a, *b)))
        for i, j in product(_observations(n), range(min(size, NEURONS))):
            blocks += [formulas.pre_activation(n, l, j, i), formulas.activation(n, l, j, i)]
        blocks += _left_out(size * n.m, min(size, NEURONS) * len(_observations(n)), f"values of layer {l + 1}")
    loss, penalised = n.architecture.output.loss.name, any(map(any, n.architecture.penalties))
    said = f"The cost ({loss}{', penalties included' if penalised else ''}): "
    j_symbol = Span("J", Quantity("J").latex)
    return [*blocks, TextLine((words(said), j_symbol, formulas.EQUALS, number(n.cost)))]


def _output(n: PassNumbers) -> list[Block]:
    last, f, loss = len(n.layer_sizes), n.architecture.activations[-1], n.architecture.output.loss
    share = formulas.share_of(n)
    rule = formula(
        f"δ^({last}) = ∂J/∂a^({last}) ∘ f′(z^({last}))",
        rf"\delta^{{({last})}} = \partial J / \partial a^{{({last})}} \circ f'(z^{{({last})}})",
    )
    blocks: list[Block] = [_heading(f"2. The error term of the output layer, δ^({last})")]
    if not f.elementwise:
        rule = formula(
            f"δ^({last})_j = Σ_o ∂J/∂a^({last})_o ∂a^({last})_o/∂z^({last})_j",
            rf"\delta_j^{{({last})}} = \sum_o \partial J / \partial a_o^{{({last})}} \;"
            rf" \partial a_o^{{({last})}} / \partial z_j^{{({last})}}",
        )
        extent = "group" if hasattr(f, "sizes") else "layer"
        note = f"; every output of the {f.name} depends on every z of its {extent}: a Jacobian, no elementwise f′."
        blocks.append(TextLine((rule, words(note))))
    else:
        blocks.append(TextLine((rule,)))
    if formulas.output_is_paired(n):
        times = () if share is None else (words(", times "), share)
        pair = f"For {f.name} with {loss.name} the factors simplify to a − y"
        blocks.append(TextLine((words(pair), *times, words("."))))
    elif share is not None:
        blocks.append(TextLine((words("∂J/∂a includes the factor "), share, words(" of its observation."))))
    size = n.layer_sizes[-1]
    shown = list(product(_observations(n), range(min(size, NEURONS))))
    blocks += [formulas.output_error(n, j, i) for i, j in shown]
    return [*blocks, *_left_out(size * n.m, len(shown), f"values of layer {last}")]


def _hidden(n: PassNumbers, l: int) -> list[Block]:
    rule = formula(
        f"δ^({l}) = (δ^({l + 1}) Θ^({l})) ∘ f′(z^({l}))",
        rf"\delta^{{({l})}} = (\delta^{{({l + 1})}} \Theta^{{({l})}}) \circ f'(z^{{({l})}})",
    )
    size = n.layer_sizes[l - 1]
    shown = list(product(_observations(n), range(min(size, NEURONS))))
    sums = [formulas.error_sent_back(n, l, j, i) for i, j in shown]
    heading = _heading(f"5. The error term of the hidden layer, δ^({l})")
    return [heading, TextLine((rule,)), *sums, *_left_out(size * n.m, len(shown), f"values of layer {l}")]


def _gradients(n: PassNumbers, l: int, step: str) -> list[Block]:
    values = n.gradient_thetas[l - 1]
    delta = n.deltas[l]
    assert delta is not None  # every layer but the first has a δ
    left = Span(f"∂J/∂Θ^({l})", rf"\frac{{\partial J}}{{\partial \Theta^{{({l})}}}}")
    rule: Run = (layer_symbol("delta", l + 1, transposed=True), SPACE, layer_symbol("a", l))
    l2, l1 = n.architecture.penalties[l - 1]
    if l2:
        rule = (*rule, formula(f" + λ₂ Θ^({l})", rf" + \lambda_2 \Theta^{{({l})}}"))
    if l1:
        rule = (*rule, formula(f" + λ₁ sign Θ^({l})", rf" + \lambda_1 \operatorname{{sign}} \Theta^{{({l})}}"))
    shown = list(islice(product(*map(range, values.shape)), WEIGHTS))
    blocks: list[Block] = [
        _heading(f"{step}The partial derivatives of J with respect to Θ^({l})" + (f" and b^({l})" if n.biases else "")),
        written((left, formulas.EQUALS, *rule), IS, of_numbers(values)),
        *(formulas.weight_gradient(n, l, j, k) for j, k in shown),
        *_left_out(values.size, len(shown), f"weights of Θ^({l})"),
    ]
    if n.biases:
        size = n.layer_sizes[l]
        blocks += [formulas.bias_gradient(n, l, j) for j in range(min(size, NEURONS))]
        blocks += _left_out(size, min(size, NEURONS), f"biases of b^({l})")
    return blocks
