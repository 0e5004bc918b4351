"""Backpropagation drawn neuron by neuron: f′ and δ in the neurons, ∂J/∂θ at the connections, arrows to the left."""

from retroprop.explain import naming
from retroprop.explain.neuron_panel import NeuronPanel
from retroprop.explain.sheet import digits


def draw_backward(panel: NeuronPanel) -> None:
    """Draw δ flowing from J back to layer 2, and every partial derivative where its weight is."""
    numbers, theme, layout = panel.numbers, panel.theme, panel.layout
    gradient = numbers.gradient
    panel.headings(r"Backward: δ and $\partial J/\partial\theta$")
    panel.edges(
        [] if gradient is None else gradient.thetas,
        signed=gradient is not None,
        back=True,
        faint=False,
        choices=lambda layer, to, from_, value: _choices(layer, to, from_, None if gradient is None else value),
    )
    panel.crossings(lambda z, a, *ends: panel.edge(ends, f"backward-crossing-{z}-{a}", theme.edge, 0.8, True))
    for j in range(1, panel.sizes[-1] + 1):
        panel.edge(panel.ends(layout.last, 1, j), f"backward-edge-{layout.last}-1-{j}", theme.edge, 1.0, True)
    panel.inputs()
    deltas = [] if gradient is None else gradient.deltas
    for layer in range(2, layout.last + 1):
        for j in range(1, panel.sizes[layer - 1] + 1):
            delta = (naming.of_neuron("delta", layer, j).latex, panel.of_row(deltas, layer, j))
            panel.neuron(layer, j, delta, _right(panel, layer, j))
            if numbers.biases:
                place = (
                    layout.halves(layer, j)[0] if layout.crossing and layer == layout.last else layout.whole(layer, j)
                )
                panel.note(place, _bias(panel, layer, j), f"bias-{layer}-{j}")
    panel.cost()


def _right(panel: NeuronPanel, layer: int, neuron: int) -> tuple[str, float | None]:
    """Return the right half of a neuron: f′ or, where f is not elementwise, ∂J/∂a."""
    if panel.layout.crossing and layer == panel.layout.last:
        error = panel.numbers.error
        value = None if error is None else float(error[panel.row, neuron - 1])
        return rf"\partial J/\partial a_{{{neuron}}}", value
    return rf"f'({naming.of_neuron('z', layer, neuron).latex})", panel.of_row(panel.numbers.slopes, layer, neuron)


def _choices(layer: int, to: int, from_: int, value: float | None) -> tuple[str, ...]:
    """Return the words for a partial derivative, the fullest first."""
    name = rf"$\partial J/\partial {naming.theta(layer, to, from_).latex}$"
    return (name,) if value is None else (f"{name}\n{digits(value)}", digits(value))


def _bias(panel: NeuronPanel, layer: int, neuron: int) -> str:
    name = rf"$\partial J/\partial {naming.bias(layer - 1, neuron).latex}$"
    gradient = panel.numbers.gradient
    return name if gradient is None else f"{name} = {digits(float(gradient.biases[layer - 2][neuron - 1]))}"
