"""A training that goes on, from a history or from a checkpoint, is the one that was never interrupted, bit for bit."""

import copy
import itertools
import pickle
import warnings

import numpy as np
import pytest
from harness import mapped

import retroprop as rp
from retroprop.persistence.checkpoint_file import from_bytes
from retroprop.training.progress import Silence
from retroprop.training.saver import Saver

RNG = np.random.default_rng(5)
M = 23
X, Y, W = RNG.normal(size=(M, 3)), RNG.normal(size=(M, 2)), RNG.random(M) + 0.1
VALIDATION = RNG.normal(size=(9, 3)), RNG.normal(size=(9, 2))


def schedule(name):
    return {
        "constant": 0.02,
        "plateau": rp.schedules.ReduceOnPlateau(0.02, factor=0.5, patience=1, tol=10.0),
        "one_cycle": rp.schedules.OneCycle(0.03, 30),
        "warmup": rp.schedules.Warmup(4, rp.schedules.ReduceOnPlateau(0.02, patience=1, tol=10.0)),
    }[name]


def rule(name, rate):
    if name == "lbfgs":
        return rp.optimizers.LBFGS()
    options = {"sgd": {"momentum": 0.9, "nesterov": True}}.get(name, {})
    kinds = {"sgd": "SGD", "rmsprop": "RMSprop", "adam": "Adam", "adamw": "AdamW", "lion": "Lion"}
    return getattr(rp.optimizers, kinds[name])(schedule(rate), **options)


def case(optimizer="adam", rate="constant", *, stops=False, dropout=0.0, weights=False, shuffle=True, batch=5,
         metrics=(), clip=None, validates=False):  # fmt: skip
    """Return the options of a network and those of its training."""
    if optimizer == "lbfgs":
        dropout, clip, batch, rate = 0.0, None, None, "constant"
    monitor = "validation_cost" if validates else "cost"
    fit = {
        "optimizer": rule(optimizer, rate),
        "batch_size": batch,
        "shuffle": shuffle,
        "sample_weight": W if weights else None,
        "metrics": metrics,
        "clip_norm": clip,
        "validation_data": VALIDATION if validates else None,
        "early_stopping": rp.EarlyStopping(monitor=monitor, patience=4, tol=0.0) if stops else None,
    }
    return {"dropout": dropout}, fit


OPTIONS = {
    "optimizer": ("sgd", "rmsprop", "adam", "adamw", "lion", "lbfgs"),
    "rate": ("constant", "plateau", "one_cycle", "warmup"),
    "stops": (False, True),
    "dropout": (0.0, 0.3),
    "weights": (False, True),
    "shuffle": (True, False),
    "batch": (5, None),
    "metrics": ((), ("r2",)),
    "clip": (None, 0.5),
    "validates": (False, True),
}
# L-BFGS has neither a rate nor dropout, batches or clipping.
OF_LBFGS = {"rate": "constant", "dropout": 0.0, "batch": None, "clip": None}
EVERYTHING = [
    row
    for row in (dict(zip(OPTIONS, values, strict=True)) for values in itertools.product(*OPTIONS.values()))
    if row["optimizer"] != "lbfgs" or row == row | OF_LBFGS
]


def covering():
    """Return rows in which every value of an option occurs with every value of each other that it goes with."""
    rows = [EVERYTHING[i] for i in np.random.default_rng(0).permutation(len(EVERYTHING))]
    met, chosen = set(), []
    for least in (30, 15, 8, 4, 1):  # first those that have many pairs that no other has
        for row in rows:
            new = set(itertools.combinations(row.items(), 2)) - met
            if len(new) >= least:
                met |= new
                chosen.append(row)
    return chosen


COVERING = covering()
SOME = [case(**row) for row in COVERING]
FEW = SOME[:2]


def test_the_sample_has_every_pair_of_values():
    pairs = {pair for row in EVERYTHING for pair in itertools.combinations(row.items(), 2)}
    assert pairs == {pair for row in COVERING for pair in itertools.combinations(row.items(), 2)}
    assert len(EVERYTHING) > 5000 > 50 > len(COVERING)


def network(backend, net, seed=1):
    return rp.Network([3, 6, 4, 2], hidden="tanh", seed=seed, dtype="float64", backend=backend, **net)


def bits(net):
    return [np.asarray(net.backend.to_numpy(leaf)).tobytes() for leaf in net.parameters.leaves]


def figures(history):
    found = history.cost, history.validation_cost, history.metrics, history.learning_rate, history.best_epoch
    return *found, history.stop_reason


def whole(backend, net, fit, epochs=6, x=X):
    model = network(backend, net)
    history = rp.fit(model, x, Y, epochs=epochs, seed=3, **fit)
    return bits(model), figures(history)


def goes_on_in_memory(backend, net, fit, x=X):
    model = network(backend, net)
    history = rp.fit(model, x, Y, epochs=3, seed=3, **fit)
    first = figures(history)
    other = network(backend, net, seed=8)  # whose own parameters do not matter
    more = rp.fit(other, x, Y, epochs=3, resume_from=history, **fit)
    assert figures(history) == first, "the first history is a value"
    return bits(other), figures(more)


def goes_on_from_disk(backend, net, fit, folder, x=X):
    rp.fit(network(backend, net), x, Y, epochs=3, seed=3, checkpoint=rp.Checkpoint(folder, every=2), **fit)
    other = network(backend, net, seed=8)
    history = rp.fit(other, x, Y, epochs=6, seed=3, checkpoint=rp.Checkpoint(folder, resume=True), **fit)
    return bits(other), figures(history)


def check(backend, some, tmp_path, x=X):
    for i, (net, fit) in enumerate(some):
        expected = whole(backend, net, fit, x=x)
        assert goes_on_in_memory(backend, net, fit, x) == expected, (net, fit)
        assert goes_on_from_disk(backend, net, fit, tmp_path / f"{i}", x) == expected, (net, fit)


def test_bits_on_numpy(tmp_path):
    check("numpy", SOME, tmp_path)


def test_bits_on_every_backend(backend, tmp_path):
    check(backend, FEW[:1] if backend.name == "jax" else FEW, tmp_path)


def test_bits_of_mapped_data(backend, tmp_path):
    check(backend, FEW[:1], tmp_path, mapped(tmp_path / "x", X))


@pytest.mark.needs("numba")
def test_bits_with_compiled_loops(tmp_path, monkeypatch):
    monkeypatch.setenv("RETROPROP_NUMBA", "1")
    check("numpy", FEW[:1], tmp_path)


@pytest.mark.long
@pytest.mark.parametrize("stored", ["in memory", "mapped"])
def test_bits_of_every_pair(backend, stored, tmp_path):
    check(backend, SOME, tmp_path, X if stored == "in memory" else mapped(tmp_path / "x", X))


@pytest.mark.long
@pytest.mark.parametrize("numba", ["0", pytest.param("1", marks=pytest.mark.needs("numba"))])
@pytest.mark.parametrize("optimizer", OPTIONS["optimizer"])
def test_bits_of_the_whole_matrix(numba, optimizer, tmp_path, monkeypatch):
    monkeypatch.setenv("RETROPROP_NUMBA", numba)
    some = [case(**row) for row in EVERYTHING if row["optimizer"] == optimizer]
    check("numpy", some, tmp_path)
    x = mapped(tmp_path / "x", X)
    check("numpy", [case(**row) for row in COVERING if row["optimizer"] == optimizer], tmp_path / "mapped", x)


def test_the_choice_of_compiled_loops_is_that_of_the_first_call(tmp_path, monkeypatch):
    pytest.importorskip("numba")
    from retroprop.backends.cpu import numba_target
    from retroprop.training.step import estimated_elements

    net = network("numpy", {})
    between = estimated_elements(net.architecture, 4 * M, 4)
    monkeypatch.setitem(numba_target.WORTH, "auto", between)
    monkeypatch.setenv("RETROPROP_NUMBA", "auto")
    began = rp.fit(net, X, Y, epochs=6, seed=3)
    assert began.continuation.work.compiled
    assert rp.fit(net, X, Y, epochs=1, resume_from=began).continuation.work.compiled
    monkeypatch.setenv("RETROPROP_NUMBA", "0")
    with pytest.raises(ValueError, match="began with compiled loops"):
        rp.fit(net, X, Y, epochs=1, resume_from=began)


# In the middle of an epoch ----------------------------------------------------------------------------------------


class StoppedError(Exception):
    """Ends a training at a step."""


@pytest.mark.parametrize(
    ("at", "options"),
    [(7, {"weights": True, "metrics": ("r2",), "dropout": 0.3})]
    + [
        pytest.param(at, options, marks=pytest.mark.long)
        for at in (1, 4, 5, 8, 13, 15)
        for options in ({}, {"weights": True, "metrics": ("r2",), "dropout": 0.3})
    ],
)
def test_from_the_middle_of_an_epoch(at, options, backend, tmp_path, monkeypatch):
    from_the_middle(at, options, backend, tmp_path, monkeypatch)


@pytest.mark.needs("numba")
@pytest.mark.parametrize("at", [7, *(pytest.param(at, marks=pytest.mark.long) for at in (1, 4, 5, 8, 13, 15))])
def test_from_the_middle_with_compiled_loops(at, tmp_path, monkeypatch):
    monkeypatch.setenv("RETROPROP_NUMBA", "1")
    from_the_middle(at, {"weights": True, "metrics": ("r2",), "dropout": 0.3}, "numpy", tmp_path, monkeypatch)


def from_the_middle(at, options, backend, tmp_path, monkeypatch):
    net, fit = case(rate="plateau", **options)
    expected = whole(backend, net, fit, 4)
    after_step, steps = Saver.after_step, []

    def counted(saver):
        steps.append(1)
        if len(steps) == at:
            raise StoppedError
        after_step(saver)

    monkeypatch.setattr(Saver, "after_step", counted)
    checkpoint = rp.Checkpoint(tmp_path, every=99)
    try:
        rp.fit(network(backend, net), X, Y, epochs=4, seed=3, checkpoint=checkpoint, **fit)
    except StoppedError as error:
        history = error.history
    else:
        pytest.skip("the backend makes several steps in one call")
    monkeypatch.setattr(Saver, "after_step", after_step)
    in_memory, on_disk = network(backend, net), network(backend, net)
    more = rp.fit(in_memory, X, Y, epochs=4 - len(history), resume_from=pickle.loads(pickle.dumps(history)), **fit)
    assert (bits(in_memory), figures(more)) == expected
    more = rp.fit(on_disk, X, Y, epochs=4, seed=3, checkpoint=rp.Checkpoint(tmp_path, resume=True), **fit)
    assert (bits(on_disk), figures(more)) == expected


def test_checkpoints_within_an_epoch_change_nothing(tmp_path):
    net, fit = case(dropout=0.3, metrics=("r2",))
    model = network("numpy", net)
    checkpoint = rp.Checkpoint(tmp_path, every_seconds=1e-9, keep=99)
    history = rp.fit(model, X, Y, epochs=3, seed=3, checkpoint=checkpoint, **fit)
    assert (bits(model), figures(history)) == whole("numpy", net, fit, 3)
    files = sorted(path for path in tmp_path.iterdir() if path.suffix == ".safetensors")
    assert len(files) == 3 * 5 + 3
    for file in files[1::4]:  # each of them is one to go on from
        folder = tmp_path / file.stem
        folder.mkdir()
        (folder / file.name).write_bytes(file.read_bytes())
        other = network("numpy", net)
        more = rp.fit(other, X, Y, epochs=3, seed=3, checkpoint=rp.Checkpoint(folder, resume=True), **fit)
        assert (bits(other), figures(more)) == (bits(model), figures(history))


# A value ----------------------------------------------------------------------------------------------------------


def test_a_history_goes_on_more_than_once_and_from_its_copies():
    net, fit = case(dropout=0.3)
    history = rp.fit(network("numpy", net), X, Y, epochs=3, seed=3, **fit)
    for one in (history, copy.copy(history), copy.deepcopy(history), pickle.loads(pickle.dumps(history))):
        model = network("numpy", net)
        more = rp.fit(model, X, Y, epochs=1, resume_from=one, **fit)
        last = rp.fit(model, X, Y, epochs=2, resume_from=more, **fit)
        assert (bits(model), figures(last)) == whole("numpy", net, fit)


def test_a_training_that_has_ended_stays_ended(tmp_path):
    net, fit = case(stops=True)
    fit |= {"early_stopping": rp.EarlyStopping(monitor="cost", patience=2, tol=10.0)}
    expected = whole("numpy", net, fit, 20)
    assert expected[1][-1] == "early_stopping"
    model = network("numpy", net)
    history = rp.fit(model, X, Y, epochs=20, seed=3, checkpoint=rp.Checkpoint(tmp_path), **fit)
    for options in ({"resume_from": history}, {"checkpoint": rp.Checkpoint(tmp_path, resume=True), "seed": 3}):
        other = network("numpy", net)
        assert (figures(rp.fit(other, X, Y, epochs=20, **options, **fit)), bits(other)) == expected[::-1]


def test_on_fit_begin_does_not_begin_it_again():
    class Zeros:
        def on_fit_begin(self, state):
            net = state.network
            net.parameters = net.parameters.like([0 * leaf for leaf in net.parameters.leaves])

    net, fit = case()
    fit |= {"callbacks": [Zeros()]}
    assert goes_on_in_memory("numpy", net, fit) == whole("numpy", net, fit)


def test_a_generator_goes_on_from_its_state():
    net, fit = case()
    history = rp.fit(network("numpy", net), X, Y, epochs=3, seed=np.random.default_rng(3), **fit)
    model = network("numpy", net)
    more = rp.fit(model, X, Y, epochs=3, seed=np.random.default_rng(99), resume_from=history, **fit)
    assert (bits(model), figures(more)) == whole("numpy", net, fit)
    with pytest.raises(ValueError, match="seed was 'PCG64', and is 'MT19937' now"):
        rp.fit(model, X, Y, seed=np.random.Generator(np.random.MT19937()), resume_from=history, **fit)


# Refused ----------------------------------------------------------------------------------------------------------

OTHERS = [
    ({"optimizer": "sgd"}, "optimizer was {'type': 'Adam'"),
    ({"optimizer": rp.optimizers.Adam(0.5)}, r"optimizer\.learning_rate was 0\.001, and is 0\.5 now"),
    ({"optimizer": rp.optimizers.Adam(rp.schedules.Cosine(0.1, 30)), "batch_size": 6}, "batch_size was 5, and is 6"),
    ({"batch_size": 6}, "batch_size was 5, and is 6 now"),
    ({"shuffle": False}, "shuffle was True, and is False now"),
    ({"seed": 4}, "seed was 3, and is 4 now"),
    ({"sample_weight": W}, "sample_weight holds other data now"),
    ({"x": X + 1}, "x holds other data now"),
    ({"y": -Y}, "y holds other data now"),
    ({"validation_data": VALIDATION}, "validation x holds other data now"),
    ({"clip_norm": 2.0}, "clip_norm was None, and is 2.0 now"),
    ({"metrics": ["r2"]}, "metrics was"),
    ({"early_stopping": rp.EarlyStopping(monitor="cost")}, "early_stopping was None"),
    ({"net": {"hidden": "relu"}}, "hidden was"),
    ({"net": {"layer_sizes": [3, 5, 2]}}, r"layer_sizes was \[3, 6, 4, 2\], and is \[3, 5, 2\] now"),
    ({"net": {"dtype": "float32"}}, "dtype was 'float64', and is 'float32' now"),
    ({"net": {"l2": 0.1}}, r"l2 was 0.0, and is 0.1 now"),
    ({"net": {"dropout": 0.5}}, "dropout was"),
]


@pytest.mark.parametrize(("other", "message"), OTHERS)
def test_another_training_is_refused_by_what_differs(other, message, tmp_path):
    given = {"x": X, "y": Y, "optimizer": "adam", "batch_size": 5, "seed": 3}
    form = {"layer_sizes": [3, 6, 4, 2], "hidden": "tanh", "dtype": "float64", "backend": "numpy"}
    history = rp.fit(rp.Network(**form), **given, epochs=2, checkpoint=rp.Checkpoint(tmp_path))
    other = dict(other)
    net = rp.Network(**(form | other.pop("net", {})))
    before = bits(net)
    for kind, options in ((ValueError, {"resume_from": history}),
                          (ValueError, {"resume_from": pickle.loads(pickle.dumps(history))}),
                          (rp.CheckpointError, {"checkpoint": rp.Checkpoint(tmp_path, resume=True)})):  # fmt: skip
        with pytest.raises(kind, match=message):
            rp.fit(net, **(given | other), **options)
    assert bits(net) == before


def test_another_version_is_refused_by_name(tmp_path, monkeypatch):
    from retroprop.training import description

    net, fit = case()
    rp.fit(network("numpy", net), X, Y, epochs=1, checkpoint=rp.Checkpoint(tmp_path), **fit)
    monkeypatch.setattr(description, "__version__", "7.3.1")
    with pytest.raises(rp.CheckpointError, match=r"retroprop was '\d+\.\d+', and is '7.3' now"):
        rp.fit(network("numpy", net), X, Y, checkpoint=rp.Checkpoint(tmp_path, resume=True), **fit)


def test_bad_arguments(tmp_path):
    net, fit = case()
    file = tmp_path / "file"
    file.write_text("")
    for error, options, message in (
        (ValueError, {"every": 0}, "every of Checkpoint must be a whole number, 1 or more, not 0"),
        (ValueError, {"every": None}, "every of Checkpoint"),
        (ValueError, {"keep": 0}, "keep of Checkpoint must be a whole number, 1 or more, not 0"),
        (ValueError, {"keep": True}, "keep of Checkpoint"),
        (ValueError, {"every_seconds": 0}, "every_seconds of Checkpoint must be above 0"),
        (TypeError, {"resume": "yes"}, "resume of Checkpoint"),
        (NotADirectoryError, {"folder": file}, "folder of Checkpoint is a file"),
        (ValueError, {"folder": ""}, "folder of Checkpoint must be a path"),
    ):
        with pytest.raises(error, match=message):
            rp.Checkpoint(**{"folder": tmp_path, **options})
    model = network("numpy", net)
    with pytest.raises(TypeError, match="checkpoint must be a Checkpoint or None, not 'run'"):
        rp.fit(model, X, Y, checkpoint="run", **fit)
    with pytest.raises(TypeError, match="resume_from must be the History"):
        rp.fit(model, X, Y, resume_from=3, **fit)
    history = rp.fit(model, X, Y, epochs=1, **fit)
    with pytest.raises(ValueError, match="goes on from resume_from or from its checkpoint"):
        rp.fit(model, X, Y, resume_from=history, checkpoint=rp.Checkpoint(tmp_path, resume=True), **fit)
    with pytest.raises(ValueError, match="that a training cannot go on from"):
        rp.fit(model, X, Y, resume_from=rp.History(), **fit)

    class Forgets(rp.schedules.Constant):
        def observe(self, cost):
            self.costs.append(cost)

    with pytest.raises(TypeError, match="the schedule Forgets observes the cost and has no `run_state`"):
        rp.fit(model, X, Y, optimizer=rp.optimizers.SGD(Forgets(0.1)), checkpoint=rp.Checkpoint(tmp_path))


def test_a_history_that_diverged_does_not_go_on_and_its_checkpoint_is_named(tmp_path):
    model = network("numpy", {})
    rate = rp.schedules.Warmup(20, 1e6)
    with np.errstate(all="ignore"), pytest.raises(rp.DivergenceError) as error:
        rp.fit(rp.Network([3, 6, 2], hidden="identity", seed=0, backend="numpy"), X, Y, epochs=500, seed=3,
               optimizer=rp.optimizers.SGD(rate), checkpoint=rp.Checkpoint(tmp_path))  # fmt: skip
    history = error.value.history
    assert len(history)
    newest = f"epoch-{len(history):06d}-batch-00000000.safetensors"
    assert newest in error.value.__notes__[-1]
    with pytest.raises(ValueError, match="of one that diverged"):
        rp.fit(model, X, Y, resume_from=history)


def test_resume_without_a_checkpoint_begins_anew_and_says_so(tmp_path):
    net, fit = case()
    with pytest.warns(UserWarning, match="there is no checkpoint in .*: the training starts anew"):
        history = rp.fit(network("numpy", net), X, Y, epochs=6, seed=3,
                         checkpoint=rp.Checkpoint(tmp_path / "new", resume=True), **fit)  # fmt: skip
    assert figures(history) == whole("numpy", net, fit)[1]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        rp.fit(network("numpy", net), X, Y, epochs=6, seed=3,
               checkpoint=rp.Checkpoint(tmp_path / "new", resume=True), **fit)  # fmt: skip


def test_a_callback_may_draw_from_the_same_generator(tmp_path):
    class Draws:
        def __init__(self, rng):
            self.rng = rng

        def on_epoch_end(self, state):
            self.rng.random(3)

    def fit(epochs, seed, **options):
        rng, model = np.random.default_rng(seed), network("numpy", {"dropout": 0.3})
        return rp.fit(model, X, Y, epochs=epochs, batch_size=5, seed=rng, callbacks=[Draws(rng)], **options), bits(
            model
        )

    expected = fit(6, 3)[1]
    history, _ = fit(3, 3, checkpoint=rp.Checkpoint(tmp_path))
    assert fit(3, 4, resume_from=history)[1] == expected
    assert fit(6, 5, checkpoint=rp.Checkpoint(tmp_path, resume=True))[1] == expected


def test_parameters_of_a_divergence_replace_no_good_ones(tmp_path):
    net = rp.Network([3, 6, 2], hidden="identity", seed=0, backend="numpy")
    checkpoint = rp.Checkpoint(tmp_path, every_seconds=1e-9, keep=1)
    with np.errstate(all="ignore"), pytest.raises(rp.DivergenceError):
        rp.fit(net, X, Y, epochs=2, batch_size=1, seed=3, optimizer=rp.optimizers.SGD(1e6), checkpoint=checkpoint)
    (file,) = tmp_path.glob("*.safetensors")
    tensors = from_bytes(file.read_bytes())[1]
    assert all(np.isfinite(array).all() for name, array in tensors.items() if name.startswith("course.parameters"))


def test_the_display_goes_on_where_the_training_does(monkeypatch):
    shown = []
    monkeypatch.setattr(Silence, "start", lambda bar, epochs, rows, *, done=0: shown.append((epochs, rows, done)))
    net, fit = case()
    history = rp.fit(network("numpy", net), X, Y, epochs=2, seed=3, **fit)
    rp.fit(network("numpy", net), X, Y, epochs=3, resume_from=history, **fit)
    assert shown == [(2, M, 0), (5, M, 2 * M)]
