"""The names, sizes and counts of what is timed."""

import numpy as np
import pytest

import retroprop as rp
from retroprop.bench.workloads import TABLE, Workload, draw, parse


def test_names_are_read_and_written():
    assert parse(" 784-100-10 @ 128") == Workload((784, 100, 10), 128)
    assert parse("256x9@256") == Workload((256,) * 9, 256)
    for name in ("2-2-2@4", "64-10@3", "2048x4@2048", "7-7-7@2"):
        assert parse(name).name == name
    assert parse("5x3@7").name == "5-5-5@7"


@pytest.mark.parametrize("name", ["784", "784@3", "784-10", "a-b@3", "3-1@4", "0-2@4", "2-2@0", "5x1@3", ""])
def test_other_names_are_refused(name):
    with pytest.raises(ValueError, match="must"):
        parse(name)


def test_products_of_a_step():
    products = parse("3-5-4@7").products
    assert [(p.kind, p.m, p.k, p.n) for p in products] == [
        ("forward", 7, 3, 5),
        ("forward", 7, 5, 4),
        ("gradient", 4, 7, 5),
        ("delta", 7, 4, 5),
        ("gradient", 5, 7, 3),
    ]
    # by hand: 2 · 7 · (3·5 + 5·4) forward, as much for the gradients, 2 · 7 · 4 · 5 for the one delta
    assert parse("3-5-4@7").flops == 2 * 2 * 7 * 35 + 2 * 7 * 20


def test_the_table_is_that_of_the_issue():
    flops = {workload.name: workload.flops for workload in TABLE}
    # Its floors, 4.7 ms and 706 ms, then are 164 and 195 GFLOP/s, as one machine's should be.
    assert flops["256x9@256"] == 23 * 2 * 256**3
    assert flops["2048x4@2048"] == 8 * 2 * 2048**3
    assert list(flops.values()) == sorted(flops.values())


def test_counts_of_memory():
    workload = parse("3-5-4@7")
    assert workload.n_parameters == 3 * 5 + 5 + 5 * 4 + 4
    assert workload.least_memory("sgd") == 2 * 44 + 7 * (5 + 4) + 7 * (5 + 4)
    assert workload.least_memory("adam") - workload.least_memory("sgd") == 2 * 44
    assert workload.elements("adam") - workload.elements("sgd") == 4 * 44


def arrays_of(problem):
    return problem.x, problem.y, *problem.thetas, *problem.biases


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_numbers_are_the_same_at_each_call(optimizer, dtype):
    one, other = (draw(parse("3-5-4@7"), optimizer, dtype) for _ in range(2))
    for a, b in zip(arrays_of(one), arrays_of(other), strict=True):
        np.testing.assert_array_equal(a, b)
    assert {str(a.dtype) for a in (one.x, *one.thetas, *one.biases)} == {dtype}
    assert (one.x.shape, one.y.shape) == ((7, 3), (7,))
    net = one.network("numpy")
    assert net.layer_sizes == (3, 5, 4)
    assert net.dtype == dtype
    assert one.rule == {"sgd": rp.optimizers.SGD(1e-5), "adam": rp.optimizers.Adam(1e-5)}[optimizer]
    assert draw(parse("3-5-4@7"), rows=20).x.shape == (20, 3)
