"""The public surface is what DESIGN fixes, with its defaults."""

import inspect

import retroprop as rp
from retroprop import training
from retroprop.backends import Backend

EMPTY = inspect.Parameter.empty


def defaults(function):
    return {
        name: parameter.default
        for name, parameter in inspect.signature(function).parameters.items()
        if name not in ("self", "cls") and parameter.default is not EMPTY
    }


def test_all_is_what_there_is():
    for module in (rp, training):
        for name in module.__all__:
            assert hasattr(module, name)
        assert sorted(module.__all__) == list(module.__all__) or module is rp


def test_network_defaults():
    assert defaults(rp.Network) == {
        "hidden": "relu",
        "output": "identity",
        "loss": "squared_error",
        "initializer": "glorot_uniform",
        "bias": True,
        "l2": 0.0,
        "l1": 0.0,
        "dropout": 0.0,
        "seed": None,
        "dtype": "float32",
        "backend": None,
    }


def test_fit_defaults():
    assert defaults(rp.fit) == {
        "y": None,
        "optimizer": "adam",
        "epochs": 20,
        "batch_size": None,
        "sample_weight": None,
        "shuffle": True,
        "seed": None,
        "validation_data": None,
        "metrics": (),
        "callbacks": (),
        "early_stopping": None,
        "clip_norm": None,
        "clip_value": None,
        "progress": False,
        "precision": "highest",
        "deterministic": False,
        "checkpoint": None,
        "resume_from": None,
        "parallel": None,
    }


def test_fit_many_has_the_defaults_of_fit_and_the_rows_of_each():
    assert defaults(rp.fit_many) == {"rows": None} | defaults(rp.fit)


def test_checkpoint_defaults():
    assert defaults(rp.Checkpoint) == {"every": 1, "every_seconds": None, "keep": 2, "resume": False}


def test_early_stopping_defaults():
    assert defaults(rp.EarlyStopping) == {
        "monitor": "validation_cost",
        "patience": 10,
        "tol": 1e-4,
        "restore_best": True,
    }


def test_initializers_and_losses_with_a_parameter():
    assert rp.initializers.Uniform(epsilon=0.1) == rp.initializers.Uniform()
    assert rp.initializers.Normal(std=1.0) == rp.initializers.Normal()
    assert rp.losses.Huber(delta=1.0) == rp.losses.Huber()
    assert rp.losses.Quantile(0.5) == rp.losses.Quantile()
    assert rp.optimizers.SGD(0.1, momentum=0.9, nesterov=True).learning_rate == 0.1
    for rule in (rp.optimizers.RMSprop, rp.optimizers.Adam, rp.optimizers.AdamW, rp.optimizers.Lion):
        assert rule(0.1).learning_rate == 0.1


def test_backend_surface():
    backend = rp.get_backend("numpy")
    assert isinstance(backend, Backend)
    assert backend.name == "numpy"
    assert backend.xp.asarray([1.0]).sum() == 1.0
    assert backend.device == "cpu"
    assert str(backend.asarray([1.0], dtype="float32").dtype) == "float32"
    assert backend.to_numpy(backend.asarray([1.0])).tolist() == [1.0]
    assert backend.synchronize() is None


def test_docstrings_of_the_public_names_say_what_is_raised():
    for name in rp.__all__:
        thing = getattr(rp, name)
        if inspect.isfunction(thing) or inspect.isclass(thing):
            assert inspect.getdoc(thing), name
    for function in (rp.fit, rp.load, rp.save, rp.get_backend):
        assert "Raises" in inspect.getdoc(function)
