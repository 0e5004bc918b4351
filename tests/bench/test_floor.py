"""The floor multiplies what a step multiplies, on every backend."""

import numpy as np
import pytest

from retroprop.bench.floor import floor, multiply
from retroprop.bench.timer import warm_up
from retroprop.bench.workloads import parse


def test_shapes_are_those_of_the_step(monkeypatch):
    seen = []
    dot = np.dot
    monkeypatch.setattr("retroprop.bench.floor.np.dot", lambda a, b, out: seen.append((a, b, dot(a, b, out=out))))
    from retroprop import get_backend

    multiply(get_backend("numpy"), parse("3-5-4@7").products, "float32")()
    assert [(a.shape, b.shape, out.shape) for a, b, out in seen] == [
        ((7, 3), (3, 5), (7, 5)),
        ((7, 5), (5, 4), (7, 4)),
        ((4, 7), (7, 5), (4, 5)),
        ((7, 4), (4, 5), (7, 5)),
        ((5, 7), (7, 3), (5, 3)),
    ]
    # a Θᵀ and δᵀ a are products of a transposed view, δ Θ is not: as the step has them
    assert [(a.flags.c_contiguous, b.flags.c_contiguous) for a, b, _ in seen] == [
        (True, False),
        (True, False),
        (False, True),
        (True, True),
        (False, True),
    ]
    counted = sum(2 * a.shape[0] * a.shape[1] * b.shape[1] for a, b, _ in seen)
    assert counted == parse("3-5-4@7").flops


def test_a_wide_theta_lies_as_in_a_step(monkeypatch):
    """In Fortran order, and its gradient: the rule is one, `theta_fortran`, and this shows that it is kept here."""
    seen = []
    monkeypatch.setattr("retroprop.bench.floor.np.dot", lambda a, b, out: seen.append((a, b, out)))
    from retroprop import get_backend

    multiply(get_backend("numpy"), parse("784-100-10@7").products, "float32")()
    (x, theta, z), *_, (xt, delta, gradient) = seen
    assert (x.shape, theta.shape, z.shape) == ((7, 784), (784, 100), (7, 100))
    assert theta.flags.c_contiguous
    assert (xt.shape, delta.shape, gradient.shape) == ((784, 7), (7, 100), (784, 100))
    assert gradient.flags.c_contiguous


def test_it_runs_on_every_backend(backend, dtype):
    contestant = floor(backend, parse("3-5-4@7"), dtype)
    assert (contestant.kind, contestant.name) == ("floor", str(backend))
    assert warm_up(contestant, 0.0).a_call > 0.0


def test_on_jax_every_product_is_computed():
    pytest.importorskip("jax", reason="needs JAX")
    from harness import open_backend

    found = multiply(open_backend("jax:cpu"), parse("3-5-4@7").products, "float32")()
    assert [tuple(product.shape) for product in found] == [(7, 5), (7, 4), (4, 5), (7, 5), (5, 3)]
