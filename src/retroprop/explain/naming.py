"""Names of the quantities as the source text writes them: layers and neurons counted from 1."""

from typing import NamedTuple

SYMBOLS = {"theta": ("θ", r"\theta"), "delta": ("δ", r"\delta"), "sum_w": ("Σw", r"\sum w")}


class Quantity(NamedTuple):
    """A scalar of a network at work: one parameter, activation, pre-activation, error term, input, target, or J.

    Attributes
    ----------
    letter : str
        "theta", "b", "x", "y", "z", "a", "f'", "delta" or "J"; "r" for mask/(1 − p) of dropout, "w" and "sum_w" for the
        weights of the observations, "m" for their number.
    layer : int or None
        l of the superscript, from 1; x, y and J have none.
    neurons : tuple of int or str
        The subscript, from 1: (j,), or (j, k) of θ_jk, which goes to neuron j, from neuron k. A letter is an index of a
        sum.
    row : int, str or None
        The observation, from 1, where there are several; "i" is any.
    """

    letter: str
    layer: int | None = None
    neurons: tuple[int | str, ...] = ()
    row: int | str | None = None

    @property
    def subscript(self) -> str:
        """The neurons: "21", with a comma where one of them has two digits, "2,14"."""
        return ("," if any(len(str(neuron)) > 1 for neuron in self.neurons) else "").join(map(str, self.neurons))

    @property
    def text(self) -> str:
        """The name in ASCII: "theta^(2)_21", of observation 3 "a^(2)_1[3]"."""
        layer = "" if self.layer is None else f"^({self.layer})"
        neurons = f"_{self.subscript}" if self.neurons else ""
        return f"{self.letter}{layer}{neurons}{self._row}"

    @property
    def unicode(self) -> str:
        """The name with Greek letters: "θ^(2)_21"."""
        plain, (greek, _) = self.text, SYMBOLS.get(self.letter, (self.letter, ""))
        return greek + plain.removeprefix(self.letter)

    @property
    def latex(self) -> str:
        r"""The name in LaTeX: "\theta_{21}^{(2)}", of observation 3 "a_{1}^{(2)[3]}"."""
        _, letter = SYMBOLS.get(self.letter, ("", self.letter))
        above = ("" if self.layer is None else f"({self.layer})") + self._row
        return letter + (f"_{{{self.subscript}}}" if self.neurons else "") + (f"^{{{above}}}" if above else "")

    @property
    def _row(self) -> str:
        return "" if self.row is None else f"[{self.row}]"


def theta(layer: int, to: int | str, from_: int | str) -> Quantity:
    """Return the name of θ^(l)_jk, which goes to neuron j of layer l + 1, from neuron k of layer l."""
    return Quantity("theta", layer, (to, from_))


def bias(layer: int, to: int) -> Quantity:
    """Return the name of b^(l)_j, which is added to z^(l+1)_j."""
    return Quantity("b", layer, (to,))


def of_neuron(letter: str, layer: int, neuron: int | str, row: int | str | None = None) -> Quantity:
    """Return the name of z, a, f' or delta of a neuron; a of layer 1 is x."""
    is_x = (letter, layer) == ("a", 1)
    return Quantity("x", None, (neuron,), row) if is_x else Quantity(letter, layer, (neuron,), row)
