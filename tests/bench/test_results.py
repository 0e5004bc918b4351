"""Results to JSON and back, as tables and as a picture."""

import json

import pytest

from retroprop.bench import ResultsError, read, to_json
from retroprop.bench.render import grouped, markdown, text
from retroprop.bench.result_table import digits, flop
from retroprop.bench.result_tables import tables
from retroprop.bench.results import from_json


def test_results_survive_json(results, tmp_path):
    assert from_json(to_json(results)) == results
    path = tmp_path / "results.json"
    path.write_text(to_json(results), encoding="utf-8")
    assert read(path) == results


@pytest.mark.parametrize("content", ["", "[]", "{}", "3", '{"schema": 1}', '{"schema": 1, "rows": [{}], "roofs": []}'])
def test_other_files_are_refused(content, tmp_path):
    path = tmp_path / "other.json"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(ResultsError, match=r"other\.json.* have no report"):
        read(path)


def test_another_version_is_refused(results):
    content = {**json.loads(to_json(results)), "schema": 99}
    with pytest.raises(ResultsError, match="schema 99; this version reads schema 1"):
        from_json(json.dumps(content))


def test_every_table_has_its_figures(results):
    found = {table.title: table for table in tables(results)}
    times, ratios, parts, fits, overtaking, memory, peaks, skipped = found.values()
    assert times.columns[1] == "floor (numpy)"
    # optimizer and dtype are the same in every row: the title says them
    assert times.title == "Time of a training step, ms (adam, float32)"
    assert times.rows[0] == ["2-2-2@4", "0.00100", "0.00300", "0.00800", "0.00600", "0.00300"]
    assert times.rows[1] == ["784-1024-1024-10@1024", "100", "110", "55.0", "220", ""]
    assert ratios.rows[0] == ["2-2-2@4", "retroprop numpy", "0.00300", "2.00 (2.00–2.50)", "0.500 (0.500–0.500)"]
    assert parts.rows == [["2-2-2@4", "numpy", "0.00100", "0.00150", "0.00200", "0.00300"]]
    assert fits.rows[0][1:] == ["8,000 rows, 5 epochs", "retroprop numpy", "200", "0.400 (0.400–0.400)"]
    assert overtaking.rows[0][0] == "torch:cpu"
    # 12 parameters, as many gradients, twice as many moments; of 4 rows 4 activations each, and 2 layers of 2 deltas
    least = 4 * (12 * 4 + 4 * 4 + 2 * 4 * 2)
    assert memory.rows == [["2-2-2@4", "numpy", "0.00500", f"{least / 1e6:.6f}", "0.0000100"]]
    assert peaks.rows[0] == ["numpy", "200", "10.0"]
    assert skipped.rows == [
        ["cupy", "needs cupy"],
        ["Thinc (float32)", "computes in float32 only"],
        ["memory of torch:cpu", "torch does not report it"],
    ]


def test_markdown_is_well_formed(results):
    page = markdown(results)
    assert page.startswith("A Processor, 2 cores, Linux x86_64; NumPy's BLAS is openblas 0.3")
    assert "OMP_NUM_THREADS=1" in page
    lines = page.splitlines()
    rules = [at for at, line in enumerate(lines) if line.startswith("|---")]
    assert len(rules) == len(tables(results))
    for at in rules:
        columns = lines[at].count("|")
        while at < len(lines) and lines[at].startswith("|"):
            assert lines[at].count("|") == columns
            at += 1


def test_a_terminal_has_each_network_on_a_line_of_its_own(results):
    ratios = tables(results, wide=False)[0]
    shown = grouped(ratios)
    assert shown.rows[0] == ["2-2-2@4", "", "", ""]
    assert shown.rows[1][0] == "  retroprop numpy"
    assert {len(row) for row in shown.rows} == {len(shown.columns)}
    assert max(map(len, text(ratios).splitlines())) <= 100


def test_an_interrupted_run_says_so(results):
    from dataclasses import replace

    assert "interrupted" in markdown(replace(results, interrupted=True))
    assert "interrupted" not in markdown(results)


def test_a_busy_machine_is_reported(results):
    from dataclasses import replace

    for share, reported in ((0.3, True), (0.01, False), (None, False)):
        page = markdown(replace(results, machine={**results.machine, "others": share}))
        assert ("other programs used 30 % of its processors' time" in page) is reported


@pytest.mark.parametrize(
    ("value", "written"),
    [(706.2, "706"), (53.44, "53.4"), (1.0, "1.00"), (0.31, "0.310"), (0.0000123, "0.0000123"), (99.99, "100")],
)
def test_three_digits(value, written):
    assert digits(value) == written


def test_operations_in_words():
    assert [flop(x) for x in (96, 5.1e7, 1.37e11)] == ["96 FLOP", "51.0 MFLOP", "137 GFLOP"]


@pytest.mark.parametrize("suffix", ["png", "svg"])
def test_a_picture_is_drawn(results, tmp_path, monkeypatch, suffix):
    pytest.importorskip("matplotlib", reason="pictures need matplotlib")
    from dataclasses import replace

    from retroprop.bench import plots

    path = tmp_path / f"bench.{suffix}"
    plots.draw([("before", results), ("after", replace(results, roofs=[], rows=results.rows[:1]))], path)
    assert path.stat().st_size > 10_000
    figures = []
    monkeypatch.setattr(plots, "write", lambda figure, *rest, **options: figures.append(figure))
    plots.draw([("", results)], path)
    panels = [axes for part in figures[0].subfigs for axes in part.axes]
    assert [axes.get_title(loc="left") for axes in panels] == [
        "A step over its bare matrix products",
        "A step over retroprop's on NumPy",
        "Roofline",
    ]
    # one roof for the processor, the best of what its libraries reach
    (roof,) = [words.get_text() for words in panels[2].texts]
    assert roof == "CPU: 200 GFLOP/s, 20 GB/s from memory"
