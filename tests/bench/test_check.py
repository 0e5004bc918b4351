"""The guard, on made-up measurements."""

import importlib.util
from pathlib import Path

import pytest

from retroprop.bench.analysis import Ratio
from retroprop.bench.workloads import TABLE, parse

PATH = Path(__file__).parents[2] / "benchmarks" / "check.py"


@pytest.fixture
def check(monkeypatch):
    import sys

    spec = importlib.util.spec_from_file_location("bench_check", PATH)
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "bench_check", module)
    monkeypatch.setattr(sys, "path", list(sys.path))
    spec.loader.exec_module(module)
    return module


def test_a_ratio_fails_only_if_its_lower_quartile_is_over_the_margin(check):
    bound = check.Bound("numpy alone", "2-2-2@4", "sgd", "hand-written", 1.0)
    assert not check.over(Ratio(1.5, 1.04, 1.6), bound, 0.05)
    assert check.over(Ratio(1.5, 1.06, 1.6), bound, 0.05)


def test_what_fails_is_measured_again(check, monkeypatch, results):
    bounds = [
        check.Bound("numpy alone", "2-2-2@4", "adam", "hand-written", 0.4),  # it is 0.5: fails
        check.Bound("numpy alone", "2-2-2@4", "adam", "floor", 3.0),
        check.Bound("numpy alone", "784-100-10@200", "adam", "scikit-learn", 0.5),
        check.Bound("numpy alone", "5-5@5", "adam", "floor", 3.0),  # never measured
    ]
    asked = []

    def apart(some, seconds, kind):
        asked.append(([bound.over for bound in some], kind))
        return results

    monkeypatch.setattr(check, "apart", apart)
    found = list(check.check(bounds, 0.05, 1.0))
    assert [attempts for _, _, attempts in found] == [3, 1, 1, 1]
    assert [None if ratio is None else round(ratio.median, 3) for _, ratio, _ in found] == [0.5, 2.0, 0.4, None]
    assert asked == [
        (["hand-written", "floor", "floor"], "steps"),
        (["scikit-learn"], "fits"),
        (["hand-written"], "steps"),
        (["hand-written"], "steps"),
    ]
    said = [check.line(bound, ratio, n, fails=n == 3) for bound, ratio, n in found]
    assert "FAILED, 3 measurements" in said[0]
    assert said[1].endswith(": ok")
    assert "not measured" in said[3]


def test_the_bounds_are_of_networks_that_are_timed(check):
    import json

    import inference  # which `check` imports, as the next
    import many

    content = json.loads(check.BOUNDS.read_text(encoding="utf-8"))
    assert 0.0 < content.pop("margin") < 0.2
    assert set(content) == set(check.FORMS)
    for form, networks in content.items():
        for bound in check.bounds_of(form, networks):
            assert bound.over in check.SIDES
            assert bound.largest > 0.0
            if bound.kind == "inference":
                assert bound.case in inference.CASES
            assert bound.kind != "steps" or parse(bound.network) in TABLE
            assert bound.kind != "many" or many.case_of(bound.network) in many.CASES


def test_wrong_arguments_end_with_2(check, capsys):
    assert check.main(["--forms", "with magic"]) == 2
    assert check.main(["--networks", "3-3@3"]) == 2
    assert "must be of" in capsys.readouterr().err
