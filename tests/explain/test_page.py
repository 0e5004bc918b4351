"""The page of a network as a file: its words, formulas and limits, without a browser."""

import re
import time

import numpy as np
import pytest
from page_networks import NETWORKS, network

import retroprop as rp
from retroprop.explain.formula_text import TEXT
from retroprop.explain.page.mathml import MATHML, style_of
from retroprop.explain.page.page_file import SCRIPTS
from retroprop.explain.page.path_formulas import derivations
from retroprop.explain.page.quantity_formulas import QuantityFormulas
from retroprop.explain.page.words import LANGUAGES, text_of, words
from retroprop.functions import special

SOURCES = {f"{name}.js": text_of(f"{name}.js") for name in SCRIPTS}


@pytest.fixture
def net():
    return rp.Network([2, 2, 2], hidden="sigmoid", output="sigmoid", bias=False, seed=0, dtype="float64")


def test_both_languages_have_the_same_words():
    english, spanish = map(words, LANGUAGES)
    assert english.keys() == spanish.keys()
    assert all(spanish.values())
    places = {key: [set(re.findall(r"\{\w+\}", said[key])) for said in (english, spanish)] for key in english}
    assert {key: both for key, both in places.items() if both[0] != both[1]} == {}


def test_every_word_that_the_page_uses_is_there():
    code = "".join(SOURCES.values()) + text_of("page.html")
    used = set(re.findall(r"""\bt\("(\w+)\"""", code)) | set(re.findall(r'data-t(?:-label)?="(\w+)"', code))
    used |= set(re.findall(r'refuse\("(\w+)"', code)) | {
        key for one in re.findall(r'⟨"(\w+)⟩', str(MATHML)) for key in [one]
    }
    for key in re.findall(r'return "(\w+)"', SOURCES["exercise.js"]) + ["wrong", "rounded", "empty", "no_number"]:
        used.add(f"verdict_{key}")
    for prefix, endings in {
        "step": ("start", "forward", "cost", "delta", "gradient", "update"),
        "said": ("start", "forward", "cost", "delta", "gradient", "update"),
        "what": ("theta", "b", "x", "z", "a", "delta"),
        "exercise": ("a", "delta", "gradient", "said_a", "said_delta", "said_gradient"),
    }.items():
        used |= {f"{prefix}_{ending}" for ending in endings}
    assert used - words("en").keys() == set()


@pytest.mark.parametrize("name", ["2-2-2", "classes", "deep", "penalties", "groups", "custom loss"])
def test_every_heading_of_a_derivation_is_translated(name):
    net, x, _, _ = network(name)
    for m in (1, len(x)):
        for _, found in derivations(net.architecture, m, style_of(net.architecture)):
            for section in found["sections"]:
                assert section["heading"] in words("es")
                assert section["equations"]


def test_a_formula_has_a_form_for_every_operation():
    assert MATHML.forms.keys() == TEXT.forms.keys()


OPERATIONS = {
    "add": np.add, "sub": np.subtract, "mul": np.multiply, "div": np.divide, "neg": np.negative, "square": np.square,
    "exp": np.exp, "log": np.log, "tanh": np.tanh, "sqrt": np.sqrt, "abs": np.abs, "minimum": np.minimum,
    "maximum": np.maximum, "where": np.where, "indicator": float, "gt": np.greater, "lt": np.less, "le": np.less_equal,
    "sigmoid": lambda z: special.sigmoid(z, np), "softplus": lambda z: special.softplus(z, np),
    "normal_cdf": lambda z: special.normal_cdf(z, np), "normal_pdf": lambda z: special.normal_pdf(z, np),
    "sign": np.sign,
}  # fmt: skip


# The cosine of "custom branches" has no formula in symbols.
@pytest.mark.parametrize("name", sorted(NETWORKS.keys() - {"custom branches"}))
def test_its_formulas_give_the_librarys_numbers(name):
    """The formula of every quantity, evaluated at the numbers of one state, is that quantity."""
    net, x, y, options = network(name)
    rule = options["optimizer"] or rp.optimizers.SGD(0.1)
    trace, g = net.forward(x, keep_z=True), net.gradient(x, y, wrt_input=True)
    j, k = 1, 1
    eta = float(rule.learning_rate)

    def value(q, shown):
        at = [{"j": j, "k": k}.get(n, n) - 1 for n in q.neurons]
        row, l = (shown if q.row is None else q.row) - 1, (q.layer or 1) - 1
        arrays = {"theta": net.thetas, "b": net.biases, "dtheta": g.thetas, "db": g.biases}
        rows = {"x": [x], "y": [y], "z": trace.z, "a": trace.a, "delta": g.deltas}
        if q.letter in arrays:
            return arrays[q.letter][l][tuple(at)]
        if q.letter in rows:
            return rows[q.letter][l][row, at[0]]
        return {"m": len(x), "eta": eta, "vtheta": 0.0, "vb": 0.0}[q.letter]

    def evaluated(expression, shown=1):
        if expression.op == "number":
            return expression.value
        if expression.op == "quantity":
            return value(expression.args[0], shown)
        return OPERATIONS[expression.op](*(evaluated(part, shown) for part in expression.args))

    updated = rp.Network.from_parameters(
        net.thetas, net.biases, dtype="float64", backend="numpy",
        **{key: option for key, option in NETWORKS[name][1].items() if key != "bias"},
    )  # fmt: skip
    rp.fit(updated, x, y, optimizer=rule, epochs=1, shuffle=False)
    wanted = {"z": trace.z, "a": trace.a, "delta": g.deltas, "dtheta": g.thetas, "db": g.biases, "dx": [g.x]}
    checked = 0
    for key, expression in QuantityFormulas(net.architecture, len(x), rule).all():
        kind, *numbers = key.split()
        if kind == "J":
            costs = [evaluated(expression, row) for row in range(1, len(x) + 1)]
            assert np.mean(costs) == pytest.approx(float(g.cost), rel=1e-9)
        if kind in ("J", "mean") or "…" in expression.op or "'more'" in repr(expression):
            continue
        if kind == "new":
            layer = int(numbers[1]) - 1
            true = updated.thetas[layer][0, 0] if numbers[0] == "theta" else updated.biases[layer][0]
        else:
            layer, neuron = int(numbers[0]) - 1, int(numbers[1]) - 1 if len(numbers) > 1 else 0
            array = wanted[kind][layer]
            true = array[0, 0] if kind == "dtheta" else array[0] if kind == "db" else array[0, neuron]
        assert evaluated(expression) == pytest.approx(true, rel=1e-9, abs=1e-12), key
        checked += 1
    assert checked >= 6


def test_the_file_is_small_whole_and_the_same_each_time(net, tmp_path):
    begun = time.perf_counter()
    made = rp.explain.page(net, [[0.8, 0.5]], [[0.0, 1.0]], tmp_path / "out.html")
    assert time.perf_counter() - begun < 3.0
    written = (tmp_path / "out.html").read_bytes()
    assert written == made.html.encode() == rp.explain.page(net, [[0.8, 0.5]], [[0.0, 1.0]]).html.encode()
    assert len(written) <= 300_000
    assert "://" not in made.html
    assert not re.search(r"\{\{\w+\}\}", made.html)
    assert "default-src 'none'" in made.html
    assert made._repr_html_().count("<iframe") == 1


def test_what_the_user_names_is_text():
    class Named:
        name = "</script><b>&"
        needs_z = False

        def value(self, z, xp):
            return xp.tanh(z)

        def derivative(self, z, a, xp):
            return 1.0 - a * a

    net = rp.Network([2, 2, 1], hidden=Named(), seed=0)
    html = rp.explain.page(net, [[1.0, 2.0]], [[1.0]]).html
    assert html.count("</script>") == 1
    assert "<b>&" not in html


def test_a_link_is_of_one_network_and_its_numbers(net):
    x, y = [[0.8, 0.5]], [[0.0, 1.0]]
    made = rp.explain.page(net, x, y)
    assert made.link("p.html", at=3, of="delta-2-1", language="es") == f"p.html#net={made.id}&lang=es&at=3&of=delta-2-1"
    assert made.link(at=-1, exercise="a-2", sheet=4) == f"#net={made.id}&at=8&exercise=a-2&sheet=4"
    others = [rp.explain.page(net, x, [[1.0, 1.0]]), rp.explain.page(net, x, y, optimizer=rp.optimizers.SGD(0.2))]
    assert len({made.id, *(other.id for other in others)}) == 3
    with pytest.raises(ValueError, match="at must be from 0 to 8"):
        made.link(at=9)


def test_a_link_to_what_the_page_has_not_is_refused():
    x, y = [[0.8, 0.5, 0.1]], [[0.0]]
    net = rp.Network([3, 2, 1], seed=0)
    made = rp.explain.page(net, x, y)
    for of in ("theta-1-2-3", "theta-2-1-2", "b-1-2", "b-2-1", "x-3", "z-2-2", "a-2-1", "delta-3-1"):
        assert made.link(of=of).endswith(f"&of={of}")
    wrong = ["theta-1-3-1", "theta-3-1-1", "theta-1-2", "b-3-1", "x-4", "x-1-1", "z-1-1", "delta-4-1", "delta", "J", ""]
    for of in wrong:
        with pytest.raises(ValueError, match="of must be a quantity of the 3-2-1 network"):
            made.link(of=of)
    with pytest.raises(ValueError, match="of must be a quantity"):
        rp.explain.page(rp.Network([3, 1], bias=False, seed=0), x, y).link(of="b-1-1")
    for exercise in ("a-1", "delta-4", "gradient-3", "theta-1", "delta", "delta-2-1", ""):
        with pytest.raises(ValueError, match="exercise must be 'a' or 'delta' of layer 2 to 3"):
            made.link(exercise=exercise)
    with pytest.raises(ValueError, match="sheet must be from 1 to 1000000000, not 0"):
        made.link(sheet=0)
    with pytest.raises(TypeError, match="sheet must be a whole number"):
        made.link(sheet="7")


@pytest.mark.parametrize(
    ("sizes", "rows", "language", "message"),
    [
        ([200, 100, 2], 1, "en", "net has 20,302 parameters, and a page holds up to 20,000: rp.explain.steps"),
        ([200, 100, 2], 1, "es", "net tiene 20,302 parámetros y en una página caben 20,000: rp.explain.steps"),
        ([1] * 13, 1, "en", "net has 13 layers, and a page shows up to 12"),
        ([9, 1], 5001, "en", r"x and y have 50,010 numbers, .*: give it fewer observations, as x\[:5000\]"),
        ([9, 1], 5001, "es", r"x e y tienen 50,010 números .*, como x\[:5000\]"),
    ],
)
def test_what_is_too_large_is_refused_by_its_size_with_an_offer(sizes, rows, language, message):
    net = rp.Network(sizes, seed=0)
    with pytest.raises(ValueError, match=message):
        rp.explain.page(net, np.zeros((rows, sizes[0])), np.zeros((rows, sizes[-1])), language=language)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"language": "fr"}, "language must be 'en' or 'es', not 'fr'"),
        ({"batch_size": 0}, "batch_size must be 1 or above, not 0"),
        ({"optimizer": "adam"}, "optimizer 'adam' has numbers that depend on the count"),
        ({"optimizer": "lbfgs"}, "optimizer 'lbfgs' is no elementwise update"),
        ({"optimizer": rp.optimizers.SGD(rp.schedules.Exponential(0.1, 0.9))}, "needs one learning rate"),
        ({"x": None, "y": None}, "x and y are missing"),
        ({"x": [[1.0]]}, "x"),
    ],
)
def test_bad_input(net, options, message):
    given = {"x": [[0.8, 0.5]], "y": [[0.0, 1.0]]} | options
    with pytest.raises((TypeError, ValueError), match=message):
        rp.explain.page(net, **given)
