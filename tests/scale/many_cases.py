"""Networks that ranks divide among themselves; run by mpiexec, it prints what was found."""

import hashlib
import json
import sys
import warnings

import numpy as np
from mpi_cases import CLASSES, HELD_OUT, LABELS, TARGETS, WEIGHTS, Doubles, X, differs, flat

import retroprop as rp
from retroprop.estimators import MLPClassifier, MLPEnsembleClassifier
from retroprop.training.many import group

SIZES = [[6, 7, 3], [6, 7, 3], [6, 9, 3], [6, 7, 3], [6, 9, 3]]


def networks(sizes=SIZES, backend="numpy", **options):
    options = {**CLASSES, "hidden": "tanh", "dtype": "float64", **options}
    return [rp.Network(one, **{"seed": i, **options}, backend=backend) for i, one in enumerate(sizes)]


def trained(parallel, *, net=None, x=X, y=LABELS, backend="numpy", **options):
    nets = networks(backend=backend, **net or {})
    given = {"epochs": 6, "batch_size": 20, "seed": list(range(len(nets)))} | options
    given = {name: value() if callable(value) else value for name, value in given.items()}
    return nets, rp.fit_many(nets, x, y, **given, parallel=parallel)


# Those that one step trains, whose sums round by the number of networks.
TOGETHER = {
    "two shapes": {},
    "penalties and rates": {"optimizer": [rp.optimizers.Adam(0.001 * k) for k in range(1, 6)], "net": {"l2": 0.1}},
    "dropout": {"net": {"dropout": 0.3}},
    "weights": {"sample_weight": WEIGHTS},
    "folds of unequal size": {
        "rows": [np.flatnonzero(np.arange(103) % 5 - k) for k in range(5)], "metrics": "accuracy",
    },
    "each its own end": {"epochs": [2, 9, 4, 6, 3]},
    "early stopping": {
        "validation_data": HELD_OUT, "metrics": ["accuracy"], "epochs": 60,
        "early_stopping": rp.EarlyStopping(patience=2), "optimizer": rp.optimizers.Adam(0.03),
    },
    "one network": {"net": {"sizes": SIZES[:1]}},
}  # fmt: skip
# Those that are trained one by one, and have the bits of a single process.
APART = {
    "callbacks": {"callbacks": [Doubles()]},
    "a full batch optimizer": {"optimizer": "lbfgs", "batch_size": None},
    "one generator": {"seed": lambda: np.random.default_rng(3)},
}
QUICK = ("two shapes", "folds of unequal size", "early stopping", "one network", "callbacks", "one generator")


def compared(found, expected):
    pairs = [(flat(one), flat(other)) for one, other in zip(found[0], expected[0], strict=True)]
    histories = list(zip(found[1], expected[1], strict=True))
    series = [
        (x, y)
        for a, b in histories
        for x, y in zip([a.cost, a.validation_cost, *a.metrics.values()],
                        [b.cost, b.validation_cost, *b.metrics.values()], strict=True)
        if y
    ]  # fmt: skip
    return {
        "parameters": max(float(np.abs(a - b).max()) for a, b in pairs),
        "figures": max(float(np.abs(np.subtract(a, b)).max()) for a, b in series),
        "alike": all(ending(a) == ending(b) for a, b in histories),
        "digest": digest(found),
    }  # fmt: skip


def ending(history):
    return history.stop_reason, len(history), history.best_epoch


def digest(found):
    nets, histories = found
    content = [flat(net).tobytes().hex() for net in nets]
    figures = [[h.cost, h.validation_cost, h.metrics, h.seconds, h.stop_reason, str(h.error)] for h in histories]
    return hashlib.sha256(json.dumps([content, figures]).encode()).hexdigest()


def diverges(ranks):
    """A member that diverges leaves the others alone, and its history has the error on every rank."""
    given = {"net": {"sizes": [[6, 4, 2]] * 3, "output": "identity", "loss": "squared_error"}, "y": TARGETS}
    given["optimizer"] = [rp.optimizers.SGD(0.01), rp.optimizers.SGD(1e200), rp.optimizers.SGD(0.02)]
    found = trained(rp.scale.MPI(), **given)
    result = compared(found, trained(None, **given))
    errors = [one.error for one in found[1]]
    alike = isinstance(errors[1], rp.DivergenceError) and errors[1].history is found[1][1] and errors[0] is None
    return {**result, "alike": result["alike"] and alike}


def goes_on(ranks):
    """3 + 3 epochs from the histories, on whichever rank a network is then trained."""
    first = {"epochs": [3, 1, 3, 1, 1]}
    then = {"epochs": [1, 3, 3, 3, 4]}
    found, wanted = trained(rp.scale.MPI(), **first), trained(None, **first)
    results = []
    for parallel, (nets, histories) in ((rp.scale.MPI(), found), (None, wanted)):
        given = {"batch_size": 20, "seed": list(range(5)), **then, "resume_from": histories}
        results.append((nets, rp.fit_many(nets, X, LABELS, **given, parallel=parallel)))
    return compared(*results)


def unseeded(ranks):
    """The seeds that nobody gave are those of rank 0's networks and generators."""
    nets = networks(seed=None)
    before = [flat(net) for net in nets]
    histories = rp.fit_many(nets, X, LABELS, epochs=2, batch_size=20, parallel=rp.scale.MPI())
    first = ranks.bcast(before)
    single = networks(seed=None)
    for net, parameters in zip(single, first, strict=True):
        net.parameters = net.parameters.like(
            [part.reshape(leaf.shape) for part, leaf in zip(
                np.split(parameters, np.cumsum([leaf.size for leaf in net.parameters.leaves])[:-1]),
                net.parameters.leaves, strict=True)]
        )  # fmt: skip
    near = max(float(np.abs(flat(a) - flat(b)).max()) for a, b in zip(nets, single, strict=True))
    return {"digest": digest((nets, histories)), "alike": near < 0.1}  # a few updates away from rank 0's beginning


def shows(ranks):
    """Progress is rank 0's."""
    shown, display = [], group.display
    group.display = lambda wanted: shown.append(wanted) or display(False)
    trained(rp.scale.MPI(), progress=True)
    group.display = display
    return {"alike": set(shown) == {ranks.rank == 0}, "digest": ""}


def generator(ranks):
    """The generator that networks share has one state everywhere afterwards: that of a single process's."""
    states = []
    for parallel in (rp.scale.MPI(), None):
        rng = np.random.default_rng(3)
        trained(parallel, seed=rng)
        states.append(rng.bit_generator.state["state"]["state"])
    return {"alike": states[0] == states[1], "digest": str(states[0])}


def checkpoints(ranks, folder):
    """A folder for each network; the trainings go on from there."""

    def run(epochs, parallel, place, *, resume):
        return trained(
            parallel,
            epochs=epochs,
            checkpoint=[rp.Checkpoint(f"{folder}/{place}/{k}", resume=resume) for k in range(5)],
        )

    run(3, rp.scale.MPI(), "shared", resume=False)
    found = run(6, rp.scale.MPI(), "shared", resume=True)
    return compared(found, trained(None, checkpoint=[rp.Checkpoint(f"{folder}/{ranks.rank}/{k}") for k in range(5)]))


ENSEMBLES = {
    "seeds": {},
    "folds": {"folds": True, "estimator": {"early_stopping": True, "dropout": 0.2}},
    "bootstrap": {"bootstrap": True, "n_members": 2},
}


def ensemble(name, parallel, **further):
    options = {"n_members": 5, "random_state": 3, **ENSEMBLES[name], **further}
    own = {"hidden_layer_sizes": (7,), "max_iter": 12, "learning_rate_init": 0.02, "batch_size": 25}
    mlp = MLPClassifier(**own | options.pop("estimator", {}))
    return MLPEnsembleClassifier(mlp, parallel=parallel, **options).fit(X, LABELS)


def ensembles(ranks, names):
    """The members divided by ranks are those of a single process, with all that a fit has set."""
    found = {}
    for name in names:
        one, other = ensemble(name, rp.scale.MPI()), ensemble(name, None)
        pairs = list(zip(one.estimators_, other.estimators_, strict=True))
        curves = [np.subtract(a.loss_curve_, b.loss_curve_) for a, b in pairs]
        probabilities = one.member_probabilities(X)
        content = probabilities.tobytes() + b"".join(np.array(a.loss_curve_).tobytes() for a, _ in pairs)
        found[f"ensemble: {name}"] = {
            "parameters": float(np.abs(probabilities - other.member_probabilities(X)).max()),
            "figures": max(float(np.abs(curve).max()) for curve in curves),
            "digest": hashlib.sha256(content).hexdigest(),
            "alike": all((a.n_iter_, a.t_, sorted(vars(a))) == (b.n_iter_, b.t_, sorted(vars(b))) for a, b in pairs),
        }
    unseeded = ensemble("seeds", rp.scale.MPI(), random_state=None)
    found["ensemble: unseeded"] = {"digest": hashlib.sha256(unseeded.predict_proba(X).tobytes()).hexdigest()}
    if ranks.size > 1:
        members = 3 + (ranks.rank > 0)
        found["ensemble: differs"] = differs(
            ranks, "the ranks differ in n_members", call=lambda: ensemble("seeds", rp.scale.MPI(), n_members=members)
        )
        alpha = {"alpha": 0.1 * (ranks.rank > 0)}
        found["ensemble: differs in the estimator"] = differs(
            ranks, "the ranks differ in alpha", call=lambda: ensemble("seeds", rp.scale.MPI(), estimator=alpha)
        )
    return found


def everything(ranks, folder, *, quick, torch):
    parallel = rp.scale.MPI()
    cases = {name: options for name, options in {**TOGETHER, **APART}.items() if not quick or name in QUICK}
    found = {
        f"apart: {name}" if name in APART else name: compared(trained(parallel, **given), trained(None, **given))
        for name, given in cases.items()
    }
    for name in ("two shapes", "folds of unequal size", "early stopping") if torch else ():
        given = {**TOGETHER[name], "backend": "torch"}
        found[f"torch: {name}"] = compared(trained(parallel, **given), trained(None, **given))
    found["apart: checkpoints"] = checkpoints(ranks, folder)
    found["a member diverges"], found["goes on"], found["generator"] = diverges(ranks), goes_on(ranks), generator(ranks)
    found["unseeded"] = unseeded(ranks)
    found["shard"] = differs(
        ranks, "parallel of fit_many does not go with shard=True", call=lambda: trained(rp.scale.MPI(shard=True))
    )
    found |= ensembles(ranks, ("folds",) if quick else ENSEMBLES)
    if ranks.size > 1:
        found["progress"] = shows(ranks)
        for name, expected, by_rank in (
            ("epochs", "differ in epochs of nets[1]: rank 0 has 6, and rank 1 7.", [{}, {"epochs": [6, 7, 6, 6, 6]}]),
            ("seed", "the ranks differ in seed of nets[2]", [{}, {"seed": [0, 1, 3, 3, 4]}]),
            ("data", "the ranks differ in x of nets[0]", [{}, {"x": X + 1.0}]),
            ("rows", "the ranks differ in rows of nets[0]", [{}, {"rows": np.arange(50)}]),
            ("networks", "number of networks: rank 0 has 5, and rank 1 3.", [{}, {"net": {"sizes": SIZES[:3]}}]),
            ("callbacks", "the ranks differ in callbacks of nets[0]", [{}, {"callbacks": [Doubles()]}]),
            ("bad", "epochs must be" if ranks.rank else "on rank 1", [{}, {"epochs": 0}]),
            ("engine", "networks of fit_many are divided by rp.scale.MPI()", [{}, {}]),
        ):  # fmt: skip
            given, engine = by_rank[min(ranks.rank, 1)], rp.scale.NCCL() if name == "engine" else parallel
            found[f"differs: {name}"] = differs(ranks, expected, call=lambda e=engine, g=given: trained(e, **g))
    return found


if __name__ == "__main__":
    from mpi4py import MPI

    warnings.simplefilter("ignore")
    ranks = MPI.COMM_WORLD
    every = ranks.gather(everything(ranks, sys.argv[2], quick=sys.argv[1] == "quick", torch="torch" in sys.argv))
    if ranks.rank == 0:
        print(json.dumps(every))
