"""The trace: every number by its name, against the gradient, the chain rule and the backends' own arrays."""

import json
import subprocess
import sys
from itertools import pairwise

import numpy as np
import pytest
from harness import tolerance
from networks import KINDS, network

import retroprop as rp


@pytest.mark.parametrize("kind", KINDS)
def test_names_and_numbers_are_the_networks(kind):
    net, x, y, weight = network(kind)
    trace, g = rp.explain.trace(net, x, y, weight), net.gradient(x, y, weight, wrt_input=True)
    values = trace.to_dict()["values"]
    assert values["J"] == float(g.cost)
    for l, (theta, slope) in enumerate(zip(net.thetas, g.thetas, strict=True), start=1):
        for j, k in np.ndindex(theta.shape):
            assert values[f"theta^({l})_{j + 1}{k + 1}"] == theta[j, k]
            assert values[f"dJ/dtheta^({l})_{j + 1}{k + 1}"] == slope[j, k]
    for l, (bias, slope) in enumerate(zip(net.biases, g.biases, strict=True), start=1):
        for j in range(len(bias)):
            assert (values[f"b^({l})_{j + 1}"], values[f"dJ/db^({l})_{j + 1}"]) == (bias[j], slope[j])
    passed, several = net.forward(x, keep_z=True), len(x) > 1
    for i in range(len(x)):
        row = f"[{i + 1}]" if several else ""
        for k in range(x.shape[1]):
            assert (values[f"x_{k + 1}{row}"], values[f"dJ/dx_{k + 1}{row}"]) == (x[i, k], g.x[i, k])
        for l in range(2, len(net.layer_sizes) + 1):
            for j in range(net.layer_sizes[l - 1]):
                assert values[f"z^({l})_{j + 1}{row}"] == passed.z[l - 1][i, j]
                assert values[f"a^({l})_{j + 1}{row}"] == passed.a[l - 1][i, j]
                assert values[f"delta^({l})_{j + 1}{row}"] == g.deltas[l - 1][i, j]
    # Θ, b and x with their derivatives; z, a, f′ and δ of every other neuron, less the f′ of a softmax; y, ∂J/∂a; J
    inner, soft = sum(net.layer_sizes[1:]), not trace.architecture.activations[-1].elementwise
    of_rows = 2 * x.size + len(x) * (4 * inner + net.layer_sizes[-1] * (2 - soft))
    assert len(values) == 2 * net.n_parameters + of_rows + 1


@pytest.mark.parametrize("kind", KINDS)
def test_the_chain_rule_holds_between_the_numbers(kind):
    trace = rp.explain.trace(*network(kind))
    assert trace.share.sum() == pytest.approx(1.0)
    for i in range(trace.m):
        delta = trace.output_slopes[i] @ trace.jacobian(i)
        np.testing.assert_allclose(delta, trace.deltas[-1][i], rtol=1e-12, atol=1e-15)
    eps = 1e-6
    for l, f in enumerate(trace.architecture.activations, start=1):
        z = trace.z[l]
        np.testing.assert_allclose(f.value(z, np), trace.a[l], rtol=1e-14)
        if f.elementwise:
            difference = (f.value(z + eps, np) - f.value(z - eps, np)) / (2.0 * eps)
            np.testing.assert_allclose(trace.slopes[l], difference, rtol=1e-7, atol=1e-9)
        else:
            assert trace.slopes[l] is None
            a = trace.a[l][0]
            jacobian = np.diag(a) - np.outer(a, a)
            for begin, end in pairwise(np.cumsum([0, *getattr(f, "sizes", ())])):
                jacobian[begin:end, :begin] = jacobian[begin:end, end:] = 0.0
            np.testing.assert_allclose(trace.jacobian(), jacobian, rtol=1e-12, atol=1e-15)


def test_every_backend_and_dtype_gives_the_same_trace(backend, dtype):
    net, x, y, weight = network("classes", hidden="relu")
    expected = rp.explain.trace(net, x, y, weight).to_dict()["values"]
    trace = rp.explain.trace(net.to(backend, dtype=dtype), x, y, weight)
    assert {str(array.dtype) for array in (*trace.thetas, *trace.a, trace.gradient_x, trace.output_slopes)} == {dtype}
    found = trace.to_dict()["values"]
    assert list(found) == list(expected)
    np.testing.assert_allclose(
        list(found.values()), list(expected.values()), rtol=tolerance(dtype), atol=tolerance(dtype)
    )


def test_json_is_exact_and_has_texts_for_what_json_has_no_number_for():
    net, x, y, _ = network("identity", dtype="float32")
    trace = rp.explain.trace(net, x, y)
    assert json.loads(trace.to_json()) == trace.to_dict()
    assert np.float32(trace.to_dict()["values"]["theta^(2)_21"]) == net.thetas[1][1, 0]
    net.thetas = [np.full((3, 2), 1e38), np.full((2, 3), 1e38)]
    net.biases = [np.zeros(3), np.full(2, 3e38)]
    broken = rp.explain.trace(net, np.abs(x), y)
    values = json.loads(broken.to_json(indent=1), parse_constant=pytest.fail)["values"]
    assert values["z^(3)_1[1]"] == values["J"] == "Infinity"
    assert values["dJ/dtheta^(1)_11"] == "NaN"
    assert "inf" in str(broken)
    assert r"\infty" in broken.latex


def test_pandas_has_a_number_a_row():
    pytest.importorskip("pandas", reason="a DataFrame is pandas'")
    trace = rp.explain.trace(*network("classes"))
    frame = trace.to_pandas()
    assert len(frame) == len(trace.to_dict()["values"])
    assert frame["name"].is_unique
    one = frame[frame["name"] == "theta^(2)_42"].iloc[0]
    assert (one["kind"], one["layer"], one["to"], one["from"]) == ("theta", 2, 4, 2)
    assert one["value"] == trace.thetas[1][3, 1]
    deltas = frame[(frame["kind"] == "delta") & (frame["layer"] == 3) & (frame["observation"] == 2)]
    assert deltas["value"].tolist() == trace.deltas[2][1].tolist()


def test_large_networks_are_shortened_with_a_count():
    net = rp.Network([64, 100, 10], output="softmax", loss="cross_entropy", seed=0, backend="numpy")
    rng = np.random.default_rng(0)
    trace = rp.explain.trace(net, rng.normal(size=(20, 64)), rng.integers(0, 10, 20))
    text = str(trace)
    assert f"{20 * 174 - 3 * 24:,} more rows not shown" in text
    assert f"{net.n_parameters - 12 - 12 - 8 - 8:,} more rows not shown" in text
    assert "2 more rows not shown" in text, "of the Jacobian"
    assert "to_pandas(), to_dict() and to_json() have every number" in text
    assert text.count("\n") < 150
    assert "not shown" not in str(rp.explain.trace(*network("general")))


@pytest.mark.parametrize(
    ("x", "y", "weight", "words"),
    [
        ([[1.0]], [[0.0, 1.0]], None, "x has 1 columns and the network 2 inputs"),
        ([1.0, 2.0], [[0.0, 1.0]], None, "x must have two axes"),
        ([[1.0, 2.0]], [[0.0]], None, "y"),
        ([[1.0, np.nan]], [[0.0, 1.0]], None, "x must be finite"),
        ([[1.0, 2.0]], [[0.0, 1.0]], [1.0, 2.0], "sample_weight"),
        ([[[1.0, 2.0]]], [[[0.0, 1.0]]], None, "two axes"),
    ],
)
def test_bad_input(x, y, weight, words):
    net, *_ = network("general")
    with pytest.raises((TypeError, ValueError), match=words):
        rp.explain.trace(net, x, y, weight)


def test_several_networks_in_one_are_refused():
    net = rp.Network.from_parameters([np.ones((3, 2, 2))], dtype="float64", backend="numpy")
    with pytest.raises(ValueError, match="trace takes one network, and net holds several"):
        rp.explain.trace(net, [[1.0, 2.0]], [[0.0, 1.0]])
    for explain in (rp.explain.trace, lambda *given: rp.explain.transpose(*given, layer=1)):
        with pytest.raises(TypeError, match="net must be a Network, not list"):
            explain([2, 2], [[1.0, 2.0]], [[0.0, 1.0]])


def test_explanations_load_no_library_that_they_do_not_show_in():
    code = (
        "import sys, retroprop as rp\n"
        "net = rp.Network([2, 2, 2], seed=0, backend='numpy')\n"
        "for made in (rp.explain.trace(net, [[1, 2]], [[0, 1]]), rp.explain.steps(net, [[1, 2]], [[0, 1]])):\n"
        "    str(made), made.latex, made._repr_html_()\n"
        "print(*({'sympy', 'matplotlib', 'rich', 'pandas', 'scipy', 'torch', 'jax'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout == "\n"
