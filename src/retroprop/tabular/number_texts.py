"""Numbers as people write them: the parts of one text, and the formats in which it is a number."""

import re
from dataclasses import asdict, dataclass
from typing import Any, Self

_SIGN = r"[+-]"
_UNIT = (
    r"(?:%|(?:US|A|C|R|HK|NZ)?\$|[€£¥₹₽₩₺₪฿₫₴]|USD|EUR|GBP|JPY|CHF|AUD|CAD|NZD|CNY|INR|SEK|NOK|DKK|BRL|MXN|KRW|ZAR|PLN"
    r"|kr\.?|zł|Kč|Ft|Rs\.?)"
)
_PARTS = re.compile(
    rf"(?P<open>\()?(?P<sign>{_SIGN})? ?(?P<left>{_UNIT})? ?(?P<sign2>{_SIGN})?"
    rf"(?P<body>[.,]?[0-9](?:[0-9., ']*[0-9])?[.,]?)(?P<exponent>[eE][+-]?[0-9]+)? ?(?P<right>{_UNIT})?(?P<close>\))?"
)
_SIMPLE = re.compile(r"[+-]?[0-9]+(?:\.[0-9]*)?(?:[eE][+-]?[0-9]+)?")
# Signs, spaces and apostrophes that typesetting puts in place of the plain ones.
_PLAIN = str.maketrans({"\u2212": "-", "\u00a0": " ", "\u202f": " ", "\u2009": " ", "\u2019": "'"})
INFINITE = re.compile(r"[+-]?inf(inity)?", re.IGNORECASE)


@dataclass(frozen=True)
class NumberFormat:
    """The way in which all numbers of a column are written.

    Attributes
    ----------
    decimal : str
        The decimal mark, "." or ",".
    thousands : str
        The separator of groups of three digits: "", "," "." " " or "'".
    unit : str
        The currency or "%" that stands with every number, or "". It does not change the number: "45 %" is 45.
    """

    decimal: str = "."
    thousands: str = ""
    unit: str = ""

    @property
    def name(self) -> str:
        """The format in words, for example "decimal comma, thousands separator '.'", or "" for plain numbers."""
        words = ["decimal comma"] * (self.decimal == ",")
        words += [f'thousands separator "{self.thousands}"'] * bool(self.thousands)
        words += [f'unit "{self.unit}"'] * bool(self.unit)
        return ", ".join(words)

    def to_plain(self) -> dict[str, Any]:
        """Return the format as a dict that JSON can hold, the argument of `from_plain`."""
        return asdict(self)

    @classmethod
    def from_plain(cls, plain: dict[str, Any]) -> Self:
        """Rebuild the format from the dict of `to_plain`."""
        return cls(**plain)


@dataclass(frozen=True)
class NumberText:
    """The parts of one text: its sign, its digits with their marks, its exponent and its unit."""

    negative: bool
    body: str
    exponent: str
    unit: str

    def value(self, format: NumberFormat) -> float | None:
        """Return the number, or None where it is not one in this format."""
        if self.unit != format.unit or not _BODIES[format.decimal, format.thousands].fullmatch(self.body):
            return None
        digits = self.body.replace(format.thousands, "") if format.thousands else self.body
        value = float(digits.replace(format.decimal, ".") + self.exponent)
        return -value if self.negative else value


def _body(decimal: str, thousands: str) -> re.Pattern[str]:
    d, t = re.escape(decimal), re.escape(thousands)
    plain = rf"[0-9]+(?:{d}[0-9]*)?|{d}[0-9]+"
    return re.compile(rf"{plain}|[1-9][0-9]{{0,2}}(?:{t}[0-9]{{3}})+(?:{d}[0-9]*)?" if thousands else plain)


# The simplest first: of the formats that fit, and give the same numbers, the first is taken.
FORMATS = ((".", ""), (",", ""), (".", ","), (",", "."), (".", " "), (",", " "), (".", "'"), (",", "'"))
_BODIES = {marks: _body(*marks) for marks in FORMATS}


def parts(text: str) -> NumberText | None:
    """Return the parts of a text that may be a number in some format, else None.

    Underscores, hexadecimal digits, words such as "infinity" and the digits of other scripts are no numbers. A number
    in brackets is negative, as in accounting.
    """
    found = _PARTS.fullmatch(text.translate(_PLAIN))
    if found is None:
        return None
    signs = [found[name] for name in ("sign", "sign2") if found[name]]
    brackets = bool(found["open"])
    if brackets != bool(found["close"]) or len(signs) + brackets > 1 or (found["left"] and found["right"]):
        return None
    return NumberText(
        negative=brackets or signs == ["-"],
        body=found["body"],
        exponent=found["exponent"] or "",
        unit=found["left"] or found["right"] or "",
    )


def looks_numeric(text: str) -> bool:
    """Return whether a text is a number in at least one format."""
    if _SIMPLE.fullmatch(text):
        return True
    number = parts(text)
    return number is not None and any(pattern.fullmatch(number.body) for pattern in _BODIES.values())
