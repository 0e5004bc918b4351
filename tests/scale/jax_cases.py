"""Trainings on four simulated devices of JAX, each beside the same on one; prints the largest differences as JSON."""

import json
import os
import sys

os.environ["XLA_FLAGS"] = "--xla_force_host_platform_device_count=4"
os.environ["JAX_ENABLE_X64"] = "1"

import numpy as np

import retroprop as rp
from retroprop.training.step import bind

RNG = np.random.default_rng(0)
X, Y, WEIGHT = RNG.normal(size=(203, 5)), RNG.integers(0, 3, 203), RNG.uniform(size=203)
O = rp.optimizers
QUICK = {
    "dropout, penalties, weights, a last batch of 11": (
        {"dropout": 0.3, "l2": 1e-3, "l1": 1e-4},
        {"batch_size": 32, "sample_weight": WEIGHT},
    ),
}
LONG = {
    "full batch": ({}, {}),
    "momentum, clipped": ({}, {"batch_size": 32, "optimizer": O.SGD(0.1, momentum=0.9), "clip_norm": 0.5}),
    "lbfgs": ({}, {"optimizer": "lbfgs"}),
    "early stopping": (
        {"hidden": "tanh"},
        {"batch_size": 20, "validation_data": (X, Y), "early_stopping": rp.EarlyStopping(patience=1, tol=0.1)},
    ),
    "no bias, metrics": ({"bias": False}, {"batch_size": 40, "metrics": ["accuracy"]}),
    "in order": ({}, {"batch_size": 40, "shuffle": False, "optimizer": "rmsprop"}),
}


def trained(backend, form, options):
    net = rp.Network(
        [5, 8, 3], output="softmax", loss="cross_entropy", seed=0, dtype="float64", backend=backend, **form
    )
    history = rp.fit(net, X, Y, epochs=6, seed=1, **options)
    leaves = [net.backend.to_numpy(leaf) for leaf in (*net.parameters.leaves, net.predict(X))]
    return np.concatenate([leaf.ravel() for leaf in leaves] + [history.cost])


def all_reduces():
    """Return how many sums over devices a compiled step has, and the rows of its first product."""
    net = rp.Network([40, 16, 3], output="softmax", loss="cross_entropy", backend="jax:*", l2=0.1)
    backend, rule = net.backend, O.Adam()
    step = bind(backend, net.architecture, rule)
    data = net.batch(RNG.normal(size=(128, 40)), RNG.integers(0, 3, 128))
    state = rule.start(net.parameters, backend.xp.zeros_like)
    with backend.active():
        rows = backend.asarray(RNG.permutation(128)[:64])
        lowered = step._one.lower(net.parameters, state, rule.hyper(1, 1e-3), data, rows, None)
    text = lowered.compile().as_text()
    return [text.count(" all-reduce("), "[16,16]" in text]


cases = QUICK | (LONG if "long" in sys.argv else {})
one, several = "jax:cpu:0", "jax:*"
found = {name: float(np.abs(trained(one, *case) - trained(several, *case)).max()) for name, case in cases.items()}
if "long" in sys.argv:
    nets = [
        [rp.Network([5, 6, 3], output="softmax", seed=k, dtype="float64", backend=b) for k in range(3)]
        for b in (one, several)
    ]
    for some in nets:
        rp.fit_many(some, X, np.eye(3)[Y], epochs=3, batch_size=32, seed=0)
    pairs = zip(*nets, strict=True)
    found["fit_many"] = max(float(np.abs(np.asarray(a.predict(X)) - np.asarray(b.predict(X))).max()) for a, b in pairs)
print(json.dumps({"differences": found, "compiled": all_reduces(), "name": str(rp.get_backend(several))}))
