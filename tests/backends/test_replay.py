"""A recorded step is the step: every lowering against the plain operations, on the same numbers."""

import gc
import logging
import tracemalloc
import weakref
from importlib.util import find_spec
from threading import Barrier, Thread

import numpy as np
import pytest
from cuda_on_the_host import COMPILER, CudaOnTheHost
from harness import Cube, Quartic, needing, open_backend, tolerance
from oracles import minibatch_rules, targets_of

import retroprop as rp
from retroprop.backends.backend import Demands
from retroprop.backends.cpu import native_step, numba_target, source_program
from retroprop.backends.cpu.source_program import ReplayedStep
from retroprop.backends.replay.captured_step import CapturedStep
from retroprop.core.operations import Operations
from retroprop.functions import outputs
from retroprop.functions.activations import elementwise_names
from retroprop.functions.losses import LOSSES
from retroprop.training import step as steps
from retroprop.training.batches import dropout_masks, mask_stream

HIDDEN = sorted(elementwise_names())
OUTPUTS = [
    ("softmax", "cross_entropy", "indices"),
    ("softmax", "cross_entropy", "one-hot"),
    ("softmax", "squared_error", "one-hot"),
    ("sigmoid", "binary_cross_entropy", "one-hot"),
    ("exp", "poisson", "numbers"),
    *(("identity", name, "numbers") for name, loss in LOSSES.items() if targets_of(loss) == "real"),
]
OPTIMIZERS = minibatch_rules(0.01) | {
    "sgd": rp.optimizers.SGD(0.1),
    "nesterov": rp.optimizers.SGD(0.1, momentum=0.9, nesterov=True),
    "adamw": rp.optimizers.AdamW(0.01, weight_decay=0.1),
    "lion": rp.optimizers.Lion(0.01, weight_decay=0.1),
}


LOWERINGS = {
    "numpy alone": "numpy",
    "numpy with numba": "numpy",
    "torch": "torch:cpu",
    "torch with numba": "torch:cpu",
    "cupy": "cupy",
    "cuda on the host": "numpy",
}


def opened(request, monkeypatch):
    """Return the backend of a lowering, Numba switched on or off."""
    name = request.param
    with_numba = name.endswith("with numba")
    monkeypatch.setenv("RETROPROP_NUMBA", "1" if with_numba else "0")
    if with_numba and find_spec("numba") is None:
        pytest.skip("Numba is not installed (the extra 'fast')")
    if name == "cuda on the host":
        if COMPILER is None:
            pytest.skip("no C++ compiler")
        return CudaOnTheHost()
    request.node.user_properties.append(("backend", LOWERINGS[name]))
    return open_backend(LOWERINGS[name])


def lowerings(*, many):
    """Return the ways to replay a step; where it takes many loops, Numba's compiling is for the long run."""
    long = [pytest.mark.long] if many else []
    marks = {"numpy with numba": long, "torch with numba": long, "cuda on the host": long}
    return [needing(where, *marks.get(name, []), value=name) for name, where in LOWERINGS.items()]


@pytest.fixture(params=lowerings(many=True))
def every(request, monkeypatch):
    """Every backend that replays a step."""
    return opened(request, monkeypatch)


@pytest.fixture(params=lowerings(many=False))
def lowering(request, monkeypatch):
    """The same, for what takes few loops."""
    return opened(request, monkeypatch)


@pytest.fixture(params=["numpy alone", "numpy with numba"])
def on_numpy(request, monkeypatch):
    """NumPy's two ways to replay a step."""
    return request.param, opened(request, monkeypatch)


def data_of(net, m, targets, *, weighted=False, seed=0):
    rng = np.random.default_rng(seed)
    n = net.layer_sizes[-1]
    y = {
        "indices": rng.integers(0, n, m),
        "one-hot": np.eye(n)[rng.integers(0, n, m)],
        "numbers": rng.uniform(0.0, 2.0, (m, n)),
    }[targets]
    return net.batch(rng.normal(size=(m, net.layer_sizes[0])), y, rng.uniform(0.5, 2.0, m) if weighted else None)


def both(net, optimizer, data, batches, *, masked=False, learning_rate=0.01, **clips):
    """Run the same batches through the recorded step and the plain one; return what each ends with."""
    backend, results = net.backend, []
    step = steps.step_of(
        net.architecture,
        optimizer,
        clips.get("clip_norm"),
        clips.get("clip_value"),
        clips.get("penalties_of_sum", False),
    )
    recorded = backend.capture(step, donate=(0, 1))
    for run in (recorded, CapturedStep(step, Operations(backend.xp, backend.device))):
        stream = mask_stream(backend, net.architecture, net.dtype, np.random.default_rng(3)) if masked else None
        with backend.active():
            parameters = net.to(backend).parameters
            state, costs = optimizer.start(parameters, backend.xp.zeros_like), []
            for t, rows in enumerate(batches, start=1):
                m = data.x.shape[0] if rows is None else len(rows)
                masks = dropout_masks(stream, t, m, draws=run.draws)
                some = None if rows is None else backend.asarray(rows)
                hyper = optimizer.hyper(t, learning_rate)
                parameters, state, cost, a = run(parameters, state, hyper, data, some, masks)
                costs.append(cost)
            costs = backend.xp.stack(costs)
        arrays = (*parameters.leaves, *(leaf for s in state for leaf in s.leaves), costs, a)
        results.append([backend.to_numpy(array) for array in arrays])
    # A step that is compiled as a whole has its programs apart.
    assert recorded._programs or any(getattr(recorded, "_natives", {}).values()), "the step was not recorded"
    return results


def assert_same(results, dtype, factor=1.0):
    for found, expected in zip(*results, strict=True):
        assert found.dtype == expected.dtype == np.dtype(dtype)
        scale = max(float(np.max(np.abs(expected))), 1e-30)
        np.testing.assert_allclose(
            found, expected, rtol=factor * tolerance(dtype), atol=factor * tolerance(dtype) * scale
        )


SHUFFLED = [np.random.default_rng(9).permutation(70)[at : at + 30] for at in (0, 30, 60)]  # the last batch has 10


def test_the_gradient_without_an_update(lowering, dtype):
    """What L-BFGS evaluates: nothing is donated, and what it returned is right until the next call."""
    net = rp.Network([6, 40, 3], hidden="tanh", output="softmax", loss="cross_entropy", l2=0.1, seed=0, dtype=dtype,
                     backend=lowering)  # fmt: skip
    data = data_of(net, 70, "indices", weighted=True)
    measure, plain = steps.bind_measure(lowering, net.architecture), steps._measure(net.architecture)
    operations = Operations(lowering.xp, lowering.device)
    for seed in range(3):
        parameters = rp.Network([6, 40, 3], seed=seed, dtype=dtype, backend=lowering).parameters
        before = [lowering.to_numpy(leaf).copy() for leaf in parameters.leaves]
        with lowering.active():
            results = [measure(parameters, data), plain(operations, parameters, data)]
            found, expected = ([lowering.to_numpy(r) for r in (m.cost, *m.gradients.leaves, m.a)] for m in results)
        assert_same([found, expected], dtype)
        for leaf, kept in zip(parameters.leaves, before, strict=True):
            np.testing.assert_array_equal(lowering.to_numpy(leaf), kept)
    assert measure._programs, "it was not recorded"


@pytest.mark.parametrize("hidden", HIDDEN)
def test_every_activation(hidden, dtype, every):
    net = rp.Network([6, 40, 9, 3], hidden=hidden, output="softmax", loss="cross_entropy", seed=0, dtype=dtype,
                     backend=every)  # fmt: skip
    assert_same(both(net, OPTIMIZERS["sgd"], data_of(net, 70, "indices"), [*SHUFFLED, None]), dtype)


@pytest.mark.parametrize("output", [0, 3, 5])
@pytest.mark.parametrize("optimizer", ["adam", "nesterov"])
def test_all_activations_in_one_network(output, optimizer, lowering):
    """What every run can afford of the tests below, the many loops that Numba compiles included."""
    activation, loss, targets = OUTPUTS[output]
    hidden = ["relu", "sigmoid", "tanh", "elu", "leaky_relu", "softplus", "silu"]
    sizes = [6, *range(40, 40 + len(hidden)), 3]
    net = rp.Network(sizes, hidden=hidden, output=activation, loss=loss, l2=0.01, seed=0, backend=lowering)
    assert_same(both(net, OPTIMIZERS[optimizer], data_of(net, 70, targets, weighted=True), SHUFFLED[:1]), "float32")


@pytest.mark.parametrize(("output", "loss", "targets"), OUTPUTS)
@pytest.mark.parametrize("n_out", [1, 2, 5, 40])
@pytest.mark.parametrize("weighted", [False, True])
def test_every_output(output, loss, targets, n_out, weighted, dtype, every):
    if n_out == 1 and output == "softmax":
        pytest.skip("softmax has two outputs or more")
    net = rp.Network([6, 8, n_out], output=output, loss=loss, seed=0, dtype=dtype, backend=every)
    data = data_of(net, 70, targets, weighted=weighted)
    assert_same(both(net, OPTIMIZERS["sgd"], data, [None, *SHUFFLED]), dtype)


@pytest.mark.parametrize(
    "loss", ["grouped_cross_entropy", pytest.param("told as held", marks=pytest.mark.long), "squared_error"]
)
def test_softmaxes_side_by_side(loss, dtype, lowering):
    if isinstance(lowering, CudaOnTheHost):
        pytest.skip("kernels are written for one softmax: its step runs as it is written")
    groups = (3, 2, 4)
    given = rp.losses.GroupedCrossEntropy(groups) if loss != "squared_error" else loss
    net = rp.Network([6, 8, 9], output=rp.activations.GroupedSoftmax(groups), loss=given, seed=0, dtype=dtype,
                     backend=lowering)  # fmt: skip
    if loss == "told as held":
        net.architecture = net.architecture._replace(output=outputs.ClippedOutput(*net.architecture.output))
    rng = np.random.default_rng(0)
    rows = np.concatenate([np.eye(size)[rng.integers(0, size, 70)] for size in groups], axis=1)
    data = net.batch(rng.normal(size=(70, 6)), rows, rng.uniform(0.5, 2.0, 70))
    assert_same(both(net, OPTIMIZERS["adam"], data, [None, *SHUFFLED]), dtype)


@pytest.mark.parametrize("optimizer", sorted(OPTIMIZERS))
@pytest.mark.parametrize("sizes", [[3, 4, 2], [30, 400, 40]])
def test_every_optimizer(optimizer, sizes, dtype, every):
    """The second network has more parameters than a block has numbers."""
    net = rp.Network(sizes, hidden="tanh", output="softmax", loss="cross_entropy", seed=0, dtype=dtype, backend=every)
    results = both(net, OPTIMIZERS[optimizer], data_of(net, 70, "indices"), SHUFFLED[:1])
    assert_same(results, dtype)
    if dtype == "float64":  # in float32 a gradient near 0 is its rounding, and Adam makes a whole step of it
        assert_same(both(net, OPTIMIZERS[optimizer], data_of(net, 70, "indices"), [*SHUFFLED, None]), dtype)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("options", [
    {"l2": 0.1}, {"l1": 0.01}, {"l2": 0.1, "l1": 0.01}, {"dropout": [0.5, 0.0]}, {"dropout": 0.3, "l2": 0.1},
])  # fmt: skip
def test_penalties_and_dropout(bias, options, dtype, every):
    net = rp.Network([6, 8, 5, 3], hidden=["relu", "gelu"], bias=bias, seed=0, dtype=dtype, backend=every, **options)
    data = data_of(net, 70, "numbers", weighted=True)
    assert_same(both(net, OPTIMIZERS["nesterov"], data, SHUFFLED, masked="dropout" in options), dtype)


@pytest.mark.parametrize("weighted", [True, False])
def test_penalties_of_each_batch(weighted, dtype, every):
    net = rp.Network([6, 8, 3], l2=[0.5, 0.25], l1=0.1, seed=0, dtype=dtype, backend=every)
    data = data_of(net, 70, "numbers", weighted=weighted)
    assert_same(both(net, OPTIMIZERS["sgd"], data, SHUFFLED, penalties_of_sum=True), dtype)


@pytest.mark.parametrize("clips", [{"clip_norm": 0.1}, {"clip_norm": 1e6}, {"clip_value": 0.01},
                                   {"clip_norm": 0.1, "clip_value": 0.01}])  # fmt: skip
def test_clipping(clips, dtype, every):
    net = rp.Network([6, 8, 3], seed=0, dtype=dtype, backend=every)
    assert_same(both(net, OPTIMIZERS["sgd"], data_of(net, 70, "numbers"), SHUFFLED, **clips), dtype)


@pytest.mark.parametrize("sizes", [[5, 3], [5, 1], [1, 1, 1], [4, 4, 4, 4], [33, 2], [7, 65, 64, 2]])
def test_every_depth(sizes, dtype, every):
    net = rp.Network(sizes, seed=0, dtype=dtype, backend=every)
    for m in (1, 2, 7, 64):
        assert_same(both(net, OPTIMIZERS["sgd"], data_of(net, m, "numbers"), [None, None, np.zeros(1, int)]), dtype)


def test_functions_from_outside(dtype, lowering):
    net = rp.Network([6, 8, 3], hidden=Cube(), loss=Quartic(), seed=0, dtype=dtype, backend=lowering)
    results = both(net, OPTIMIZERS["sgd"], data_of(net, 70, "numbers"), SHUFFLED, learning_rate=1e-6)
    assert_same(results, dtype)


def test_rows_in_order_of_any_layout(lowering):
    """Columns first, every second row, read-only, as a memory map is."""
    net = rp.Network([6, 8, 3], output="sigmoid", loss="binary_cross_entropy", seed=0, backend=lowering)
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(60, 6)).astype("float32"), rng.integers(0, 2, (60, 3)).astype("float32")
    odd = np.zeros((120, 6), "float32")
    odd[::2] = x
    frozen = y.copy()
    frozen.flags.writeable = False
    histories = []
    for one, other in ((x, y), (np.asfortranarray(x), np.asfortranarray(y)), (odd[::2], frozen)):
        trained = net.to(lowering)
        histories.append(rp.fit(trained, one, other, epochs=2, batch_size=16, shuffle=False).cost)
    assert histories[1] == pytest.approx(histories[0], rel=1e-5)
    assert histories[2] == pytest.approx(histories[0], rel=1e-5)


def test_what_cannot_be_recorded_runs_as_it_is_written(lowering, caplog):
    class Branching:
        """An activation that looks at the numbers."""

        needs_z = True

        def value(self, z, xp):
            return xp.asarray(z * 2.0 if float(xp.max(z)) > 0.0 else z)

        def derivative(self, z, a, xp):
            return xp.ones_like(z) * (2.0 if float(xp.max(z)) > 0.0 else 1.0)

    net = rp.Network([2, 3, 1], hidden=Branching(), seed=0, backend=lowering)
    before = net.to(lowering).parameters.leaves
    with caplog.at_level(logging.INFO, logger="retroprop"):
        rp.fit(net, [[1.0, 2.0], [0.5, -1.0]], [1.0, 0.0], epochs=3, optimizer="sgd")
    assert caplog.text.count("not recorded") == 1, "it was tried at every step"
    assert any((a != b).any() for a, b in zip(net.parameters.leaves, before, strict=True))


def test_an_error_of_a_function_from_outside_comes_through(lowering):
    class Broken(Cube):
        def value(self, z, xp):
            if z.shape[0] == 7:
                raise ZeroDivisionError("of my own")
            return z * z * z

    net = rp.Network([2, 3, 1], hidden=Broken(), seed=0, backend=lowering)
    with pytest.raises(ZeroDivisionError, match="of my own"):
        rp.fit(net, np.ones((7, 2)), np.ones(7))


def test_a_function_that_changed_between_two_fits_is_seen(lowering):
    class Scaled(Cube):
        scale = 1.0

        def value(self, z, xp):
            return self.scale * z * z * z

        def derivative(self, z, a, xp):
            return 3.0 * self.scale * z * z

    f = Scaled()
    net = rp.Network([2, 3, 1], hidden=f, seed=0, backend=lowering)
    x, y = np.ones((4, 2)), np.ones(4)
    first = rp.fit(net.to(lowering), x, y, epochs=1).cost
    f.scale = 2.0
    second = rp.fit(net.to(lowering), x, y, epochs=1).cost
    assert first != second
    assert second[0] == pytest.approx(float(net.cost(x, y)), rel=1e-5)


# Memory ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
@pytest.mark.parametrize("shuffled", [False, True])
def test_a_step_allocates_nothing_to_speak_of(optimizer, shuffled, on_numpy):
    """In steady state no growth, and nothing above 64 kB in passing, where an activation has 256 kB."""
    net = rp.Network([128, 256, 256, 10], output="softmax", loss="cross_entropy", seed=0, backend="numpy")
    rule = rp.optimizers.SGD(0.01) if optimizer == "sgd" else rp.optimizers.Adam(0.001)
    step, data = steps.bind(net.backend, net.architecture, rule), data_of(net, 512, "indices")
    orders = [np.random.default_rng(i).permutation(512)[:256] for i in range(10)]
    if not shuffled:
        data = data._replace(x=data.x[:256], y=data.y[:256])
    parameters = net.to("numpy").parameters
    state = rule.start(parameters, np.zeros_like)

    def run(t):
        nonlocal parameters, state
        rows = orders[t % 10] if shuffled else None
        parameters, state, _, _ = step(parameters, state, rule.hyper(t, 0.001), data, rows, None)

    for t in range(1, 6):
        run(t)
    tracemalloc.start()
    try:
        run(6)
        begun, _ = tracemalloc.get_traced_memory()
        for t in range(7, 17):
            tracemalloc.reset_peak()
            run(t)
            now, peak = tracemalloc.get_traced_memory()
            assert peak - begun < 64 * 1024
        assert now - begun < 1024
    finally:
        tracemalloc.stop()


def test_the_block_holds_what_is_needed_at_once_and_no_more(on_numpy):
    """Gradients, every activation once, and two deltas: not the sum of all that is computed."""
    m, width = 256, 128
    net = rp.Network([width] * 10, seed=0, backend="numpy")
    rule = rp.optimizers.Adam()
    step = steps.bind(net.backend, net.architecture, rule)
    state = rule.start(net.parameters, np.zeros_like)
    step(net.to("numpy").parameters, state, (0.001,), data_of(net, m, "numbers"), None, None)
    (program,) = step._programs.values()
    one = 4 * m * width
    gradients = 4 * net.n_parameters
    # 9 activations, two deltas and, on NumPy alone, a mask of bytes and the same as numbers; a little for the cost
    most = gradients + (9 + 2 + (2 if on_numpy[0] == "numpy alone" else 0)) * one + one // 4 + 64 * 1024
    assert program.plan.nbytes <= most
    kept = sum(memory.nbytes for memory in program.workspace._named.values())
    assert kept <= 3 * gradients + 3 * 64


def test_the_memory_goes_with_the_step(on_numpy):
    """At once, not when the garbage is collected: a thousand fits in a loop need the memory of one."""
    net = rp.Network([3, 4, 2], seed=0, backend="numpy")
    rule = rp.optimizers.SGD()
    gc.collect()
    gc.disable()
    try:
        for _ in range(2):  # the compiler of the first leaves cycles
            step = steps.bind(net.backend, net.architecture, rule)
            step(net.to("numpy").parameters, (), (0.1,), data_of(net, 8, "numbers"), None, None)
            memory = weakref.ref(step._workspace)
            del step
        assert memory() is None
    finally:
        gc.enable()


def test_results_are_the_networks_own_after_a_fit(on_numpy):
    """Nothing that a later fit writes to is held by a network."""
    x, y = np.ones((8, 3)), np.ones((8, 2))
    net = rp.Network([3, 4, 2], seed=0, backend="numpy")
    seen = []

    class Keep:
        def on_epoch_end(self, state):
            seen.append(state.network.thetas[0])

    rp.fit(net, x, y, epochs=3, callbacks=[Keep()])
    assert len({array.ctypes.data for array in seen}) == 3
    assert (seen[0] != seen[1]).any()
    held = net.thetas[0].copy()
    rp.fit(net.to("numpy"), x, y, epochs=3)
    assert (net.thetas[0] == held).all()


# Threads -----------------------------------------------------------------------------------------------------------


def test_trainings_in_threads_are_those_of_one_after_the_other(on_numpy):
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(400, 20)), rng.integers(0, 5, 400)

    def train(seed):
        net = rp.Network([20, 64, 5], output="softmax", loss="cross_entropy", seed=seed, backend="numpy")
        rp.fit(net, x, y, epochs=10, batch_size=64, seed=seed)
        return net.parameters.leaves

    expected = [train(seed) for seed in range(4)]
    found, begin = [None] * 4, Barrier(4)

    def run(seed):
        begin.wait()
        found[seed] = train(seed)

    threads = [Thread(target=run, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for one, other in zip(found, expected, strict=True):
        for a, b in zip(one, other, strict=True):
            np.testing.assert_array_equal(a, b)


def test_two_steps_of_one_recording_share_no_memory(on_numpy):
    net = rp.Network([3, 4, 2], seed=0, backend="numpy")
    rule = rp.optimizers.Adam()
    results = []
    for _ in range(2):
        step = steps.bind(net.backend, net.architecture, rule)
        assert isinstance(step, ReplayedStep)
        state = rule.start(net.parameters, np.zeros_like)
        results.append(step(net.parameters, state, (0.001,), data_of(net, 8, "numbers"), None, None))
    for one, other in zip(results[0].parameters.leaves, results[1].parameters.leaves, strict=True):
        assert not np.shares_memory(one, other)
    assert not np.shares_memory(results[0].a, results[1].a)


def test_batches_of_two_sizes_take_turns_without_a_look_at_their_form(monkeypatch, on_numpy):
    net = rp.Network([6, 8, 3], seed=0, backend=on_numpy[1])
    data, rule = data_of(net, 70, "numbers"), OPTIMIZERS["sgd"]
    step = steps.bind(net.backend, net.architecture, rule)
    forms, plain = [], source_program.form_of
    for module in (source_program, native_step):
        monkeypatch.setattr(module, "form_of", lambda arguments: forms.append(arguments) or plain(arguments))
    parameters, state = net.to(net.backend).parameters, ()
    with net.backend.active():
        for _ in range(3):
            for rows in SHUFFLED:
                parameters, state, *_ = step(parameters, state, (0.01,), data, net.backend.asarray(rows), None)
    assert len(forms) == 2


def test_loops_are_compiled_where_the_work_is_worth_it(monkeypatch):
    """Neither earlier trainings nor the calls of this one count: only the arguments do."""
    monkeypatch.setattr(numba_target, "available", lambda: True)
    backend, enough = rp.get_backend("numpy"), numba_target.WORTH["auto"]

    def step(operations, x):
        return operations.xp.exp(x)

    def looped(work):
        return type(backend.capture(step, demands=Demands(work=work))._target) is numba_target.NumbaLoops

    for chosen in ("auto", ""):
        monkeypatch.setenv("RETROPROP_NUMBA", chosen)
        assert [looped(work * enough) for work in (0.9, 0.9, 0.9, 1.0, 0.9)] == [False, False, False, True, False]
        assert looped(float("inf"))
    monkeypatch.setenv("RETROPROP_NUMBA", "0")
    assert not looped(float("inf"))
    monkeypatch.setenv("RETROPROP_NUMBA", "1")
    assert looped(0.0)
    monkeypatch.setenv("RETROPROP_NUMBA", "yes")
    with pytest.raises(ValueError, match="RETROPROP_NUMBA must be one of 0, 1, loops, auto, not 'yes'"):
        looped(0.0)


def test_the_work_of_a_training_is_a_function_of_its_arguments():
    """Half the epochs are half the work, whatever was trained before; more rows in a step mean fewer calls."""
    architecture = rp.Network([64, 100, 10]).architecture
    work = steps.estimated_elements(architecture, 2000, 32)
    assert work == 2000 * 174 + 32 * (7400 + 3 * 6000)
    assert steps.estimated_elements(architecture, 4000, 64) == 2 * work
    assert steps.estimated_elements(architecture, 2000, 1) < work
