"""Every formula of an explanation, computed anew: its symbols with a trace's exact values, and its printed numbers."""

import re

import numpy as np

import retroprop as rp
from retroprop.functions.activations import elementwise_names

NAME = re.compile(r"(?:∂J/∂)?(?:θ|δ|z|a|f'|b|x|y)(?:\^\(\d+\))?_[\d,]+(?:\[\d+\])?")
OF_SOFTMAX = re.compile(r"∂a\^\(\d+\)_(\d+)(?:\[(\d+)\])?/∂z\^\(\d+\)_(\d+)(?:\[\d+\])?")


def value_of(name):
    """Return an activation as a function of a number."""
    f = rp.activations.get(name)
    return lambda z: float(f.value(np.float64(z), np))


FUNCTIONS = {name: value_of(name) for name in elementwise_names()}


def values_of(trace):
    """Return every value of a trace by the name in Greek letters."""

    def in_greek(name):
        return name.replace("dJ/d", "∂J/∂").replace("theta", "θ").replace("delta", "δ")

    return {in_greek(entry.name): float(entry.value) for entry in trace.entries()}


def computed(expression, trace, values):
    """Return the value of a formula in names, numbers or both."""
    row = re.search(r"\[(\d+)\]", expression)
    share = float(trace.share[int(row[1]) - 1 if row else 0])
    l2, l1 = trace.architecture.penalties[0]

    def of_softmax(m):
        return f"({float(trace.jacobian(int(m[2] or 1) - 1)[int(m[1]) - 1, int(m[3]) - 1])!r})"

    expression = OF_SOFTMAX.sub(of_softmax, expression)
    expression = re.sub(r"sign (\S+)", lambda m: f"({float(np.sign(values[m[1]]))!r})", expression)
    expression = NAME.sub(lambda m: f"({values[m[0]]!r})", expression)
    for sign, meaning in (("λ₂", l2), ("λ₁", l1), ("1/m", share), ("w/Σw", share), ("·", "*"), ("−", "-")):
        expression = expression.replace(sign, str(meaning))
    # The text is the library's own: names of activations, numbers and signs.
    return eval(expression, {"__builtins__": {}}, FUNCTIONS)


def check_formulas(explanation, trace):
    """Assert that each line "name = symbols = numbers = value" is true; return the names that it is about."""
    found, values = [], values_of(trace)
    for line in str(explanation).splitlines():
        parts = line.split(" = ")
        if len(parts) < 3 or not NAME.fullmatch(parts[0]) or "…" in line:
            continue
        name, symbols, *printed = parts
        assert np.isclose(computed(symbols, trace, values), values[name], rtol=1e-11, atol=1e-14), line
        # The printed numbers have six digits.
        for one in printed:
            assert np.isclose(computed(one, trace, values), values[name], rtol=2e-4, atol=2e-5), line
        found.append(name)
    return found
