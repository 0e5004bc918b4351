"""The derivation as it is read: the source text's two networks in full, and every text and LaTeX in form."""

import re
import time

import numpy as np
import pytest

import retroprop as rp

ONE_PATH = """\
∂J/∂θ^(1)_11 of a 1-1-1 network: 1 path from θ^(1)_11 to J
layer 2 sigmoid, layer 3 sigmoid, loss squared_error

  path 1: θ^(1)_11 → z^(2)_1 → a^(2)_1 → z^(3)_1 → a^(3)_1 → J

1. The chain rule along the path
  ∂J/∂θ^(1)_11 =
    ∂J/∂a^(3)_1 · ∂a^(3)_1/∂z^(3)_1 · ∂z^(3)_1/∂a^(2)_1 · ∂a^(2)_1/∂z^(2)_1 · ∂z^(2)_1/∂θ^(1)_11

2. Each factor by its formula
  ∂J/∂a^(3)_1        = a^(3)_1 − y_1
  ∂a^(3)_1/∂z^(3)_1  = σ′(z^(3)_1) = a^(3)_1 · (1 − a^(3)_1)
  ∂z^(3)_1/∂a^(2)_1  = θ^(2)_11
  ∂a^(2)_1/∂z^(2)_1  = σ′(z^(2)_1) = a^(2)_1 · (1 − a^(2)_1)
  ∂z^(2)_1/∂θ^(1)_11 = x_1

3. The formulas in place of the factors
  ∂J/∂θ^(1)_11 =
    (a^(3)_1 − y_1) · a^(3)_1 · (1 − a^(3)_1) · θ^(2)_11 · a^(2)_1 · (1 − a^(2)_1) · x_1

4. The common factors gathered in the error terms
  δ^(3)_1      = ∂J/∂a^(3)_1 · ∂a^(3)_1/∂z^(3)_1 = (a^(3)_1 − y_1) · a^(3)_1 · (1 − a^(3)_1)
  δ^(2)_1      = δ^(3)_1 · θ^(2)_11 · a^(2)_1 · (1 − a^(2)_1)
  ∂J/∂θ^(1)_11 = δ^(2)_1 · x_1"""

BLUE_AND_ORANGE = """\
  path 1: θ^(1)_11 → z^(2)_1 → a^(2)_1 → z^(3)_1 → a^(3)_1 → J
  path 2: θ^(1)_11 → z^(2)_1 → a^(2)_1 → z^(3)_2 → a^(3)_2 → J

1. The chain rule along every path
  ∂J/∂θ^(1)_11 =
    ∂J/∂a^(3)_1 · ∂a^(3)_1/∂z^(3)_1 · ∂z^(3)_1/∂a^(2)_1 · ∂a^(2)_1/∂z^(2)_1 · ∂z^(2)_1/∂θ^(1)_11
    + ∂J/∂a^(3)_2 · ∂a^(3)_2/∂z^(3)_2 · ∂z^(3)_2/∂a^(2)_1 · ∂a^(2)_1/∂z^(2)_1 · ∂z^(2)_1/∂θ^(1)_11
"""

GATHERED = """\
  δ^(3)_1      = ∂J/∂a^(3)_1 · ∂a^(3)_1/∂z^(3)_1 = (a^(3)_1 − y_1) · a^(3)_1 · (1 − a^(3)_1)
  δ^(3)_2      = ∂J/∂a^(3)_2 · ∂a^(3)_2/∂z^(3)_2 = (a^(3)_2 − y_2) · a^(3)_2 · (1 − a^(3)_2)
  δ^(2)_1      = (δ^(3)_1 · θ^(2)_11 + δ^(3)_2 · θ^(2)_21) · a^(2)_1 · (1 − a^(2)_1)
  ∂J/∂θ^(1)_11 = δ^(2)_1 · x_1"""

NUMBERS = """\
5. The numbers
  ∂J/∂a^(3)_1        = 0.681655 − 0 = 0.681655
  ∂a^(3)_1/∂z^(3)_1  = 0.681655 · (1 − 0.681655) = 0.217002
  ∂z^(3)_1/∂a^(2)_1  = 0.5
  ∂a^(2)_1/∂z^(2)_1  = 0.622459 · (1 − 0.622459) = 0.235004
  ∂z^(2)_1/∂θ^(1)_11 = 1
  ∂J/∂a^(3)_2        = 0.738064 − 1 = −0.261936
  ∂a^(3)_2/∂z^(3)_2  = 0.738064 · (1 − 0.738064) = 0.193326
  ∂z^(3)_2/∂a^(2)_1  = 0.7

6. The products along each path
  path 1 → 1 = 0.681655 · 0.217002 · 0.5 · 0.235004 · 1 = 0.0173809
  path 1 → 2 = −0.261936 · 0.193326 · 0.7 · 0.235004 · 1 = −0.00833024

7. The partial derivative
  sum of the paths   = 0.009050650979
  recursion          = 0.009050650979
"""

WEIGHTED = """\
4. The common factors gathered in the error terms
  δ^(3)_1      = (w[i] / Σw) · ∂J[i]/∂a^(3)_1 · ∂a^(3)_1/∂z^(3)_1
    = (w[i] / Σw) · (a^(3)_1 − y_1) · a^(3)_1 · (1 − a^(3)_1)
  δ^(3)_2      = (w[i] / Σw) · ∂J[i]/∂a^(3)_2 · ∂a^(3)_2/∂z^(3)_2
    = (w[i] / Σw) · (a^(3)_2 − y_2) · a^(3)_2 · (1 − a^(3)_2)
  δ^(2)_1      = (δ^(3)_1 · θ^(2)_11 + δ^(3)_2 · θ^(2)_21) · r^(2)_1 · a^(2)_1 · (1 − a^(2)_1)
  ∂J/∂θ^(1)_11 = Σ_i δ^(2)_1[i] · x_1[i] + 0.01 · θ^(1)_11 + 0.5 · sign(θ^(1)_11)
"""

SOFTMAX = """\
  δ^(2)_1      = ∂J/∂a^(2)_1 · ∂a^(2)_1/∂z^(2)_1 + ∂J/∂a^(2)_2 · ∂a^(2)_2/∂z^(2)_1 = a^(2)_1 − y_1
  ∂J/∂θ^(1)_12 = δ^(2)_1 · x_2"""

THETA = {"layer": 1, "to": 1, "from_": 1}


def two_layers(**options):
    thetas = [[[0.1, 0.2], [0.3, 0.4]], [[0.5, 0.6], [0.7, 0.8]]]
    return rp.Network.from_parameters(thetas, hidden="sigmoid", output="sigmoid", dtype="float64", **options)


def test_1_1_1_in_full():
    net = rp.Network([1, 1, 1], hidden="sigmoid", output="sigmoid", bias=False, seed=0)
    d = rp.explain.derive(net, "theta", **THETA)
    assert str(d) == d.text == ONE_PATH


def test_the_two_paths_of_2_2_2():
    d = rp.explain.derive(two_layers(), "theta", **THETA, x=[[1, 2]], y=[[0, 1]])
    assert BLUE_AND_ORANGE in d.text
    assert GATHERED in d.text
    assert NUMBERS in d.text
    assert re.search(r"central difference = 0\.00905065\d+$", d.text)


def test_where_weights_masks_and_penalties_enter():
    net = two_layers(l2=0.01, l1=0.5, dropout=0.5)
    data = {"x": [[1, 2], [0, 1]], "y": [[0, 1], [1, 1]], "sample_weight": [1, 3], "masks": [[[1, 0], [1, 1]]]}
    text = rp.explain.derive(net, "theta", **THETA, **data).text
    assert WEIGHTED in text
    assert "J is Σ w[i] J[i] / Σw of 2 observations; quantities without a mark are those of [i]." in text
    assert "∂J/∂θ^(1)_11    = Σ_i (w[i] / Σw) · ∂J[i]/∂θ^(1)_11 + 0.01 · θ^(1)_11 + 0.5 · sign(θ^(1)_11)\n" in text
    assert (
        "penalty            = 0.01 · θ^(1)_11 + 0.5 · sign(θ^(1)_11) = 0.01 · 0.1 + 0.5 · sign(0.1) = 0.501\n" in text
    )
    assert "∂z^(3)_1/∂a^(2)_1  = 0.5 · 2 = 1\n" in text  # θ^(2)_11 · 1/(1 − p)


def test_softmax_gathers_its_crossing_paths():
    net = rp.Network([2, 2], output="softmax", loss="cross_entropy", seed=0)
    text = rp.explain.derive(net, "theta", layer=1, to=1, from_=2).text
    assert SOFTMAX in text
    assert "∂a^(2)_2/∂z^(2)_1  = −a^(2)_1 · a^(2)_2\n" in text
    assert "so the paths cross there; the y sum to 1.\n" in text


def test_an_input_of_one_observation_among_several():
    d = rp.explain.derive(two_layers(), "x", from_=2, row=2, x=[[1, 2], [0, 1]], y=[[0, 1], [1, 1]])
    assert "  ∂J/∂x_2[2]    = (1 / m) · ∂J[2]/∂x_2[2]\n" in d.text
    assert "  ∂J/∂x_2[2] = δ^(2)_1 · θ^(1)_12 + δ^(2)_2 · θ^(1)_22\n" in d.text
    assert {path.row for path in d.paths} == {2}


# Every command that KaTeX, MathJax and latex2mathml know; a derivation has no other.
COMMANDS = {
    *("begin", "end", "text", "frac", "partial", "theta", "delta", "sigma", "varphi", "Phi", "left", "right", "cdot"),
    *("cdots", "quad", "operatorname", "sum", "to", "tanh", "exp", "max", "min"),
}


def derivations():
    rng = np.random.default_rng(2)
    for at, (name, output, loss) in enumerate(
        [
            ("sigmoid", "sigmoid", "binary_cross_entropy"),
            ("tanh", "identity", "absolute_error"),
            ("relu", "softmax", "cross_entropy"),
            ("leaky_relu", "softmax", "squared_error"),
            ("elu", "exp", "poisson"),
            ("softplus", "identity", "huber"),
            ("silu", "identity", "log_cosh"),
            ("gelu", "identity", "quantile"),
            ("gelu_tanh", "tanh", "squared_error"),
            ("mish", "identity", "squared_error"),
        ]
    ):
        net = rp.Network([3, 12, 4, 3], hidden=[name, "identity"], output=output, loss=loss, l1=0.1, l2=0.1, seed=at)
        m = 1 + at % 3
        y = rng.uniform(0.1, 0.9, (m, 3))
        data = {"x": rng.normal(size=(m, 3)), "y": y / y.sum(axis=1, keepdims=True)}
        data["sample_weight"] = rng.uniform(0.5, 1.0, m) if at % 2 else None
        yield rp.explain.derive(net, "theta", layer=1, to=11, from_=2, **data, limit=30 if at % 3 else 64)
        yield rp.explain.derive(net, "bias", layer=2, to=4, **data)
        yield rp.explain.derive(net, "x", from_=3)


@pytest.fixture(scope="module", name="all_kinds")
def all_kinds_():
    return list(derivations())


def test_no_line_is_wider_than_a_terminal(all_kinds):
    for d in all_kinds:
        for line in d.text.splitlines():
            # A single formula, as of gelu_tanh, is not broken.
            assert len(line) <= 100 or "tanh(0.797885" in line, line
            assert "nan" not in line


def test_latex_has_plain_commands_and_its_braces_match(all_kinds):
    for d in all_kinds:
        latex = d.latex
        assert set(re.findall(r"\\([a-zA-Z]+)", latex)) <= COMMANDS
        depth = 0
        for brace in re.findall(r"[{}]", latex):
            depth += 1 if brace == "{" else -1
            assert depth >= 0
        assert depth == 0
        assert all(row.count(r"\left") == row.count(r"\right") and row.count("&") == 1 for row in latex.split(r" \\"))
        assert latex.isascii()
    assert d._repr_latex_() == f"$$\n{latex}\n$$"


def test_a_step_of_latex_is_a_display_of_its_own():
    steps = rp.explain.derive(two_layers(), "theta", layer=2, to=1, from_=2).latex_steps
    assert list(steps) == [
        "The chain rule along the path",
        "Each factor by its formula",
        "The formulas in place of the factors",
        "The common factors gathered in the error terms",
    ]
    chain = r"\frac{\partial J}{\partial \theta_{12}^{(2)}} &= \frac{\partial J}{\partial a_{1}^{(3)}} \cdot "
    chain += r"\frac{\partial a_{1}^{(3)}}{\partial z_{1}^{(3)}} \cdot "
    chain += r"\frac{\partial z_{1}^{(3)}}{\partial \theta_{12}^{(2)}}"
    assert steps["The chain rule along the path"] == f"\\begin{{split}}\n{chain}\n\\end{{split}}"


def test_latex_becomes_mathml(all_kinds):
    convert = pytest.importorskip("latex2mathml.converter").convert
    for d in all_kinds[1::6]:
        latex = d.latex
        assert convert(latex).count("<mtr>") == latex.count(r" \\") + 1


def test_4_8_8_3_in_under_a_second():
    net = rp.Network([4, 8, 8, 3], hidden="tanh", seed=0)
    start = time.perf_counter()
    d = rp.explain.derive(net, "theta", layer=1, to=2, from_=3, x=np.ones((1, 4)), y=np.ones((1, 3)))
    assert (len(d.paths), len(d.text) > 1000, len(d.latex) > 1000) == (24, True, True)
    assert time.perf_counter() - start < 1.0
