"""Tables learned by several networks at once, and with options that a search has chosen."""

import os
import signal

import numpy as np
import pytest

import retroprop as rp
from retroprop import tabular
from retroprop.tabular import ensembles
from retroprop.tabular import search as searches
from retroprop.tabular.training_options import TrainingOptions


@pytest.mark.parametrize("data", ["iris", "diabetes"])
def test_an_ensemble_is_one_model_file(data, tmp_path):
    model = tabular.fit(data, ensemble=3, epochs=4, hidden=(5,))
    model.save(tmp_path / "model.safetensors")
    loaded = tabular.load(tmp_path / "model.safetensors")
    assert model.network.thetas[0].shape[0] == 3
    found, again = (one.evaluate(data) for one in (model, loaded))
    np.testing.assert_array_equal(found.values, again.values)
    np.testing.assert_array_equal(found.std, again.std)
    # Each member is a network of its own, and the first is the one that the seed gives.
    members = [
        rp.Network.from_parameters(
            [theta[k] for theta in model.network.thetas],
            [bias[k] for bias in model.network.biases],
            hidden="relu",
            output=model.network.architecture.output.activation,
            loss=model.network.architecture.output.loss,
        )
        for k in range(3)
    ]
    single = tabular.fit(data, epochs=4, hidden=(5,))
    np.testing.assert_allclose(members[0].thetas[0], single.network.thetas[0], rtol=1e-4, atol=1e-6)
    numbers = model.report.numbers
    part = model.parts["held_out"]
    np.testing.assert_allclose(part.outputs, part.members.mean(axis=0))
    assert numbers["members"] == 3
    assert numbers["member_scores"]["held_out"].keys() == numbers["scores"]["held_out"].keys()
    assert "held-out, one alone" in str(model.report)
    assert "3 networks" in str(model.report)
    text = found.to_csv(proba=True)
    assert text.startswith("prediction,std" + (",probability_setosa" if data == "iris" else "\n"))
    assert single.evaluate(data).std is None


def test_std_is_that_of_the_numbers_and_of_the_predicted_class():
    model = tabular.fit("diabetes", ensemble=2, epochs=2, hidden=(3,))
    part = model.parts["held_out"]
    each = [model.card.target.numbers(one) for one in part.members]
    assert (np.std(each, axis=0) > 0.0).any()
    whole = model.evaluate("diabetes")
    rows = np.isin(whole.values, part.predicted)
    np.testing.assert_allclose(np.sort(whole.std[rows])[-3:], np.sort(np.std(each, axis=0))[-3:])


def test_members_that_diverge_are_left_out_unless_all_do():
    with pytest.raises(rp.DivergenceError):
        tabular.fit("diabetes", ensemble=2, epochs=2, optimizer="sgd", learning_rate=1e30, hidden=(3,))


def test_an_ensemble_whose_members_all_diverge_late_is_a_divergence(monkeypatch):
    fit, late = ensembles.fit_named, rp.schedules.Step(1e-3, 2, factor=1e30)  # an epoch is one update
    rules = {"optimizer": rp.optimizers.SGD(late)}
    monkeypatch.setattr(ensembles, "fit_named", lambda nets, given, **further: fit(nets, given | rules, **further))
    with pytest.raises(rp.DivergenceError, match="the training diverged: at epoch") as raised:
        tabular.fit("diabetes", ensemble=2, epochs=9, batch_size=1000, hidden=(3,))
    model = raised.value.model
    assert model.report.numbers["stop_reason"] == "diverged"
    assert model.report.numbers["members"] == 2
    assert np.isfinite(model.predict("diabetes")).all()


def test_the_report_counts_the_members_that_diverged(monkeypatch):
    fit = ensembles.fit_named

    def at_three_rates(nets, given, **further):
        late = rp.schedules.Step(1e-3, 2, factor=1e30)  # an epoch is one update
        rules = [rp.optimizers.SGD(rate) for rate in (late, 0.01, 1e30)]
        return fit(nets, {**given, "optimizer": rules}, **further)

    monkeypatch.setattr(ensembles, "fit_named", at_three_rates)
    model = tabular.fit("diabetes", ensemble=3, epochs=3, batch_size=1000, hidden=(3,))
    numbers = model.report.numbers
    assert numbers["remarks"][-2:] == [
        "left out of the ensemble: 1 of 3 networks, which have not finished an epoch",
        "diverged: 1 of 3 networks, which have their last good parameters",
    ]
    assert (numbers["members"], numbers["stop_reason"]) == (2, "epochs")


def test_a_divergence_names_the_member_or_the_candidate(caplog):
    given = {"epochs": 2, "learning_rate": 1e30, "hidden": (3,)}
    with pytest.raises(rp.DivergenceError):
        tabular.fit("iris", ensemble=2, **given)
    assert [one.partition(": ")[0] for one in caplog.messages] == ["member 1 of 2", "member 2 of 2"]
    caplog.clear()
    with pytest.raises(rp.DivergenceError):
        tabular.fit("iris", search=True, dropout=0.1, optimizer="sgd", **given)
    named = [one.partition(": ")[0] for one in caplog.messages]
    assert named == [f"candidate l2={l2}, fold {k} of 3" for l2 in (0.001, 0.01) for k in (1, 2, 3)]


@pytest.mark.parametrize("data", ["iris", "diabetes"])
def test_a_search_chooses_by_cross_validation(data):
    weight = "balanced" if data == "iris" else None
    model = tabular.fit(data, search=True, epochs=9, hidden=(6,), dropout=0.1, class_weight=weight)
    search = model.report.numbers["search"]
    candidates = search["candidates"]
    assert [set(one) >= {"l2", "learning_rate"} and "hidden" not in one for one in candidates] == [True] * 4
    assert [one["rounds"] for one in candidates] == [3, 1, 1, 1]
    assert [one["epochs"] for one in candidates] == [9, 1, 1, 1]
    assert search["fits"] == (4 + 1 + 1) * 3
    assert model.training.options.l2 == candidates[0]["l2"]
    assert model.network.layer_sizes[1] == 6
    assert candidates[0]["mean"] > 0.0


def test_the_figures_of_a_candidate_are_those_of_its_fits():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(60, 3))
    y = x[:, 0] + 0.1 * rng.normal(size=60)
    target = tabular.fit("diabetes", epochs=1, hidden=()).card.target
    options = TrainingOptions(hidden=(4,), epochs=9, batch_size=16, l2=0.01, dropout=0.1)
    found = searches.searched(options, target, x, y)
    best = found.candidates[0]
    train, test = next(searches._folds(target, y, options.seed))
    net = searches.network_for(best.options, 3, target)
    arguments, _ = searches.arguments_for(best.options, net, target, y[train])
    rp.fit(net, x[train], y[train], seed=options.seed, **arguments)
    wanted = np.sqrt(np.mean((target.numbers(net.predict(x[test])) - target.numbers(y[test, None])) ** 2))
    np.testing.assert_allclose(best.scores[0]["root_mean_squared_error"], wanted, rtol=1e-4)
    assert (len(train), len(test)) == (40, 20)


def test_a_search_whose_candidates_all_diverge_ends_after_a_round(tmp_path):
    pytest.importorskip("matplotlib")
    from retroprop.cli.search_report import draw_search

    rng = np.random.default_rng(0)
    target = tabular.fit("diabetes", epochs=1, hidden=()).card.target
    options = TrainingOptions(hidden=(4,), epochs=9, dropout=0.1, optimizer="sgd", learning_rate=1e30)
    found = searches.searched(options, target, rng.normal(size=(60, 3)), rng.normal(size=60)).to_plain()
    assert found["fits"] == searches.FOLDS * len(found["candidates"])
    assert {(one["rounds"], one["mean"]) for one in found["candidates"]} == {(1, None)}
    draw_search(found, tmp_path / "search.png")
    assert (tmp_path / "search.png").stat().st_size > 0


def test_ctrl_c_ends_a_search_with_the_rounds_before(monkeypatch):
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(60, 3)), rng.normal(size=60)
    target = tabular.fit("diabetes", epochs=1, hidden=()).card.target
    fit, rounds = searches.fit_named, []

    def interrupted(*arguments, **options):
        rounds.append(1)
        if len(rounds) == 2:
            os.kill(os.getpid(), signal.SIGINT)
        return fit(*arguments, **options)

    def in_time(*arguments, **options):
        try:
            return interrupted(*arguments, **options)
        except KeyboardInterrupt:
            return [rp.History(stop_reason="interrupted") for _ in arguments[0]]

    monkeypatch.setattr(searches, "fit_named", in_time)
    options = TrainingOptions(hidden=(4,), epochs=9, dropout=0.1)
    found = searches.searched(options, target, x, y)
    assert found.interrupted
    assert {one.rounds for one in found.candidates} == {1}
    assert found.best == found.candidates[0].options
    rounds.append(1)
    monkeypatch.setattr(
        searches, "fit_named", lambda nets, *_, **__: [rp.History(stop_reason="interrupted")] * len(nets)
    )
    with pytest.raises(KeyboardInterrupt):
        searches.searched(options, target, x, y)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"ensemble": 0}, "ensemble must be 1 or above, not 0"),
        ({"ensemble": 2, "checkpoint": rp.Checkpoint("run")}, "leave it out, or leave ensemble out"),
        ({"search": True, "checkpoint": rp.Checkpoint("run")}, "leave it out, or leave search out"),
    ],
)
def test_bad_options(options, message):
    with pytest.raises(ValueError, match=message):
        tabular.fit("iris", **options)
