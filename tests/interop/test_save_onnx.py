"""ONNX files that we write: onnxruntime computes what `predict` does."""

import numpy as np
import pytest
from runtime import outputs, relative

import retroprop as rp
from retroprop.backends.record.table import OPERATIONS
from retroprop.functions.activations import ACTIVATIONS, GroupedSoftmax
from retroprop.interop.onnx_export import onnx_bytes

pytestmark = [pytest.mark.needs("onnx"), pytest.mark.needs("onnxruntime")]
TOLERANCES = {"float32": 1e-5, "float64": 1e-13}


def random_network(rng, hidden, output, dtype, loss="squared_error"):
    sizes = rng.integers(1, 9, rng.integers(2, 6)).tolist()
    sizes[-1] = 5 if isinstance(output, GroupedSoftmax) else max(sizes[-1], 2)
    options = {"bias": bool(rng.random() < 0.8), "dropout": 0.25, "seed": rng, "dtype": dtype, "backend": "numpy"}
    return rp.Network(
        sizes, hidden=hidden, output=output, loss=loss, initializer=rp.initializers.Normal(1.0), **options
    )


def check(net, x):
    assert relative(outputs(onnx_bytes(net), x=x)["a"], net.predict(x)) <= TOLERANCES[net.dtype]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_every_activation(name, dtype):
    rng = np.random.default_rng(0)
    hidden = name if ACTIVATIONS[name].elementwise and name != "exp" else "tanh"  # e^(e^x) overflows
    net = rp.Network(
        [4, 7, 3],
        hidden=hidden,
        output=name,
        seed=1,
        dtype=dtype,
        initializer=rp.initializers.Normal(1.0),
        backend="numpy",
    )
    x = rng.normal(size=(40, 4)).astype(dtype)
    check(net, x)
    check(net, x[:1])


@pytest.mark.parametrize("f", [rp.activations.LeakyReLU(0.3), rp.activations.ELU(0.5), GroupedSoftmax((2, 3))])
def test_activations_with_a_parameter(f):
    rng = np.random.default_rng(1)
    net = random_network(rng, "tanh" if isinstance(f, GroupedSoftmax) else f, f, "float32")
    check(net, rng.normal(size=(9, net.layer_sizes[0])).astype("float32"))


@pytest.mark.parametrize("n", [12, pytest.param(200, marks=pytest.mark.long)])
def test_random_networks(n):
    rng = np.random.default_rng(2)
    bounded = [name for name, f in ACTIVATIONS.items() if f.elementwise and name != "exp"]
    for _ in range(n):
        hidden, output = rng.choice(bounded), rng.choice(list(ACTIVATIONS))
        net = random_network(rng, str(hidden), str(output), "float32")
        check(net, rng.normal(size=(int(rng.integers(1, 30)), net.layer_sizes[0])).astype("float32"))


class Function:
    """A custom activation of one expression; its derivative is taken by differences."""

    needs_z = True

    def __init__(self, name, value):
        self.name, self.value = name, value

    def derivative(self, z, a, xp):
        return (self.value(z + 1e-6, xp) - self.value(z - 1e-6, xp)) / 2e-6


CUSTOM = [
    Function("sine", lambda z, xp: xp.sin(z) + 0.5 * xp.cos(z)),
    Function("where", lambda z, xp: xp.where((z > 0.0) & ~(z > 1.0), z * z, xp.log1p(xp.abs(z)))),
    Function("ones", lambda z, xp: z * xp.ones_like(z) + xp.full_like(z, 0.5)),
    Function("mask", lambda z, xp: z * ((z > -5.0) | (z != z)) * 2),
    Function("many", lambda z, xp: xp.logaddexp(z, 0.1 * z) + xp.log2(2.0 + xp.square(z)) + 0.0 * xp.trunc(z)
             + xp.asinh(z) + xp.atan(z) + xp.reciprocal(xp.cosh(z)) + xp.astype(xp.isfinite(z), z.dtype)),
    Function("columns", lambda z, xp: xp.concat([z[:, 1:], z[:, :1]], axis=1) * 0.0 + z),
]  # fmt: skip


@pytest.mark.parametrize("f", CUSTOM, ids=lambda f: f.name)
def test_custom_functions(f):
    rng = np.random.default_rng(3)
    net = rp.Network([3, 4, 2], hidden=f, output=f, seed=0, backend="numpy")
    check(net, rng.normal(size=(11, 3)).astype("float32"))


@pytest.mark.parametrize(
    ("f", "words"),
    [
        (Function("far", lambda z, xp: xp.hypot(z, xp.ones_like(z))), "'far' has no ONNX form: its operation hypot"),
        (Function("sorted", lambda z, xp: z + 0.0 * xp.sort(z, axis=-1)), "'sorted' cannot be recorded: sort is not"),
        (Function("batch", lambda z, xp: z - 0.0 * xp.mean(z)), "'batch' mixes the rows of a batch in its op"),
        (Function("most", lambda z, xp: z - 0.0 * xp.max(z, axis=0)), "'most' mixes the rows of a batch in its op"),
        (Function("first", lambda z, xp: z - 0.0 * z[:1, :]), "'first' mixes the rows of a batch in its operation in"),
        (Function("count", lambda z, xp: z + 1e-9 * z.shape[0]), "'count' depends on the number"),
    ],
    ids=lambda f: getattr(f, "name", ""),
)
def test_a_function_without_an_onnx_form_is_named(f, words, tmp_path):
    net = rp.Network([2, 3, 1], hidden=f, seed=0, backend="numpy")
    with pytest.raises(rp.interop.ExportError) as error:
        rp.interop.save_onnx(net, tmp_path / "m.onnx")
    assert words in str(error.value)
    assert "\n" not in str(error.value)
    assert list(tmp_path.iterdir()) == []


def test_every_operation_of_the_table_has_a_form_or_none_by_decision():
    from retroprop.interop.onnx_forms import FORMS, GIVEN, NO_FORM

    assert {*FORMS} | NO_FORM | GIVEN | {"reshape"} == {*OPERATIONS}
    assert not {*FORMS} & (NO_FORM | GIVEN)


def test_the_file_is_what_it_says(tmp_path):
    import onnx

    net = rp.Network([2, 3, 1], seed=0, backend="numpy")
    rp.interop.save_onnx(net, tmp_path / "m.onnx")
    assert [path.name for path in tmp_path.iterdir()] == ["m.onnx"]
    model = onnx.load(tmp_path / "m.onnx")
    assert [(one.domain, one.version) for one in model.opset_import] == [("", 18)]
    assert model.graph.input[0].type.tensor_type.shape.dim[0].dim_param == "m"
    assert [one.name for one in model.graph.initializer[:2]] == ["/theta.0", "/bias.0"]
    np.testing.assert_array_equal(onnx.numpy_helper.to_array(model.graph.initializer[0]), net.thetas[0].T)


def test_a_stack_has_the_outputs_of_each_network():
    rng = np.random.default_rng(4)
    net = rp.stack([rp.Network([3, 5, 2], hidden="tanh", output="softmax", seed=k, backend="numpy") for k in range(3)])
    x = rng.normal(size=(7, 3)).astype("float32")
    found = outputs(onnx_bytes(net), x=x)["a"]
    assert found.shape == (3, 7, 2)
    assert relative(found, net.predict(x)) <= 1e-5
    assert outputs(onnx_bytes(net), x=x[:1])["a"].shape == (3, 1, 2)


def test_networks_of_another_backend(backend):
    net = rp.Network([2, 3, 1], hidden="gelu", seed=0, backend=backend)
    x = np.ones((3, 2), "float32")
    assert relative(outputs(onnx_bytes(net), x=x)["a"], net.to("numpy").predict(x)) <= 1e-5


def test_bad_input(tmp_path):
    broken = rp.Network([1, 1], backend="numpy")
    broken.thetas[0][0, 0] = np.nan
    for model, kind, words in (
        (object(), TypeError, "model must be a Network"),
        (broken, rp.interop.ExportError, "NaN or infinite, in theta.0"),
    ):
        with pytest.raises(kind, match=words):
            rp.interop.save_onnx(model, tmp_path / "m.onnx")
    with pytest.raises(FileNotFoundError, match="folder"):
        rp.interop.save_onnx(rp.Network([1, 1], backend="numpy"), tmp_path / "no" / "m.onnx")
    assert list(tmp_path.iterdir()) == []
