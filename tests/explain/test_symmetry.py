"""Twins that stay twins, and their parting: real trainings from equal and from random weights."""

import numpy as np
import pytest

import retroprop as rp

XOR = ([[0, 0], [0, 1], [1, 0], [1, 1]], [0, 1, 1, 0])


def test_equal_neurons_stay_equal_to_the_bit_and_random_ones_do_not():
    found = rp.explain.symmetry([2, 2, 1], *XOR, epochs=60)
    theta, bias = found.equal.network.thetas[0], found.equal.network.biases[0]
    np.testing.assert_array_equal(theta[0], theta[1])
    assert bias[0] == bias[1] != 0.0  # it was trained
    assert found.stays
    assert (found.random.nearest > 0.0).all()
    assert found.random.nearest.shape == found.equal.farthest.shape == (61, 1)
    theta, bias = found.random.network.thetas[0], found.random.network.biases[0]
    difference = np.append(theta[0] - theta[1], bias[0] - bias[1])
    assert found.random.farthest[-1, 0] == pytest.approx(np.sqrt(np.sum(difference**2)), rel=1e-12)
    assert "equal to the bit in every epoch" in str(found)
    assert "layer 2: the distance of its two nearest neurons" in str(found)


def test_both_are_trainings_of_fit():
    net = rp.Network([2, 3, 2, 1], hidden="tanh", seed=2)
    before = [theta.copy() for theta in net.thetas]
    found = rp.explain.symmetry(net, *XOR, epochs=10, optimizer="sgd", value=0.25)
    for one, other in zip(net.thetas, before, strict=True):
        np.testing.assert_array_equal(one, other)
    assert found.layers == (2, 3)
    history = rp.fit(net, *XOR, epochs=10, optimizer="sgd", shuffle=False, callbacks=[rp.explain.Snapshots(1)])
    assert history.cost == found.random.history.cost
    np.testing.assert_array_equal(net.thetas[1], found.random.network.thetas[1])
    equal = rp.Network.from_parameters(
        [np.full(theta.shape, 0.25, np.float32) for theta in before],
        [np.zeros(len(theta), np.float32) for theta in before],
        hidden="tanh",
    )
    assert float(equal.cost(*XOR)) == pytest.approx(found.equal.history.cost[0], rel=1e-6)
    assert found.equal.farthest.max() < 1e-5


def test_the_words_say_what_was_measured():
    found = rp.explain.symmetry([2, 2, 1], *XOR, epochs=3)
    for distance, words in ((1e-16, "the rounding of the matrix products"), (0.1, "up to 0.1 apart, from rounding")):
        other = found._replace(equal=found.equal._replace(farthest=found.equal.farthest + distance))
        assert not other.stays
        assert words in str(other)


@pytest.mark.parametrize("sizes", [(2, 3, 2, 1), pytest.param((2, 3, 1), marks=pytest.mark.long)], ids=str)
def test_the_figure(sizes, tmp_path):
    pytest.importorskip("matplotlib", reason="a picture needs matplotlib")
    found = rp.explain.symmetry(sizes, *XOR, epochs=5)
    figure = found.draw(path=tmp_path / "symmetry.svg", dark=len(sizes) == 3)
    parts = {one.get_gid(): one for one in figure.findobj(lambda one: one.get_gid())}
    for i, layer in enumerate(found.layers):
        np.testing.assert_array_equal(parts[f"nearest-random-weights-{layer}"].get_ydata(), found.random.nearest[:, i])
        np.testing.assert_array_equal(parts[f"farthest-equal-weights-{layer}"].get_ydata(), found.equal.farthest[:, i])
    assert list(parts["cost-equal-weights"].get_ydata()) == found.equal.history.cost
    assert "<title>Symmetry of equal weights</title>" in (tmp_path / "symmetry.svg").read_text()


@pytest.mark.parametrize(
    ("arguments", "options", "line"),
    [
        (([2, 1, 1], *XOR), {}, r"needs a hidden layer of 2 neurons or more; layer_sizes is \[2, 1, 1\]"),
        (([2, 1], *XOR), {}, r"needs a hidden layer of 2 neurons or more"),
        ((rp.Network([2, 3, 1], dropout=0.2), *XOR), {}, "needs dropout=0"),
        ((rp.Network.from_parameters([np.ones((3, 2, 2))]), *XOR), {}, "net holds several"),
        (([2, 2, 1], [[1]], [0]), {}, "x has 1 columns"),
        (([2, 2, 1], *XOR), {"value": "x"}, "value must be a number"),
        (([2, 2, 1], *XOR), {"epochs": -1}, "epochs must be"),
    ],
)
def test_bad_input_is_one_line(arguments, options, line):
    with pytest.raises((TypeError, ValueError), match=line) as error:
        rp.explain.symmetry(*arguments, **options)
    assert "\n" not in str(error.value)
