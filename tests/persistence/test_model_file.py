"""A saved network is the network, on every backend; a damaged file is found out and says so."""

import json
import os
import stat
import struct

import numpy as np
import pytest
from harness import Cube, Quartic, assert_close

import retroprop as rp
from retroprop.functions import activations, losses
from retroprop.persistence import ModelFileError, model_file, read_metadata

HEADER = 8  # bytes that give the length of the JSON header


def network(backend="numpy", dtype="float32", **options):
    options = {"hidden": ["tanh", "leaky_relu"], "initializer": "normal", "seed": 3, **options}
    return rp.Network([3, 4, 2, 1], dtype=dtype, backend=backend, **options)


def numbers(net):
    return [net.backend.to_numpy(leaf) for leaf in net.parameters.leaves]


def identical(left, right):
    """Bit for bit, and the architecture too."""
    assert left.dtype == right.dtype
    assert left.architecture == right.architecture
    for a, b in zip(numbers(left), numbers(right), strict=True):
        assert a.dtype == b.dtype
        assert a.tobytes() == b.tobytes()


@pytest.fixture(name="path")
def _path(tmp_path):
    return tmp_path / "model.safetensors"


def only(path, *others):
    """Assert that nothing but these files is in the folder: no part of a file is left behind."""
    assert sorted(p.name for p in path.parent.iterdir()) == sorted(p.name for p in others)


@pytest.mark.parametrize("to", ["numpy", "array_api_strict", "torch:cpu", "jax:cpu"])
def test_saved_on_one_backend_loaded_on_any_other(to, backend, dtype, path):
    from harness import open_backend

    net = network(backend, dtype)
    rp.save(net, path)
    only(path, path)
    target = open_backend(to)
    loaded = rp.load(path, backend=target)
    assert loaded.backend == target
    identical(loaded, net)
    for actual, expected in zip(loaded.parameters.leaves, numbers(net), strict=True):
        assert_close(actual, expected, backend=target, dtype=dtype, rtol=0.0)


def test_the_outputs_are_the_same_and_training_can_go_on(backend, dtype, path):
    net = network(backend, dtype)
    rp.save(net, path)
    loaded = rp.load(str(path), backend=backend)
    x = np.random.default_rng(0).normal(size=(5, 3))
    np.testing.assert_array_equal(backend.to_numpy(loaded.predict(x)), backend.to_numpy(net.predict(x)))
    rp.fit(loaded, x, x[:, 0], epochs=1)


@pytest.mark.parametrize(
    "options",
    [
        {"bias": False},
        {"l2": 0.125, "l1": 0.0625, "dropout": [0.1, 0.2]},
        {"l2": [0.25, 0.0, 0.5]},
        {"hidden": [activations.LeakyReLU(0.3), activations.ELU(2.5)]},
        {"loss": losses.Huber(0.7)},
        {"loss": losses.Quantile(0.9), "output": "softplus"},
        {"output": "sigmoid", "loss": "binary_cross_entropy"},
        {"output": "exp", "loss": "poisson"},
    ],
    ids=str,
)
def test_the_architecture_is_kept_with_the_parameters_of_its_functions(options, path):
    net = network(**options)
    rp.save(net, path)
    loaded = rp.load(path, backend="numpy")
    identical(loaded, net)
    assert loaded.architecture.hidden == net.architecture.hidden
    assert type(loaded.architecture.output) is type(net.architecture.output)


def test_every_activation_and_every_loss_can_be_saved(path):
    for f in activations.elementwise_names():
        net = network(hidden=f)
        rp.save(net, path)
        identical(rp.load(path, backend="numpy"), net)
    for name, loss in losses.LOSSES.items():
        output = loss.link or ("sigmoid" if loss.output_range == (0.0, 1.0) else "identity")
        net = rp.Network([2, 3], output=output, loss=name, seed=0, backend="numpy")
        rp.save(net, path)
        identical(rp.load(path, backend="numpy"), net)


def test_a_parameter_that_is_a_number_of_numpy(path):
    net = network(loss=losses.Huber(np.float32(0.5)))
    rp.save(net, path)
    assert rp.load(path, backend="numpy").architecture.output.loss == losses.Huber(0.5)


def test_special_numbers_and_model_axes(path):
    tiny = np.asarray([[-0.0, 5e-324], [1e308, 1.0 + 2.0**-52]])
    net = rp.Network.from_parameters([tiny], dtype="float64", backend="numpy")
    rp.save(net, path)
    identical(rp.load(path, backend="numpy"), net)
    rng = np.random.default_rng(0)
    several = rp.Network.from_parameters(
        [rng.normal(size=(5, 4, 3)), rng.normal(size=(5, 2, 4))],
        [rng.normal(size=(5, 4)), rng.normal(size=(5, 2))],
        dtype="float64",
        backend="numpy",
    )
    rp.save(several, path)
    identical(rp.load(path, backend="numpy"), several)


def test_the_backend_is_the_default_one_unless_given(path):
    rp.save(network(), path)
    with rp.use_backend("numpy"):
        assert rp.load(path).backend.name == "numpy"


def test_custom_functions_are_given_back_by_objects(path):
    net = network(hidden=[Cube(), "relu"], loss=Quartic())
    rp.save(net, path)
    loaded = rp.load(path, backend="numpy", objects={"Cube": Cube(), "quartic": Quartic()})
    x, y = np.ones((2, 3)), np.zeros((2, 1))
    assert float(loaded.cost(x, y)) == float(net.cost(x, y))
    for objects, missing in ((None, "Cube"), ({"Cube": Cube()}, "quartic"), ({}, "Cube")):
        with pytest.raises(ModelFileError, match=f"custom .*{missing}.*objects="):
            rp.load(path, backend="numpy", objects=objects)


def test_an_activation_derived_from_the_base_class_is_a_custom_one_too(path):
    class Sine(activations.Activation):
        name, needs_z = "sine", True

        def value(self, z, xp):
            return xp.sin(z)

        def derivative(self, z, a, xp):
            return xp.cos(z)

    net = network(hidden=[Sine(), "relu"])
    rp.save(net, path)
    loaded = rp.load(path, backend="numpy", objects={"sine": Sine()})
    np.testing.assert_array_equal(loaded.predict(np.ones((1, 3))), net.predict(np.ones((1, 3))))


def test_metadata_are_kept(path):
    given = {"classes": '["a", "b"]', "ünïcode": "Θ"}
    rp.save(network(), path, metadata=given)
    assert read_metadata(path) == given
    identical(rp.load(path, backend="numpy"), network())
    rp.save(network(), path)
    assert read_metadata(path) == {}


@pytest.mark.parametrize("bad", [{"a": 1}, {1: "a"}, {"retroprop": "mine"}, {"a": None}])
def test_metadata_that_are_not_strings_are_refused_and_leave_no_file(bad, path):
    with pytest.raises(TypeError, match="metadata"):
        rp.save(network(), path, metadata=bad)
    only(path)


def test_what_is_no_network_and_a_folder_are_refused(tmp_path):
    with pytest.raises(TypeError, match="net must be a Network, not 3"):
        rp.save(3, tmp_path / "model.safetensors")
    with pytest.raises(IsADirectoryError, match="is a folder, not a file"):
        rp.save(rp.Network([2, 1], backend="numpy"), tmp_path)


def test_other_programs_can_read_the_file(path):
    net = network()
    rp.save(net, path)
    numpy_side = pytest.importorskip("safetensors.numpy")
    tensors = numpy_side.load_file(path)
    assert sorted(tensors) == [f"{part}.{l}" for part in ("bias", "theta") for l in range(3)]
    np.testing.assert_array_equal(tensors["theta.0"], net.thetas[0])


# Damage -----------------------------------------------------------------------------------------------------------


def saved(path, **options):
    rp.save(network(**options), path)
    return path.read_bytes()


def refused(path, match=None, **options):
    before = sorted(path.parent.iterdir())
    with pytest.raises(ModelFileError, match=match) as caught:
        rp.load(path, backend="numpy", **options)
    assert path.name in str(caught.value)
    assert sorted(path.parent.iterdir()) == before


def test_a_file_truncated_anywhere(path):
    content = saved(path)
    for length in [*range(0, len(content), 17), HEADER - 1, HEADER, len(content) - 1]:
        path.write_bytes(content[:length])
        refused(path, "truncated")


def test_a_file_with_something_after_its_end(path):
    path.write_bytes(saved(path) + b"\0\0\0\0")
    refused(path)


def test_one_byte_flipped_anywhere_in_the_numbers(path):
    content = saved(path)
    (header,) = struct.unpack("<Q", content[:HEADER])
    start = HEADER + header
    assert len(content) - start == 4 * network().n_parameters
    for at in range(start, len(content)):
        damaged = bytearray(content)
        damaged[at] ^= 1
        path.write_bytes(bytes(damaged))
        refused(path, "altered")


@pytest.mark.parametrize(
    "bit", [1, pytest.param(0x20, marks=pytest.mark.long), pytest.param(0x80, marks=pytest.mark.long)]
)
def test_one_byte_flipped_anywhere_in_the_header(bit, path):
    # Whatever it hits: the model file's own error, or, where it says nothing of the network (a name of whoever wrote
    # it), the very network.
    content, expected = saved(path), network()
    (header,) = struct.unpack("<Q", content[:HEADER])
    wrong = []
    for at in range(HEADER + header):
        damaged = bytearray(content)
        damaged[at] ^= bit
        path.write_bytes(bytes(damaged))
        try:
            loaded = rp.load(path, backend="numpy")
        except ModelFileError:
            continue
        except Exception as error:  # noqa: BLE001 RUF100
            wrong.append((at, bytes(damaged[at - 12 : at + 12]), repr(error)))
            continue
        try:
            identical(loaded, expected)
        except AssertionError:
            wrong.append((at, bytes(damaged[at - 12 : at + 12]), "another network, unnoticed"))
    assert not wrong


def rewritten(path, change):
    """Change the JSON of the architecture, as somebody with an editor would, and write a valid safetensors file."""
    content = path.read_bytes()
    (length,) = struct.unpack("<Q", content[:HEADER])
    header = json.loads(content[HEADER : HEADER + length])
    description = json.loads(header["__metadata__"]["retroprop"])
    changed = change(description)
    header["__metadata__"]["retroprop"] = json.dumps(description if changed is None else changed)
    new = json.dumps(header).encode()
    new += b" " * (-len(new) % 8)
    path.write_bytes(struct.pack("<Q", len(new)) + new + content[HEADER + length :])


def architecture(**values):
    return lambda description: description["architecture"].update(values)


ALTERATIONS = {
    "sizes that do not fit": architecture(layer_sizes=[3, 4, 3, 1]),
    "more layers": architecture(layer_sizes=[3, 4, 2, 1, 1]),
    "fewer layers": architecture(layer_sizes=[3, 4, 2]),
    "no sizes": architecture(layer_sizes=None),
    "sizes of text": architecture(layer_sizes="3421"),
    "no bias": architecture(bias=False),
    "another activation": architecture(hidden=[{"name": "relu"}, {"name": "leaky_relu", "slope": 0.01}]),
    "another slope": architecture(hidden=[{"name": "tanh"}, {"name": "leaky_relu", "slope": 0.5}]),
    "an unknown activation": architecture(output={"name": "softmaxx"}),
    "an unknown loss": architecture(loss={"name": "hinge"}),
    "a slope out of range": architecture(hidden=[{"name": "tanh"}, {"name": "leaky_relu", "slope": 5.0}]),
    "a parameter too many": architecture(output={"name": "identity", "slope": 1.0}),
    "one activation too few": architecture(hidden=[{"name": "tanh"}]),
    "an activation without a name": architecture(output={}),
    "an activation that is text": architecture(output="identity"),
    "another loss": architecture(loss={"name": "absolute_error"}),
    "a penalty of text": architecture(l2="a lot"),
    "another penalty": architecture(l2=0.5),
    "a negative penalty": architecture(l1=-1.0),
    "a dropout out of range": architecture(dropout=[2.0, 0.0]),
    "something more": architecture(surprise=1),
    "something less": lambda description: description["architecture"].pop("l2") and None,
    "no loss": lambda description: description["architecture"].pop("loss") and None,
    "no architecture": lambda description: description.pop("architecture") and None,
    "an architecture that is a list": lambda description: {**description, "architecture": [1]},
    "no digest": lambda description: description.pop("sha256") and None,
    "no format": lambda description: [description.pop("format_version"), None][1],
    "a format of text": lambda description: {**description, "format_version": "one"},
    "an infinite format": lambda description: {**description, "format_version": float("inf")},
    "a list": lambda description: [1, 2],
    "a number": lambda description: 3,
}


@pytest.mark.parametrize("what", ALTERATIONS)
def test_an_altered_architecture(what, path):
    saved(path)
    rewritten(path, ALTERATIONS[what])
    refused(path)


def test_rewriting_alone_changes_nothing(path):
    saved(path)
    rewritten(path, lambda description: None)
    identical(rp.load(path, backend="numpy"), network())


def test_header_that_is_no_json(path):
    saved(path)
    content = path.read_bytes()
    path.write_bytes(content.replace(b'\\"format_version', b"\\\\format_version"))
    refused(path)


def test_a_file_of_a_newer_version_says_what_to_do(path):
    saved(path)
    newer = model_file.FORMAT_VERSION + 1
    rewritten(path, lambda description: {**description, "format_version": newer, "written_by": "99.1"})
    refused(path, rf"99\.1.*format {newer}.*[Uu]pgrade")


def test_a_safetensors_file_of_somebody_else(path):
    safetensors_numpy = pytest.importorskip("safetensors.numpy")
    safetensors_numpy.save_file({"weight": np.zeros((2, 2), "float32")}, path)
    refused(path, "no network that retroprop saved")
    safetensors_numpy.save_file({"theta.0": np.zeros((2, 2), "float32")}, path, metadata={"format": "pt"})
    refused(path, "no network that retroprop saved")


@pytest.mark.parametrize("kind", ["BF16", "F8_E4M3"])
def test_a_safetensors_file_of_numbers_numpy_does_not_have(kind, path):
    size = 2 if kind == "BF16" else 1
    header = json.dumps({"weight": {"dtype": kind, "shape": [4], "data_offsets": [0, 4 * size]}}).encode()
    header += b" " * (-len(header) % 8)
    path.write_bytes(struct.pack("<Q", len(header)) + header + bytes(4 * size))
    refused(path)


@pytest.mark.parametrize("content", [b"", b"not a model\n", b"a,b,c\n1,2,3\n" * 50, b"\x80\x04\x95" + b"\0" * 40])
def test_a_file_of_something_else(content, path):
    path.write_bytes(content)
    refused(path)
    with pytest.raises(ModelFileError):
        read_metadata(path)


def test_a_model_file_error_is_a_value_error():
    assert issubclass(ModelFileError, ValueError)


def test_a_missing_file_and_a_folder(tmp_path):
    for path in (tmp_path / "none.safetensors", tmp_path / "no" / "where", tmp_path):
        with pytest.raises(FileNotFoundError, match="no model file"):
            rp.load(path)
        with pytest.raises(FileNotFoundError, match="no model file"):
            read_metadata(path)


# Writing ----------------------------------------------------------------------------------------------------------


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere"):
        rp.save(network(), tmp_path / "nowhere" / "model.safetensors")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_in_the_way(path):
    path.mkdir()
    with pytest.raises(OSError, match=r"model\.safetensors"):
        rp.save(network(), path)
    only(path, path)
    assert list(path.iterdir()) == []


def test_a_bare_name_is_in_the_current_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rp.save(network(), "here.safetensors")
    assert [p.name for p in tmp_path.iterdir()] == ["here.safetensors"]
    identical(rp.load("here.safetensors", backend="numpy"), network())


def test_an_existing_file_is_replaced(path):
    rp.save(network(seed=1), path)
    rp.save(network(seed=2), path)
    identical(rp.load(path, backend="numpy"), network(seed=2))
    only(path, path)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no umask")
@pytest.mark.parametrize("umask", [0o022, 0o077, 0o002])
def test_a_saved_model_has_the_mode_of_any_other_new_file(umask, path):
    before = os.umask(umask)
    try:
        rp.save(network(), path)
        other = path.with_name("other")
        other.write_text("")
        assert os.umask(umask) == umask  # and the mask is as it was
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == stat.S_IMODE(other.stat().st_mode) == 0o666 & ~umask


def test_nothing_is_unpickled(path, monkeypatch):
    import pickle

    monkeypatch.setattr(pickle, "load", lambda *a, **k: pytest.fail("unpickled"))
    monkeypatch.setattr(pickle, "loads", lambda *a, **k: pytest.fail("unpickled"))
    path.write_bytes(pickle.dumps({"theta.0": np.zeros(3)}))
    refused(path)
