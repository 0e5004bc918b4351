"""Small tables in the shape of what people report: each with its right outcome, through `train` and `predict`."""

import csv
import os
import random
import stat
import sys

import pytest

pytest.importorskip("polars", reason="tables need polars")
POSIX = pytest.mark.skipif(sys.platform == "win32", reason="links, modes, FIFOs and devices of POSIX")


@pytest.fixture
def tables(cli, tmp_path, monkeypatch):
    """Write tables, train on them and predict; every text that a command prints is returned."""
    monkeypatch.setenv("COLUMNS", "400")
    monkeypatch.setenv("RETROPROP_BACKEND", "numpy")

    class Tables:
        folder, rng = tmp_path, random.Random(0)

        def write(self, name, text):
            (tmp_path / name).write_bytes(text.encode())
            return tmp_path / name

        def rows(self, n, make):
            return "\n".join(make(self.rng, i) for i in range(n)) + "\n"

        def run(self, *arguments, ok=True):
            done = cli(*arguments)
            assert (done.exit_code == 0) == ok, done.output
            return done.output

        def train(self, data, *arguments, target="y", out="m.safetensors", epochs=60, ok=True):
            return self.run("train", data, "--target", target, "--no-picture", "--epochs", epochs, "-o", out,
                            *arguments, ok=ok)  # fmt: skip

        def predict(self, data, *arguments, model="m.safetensors"):
            self.run("predict", model, data, "-o", "p.csv", *arguments)
            with (tmp_path / "p.csv").open(newline="") as file:
                rows = list(csv.DictReader(file))
            return [row["prediction"] for row in rows]

    return Tables()


def test_whole_numbers_and_text_without_names_are_all_data(tables):
    tables.write("a.csv", tables.rows(60, lambda r, i: f"{r.randint(20, 60)}, {r.choice(['Private', 'State'])}, "
                                      f"{r.randint(1, 16)}, {r.choice(['<=50K', '>50K'])}"))  # fmt: skip
    assert "60 rows" in tables.train("a.csv", target="-1", epochs=2)


def test_years_as_names_are_found_in_the_file_to_predict(tables):
    numbers = tables.rows(60, lambda r, i: f"{r.random():.2f},{r.random():.2f},{r.random():.2f},{r.choice('yn')}")
    tables.write("t.csv", "2019,2020,2021,grew\n" + numbers)
    tables.write("q.csv", "2019,2020,2021\n.1,.2,.3\n.4,.5,.6\n.7,.8,.9\n")
    tables.train("t.csv", target="grew", epochs=2)
    assert len(tables.predict("q.csv")) == 3


def test_that_there_are_no_names_is_remembered(tables):
    tables.write(
        "m.csv", tables.rows(60, lambda r, i: f"{r.choice('pqr')},{r.choice('xyz')},{r.choice(['yes', 'no'])}")
    )
    tables.train("m.csv", "--no-header", target="-1", epochs=2)
    tables.write("q.csv", "p,x\nq,y\nr,z\n")
    assert len(tables.predict("q.csv")) == 3


def test_wavelengths_are_names(tables):
    numbers = tables.rows(60, lambda r, i: f"{r.random():.3f},{r.random():.3f},{r.random():.3f},{r.choice('yn')}")
    tables.write("nmr.csv", "9.997,9.991,0.046,classification\n" + numbers)
    said = tables.train("nmr.csv", target="classification", epochs=2)
    assert "60 rows" in said
    assert "2 classes" in said


@pytest.mark.parametrize(
    ("labels", "task"),
    [
        (["01", "1", "001"], None),
        (["9007199254740992", "9007199254740993"], "classification"),
        (["18446744073709551615", "18446744073709551614"], "classification"),
        (["-9223372036854775808", "-9223372036854775807"], "classification"),
        (["340282366920938463463374607431768211455", "340282366920938463463374607431768211456"], "classification"),
        (["0.5", "1.5"], "classification"),
        (["1.50", "2.50"], "classification"),
        (["TRUE", "FALSE"], None),
        (["yes", "no"], None),
        (["-1", "1"], None),
        (["1e3", "2e3"], "classification"),
        (["a b", 'c"d', "e,f"], None),
    ],
)
def test_labels_come_back_as_they_stood(tables, labels, task):
    k = len(labels)
    quoted = ['"' + label.replace('"', '""') + '"' for label in labels]
    tables.write("z.csv", "x,y\n" + tables.rows(90, lambda r, i: f"{i % k * 10 + r.random():.3f},{quoted[i % k]}"))
    said = tables.train("z.csv", *(["--task", task] if task else []))
    assert f"{k} classes" in said
    tables.write("q.csv", "x\n" + "".join(f"{10 * i + 0.5}\n" for i in range(k)))
    assert tables.predict("q.csv") == labels


def test_large_targets_keep_their_digits(tables):
    tables.write("s.csv", "x,y\n" + tables.rows(80, lambda r, i: f"{i},{1700000000 + 10 * i}"))
    tables.train("s.csv", "--task", "regression", epochs=400)
    tables.write("q.csv", "x\n" + "\n".join(map(str, range(40))) + "\n")
    found = [float(text) for text in tables.predict("q.csv")]
    assert len({value % 128 for value in found}) > 20
    assert max(abs(value - 1700000000 - 10 * i) for i, value in enumerate(found)) < 100


@pytest.mark.parametrize("magnitude", [1e44, 1e300, 1e-44, 1e-300])
def test_targets_of_any_magnitude(tables, magnitude):
    tables.write("s.csv", "x,y\n" + tables.rows(60, lambda r, i: f"{i},{(1 + i / 10) * magnitude:.6e}"))
    said = tables.train("s.csv", "--task", "regression", epochs=200)
    assert "R²" in said
    assert "nan" not in said
    tables.write("q.csv", "x\n10\n40\n")
    found = [float(text) for text in tables.predict("q.csv")]
    assert found == pytest.approx([2 * magnitude, 5 * magnitude], rel=0.3)


@POSIX
def test_the_output_goes_through_a_link_and_keeps_the_mode(tables):
    tables.write("t.csv", "x,y\n" + tables.rows(40, lambda r, i: f"{r.random():.3f},{r.choice('ab')}"))
    (tables.folder / "runs").mkdir()
    target = tables.write("runs/a.safetensors", "old")
    target.chmod(0o600)
    (tables.folder / "latest.safetensors").symlink_to("runs/a.safetensors")
    (tables.folder / "new.csv").symlink_to("runs/new.csv")  # its target does not exist yet
    tables.train("t.csv", out="latest.safetensors", epochs=2)
    assert (tables.folder / "latest.safetensors").is_symlink()
    assert target.stat().st_size > 100
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    tables.run("predict", "latest.safetensors", "t.csv", "-o", "new.csv")
    assert (tables.folder / "new.csv").is_symlink()
    assert len((tables.folder / "runs" / "new.csv").read_text().splitlines()) == 41


@POSIX
@pytest.mark.skipif(sys.platform == "win32" or os.geteuid() != 0, reason="only root makes devices")
def test_a_device_stays_one(tables):
    tables.write("t.csv", "x,y\n" + tables.rows(40, lambda r, i: f"{r.random():.3f},{r.choice('ab')}"))
    try:
        os.mknod(tables.folder / "null", 0o666 | stat.S_IFCHR, os.makedev(1, 3))
    except PermissionError:
        pytest.skip("devices cannot be made here")
    tables.run("train", "t.csv", "--target", "y", "--epochs", 2, "-o", "null")
    assert stat.S_ISCHR((tables.folder / "null").stat().st_mode)
    assert not list(tables.folder.glob("*.png"))


def test_decimal_commas_are_numbers(tables):
    numbers = tables.rows(60, lambda r, i: f"{r.randint(1, 9)},{r.randint(0, 9)};{i % 7},5;{r.choice('ab')}")
    tables.write("d.csv", "x;w;y\n" + numbers)
    said = tables.train("d.csv", epochs=2)
    assert "decimal comma" in said
    tables.write("q.csv", "x;w\n10,05;2,25\n")
    assert len(tables.predict("q.csv")) == 1


def test_a_target_with_thousands_separators_is_a_number(tables):
    prices = tables.rows(80, lambda r, i: f'{r.random():.3f},"{r.randint(50, 99)},{r.randint(100, 999)}"')
    tables.write("h.csv", "x,y\n" + prices)
    assert "regression" in tables.train("h.csv", epochs=2)
    assert 5e4 < float(tables.predict("h.csv")[0]) < 1e5


def test_missing_values_are_filled_and_said(tables):
    tables.write("c.csv", "age,plan,y\n" + tables.rows(120, lambda r, i: f"{'' if i % 9 == 0 else r.randint(18, 80)},"
                 f"{'' if i % 11 == 0 else r.choice(['a', 'b'])},{r.choice(['yes', 'no'])}"))  # fmt: skip
    said = tables.train("c.csv", epochs=2)
    assert 'Filled: "age", 14 of 120 values missing, with the median' in said
    assert 'Filled: "plan", 11 of 120 values missing, with a category of its own' in said
    tables.write("q.csv", "age,plan\n,a\n40,\n")
    assert len(tables.predict("q.csv")) == 2
    assert 'line 2, column "age": the value is missing' in tables.train("c.csv", "--missing", "refuse", ok=False)


def test_question_marks_among_numbers_are_missing_values(tables):
    rows = tables.rows(90, lambda r, i: f"{'?' if i % 3 == 0 else r.randint(50, 200)},{r.random() * 30:.1f}")
    tables.write("q.csv", "hp,mpg\n" + rows)
    said = tables.train("q.csv", target="mpg", epochs=2)
    assert "regression" in said
    assert '"hp", 30 of 90 values missing' in said


def test_a_category_that_looks_like_a_number_is_known_alone(tables):
    tables.write(
        "t.csv", "deck,y\n" + tables.rows(80, lambda r, i: f"{['1', '2A', '3B', 'none'][i % 4]},{'ab'[i % 2]}")
    )
    tables.train("t.csv")
    for value, label in (("1", "a"), ("2A", "b"), ("none", "b")):
        tables.write("q.csv", f"deck\n{value}\n")
        assert tables.predict("q.csv") == [label]


def test_names_with_square_brackets_are_shown_whole(tables):
    rows = tables.rows(60, lambda r, i: f"{r.random():.3f},{r.choice('ab')}")
    tables.write("u.csv", "force [kg m/s^2],rate [/s]\n" + rows)
    assert "rate [/s]" in tables.train("u.csv", target="rate [/s]", epochs=2)
    assert len(tables.predict("u.csv")) == 60


def test_carriage_returns_alone_end_lines(tables):
    text = "x,y\n" + tables.rows(60, lambda r, i: f"{r.random():.3f},{r.choice('ab')}")
    tables.write("r.csv", text.replace("\n", "\r"))
    assert "60 rows" in tables.train("r.csv", epochs=2)


def test_a_row_of_empty_cells_keeps_its_place(tables):
    tables.write("t.csv", "a,b,y\n" + tables.rows(60, lambda r, i: f"{(v := r.random()):.2f},0.{i},{'mn'[v < 0.5]}"))
    tables.train("t.csv")
    tables.write("q.csv", "a,b\n.1,.2\n,\n.9,.6\n")
    found = tables.predict("q.csv")
    assert len(found) == 3
    assert (found[0], found[2]) == ("n", "m")


@pytest.mark.parametrize("options", [("--drop", "a,b"), ("--drop", "a", "--drop", "b"), ("--drop", "0, 1")])
def test_drop_takes_a_list(tables, options):
    tables.write("t.csv", "a,b,c,y\n" + tables.rows(60, lambda r, i: f"{i},{i},{r.random():.2f},{r.choice('mn')}"))
    said = tables.train("t.csv", *options, epochs=2)
    assert "1 feature" in said
    assert "Left out: a, b" in said
    assert len(tables.predict("t.csv")) == 60


def test_a_name_with_a_comma_is_dropped_whole(tables):
    tables.write("t.csv", '"a,b",c,y\n' + tables.rows(60, lambda r, i: f"{i},{r.random():.2f},{r.choice('mn')}"))
    assert "1 feature" in tables.train("t.csv", "--drop", "a,b", epochs=2)


def test_models_with_dots_in_their_names_have_pictures_of_their_own(tables):
    pytest.importorskip("matplotlib", reason="a picture needs matplotlib")
    tables.write("t.csv", "x,y\n" + tables.rows(40, lambda r, i: f"{r.random():.3f},{r.choice('ab')}"))
    for name in ("run.v1", "run.v2"):
        tables.run("train", "t.csv", "--target", "y", "--epochs", 2, "-o", name)
    assert {path.name for path in tables.folder.glob("*.png")} == {"run.v1.png", "run.v2.png"}


def test_the_majority_class_is_called_by_its_name(tables):
    rows = tables.rows(400, lambda r, i: f"{r.random():.3f},{'yes' if i % 6 == 0 else 'no'}")
    tables.write("c.csv", "x,y\n" + rows)
    said = tables.train("c.csv", "--l2", "0.1", epochs=20)
    assert 'No better than always saying "no", the majority class' in said
    assert "Recall" in said
    assert "Balanced" in said
    balanced = tables.train("c.csv", "--class-weight", "balanced", epochs=20)
    assert "classes weighted (balanced)" in balanced


def test_the_mean_is_called_by_its_name(tables):
    tables.write("c.csv", "x,y\n" + tables.rows(300, lambda r, i: f"{r.random():.3f},{r.random():.4f}"))
    assert "No better than always saying the mean" in tables.train("c.csv", epochs=20)


def test_a_validation_file(tables):
    make = lambda r, i: f"{(v := r.random()):.3f},{'ab'[v > 0.5]}"  # noqa: E731
    tables.write("t.csv", "x,y\n" + tables.rows(90, make))
    tables.write("v.csv", "x,y\n" + tables.rows(30, make))
    said = tables.train("t.csv", "--validation", "v.csv", "--test-size", 0, "--patience", 5)
    assert "validation" in said
    assert "90 rows" in said
    tables.write("w.csv", "x,y\n0.5,c\n0.6,a\n")
    assert "is no class of the training data" in tables.train("t.csv", "--validation", "w.csv", ok=False)


def test_rows_without_a_target_are_left_out_and_said(tables):
    tables.write(
        "t.csv", "x,y\n" + tables.rows(60, lambda r, i: f"{r.random():.3f},{'' if i % 5 == 0 else 'ab'[i % 2]}")
    )
    assert "12 of 60 rows have no target and are left out" in tables.train("t.csv", epochs=2)
    assert len(tables.predict("t.csv")) == 60
    assert "the target is missing" in tables.train("t.csv", "--missing", "refuse", ok=False)


def test_classes_that_begin_as_formulas_do_not_run_in_a_spreadsheet(tables):
    labels = ["=1+1", "@x", "-a", "+b", "'=c", "d"]
    tables.write("t.csv", "x,y\n" + tables.rows(120, lambda r, i: f"{10 * (i % 6) + r.random():.3f},{labels[i % 6]}"))
    tables.train("t.csv", "--epochs", "300")
    tables.write("q.csv", "x\n" + "".join(f"{10 * i + 0.5}\n" for i in range(6)))
    from retroprop import tabular

    written = tables.predict("q.csv")
    assert written == ["'=1+1", "'@x", "'-a", "'+b", "''=c", "d"]
    assert [tabular.unguarded(text) for text in written] == labels
    assert tables.predict("q.csv", "--exact") == labels
    assert tabular.load("m.safetensors").predict("q.csv").tolist() == labels
