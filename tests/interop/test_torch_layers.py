"""Networks to and from torch's own layers: bit for bit, and what a network has not is named."""

import random

import numpy as np
import pytest

import retroprop as rp
from retroprop.functions.activations import ACTIVATIONS

pytestmark = pytest.mark.needs("torch")


def same(one, other):
    assert one.architecture == other.architecture
    assert one.dtype == other.dtype
    for a, b in zip(one.parameters.leaves, other.parameters.leaves, strict=True):
        np.testing.assert_array_equal(a, b)


def networks():
    made = []
    for dtype in ("float32", "float64"):
        for name, f in ACTIVATIONS.items():
            if name != "exp":
                hidden, loss = (name, "squared_error") if f.elementwise else ("tanh", "cross_entropy")
                loss = "binary_cross_entropy" if name == "sigmoid" else loss
                options = {"hidden": hidden, "output": name, "loss": loss, "dropout": 0.25, "dtype": dtype}
                made.append(rp.Network([3, 5, 4, 2], seed=1, backend="numpy", **options))
    fs = [rp.activations.LeakyReLU(0.3), rp.activations.ELU(0.5)]
    return [*made, rp.Network([2, 3, 3, 1], hidden=fs, bias=False, seed=1, backend="numpy")]


def test_round_trips_to_the_last_bit():
    import torch

    for net in networks():
        module = rp.interop.to_torch(net)
        same(rp.interop.from_torch(module, backend="numpy"), net)
        x = np.random.default_rng(0).normal(size=(9, net.layer_sizes[0])).astype(net.dtype)
        theirs = module(torch.from_numpy(x)).detach().numpy()
        np.testing.assert_allclose(theirs, net.predict(x), rtol=0, atol=1e-6 if net.dtype == "float32" else 1e-12)


def test_state_dicts_and_files(tmp_path):
    import torch

    net = rp.Network([3, 5, 4, 2], hidden=["relu", "tanh"], seed=1, backend="numpy")
    functions = {"hidden": ["relu", "tanh"], "backend": "numpy"}
    same(rp.interop.from_torch(rp.interop.to_torch(net).state_dict(), **functions), net)
    rp.interop.save_torch(net, tmp_path / "m.pt")
    same(rp.interop.from_torch(tmp_path / "m.pt", **functions), net)
    state = torch.load(tmp_path / "m.pt", weights_only=True)
    assert list(state) == ["0.weight", "0.bias", "2.weight", "2.bias", "4.weight", "4.bias"]
    rp.interop.to_torch(net).load_state_dict(state)


def test_modules_of_others():
    from torch import nn

    inner = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Dropout(0.5))
    net = rp.interop.from_torch(nn.Sequential(inner, nn.Identity(), nn.Linear(4, 2, bias=False)), backend="numpy")
    assert (net.architecture.dropout, net.biases[1].tolist()) == ((0.5,), [0.0, 0.0])
    assert rp.interop.from_torch(nn.Linear(3, 1), loss="huber").layer_sizes == (3, 1)


def refused():
    from torch import nn, ones, zeros

    linear = nn.Linear(3, 3)
    return [
        (nn.Sequential(linear, nn.BatchNorm1d(3)), ValueError, "the module has BatchNorm1d(3, "),
        (nn.Sequential(nn.Conv1d(1, 1, 1)), ValueError, "the module has Conv1d(1, 1"),
        (nn.Sequential(nn.ReLU(), linear), ValueError, "the module has ReLU() at '0', before its first Linear"),
        (nn.Sequential(linear, nn.ReLU(), nn.Tanh()), ValueError, "Tanh() at '2', where an activation or a Dropout"),
        (nn.Sequential(linear, nn.Softplus(beta=2.0)), ValueError, "the module has Softplus(beta=2.0"),
        (nn.Sequential(linear, nn.Linear(2, 1)), ValueError, "layer 1 has 3 neurons, and layer 2 takes 2"),
        (nn.Sequential(linear, nn.Dropout(0.5)), ValueError, "a Dropout after its last Linear"),
        (nn.Sequential(), ValueError, "has no Linear"),
        ({"0.weight": zeros(2, 2), "1.weight": zeros(1, 2)}, ValueError, "a state dict holds no activations"),
        ({"0.weight": ones(2, 2), "0.running_mean": ones(2)}, ValueError, "'0.running_mean' of the shape (2,)"),
        ({"0.bias": ones(2)}, ValueError, "a bias '0' without a weight"),
        ({}, ValueError, "the state has no weights"),
        (3, TypeError, "from_torch takes a torch.nn.Sequential, a state dict or a path, not int"),
    ]


def test_what_is_no_network_is_named():
    for given, kind, words in refused():
        with pytest.raises(kind) as error:
            rp.interop.from_torch(given)
        assert words in str(error.value)
        assert "\n" not in str(error.value)


def test_modules_that_compute_something_else_than_their_class_are_refused():
    from torch import nn

    linear = nn.Linear(3, 3)

    def with_forward(base, *arguments, name="Own"):
        return type(name, (base,), {"forward": lambda self, x: x})(*arguments)

    hooked = nn.Sequential(nn.Linear(3, 3), nn.Tanh())
    hooked[1].register_forward_hook(lambda module, given, made: 2 * made)
    for given, words in [
        (nn.Sequential(with_forward(nn.Linear, 3, 3)), "at '0', whose forward is not that of torch.nn.Linear"),
        (
            nn.Sequential(linear, with_forward(nn.Module, name="Sigmoid")),
            "whose forward is not that of torch.nn.Sigmoid",
        ),
        (with_forward(nn.Sequential, linear), "the module is a Own, whose forward is not that of torch.nn.Sequential"),
        (hooked, "at '1', with hooks that may change"),
        (nn.Sequential(linear, nn.Tanh(), nn.Dropout(0.5), nn.Dropout(0.2), linear), "where a Dropout stands already"),
    ]:
        with pytest.raises(ValueError, match="the module") as error:
            rp.interop.from_torch(given)
        assert words in str(error.value)
    reparametrized = nn.utils.parametrizations.weight_norm(nn.Linear(3, 2))  # its weight is computed when it is read
    np.testing.assert_array_equal(rp.interop.from_torch(reparametrized).thetas[0], reparametrized.weight.detach())


def test_what_torch_lacks_is_named(tmp_path):
    net = rp.Network([1, 1], output="exp", loss="poisson", backend="numpy")
    with pytest.raises(rp.interop.ExportError, match="torch has no module for the activation 'exp' of layer 2"):
        rp.interop.save_torch(net, tmp_path / "m.pt")
    assert list(tmp_path.iterdir()) == []


def test_files_that_are_refused(tmp_path):
    import torch

    path = tmp_path / "m.pt"
    torch.save([1, 2], path)
    with pytest.raises(rp.ModelFileError, match="holds no state dict, but an object of list"):
        rp.interop.from_torch(path)
    torch.save({"0.weight": torch.zeros(1).expand(1000, 1000)}, path)
    with pytest.raises(rp.ModelFileError, match=r"'0\.weight' is larger than the file"):
        rp.interop.from_torch(path)
    torch.save(rp.interop.to_torch(rp.Network([1, 1], backend="numpy")), path)  # a pickled module
    with pytest.raises(rp.ModelFileError, match="no file of tensors that torch reads"):
        rp.interop.from_torch(path)
    path.write_bytes(b"PK")
    with pytest.raises(rp.ModelFileError, match=r"is no file that torch\.save writes"):
        rp.interop.from_torch(path)
    with pytest.raises(FileNotFoundError, match="no model file"):
        rp.interop.from_torch(tmp_path / "none.pt")


@pytest.mark.parametrize("n", [60, pytest.param(2000, marks=pytest.mark.long)])
def test_mutated_files(n, tmp_path):
    net, rng = rp.Network([3, 5, 2], hidden="tanh", seed=1, backend="numpy"), random.Random(20)
    path, refused = tmp_path / "m.pt", 0
    rp.interop.save_torch(net, path)
    content = path.read_bytes()
    for number in range(n):
        damaged, at = bytearray(content), rng.randrange(len(content))
        if rng.random() < 0.2:
            damaged = damaged[:at]
        elif rng.random() < 0.5:
            damaged[at] ^= 1 << rng.randrange(8)
        else:
            damaged[at : at + rng.choice((0, 1, 4))] = rng.randbytes(rng.choice((0, 1, 1, 4)))
        path.write_bytes(bytes(damaged))
        try:
            found = rp.interop.from_torch(path, hidden="tanh", backend="numpy")
        except rp.ModelFileError as error:
            refused += "\n" not in str(error)
            continue
        assert found.architecture == net.architecture, number
        for a, b in zip(found.parameters.leaves, net.parameters.leaves, strict=True):
            np.testing.assert_array_equal(a, b, err_msg=str(number))
    assert refused > 0.2 * n
