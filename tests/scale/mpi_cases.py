"""Trainings that a number of ranks and a single process must end alike; run by mpiexec, it prints what was found."""

import hashlib
import json
import sys
import warnings

import numpy as np

import retroprop as rp
from retroprop.estimators import MLPClassifier

RNG = np.random.default_rng(0)
M = 103
X, LABELS = RNG.normal(size=(M, 6)), RNG.integers(0, 3, M)
TARGETS = np.tanh(X[:, :2] @ RNG.normal(size=(2, 2)))
WEIGHTS = RNG.integers(0, 4, M).astype("float64")
WEIGHTS[:20] = 0.0  # without shuffling, a batch whose weights sum to 0
HELD_OUT = RNG.normal(size=(31, 6)), RNG.integers(0, 3, 31)
CLASSES = {"output": "softmax", "loss": "cross_entropy"}
NUMBERS = {"sizes": [6, 7, 2], "hidden": "tanh"}


class Stops:
    """Wishes to stop after some epochs, on one rank only."""

    def __init__(self, epochs, rank):
        self.epochs, self.rank = epochs, rank

    def on_epoch_end(self, state):
        return self.rank and state.epoch == self.epochs


class Doubles:
    """Changes the network after the second epoch."""

    def on_epoch_end(self, state):
        if state.epoch == 2:
            state.network.thetas = [2.0 * theta for theta in state.network.thetas]


class Chunks:
    """Rows of an array as a source in chunks, which can be sliced."""

    chunk_rows = 8

    def __init__(self, array):
        self.array, self.shape, self.ndim, self.dtype = array, array.shape, array.ndim, array.dtype

    def read(self, rows, into):
        into[...] = self.array[rows]

    def __getitem__(self, rows):
        return Chunks(self.array[rows])

    def __len__(self):
        return len(self.array)


CASES = {
    "adam": {},
    "full batch": {"batch_size": None, "epochs": 50},
    "sgd": {"optimizer": rp.optimizers.SGD(0.05, momentum=0.9, nesterov=True)},
    "rmsprop": {"optimizer": "rmsprop"},
    "adamw": {"optimizer": "adamw"},
    "lion": {"optimizer": "lion"},
    "penalties": {"net": {"l2": 0.1, "l1": 0.01}},
    "dropout": {"net": {"dropout": 0.4, "sizes": [6, 9, 7, 3]}},
    "weights": {"sample_weight": WEIGHTS, "net": {"l2": 0.1}},
    "weights of a batch that are all 0": {"sample_weight": WEIGHTS, "shuffle": False, "net": {"l2": 0.1}},
    "numbers": {"net": NUMBERS, "y": TARGETS},
    "without bias": {"net": {**NUMBERS, "bias": False}, "y": TARGETS},
    "clipped": {"net": NUMBERS, "y": TARGETS, "clip_norm": 0.05, "clip_value": 0.02},
    "a last batch of one row": {"batch_size": 17, "epochs": 9},
    "validation and early stopping": {
        "validation_data": HELD_OUT, "metrics": ["accuracy"], "epochs": 60,
        "early_stopping": rp.EarlyStopping(patience=3), "optimizer": rp.optimizers.Adam(0.02),
    },
    "metrics of the training rows": {"metrics": ["accuracy"], "sample_weight": WEIGHTS, "net": {"dropout": 0.2}},
    "early stopping by the cost": {"early_stopping": rp.EarlyStopping(monitor="cost", patience=1, tol=0.05)},
    "a plateau": {"optimizer": rp.optimizers.Adam(rp.schedules.ReduceOnPlateau(0.02, patience=1, factor=0.5))},
    "a callback that changes the network": {"callbacks": [Doubles()]},
    "a source of chunks": {"x": Chunks(X), "y": Chunks(LABELS), "sample_weight": WEIGHTS},
    "bytes": {"x": (X * 30 + 128).astype("uint8"), "net": {"initializer": rp.initializers.Uniform(0.001)}},
}  # fmt: skip


SHARDED = ("adam", "full batch", "penalties", "dropout", "weights", "weights of a batch that are all 0",
           "metrics of the training rows", "validation and early stopping", "a last batch of one row",
           "a source of chunks")  # fmt: skip


FIXED = ("adam", "dropout", "weights", "validation and early stopping", "metrics of the training rows")
LONG = ("sgd", "rmsprop", "adamw", "lion", "weights", "numbers", "without bias", "a last batch of one row",
        "early stopping by the cost", "a callback that changes the network", "bytes")  # fmt: skip


def network(dtype="float64", backend="numpy", sizes=(6, 7, 3), **options):
    options = options if "hidden" in options else {**CLASSES, **options}
    return rp.Network(list(sizes), **{"seed": 0, **options}, dtype=dtype, backend=backend)


def trained(parallel, *, net=None, x=X, y=LABELS, backend="numpy", **options):
    made = network(backend=backend, **net or {})
    history = rp.fit(
        made, x, y, **{"optimizer": "adam", "epochs": 9, "batch_size": 20, "seed": 1, **options}, parallel=parallel
    )
    return made, history


def flat(net):
    return np.concatenate([net.backend.to_numpy(leaf).ravel() for leaf in net.parameters.leaves])


def digest(net):
    return hashlib.sha256(flat(net).tobytes()).hexdigest()


def shard(ranks, *arrays):
    """The rows of a rank, in unequal shards: the first has the fewest, with four ranks none but one."""
    m = len(arrays[0])
    ends = [m * k * k // ranks.size**2 for k in range(ranks.size + 1)]
    rows = slice(ends[ranks.rank], ends[ranks.rank + 1])
    return [None if part is None else part[rows] for part in arrays]


def compared(found, expected):
    """The largest differences of parameters and figures, and whether the training ended alike."""
    (net, history), (other, wanted) = found, expected
    figures = [history.cost, history.validation_cost, *history.metrics.values()]
    others = [wanted.cost, wanted.validation_cost, *wanted.metrics.values()]
    scale = max(1.0, float(np.abs(flat(other)).max()))
    return {
        "parameters": float(np.abs(flat(net) - flat(other)).max()) / scale,
        "figures": max(float(np.abs(np.subtract(a, b)).max()) for a, b in zip(figures, others, strict=True) if b),
        "alike": (history.stop_reason, len(history), history.best_epoch)
        == (wanted.stop_reason, len(wanted), wanted.best_epoch),
        "updates": len(history),
        "digest": digest(net),
    }


def case(name, ranks, **further):
    options = {**CASES[name], **further}
    return compared(trained(rp.scale.MPI(), **options), trained(None, **options))


def sharded(name, ranks, **further):
    options = {"x": X, "y": LABELS, "sample_weight": None, **CASES[name], **further}
    x, y, weight = shard(ranks, options["x"], options["y"], options["sample_weight"])
    own = {**options, "x": x, "y": y, "sample_weight": weight}
    if "validation_data" in options:
        own["validation_data"] = tuple(shard(ranks, *options["validation_data"]))
    return compared(trained(rp.scale.MPI(shard=True), **own), trained(None, **options))


def fixed(name, ranks, **further):
    """A deterministic training, whose bits are the same for every number of ranks."""
    options = {**CASES[name], **further}
    found = trained(rp.scale.MPI(), deterministic=True, **options)
    history = found[1]
    bits = json.dumps([history.cost, history.validation_cost, history.metrics, digest(found[0])])
    return {**compared(found, trained(None, **options)), "digest": hashlib.sha256(bits.encode()).hexdigest()}


def unseeded(ranks):
    """Network and order drawn once: on rank 0."""
    made = network(seed=None)
    rp.fit(made, X, LABELS, epochs=3, batch_size=20, parallel=rp.scale.MPI())
    return {"digest": digest(made)}


def stopped(ranks):
    """A callback of the last rank stops all."""
    callbacks = [Stops(4, ranks.rank == ranks.size - 1)]
    net, history = trained(rp.scale.MPI(), callbacks=callbacks)
    return {"digest": digest(net), "alike": (history.stop_reason, len(history)) == ("callback", 4)}


def diverges(ranks):
    """The error is the same everywhere, and can be caught."""
    try:
        trained(rp.scale.MPI(), net=NUMBERS, y=TARGETS * 1e200, optimizer=rp.optimizers.SGD(1e10))
    except rp.DivergenceError as error:
        return {"digest": hashlib.sha256(str(error).encode()).hexdigest(), "alike": "at epoch 1" in str(error)}


def differs(ranks, expected, call=None, **by_rank):
    """Ranks whose calls differ get one error, that names the field."""
    options = {name: values[min(ranks.rank, 1)] for name, values in by_rank.items()}
    try:
        trained(rp.scale.MPI(), **options) if call is None else call()
    except (ValueError, TypeError) as error:
        return {"alike": expected in str(error) or str(error), "digest": ""}


def estimated(ranks):
    """An estimator that ranks share has the numbers of the one that is fitted alone; its λ goes with the sum."""
    options = {"hidden_layer_sizes": (7,), "alpha": 0.5, "max_iter": 9, "batch_size": 20, "random_state": 1}
    found = {}
    for name, further in {"": {}, "early stopping": {"early_stopping": True}, "dropout": {"dropout": 0.3}}.items():
        one, other = (
            MLPClassifier(**options, **further, parallel=parallel).fit(X, LABELS, sample_weight=WEIGHTS + 1.0)
            for parallel in (rp.scale.MPI(), None)
        )
        pairs = zip([*one.coefs_, *one.intercepts_], [*other.coefs_, *other.intercepts_], strict=True)
        bits = b"".join(part.tobytes() for part in (*one.coefs_, *one.intercepts_))
        found[f"estimator: {name}"] = {
            "parameters": max(float(np.abs(a - b).max()) for a, b in pairs),
            "figures": float(np.abs(np.subtract(one.loss_curve_, other.loss_curve_)).max()),
            "digest": hashlib.sha256(bits).hexdigest(),
        }
    unseeded = MLPClassifier((3,), max_iter=2, parallel=rp.scale.MPI()).fit(X, LABELS)
    found["estimator: unseeded"] = {"digest": hashlib.sha256(unseeded.coefs_[0].tobytes()).hexdigest()}
    return found


def everything(ranks, *, quick, torch):
    found = {name: case(name, ranks) for name in CASES if not quick or name not in LONG}
    found |= {f"torch: {name}": case(name, ranks, backend="torch") for name in torch}
    found |= {f"shards: {name}": sharded(name, ranks) for name in SHARDED if not quick or name not in LONG}
    found |= {f"torch, shards: {name}": sharded(name, ranks, backend="torch") for name in torch}
    if ranks.size in (1, 2, 4, 8):
        found |= {f"fixed: {name}": fixed(name, ranks) for name in FIXED if not quick or name not in LONG}
        found |= {f"fixed, torch: {name}": fixed(name, ranks, backend="torch") for name in torch}
    found |= estimated(ranks)
    found["unseeded"], found["stopped"], found["diverges"] = unseeded(ranks), stopped(ranks), diverges(ranks)
    if ranks.size > 1:
        found |= {
            "differs: epochs": differs(ranks, "the ranks differ in epochs: rank 0 has 3, and rank 1 4.", epochs=[3, 4]),
            "differs: seed": differs(ranks, "the ranks differ in seed", seed=[3, 4]),
            "differs: data": differs(ranks, "the ranks differ in x", x=[X, X + 1.0]),
            "differs: rows": differs(ranks, "the ranks differ in x", x=[X, X[:90]], y=[LABELS, LABELS[:90]]),
            "differs: callbacks": differs(ranks, "the ranks differ in callbacks", callbacks=[[], [Doubles()]]),
            "differs: dtype": differs(ranks, "differ in dtype", net=[{}, {"dtype": "float32"}]),
            "differs: sizes": differs(ranks, "differ in layer_sizes", net=[{}, {"sizes": [6, 8, 3]}]),
            "differs: bad": differs(ranks, "epochs must be" if ranks.rank else "on rank 1", epochs=[3, 0]),
            "a small batch": differs(ranks, "a batch must have a row for each rank", batch_size=[1, 1]),
        }
    return found


if __name__ == "__main__":
    from mpi4py import MPI

    warnings.simplefilter("ignore")
    ranks = MPI.COMM_WORLD
    every = ranks.gather(everything(ranks, quick=sys.argv[1] == "quick", torch=sys.argv[2:]))
    if ranks.rank == 0:
        print(json.dumps(every))
