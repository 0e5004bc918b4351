"""Every formula of an explanation, computed anew: its symbols with a trace's exact values, and its printed numbers."""

import re

import numpy as np

import retroprop as rp
from retroprop.functions.activations import elementwise_names

NAME = re.compile(r"(?:∂J/∂)?(?:θ|δ|z|a|f'|b|x|y)(?:\^\(\d+\))?_[\d,]+(?:\[\d+\])?")
OF_SOFTMAX = re.compile(r"∂a\^\(\d+\)_(\d+)(?:\[(\d+)\])?/∂z\^\(\d+\)_(\d+)(?:\[\d+\])?")


def values_of(trace):
    """Return every value of a trace by the name in Greek letters."""

    def in_greek(name):
        return name.replace("dJ/d", "∂J/∂").replace("theta", "θ").replace("delta", "δ")

    return {in_greek(entry.name): float(entry.value) for entry in trace.entries()}


def computed(expression, trace):
    """Return the value of a formula in names, numbers or both."""
    values, architecture = values_of(trace), trace.architecture
    n_shares = re.search(r"\[(\d+)\]", expression)
    share = float(trace.share[int(n_shares[1]) - 1 if n_shares else 0])
    expression = OF_SOFTMAX.sub(
        lambda m: f"({float(trace.jacobian(int(m[2] or 1) - 1)[int(m[1]) - 1, int(m[3]) - 1])!r})", expression
    )
    expression = re.sub(r"sign (\S+)", lambda m: f"({np.sign(values[m[1]])!r})", expression)
    expression = NAME.sub(lambda m: f"({values[m[0]]!r})", expression)
    l2, l1 = architecture.penalties[0]
    for sign, meaning in (("λ₂", l2), ("λ₁", l1), ("1/m", share), ("w/Σw", share), ("·", "*"), ("−", "-")):
        expression = expression.replace(sign, str(meaning))
    functions = {name: value_of(name) for name in elementwise_names()}
    # The text is the library's own output of a test, in names of numbers and signs.
    return eval(expression, {"__builtins__": {}}, functions | {"inf": np.inf, "np": np})


def value_of(name):
    """Return an activation as a function of a number."""
    f = rp.activations.get(name)
    return lambda z: float(f.value(np.float64(z), np))


def check_formulas(explanation, trace):
    """Assert that each line "name = symbols = numbers = value" is true; return the names that it is about."""
    found = []
    for line in str(explanation).splitlines():
        parts = line.split(" = ")
        if len(parts) < 3 or not NAME.fullmatch(parts[0]) or "…" in line:
            continue
        name, *formulas, value = parts
        exact = values_of(trace)[name]
        assert computed(formulas[0], trace) == np.float64(exact) or np.isclose(
            computed(formulas[0], trace), exact, rtol=1e-11, atol=1e-14
        ), line
        # The printed numbers have six digits.
        for printed in (*formulas[1:], value):
            assert np.isclose(computed(printed, trace), exact, rtol=2e-4, atol=2e-5), line
        found.append(name)
    return found
