"""Numbers as people write them: a column is read exactly or refused, never read wrong."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retroprop.tabular.number_texts import FORMATS, NumberFormat, looks_numeric, parts
from retroprop.tabular.numbers import CellFault, find_format, values_of

CENTS = st.lists(st.integers(-(10**12), 10**12), min_size=1, max_size=6, unique=True)


def text_of(cents, marks, unit, brackets):
    """Return a number of hundredths as people write it."""
    decimal, thousands = marks
    whole, rest = divmod(abs(cents), 100)
    groups = f"{whole:,}".replace(",", thousands)
    text = f"{groups}{decimal}{rest:02d}" if rest else groups
    text = f"{unit}{text}" if unit == "$" else f"{text}{unit}"
    if cents >= 0:
        return text
    return f"({text})" if brackets else f"-{text}"


@settings(max_examples=150, deadline=None, database=None, derandomize=True)
@given(cents=CENTS, marks=st.sampled_from(FORMATS), unit=st.sampled_from(["", "$", " €", "%"]), brackets=st.booleans())
def test_a_column_in_one_format_is_read_exactly(cents, marks, unit, brackets):
    texts = sorted({text_of(value, marks, unit, brackets) for value in cents})
    wanted = {text_of(value, marks, unit, brackets): value / 100 for value in cents}
    counts = [1] * len(texts)
    format = find_format(texts, counts, decimal=marks[0])
    assert format is not None
    np.testing.assert_allclose(values_of(texts, format), [wanted[text] for text in texts], rtol=1e-15)
    assert NumberFormat.from_plain(format.to_plain()) == format
    try:
        unasked = find_format(texts, counts)
    except CellFault as fault:
        right = fault.ambiguous and any("," in text for text in texts)
    else:
        read = values_of(texts, unasked)
        # Unasked, a lone point is a decimal point: 1.234 is not 1234.
        points = all(text.count(".") <= 1 and "," not in text for text in texts)
        right = points or np.allclose(read, [wanted[text] for text in texts], rtol=1e-15)
    assert right


@pytest.mark.parametrize(
    "text",
    [
        "",
        "-",
        "+",
        ".",
        ",",
        "1_000",
        "2020_01",
        "0x1F",
        "1e",
        "e5",
        "--1",
        "+-1",
        "1.2.3",
        "1,23,456",
        "1 23",
        "(1",
        "1)",
    ]
    + [
        "(-1)",
        "$1€",
        "$$1",
        "infinity",
        "nan",
        "NaN",
        "1d5",
        "1 000 00",
        "12:30",
        "2020-01-01",
        "\uff11",
        "\u0661",
        "½",
        "²",
    ]
    + [
        "1..2",
        "1,,2",
        "'1",
        "1'00",
        "-$-5",
        "5-",
        "1e5.5",
        "\u0660",
        "1\n",
        "1 kg",
        "10.0.0.1",
        "18.00.00",
        "01,234,5678",
    ],
)
def test_what_is_no_number(text):
    assert not looks_numeric(text)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("5", 5),
        ("+5", 5),
        ("-5", -5),
        ("\u22125", -5),
        ("5.", 5),
        (".5", 0.5),
        ("1e3", 1000),
        ("1E-3", 0.001),
        ("-$5", -5),
    ]
    + [
        ("$-5", -5),
        ("$ 5", 5),
        ("5 $", 5),
        ("(5)", -5),
        ("($5)", -5),
        ("5%", 5),
        ("US$5", 5),
        ("EUR 5", 5),
        ("007", 7),
    ],
)
def test_what_is_a_number(text, value):
    number = parts(text)
    assert number.value(NumberFormat(unit=number.unit)) == value


def test_names_of_formats():
    assert NumberFormat().name == ""
    assert NumberFormat(",", ".", "€").name == 'decimal comma, thousands separator ".", unit "€"'
