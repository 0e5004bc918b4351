"""The texts that mean a missing value."""

# Everywhere.
MISSING = frozenset(
    ["?", "NA", "N/A", "n/a", "na", "#N/A", "#NA", "<NA>", "NaN", "nan", "NAN", "-nan", "NaT", "NULL", "null", "Null"]
    + ["\\N", "(null)", "<null>", "#N/A N/A"]
)
# Only among numbers or dates: in a column of texts "none" or "-" may well be a category.
MISSING_AMONG_NUMBERS = MISSING | frozenset(
    ["-", "--", "---", "–", "—", ".", "..", "*", "none", "None", "NONE", "nil", "missing", "n.a.", "N.A.", "#NULL!"]
    + ["#VALUE!", "#DIV/0!", "#REF!", "#NUM!", "#NAME?"]
)
TRUE_FALSE = {"true": True, "false": False}
