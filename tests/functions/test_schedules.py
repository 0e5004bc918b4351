"""Learning rates against hand-worked values and PyTorch's schedulers."""

import math
import pickle

import pytest

import retroprop as rp
from retroprop.functions import initializers, schedules
from retroprop.functions.schedules import (
    Constant,
    Cosine,
    Exponential,
    InverseScaling,
    OneCycle,
    ReduceOnPlateau,
    Step,
    Warmup,
)


def rates(schedule, n):
    return [schedule(t) for t in range(n)]


def test_constant():
    assert rates(Constant(0.3), 3) == [0.3, 0.3, 0.3]
    assert rates(schedules.get(0.3), 3) == [0.3, 0.3, 0.3]
    assert rates(schedules.get(1), 2) == [1.0, 1.0]


def test_step_by_hand():
    assert rates(Step(1.0, every=3, factor=0.5), 8) == [1.0, 1.0, 1.0, 0.5, 0.5, 0.5, 0.25, 0.25]
    assert Step(1.0, every=2)(2) == pytest.approx(0.1)


def test_exponential_by_hand():
    assert rates(Exponential(2.0, decay=0.5), 4) == [2.0, 1.0, 0.5, 0.25]


def test_inverse_scaling_by_hand():
    assert rates(InverseScaling(6.0, power=1.0), 4) == [6.0, 3.0, 2.0, 1.5]
    assert InverseScaling(1.0)(3) == 0.5  # 1/√4


def test_cosine_by_hand():
    schedule = Cosine(1.0, n_updates=5, final=0.2)
    half = math.sqrt(0.5)
    expected = [1.0, 0.6 + 0.4 * half, 0.6, 0.6 - 0.4 * half, 0.2, 0.2, 0.2]
    assert rates(schedule, 7) == pytest.approx(expected, rel=1e-14)
    assert Cosine(1.0, n_updates=4)(400) == 0.0


def test_one_cycle_by_hand():
    schedule = OneCycle(1.0, n_updates=11, rise=5 / 11, start_factor=0.2, final_factor=0.1)
    expected = {0: 0.2, 2: 0.6, 4: 1.0, 7: 0.55, 10: 0.1, 11: 0.1, 1000: 0.1}
    for t, value in expected.items():
        assert schedule(t) == pytest.approx(value, rel=1e-14)
    # the defaults: 1/25 of the peak, and a ten-thousandth of that
    assert OneCycle(2.0, 100)(0) == pytest.approx(0.08)
    assert OneCycle(2.0, 100)(29) == pytest.approx(2.0)
    assert OneCycle(2.0, 100)(99) == OneCycle(2.0, 100)(100) == pytest.approx(8e-6)


@pytest.mark.parametrize("make", [lambda n: Cosine(1.0, n, final=0.1), lambda n: OneCycle(1.0, n, final_factor=0.1),
                                  lambda n: OneCycle(1.0, n, rise=0.95, final_factor=0.1),
                                  lambda n: Warmup(2, Cosine(1.0, n - 2, final=0.1))])  # fmt: skip
@pytest.mark.parametrize("n", [4, 7, 100])
def test_the_last_of_the_planned_updates_has_the_final_rate(make, n):
    found = rates(make(n), n + 1)
    assert found[-2:] == pytest.approx([0.1, 0.1])
    assert sum(rate == pytest.approx(0.1) for rate in found) == 2


@pytest.mark.parametrize("make", [Cosine, OneCycle])
def test_a_single_planned_update_has_the_highest_rate(make):
    assert make(0.5, 1)(0) == 0.5


def test_the_last_update_of_fit_has_the_final_rate():
    net = rp.Network([1, 1], seed=0, backend="numpy")
    data = [[1.0]] * 5, [[1.0]] * 5
    history = rp.fit(net, *data, optimizer=rp.optimizers.SGD(Cosine(0.1, 3 * 4, final=0.01)), epochs=4, batch_size=2)
    assert history.learning_rate[-1] == pytest.approx(0.01, rel=1e-14)
    assert history.learning_rate[-2] > 0.02


def torch_rates(make, n, learning_rate=1.0):
    torch = pytest.importorskip("torch", reason="PyTorch is the witness")
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=learning_rate)
    schedule = make(torch.optim.lr_scheduler, optimizer)
    found = []
    for _ in range(n):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    return found


def test_against_pytorch():
    theirs = torch_rates(lambda s, o: s.StepLR(o, 7, gamma=0.3), 40, 0.5)
    assert rates(Step(0.5, every=7, factor=0.3), 40) == pytest.approx(theirs, rel=1e-12)
    theirs = torch_rates(lambda s, o: s.ExponentialLR(o, gamma=0.93), 40, 0.5)
    assert rates(Exponential(0.5, decay=0.93), 40) == pytest.approx(theirs, rel=1e-12)
    theirs = torch_rates(lambda s, o: s.CosineAnnealingLR(o, 30, eta_min=0.05), 31, 0.5)
    assert rates(Cosine(0.5, n_updates=31, final=0.05), 31) == pytest.approx(theirs, rel=1e-12)


@pytest.mark.parametrize(("steps", "rise"), [(101, 0.3), (41, 0.5)])
def test_one_cycle_against_pytorch(steps, rise):
    theirs = torch_rates(lambda s, o: s.OneCycleLR(o, max_lr=0.7, total_steps=steps, pct_start=rise), steps - 1)
    assert rates(OneCycle(0.7, n_updates=steps, rise=rise), steps - 1) == pytest.approx(theirs, rel=1e-12)


def test_one_cycle_with_linear_interpolation_is_another():
    linear = torch_rates(
        lambda s, o: s.OneCycleLR(o, max_lr=1.0, total_steps=11, pct_start=0.5, anneal_strategy="linear"), 3
    )
    assert OneCycle(1.0, n_updates=11, rise=0.5)(2) != pytest.approx(linear[2], rel=1e-3)


@pytest.mark.parametrize(
    "then",
    [
        0.8,
        Constant(0.8),
        Step(0.8, every=2, factor=0.5),
        Exponential(0.8, decay=0.5),
        InverseScaling(0.8),
        Cosine(0.8, n_updates=5),
        OneCycle(0.8, n_updates=5, start_factor=0.5),
        ReduceOnPlateau(0.8),
    ],
    ids=lambda then: type(then).__name__,
)
def test_warmup_joins_any_other(then):
    schedule = Warmup(3, then).start()
    first = 0.4 if isinstance(then, OneCycle) else 0.8
    expected = [first / 4, first / 2, 3 * first / 4]
    alone = schedules.get(then)
    assert rates(schedule, 12) == pytest.approx(expected + rates(alone, 9), rel=1e-14)
    assert schedule(3) == pytest.approx(first)


def test_warmup_of_warmup():
    assert rates(Warmup(1, Warmup(1, 1.0)), 4) == pytest.approx([0.25, 0.5, 1.0, 1.0])


def test_reduce_on_plateau_by_hand():
    schedule = ReduceOnPlateau(1.0, factor=0.5, patience=2, tol=0.1, minimum=0.2).start()
    seen = []
    for cost in (5.0, 4.95, 4.94, 4.0, 3.0, 3.0, 3.0, 3.0, 3.0, 3.0, 3.0):
        schedule.observe(cost)
        seen.append(schedule(123456))  # the number of updates says nothing
    # 4.95 and 4.94 are not 0.1 below 5: two epochs without improvement, then halved; and so on to the minimum
    assert seen == [1.0, 1.0, 0.5, 0.5, 0.5, 0.5, 0.25, 0.25, 0.2, 0.2, 0.2]


def test_reduce_on_plateau_with_no_patience():
    schedule = ReduceOnPlateau(1.0, factor=0.5, patience=0, tol=0.0).start()
    for cost in (1.0, 1.0, 1.0):
        schedule.observe(cost)
    assert schedule(0) == 0.25


@pytest.mark.parametrize("patience", [1, 3, 5])
def test_patience_of_a_plateau_is_that_of_early_stopping(patience):
    """A cost that never falls: the epoch after which early stopping ends is the one after which the rate falls."""
    data = [[0.0]] * 4, [[1.0]] * 4  # without bias nothing is learnt

    def run(rate, **options):
        net = rp.Network([1, 1], bias=False, seed=0, backend="numpy")
        return rp.fit(net, *data, epochs=12, optimizer=rp.optimizers.SGD(rate), **options)

    stopped = run(0.1, early_stopping=rp.EarlyStopping(monitor="cost", patience=patience))
    lowered = run(ReduceOnPlateau(0.1, patience=patience)).learning_rate
    assert lowered.index(lowered[-1]) > 0
    assert next(i for i, rate in enumerate(lowered) if rate < 0.1) == len(stopped.cost) == patience + 1


def test_reduce_on_plateau_against_pytorch():
    torch = pytest.importorskip("torch", reason="PyTorch is the witness")
    import random

    draw = random.Random(0)
    costs = [10.0 / (1 + 0.2 * i) + draw.uniform(-0.5, 0.5) for i in range(120)]
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=0.5)
    theirs = torch.optim.lr_scheduler.ReduceLROnPlateau(
        optimizer, factor=0.4, patience=3, threshold=0.01, threshold_mode="abs", min_lr=1e-4, eps=0.0
    )
    # PyTorch tolerates `patience` epochs without improvement; here, as in EarlyStopping, so many are too many.
    ours = ReduceOnPlateau(0.5, factor=0.4, patience=4, tol=0.01, minimum=1e-4).start()
    for cost in costs:
        theirs.step(cost)
        ours.observe(cost)
        assert ours(0) == pytest.approx(optimizer.param_groups[0]["lr"], rel=1e-12)
    assert ours(0) < 0.5


@pytest.mark.parametrize("wrap", [lambda s: s, lambda s: Warmup(2, s)], ids=["alone", "in a warm-up"])
def test_a_second_run_starts_fresh(wrap):
    given = wrap(ReduceOnPlateau(1.0, factor=0.5, patience=0))
    first = given.start()
    for cost in (1.0, 1.0, 1.0):
        first.observe(cost)
    assert first(10) == 0.25
    second = given.start()
    assert second(10) == 1.0
    assert given(10) == 1.0
    second.observe(7.0)  # the best of the first run says nothing to the second
    assert second(10) == 1.0
    second.observe(7.0)
    assert second(10) == 0.5
    assert first(10) == 0.25


def test_nan_is_no_improvement():
    schedule = ReduceOnPlateau(1.0, factor=0.5, patience=0).start()
    schedule.observe(1.0)
    schedule.observe(math.nan)
    assert schedule(0) == 0.5
    schedule.observe(0.5)
    assert schedule(0) == 0.5


def test_schedules_can_be_copied_between_processes():
    for schedule in (Cosine(1.0, 5), Warmup(2, ReduceOnPlateau(1.0)), OneCycle(1.0, 5)):
        assert rates(pickle.loads(pickle.dumps(schedule)), 6) == rates(schedule, 6)


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: Constant(0.0), "learning_rate"),
        (lambda: Constant(math.nan), "learning_rate"),
        (lambda: Constant(math.inf), "learning_rate"),
        (lambda: Step(-1.0, 1), "learning_rate"),
        (lambda: Step(1.0, 0), "every"),
        (lambda: Step(1.0, 1, factor=0.0), "factor"),
        (lambda: Exponential(1.0, 0.0), "decay"),
        (lambda: InverseScaling(1.0, power=-0.5), "power"),
        (lambda: Cosine(1.0, 0), "n_updates"),
        (lambda: Cosine(1.0, 10, final=1.5), "final"),
        (lambda: Cosine(1.0, 10, final=-0.1), "final"),
        (lambda: Warmup(0, 1.0), "n_updates"),
        (lambda: Warmup(5, 0.0), "learning_rate"),
        (lambda: OneCycle(0.0, 10), "peak"),
        (lambda: OneCycle(1.0, 0), "n_updates"),
        (lambda: OneCycle(1.0, 10, rise=1.0), "rise"),
        (lambda: OneCycle(1.0, 10, rise=0.0), "rise"),
        (lambda: OneCycle(1.0, 10, final_factor=-1.0), "final_factor"),
        (lambda: ReduceOnPlateau(0.0), "learning_rate"),
        (lambda: ReduceOnPlateau(1.0, factor=1.0), "factor"),
        (lambda: ReduceOnPlateau(1.0, patience=-1), "patience"),
        (lambda: ReduceOnPlateau(1.0, tol=-1.0), "tol"),
        (lambda: ReduceOnPlateau(1.0, minimum=-1.0), "minimum"),
        (lambda: ReduceOnPlateau(1.0, minimum=math.nan), "minimum"),
        (lambda: schedules.get(0.0), "learning_rate"),
        (lambda: schedules.get(-1), "learning_rate"),
    ],
)
def test_what_is_out_of_range_is_refused(make, match):
    with pytest.raises(ValueError, match=match):
        make()


@pytest.mark.parametrize("bad", ["0.1", None, True, [0.1]])
def test_what_is_no_learning_rate_is_refused(bad):
    with pytest.raises(TypeError, match="learning_rate"):
        schedules.get(bad)


def test_a_number_of_numpy_is_a_number():
    numpy = pytest.importorskip("numpy")
    for kind in (numpy.float64, numpy.float32):
        assert schedules.get(kind(0.5))(0) == 0.5


def test_two_public_names_are_two_classes():
    assert schedules.Constant(0.1)(7) == 0.1
    assert isinstance(initializers.Constant(0.1), initializers.Initializer)
    assert initializers.Constant.__name__ != schedules.Constant.__name__, "a class name stands once in the package"
