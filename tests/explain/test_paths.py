"""The paths of a parameter, enumerated and counted."""

import itertools

import pytest

from retroprop.explain.paths import n_paths, neuron_paths


def test_the_paths_of_the_source_text():
    assert list(neuron_paths([1, 1, 1], 1, 1)) == [(1, 1)]
    assert list(neuron_paths([2, 2, 2], 1, 1)) == [(1, 1), (1, 2)]  # blue and orange
    assert list(neuron_paths([2, 2, 2], 2, 2)) == [(2,)]


def test_softmax_crosses_to_every_output():
    assert list(neuron_paths([2, 2, 2], 2, 1, output_elementwise=False)) == [(1, 1), (1, 2)]
    assert len(list(neuron_paths([2, 2, 2], 1, 1, output_elementwise=False))) == 4


def test_a_grouped_softmax_crosses_within_its_group():
    assert list(neuron_paths([1, 5], 1, 3, groups=(2, 3))) == [(3, 3), (3, 4), (3, 5)]
    assert list(neuron_paths([1, 5], 1, 1, groups=(2, 3))) == [(1, 1), (1, 2)]


def test_an_input_starts_its_own_paths():
    assert list(neuron_paths([2, 3, 1], 0, 2)) == [(2, 1, 1), (2, 2, 1), (2, 3, 1)]


@pytest.mark.parametrize("options", [{}, {"output_elementwise": False}, {"groups": (2, 3)}])
def test_the_count_is_that_of_the_enumeration(options):
    for sizes in itertools.product((1, 2, 3), (2, 3), (1, 4), (5,)):
        for layer, to in [(0, 1), (1, 2), (2, 1), (3, 1), (3, 4)]:
            assert n_paths(sizes, layer, to, **options) == len(list(neuron_paths(sizes, layer, to, **options)))


def test_the_count_takes_no_enumeration():
    assert n_paths([784, *[1000] * 40, 10], 1) == 1000**39 * 10
