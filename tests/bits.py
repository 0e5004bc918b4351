"""Trainings on NumPy whose bits are recorded: one of every kind of step. `python tests/bits.py` records them anew.

A change of the engine must not change them. They depend on the processor, NumPy and its BLAS, so the record names those
it was made with; elsewhere the costs are compared to the precision of float32.
"""

import hashlib
import json
import os
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import threadpoolctl

import retroprop as rp
from retroprop.estimators import MLPClassifier, MLPRegressor

RECORD = Path(__file__).with_suffix(".json")


def machine():
    """Return everything that the bits depend on."""
    blas = [pool for pool in threadpoolctl.threadpool_info() if pool["user_api"] == "blas"]
    found = {"numpy": np.__version__}
    found |= {
        f"blas {key}": sorted({str(pool.get(key)) for pool in blas})
        for key in ("version", "architecture", "num_threads")
    }
    try:
        import numba

        found["numba"] = numba.__version__
    except ImportError:
        found["numba"] = None
    features = np._core._multiarray_umath.__cpu_features__
    return found | {"features": sorted(name for name, here in features.items() if here)}


def data(dtype="float64", m=96, n=7, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((m, n)).astype(dtype)
    return x, rng


def network_case(layer_sizes, *, m=96, net=None, y="real", weights=False, cast="float64", **fit):
    """Return the costs of a training and the hash of the parameters it ends with."""
    x, rng = data(cast, m, layer_sizes[0])
    n_out = layer_sizes[-1]
    targets = {
        "real": lambda: rng.standard_normal((m, n_out)),
        "classes": lambda: rng.integers(0, n_out, m),
        "bits": lambda: rng.integers(0, 2, (m, n_out)),
        "counts": lambda: rng.integers(0, 5, (m, n_out)),
    }[y]()
    if cast == "uint8":
        x = rng.integers(0, 255, (m, layer_sizes[0])).astype("uint8")
    network = rp.Network(layer_sizes, seed=1, backend="numpy", **(net or {}))
    if weights:
        fit["sample_weight"] = rng.random(m)
    if fit.pop("validates", False):
        fit["validation_data"] = (x[:20], targets[:20])
    history = rp.fit(network, x, targets, seed=2, **{"epochs": 4, **fit})
    digest = hashlib.sha256(b"".join(np.ascontiguousarray(a).tobytes() for a in network.parameters.leaves))
    # The outputs too: their bits depend on the memory order that the parameters are left in.
    return [*history.cost, *history.validation_cost, float(network.predict(x[:7]).sum())], digest.hexdigest()


def estimator_case(kind, **options):
    """Return the losses of an estimator's fit and the hash of its coefficients."""
    x, rng = data("float32", 120, options.pop("n_features", 6))
    y = rng.integers(0, 3, 120) if kind == "classifier" else rng.standard_normal(120)
    passes = options.pop("passes", 0)
    model = (MLPClassifier if kind == "classifier" else MLPRegressor)(
        **{"hidden_layer_sizes": (9, 5), "max_iter": 6, "random_state": 3, **options}
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if passes:
            for at in range(passes):
                model.partial_fit(x, y, **({"classes": [0, 1, 2]} if kind == "classifier" and not at else {}))
        else:
            model.fit(x, y)
    digest = hashlib.sha256(b"".join(np.ascontiguousarray(a).tobytes() for a in (*model.coefs_, *model.intercepts_)))
    curves = [*model.loss_curve_, *(model.validation_scores_ or ()), model.predict(x[:7]).sum()]
    return list(map(float, curves)), digest.hexdigest()


SOFTMAX = {"output": "softmax", "loss": "cross_entropy"}
NETWORKS = {
    "relu-sgd": ((7, 16, 3), {"optimizer": "sgd", "batch_size": 20}),
    "relu-adam": ((7, 16, 3), {"optimizer": "adam", "batch_size": 20}),
    "full-batch": ((7, 16, 3), {"optimizer": "adam"}),
    "two-columns": ((2, 2, 2), {"net": SOFTMAX, "y": "classes", "batch_size": 4}),
    "softmax": ((7, 16, 12, 3), {"net": SOFTMAX, "y": "classes", "batch_size": 32, "metrics": ["accuracy"]}),
    "softmax-weights": ((7, 16, 3), {"net": SOFTMAX, "y": "classes", "batch_size": 32, "weights": True}),
    "sigmoid-bits": ((7, 10, 2), {"net": {"output": "sigmoid", "loss": "binary_cross_entropy", "hidden": "tanh"},
                                  "y": "bits", "batch_size": 32}),
    "poisson": ((7, 10, 1), {"net": {"output": "exp", "loss": "poisson", "hidden": "softplus"}, "y": "counts"}),
    "huber": ((7, 10, 1), {"net": {"loss": "huber", "hidden": "elu"}, "batch_size": 32}),
    "gelu-deep": ((7, 9, 8, 7, 2), {"net": {"hidden": "gelu_tanh"}, "batch_size": 24}),
    "silu-float64": ((7, 9, 2), {"net": {"hidden": "silu", "dtype": "float64"}, "batch_size": 24}),
    "mish-penalties": ((7, 9, 2), {"net": {"hidden": "mish", "l2": 0.01, "l1": 0.001}, "batch_size": 24}),
    "dropout": ((7, 32, 16, 3), {"net": {**SOFTMAX, "dropout": 0.3}, "y": "classes", "batch_size": 32}),
    "no-bias": ((7, 16, 3), {"net": {"bias": False}, "batch_size": 32, "optimizer": "rmsprop"}),
    "clipping": ((7, 16, 3), {"batch_size": 32, "clip_norm": 0.5, "clip_value": 0.1, "optimizer": "lion"}),
    "adamw-schedule": ((7, 16, 3), {"batch_size": 32, "optimizer": rp.optimizers.AdamW(
        rp.schedules.Cosine(0.01, 13))}),
    "momentum": ((7, 16, 3), {"batch_size": 32, "optimizer": rp.optimizers.SGD(0.05, momentum=0.9, nesterov=True)}),
    "plateau": ((7, 16, 3), {"batch_size": 32, "validates": True, "epochs": 8, "optimizer": rp.optimizers.SGD(
        rp.schedules.ReduceOnPlateau(0.05, patience=2))}),
    "early-stopping": ((7, 16, 3), {"batch_size": 32, "validates": True, "epochs": 12,
                                    "early_stopping": rp.EarlyStopping(patience=2)}),
    "bytes": ((7, 16, 3), {"cast": "uint8", "batch_size": 32}),
    "lbfgs": ((7, 10, 2), {"net": {"hidden": "tanh"}, "optimizer": "lbfgs", "epochs": 8}),
    "turned": ((300, 40, 5), {"net": SOFTMAX, "y": "classes", "batch_size": 32, "m": 200}),
    "wide-validated": ((300, 40, 4), {"batch_size": 32, "validates": True, "epochs": 6,
                                      "early_stopping": rp.EarlyStopping(patience=2)}),
    "wide-output": ((7, 40, 60), {"net": SOFTMAX, "y": "classes", "batch_size": 32}),
    "unshuffled": ((7, 16, 3), {"batch_size": 25, "shuffle": False}),
    "compiled": ((64, 60, 10), {"net": SOFTMAX, "y": "classes", "batch_size": 100, "m": 2000, "epochs": 40}),
    "compiled-dropout": ((64, 60, 40, 10), {"net": {**SOFTMAX, "dropout": 0.2}, "y": "classes", "batch_size": 100,
                                            "m": 2000, "epochs": 30, "weights": True}),
    "plain-rule": ((7, 16, 3), {"net": {"hidden": "leaky_relu"}, "batch_size": 20, "metrics": ["r2"]}),
}  # fmt: skip
ESTIMATORS = {
    "classifier-adam": ("classifier", {}),
    "classifier-early": ("classifier", {"early_stopping": True, "max_iter": 20}),
    "classifier-partial": ("classifier", {"passes": 3}),
    "regressor-wide": ("regressor", {"n_features": 300, "hidden_layer_sizes": (40,), "early_stopping": True}),
    "regressor-sgd": ("regressor", {"solver": "sgd", "learning_rate": "adaptive", "max_iter": 30}),
    "regressor-dropout": ("regressor", {"dropout": 0.2, "batch_size": 17}),
    "regressor-tanh": ("regressor", {"activation": "tanh", "alpha": 0.1, "restore_best": True}),
}


def run(name):
    """Run a case."""
    if name in NETWORKS:
        sizes, options = NETWORKS[name]
        return network_case(list(sizes), **options)
    kind, options = ESTIMATORS[name]
    return estimator_case(kind, **dict(options))


def run_all(numba):
    """Run all cases in a process of its own, on one thread, with Numba or without."""
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"), "1")
    environment = {**os.environ, **threads, "RETROPROP_NUMBA": "loops" if numba else "0"}
    done = subprocess.run(
        [sys.executable, __file__, "--run"], env=environment, check=True, capture_output=True, text=True
    )
    return json.loads(done.stdout)


if __name__ == "__main__":
    if sys.argv[1:] == ["--run"]:
        json.dump({"machine": machine()} | {name: run(name) for name in (*NETWORKS, *ESTIMATORS)}, sys.stdout)
    else:
        RECORD.write_text(json.dumps({"numpy": run_all(False), "numba": run_all(True)}, indent=0))
