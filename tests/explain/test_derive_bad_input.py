"""A parameter that does not exist, and data that do not fit: one line, which names the ones that do."""

import numpy as np
import pytest

import retroprop as rp

NET = rp.Network([2, 3, 1], seed=0)
PLAIN = rp.Network([2, 1], bias=False, seed=0)
MODELS = rp.Network.from_parameters([np.zeros((5, 1, 2))])
THETA = {"of": "theta", "layer": 1, "to": 1, "from_": 1}
DATA = {"x": [[0.1, 0.2], [0.3, 0.4]], "y": [[1.0], [2.0]]}


@pytest.mark.parametrize(
    ("net", "arguments", "error", "message"),
    [
        (NET, THETA | {"layer": 3}, ValueError, "theta has layers 1..2; layer 3 does not exist."),
        (NET, THETA | {"layer": 0}, ValueError, "theta has layers 1..2; layer 0 does not exist."),
        (
            NET,
            THETA | {"to": 4},
            ValueError,
            "theta of layer 1 has neurons of layer 2, to which it goes, 1..3; to=4 does not exist.",
        ),
        (
            NET,
            THETA | {"from_": 0},
            ValueError,
            "theta of layer 1 has neurons of layer 1, from which it comes, 1..2; from_=0 does not exist.",
        ),
        (NET, {"of": "x", "from_": 3}, ValueError, "x has inputs 1..2; input 3 does not exist."),
        (
            PLAIN,
            {"of": "bias", "layer": 1, "to": 1},
            ValueError,
            "the network has no biases (bias=False); it has theta of layers 1..1.",
        ),
        (
            NET,
            THETA | {"of": "weight"},
            ValueError,
            "unknown quantity 'weight'. Did you mean 'theta'? Accepted: bias, theta, x.",
        ),
        (NET, THETA | {"to": 1.0}, TypeError, "to must be a whole number, not 1.0."),
        (
            NET,
            {"of": "theta", "layer": 1, "to": 1},
            TypeError,
            'derive(net, "theta") takes layer=, to=, from_=; it was called without from_=.',
        ),
        (NET, THETA | {"of": "bias"}, TypeError, 'derive(net, "bias") takes layer=, to=; it was called with from_=.'),
        (
            NET,
            THETA | {"row": 1},
            TypeError,
            'derive(net, "theta") takes layer=, to=, from_=; it was called with row=.',
        ),
        (NET, {"of": "x", "from_": 1} | DATA, TypeError, 'derive(net, "x") of 2 observations takes row=, from 1.'),
        (
            NET,
            {"of": "x", "from_": 1, "row": 3} | DATA,
            ValueError,
            "x has observations 1..2; row=3 does not exist.",
        ),
        (
            NET,
            THETA | {"x": [[0.1, 0.2]]},
            TypeError,
            "y is missing: a derivation with numbers takes x and y, and was given x.",
        ),
        (
            NET,
            THETA | {"sample_weight": [1.0]},
            TypeError,
            "x is missing: a derivation with numbers takes x and y, and was given sample_weight.",
        ),
        (
            NET,
            THETA | DATA | {"x": [[0.1, 0.2, 0.3]]},
            ValueError,
            "x has 3 columns and the network 2 inputs (layer_sizes[0]); its shape is (1, 3).",
        ),
        (
            NET,
            THETA | DATA | {"y": [[1.0]]},
            ValueError,
            (
                "y must have the shape (2, 1) for this x and 1 output(s) with the loss 'squared_error'; "
                "it has the shape (1, 1)."
            ),
        ),
        (NET, THETA | DATA | {"x": [[0.1, np.nan], [0.0, 0.0]]}, ValueError, None),
        (
            NET,
            THETA | DATA | {"masks": []},
            ValueError,
            "masks must list one mask or None for each of 1 hidden layers, not 0.",
        ),
        (NET, THETA | DATA | {"masks": [[[1, 1, 0]]]}, ValueError, "masks[0] must have the shape (2, 3), not (1, 3)."),
        (
            NET,
            THETA | DATA | {"masks": [np.full((2, 3), 2)]},
            ValueError,
            "masks[0] must hold 0 and 1, 1 for the neurons that stay; it is divided by 1 − p here.",
        ),
        (NET, THETA | {"limit": 0}, ValueError, "limit must be 1 or above, not 0."),
        (NET, THETA | {"largest": 2.5}, TypeError, "largest must be a whole number, not 2.5."),
        ("net", THETA, TypeError, "net must be a Network, not str."),
        (MODELS, THETA, ValueError, None),
    ],
)
def test_one_line_before_any_work(net, arguments, error, message):
    with pytest.raises(error) as raised:
        rp.explain.derive(net, **arguments)
    assert "\n" not in str(raised.value)
    assert message is None or str(raised.value) == message


def test_a_network_of_several_models_says_how_to_take_one():
    with pytest.raises(ValueError, match=r"derive takes one network, and net holds several: its first theta has the"):
        rp.explain.derive(MODELS, **THETA)
    for one in MODELS.unstack():
        rp.explain.derive(one, **THETA)


def test_without_sympy_the_text_is_there_and_the_expression_says_what_to_install(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "sympy", None)
    d = rp.explain.derive(NET, **THETA)
    assert "∂J/∂θ^(1)_11 of a 2-3-1 network" in d.text
    with pytest.raises(ImportError, match=r"needs SymPy: pip install 'retroprop\[explain\]'"):
        _ = d.sympy
