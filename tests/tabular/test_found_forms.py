"""The form of a file is found without options: its separator, its header, and all of its rows."""

import csv
import io
import random

import pytest

pytest.importorskip("polars", reason="text files need polars")

from tables import written

from retroprop.tabular.reading import read

# Texts with other files' separators, quotation marks and comment signs.
TEXTS = [
    "red",
    "New York",
    "a,b",
    "x;y",
    "it's",
    "M&M",
    '5"',
    "tall|short",
    "(none)",
    "12kg",
    "v1.2",
    "#tag",
    "N.A.",
    "beta",
]
NAMES = ["age", "size", "color", "price (EUR)", "x1", "x2", "class", "day", "y", "fixed acidity"]


def column(rng, separator):
    """Return a function that draws the cells of one column."""
    texts = rng.sample(TEXTS, 3)
    bound = rng.choice([1, 2, 10, 1000])
    return rng.choice(
        [
            lambda: f"{rng.uniform(-bound, bound):.2f}",
            lambda: f"{rng.uniform(0, 50):.2f}".replace(".", "." if separator == "," else ","),
            lambda: str(rng.randint(0, 5 * bound)),
            lambda: rng.choice(texts),
            lambda: f"2020-{rng.randint(1, 12):02d}-{rng.randint(1, 28):02d}",
            lambda: " ".join(rng.choice(TEXTS) for _ in range(rng.randint(1, 6))),
        ]
    )


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
def test_separator_header_and_rows_are_found(tmp_path, separator):
    rng = random.Random(0)
    unsure = 0
    for _ in range(60):
        width, n_rows, named = rng.randint(2, 6), rng.choice([8, 20, 40]), rng.random() < 0.5
        draw = [column(rng, separator) for _ in range(width)]
        rows = [[cell() if rng.random() > 0.05 else "" for cell in draw] for _ in range(n_rows)]
        file = io.StringIO(newline="")
        writer = csv.writer(file, delimiter=separator, lineterminator="\n")
        writer.writerows([rng.sample(NAMES, width)] * named + rows)
        raw = read(str(written(tmp_path, file.getvalue())))
        assert raw.layout.separator == separator, file.getvalue()
        # A row may be taken for names where all columns are texts, and that is said.
        noted = any("first row" in note for note in raw.notes)
        assert (raw.named == named and raw.n_rows == n_rows) or (noted and raw.n_rows == n_rows - 1), file.getvalue()
        unsure += raw.named != named
    assert unsure <= 3


SHAPES = {
    "an arithmetic header": ("400,410,420,430\n" + ".1,.2,.3,.4\n.3,.1,.4,.2\n.2,.4,.1,.3\n.4,.3,.2,.1\n", True),
    "MNIST without names": ("5" + ",0" * 20 + "\n" + "\n".join(f"{i}" + ",0,9" * 10 for i in range(5)) + "\n", False),
    "MNIST with names": ("label" + "".join(f",{i}x1" for i in range(20)) + "\n" + ("3" + ",0,9" * 10 + "\n") * 3, True),
    "pandas without names": ("0,1,2\n0.5,0.25,1.5\n0.1,0.7,2.5\n0.4,0.2,0.5\n0.9,0.3,1.5\n", True),
    "numpy.savetxt": ("1.0e+00 2.0e+00\n3.0e+00 4.0e+00\n", False),
}


@pytest.mark.parametrize(("text", "named"), list(SHAPES.values()), ids=list(SHAPES))
def test_headers_of_numbers(tmp_path, text, named):
    raw = read(str(written(tmp_path, text)))
    assert raw.named == named
    assert raw.n_rows == text.count("\n") - named


@pytest.mark.long
def test_a_wide_file_is_read_in_time_linear_in_its_size(tmp_path):
    """Four times as many columns take about four times as long, not sixteen times."""
    import time

    from retroprop.tabular.schema import find_schema

    def seconds(width):
        rng = random.Random(0)
        lines = [",".join(f"{rng.random():.3f}" for _ in range(width)) for _ in range(40)]
        path = written(tmp_path, ",".join(f"c{i}" for i in range(width)) + "\n" + "\n".join(lines) + "\n")
        spent = []
        for _ in range(3):
            start = time.perf_counter()
            raw = read(str(path))
            find_schema(raw, target="-1").typed(raw, want_target=True)
            spent.append(time.perf_counter() - start)
        return min(spent)

    assert seconds(20_000) < 8 * seconds(5_000)
