"""A network within a model of torch: its gradient is that of torch, to first order."""

import numpy as np
import pytest

import retroprop as rp
from retroprop.functions.activations import ACTIVATIONS

pytestmark = pytest.mark.needs("torch")


def network(hidden="tanh", output="identity", sizes=(2, 4, 2), **options):
    return rp.Network(sizes, hidden=hidden, output=output, seed=0, backend="numpy", **{"dtype": "float64", **options})


@pytest.mark.parametrize("name", ACTIVATIONS)
@pytest.mark.parametrize("bias", [True, False])
def test_gradcheck(name, bias):
    import torch

    module = rp.interop.torch_function(network(name if ACTIVATIONS[name].elementwise else "tanh", name, bias=bias))
    x = torch.tensor(np.random.default_rng(0).normal(size=(3, 2)), requires_grad=True)
    leaves = list(module.parameters())
    assert len(leaves) == (4 if bias else 2)
    assert torch.autograd.gradcheck(lambda x, *_: module(x), (x, *leaves))


def test_the_output_is_the_networks():
    import torch

    net = network("gelu", "softmax", dtype="float32")
    x = np.random.default_rng(0).normal(size=(5, 2)).astype("float32")
    module = rp.interop.torch_function(net)
    np.testing.assert_allclose(module(torch.from_numpy(x)).detach().numpy(), net.predict(x), rtol=1e-6)
    again = module.network()
    assert again.backend.name == "torch"
    assert again.architecture == net.architecture


def test_a_mixed_model_trains():
    import torch

    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    x = torch.tensor(rng.normal(size=(64, 3)))
    y = torch.sin(x[:, :1]) + x[:, 1:2] * x[:, 2:]
    ours = rp.interop.torch_function(network(sizes=(8, 16, 1)))
    model = torch.nn.Sequential(torch.nn.Linear(3, 8, dtype=torch.float64), torch.nn.Tanh(), ours)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    before = ours.network().thetas[0].clone()
    costs = []
    for _ in range(100):
        optimizer.zero_grad()
        cost = ((model(x) - y) ** 2).mean()
        cost.backward()
        optimizer.step()
        costs.append(float(cost.detach()))
    assert costs[-1] < 0.1 * costs[0]
    assert not torch.equal(before, ours.network().thetas[0])


def test_a_loss_of_physics_on_values():
    """du/dt = −u from u(0) = 1, by values at the two ends of short intervals: u is e^−t."""
    import torch

    f = rp.interop.torch_function(network(sizes=(1, 8, 1)))
    optimizer = torch.optim.Adam(f.parameters(), lr=0.02)
    t, h = torch.linspace(0.0, 1.0, 16, dtype=torch.float64)[:, None], 1.0 / 15.0
    for _ in range(300):
        optimizer.zero_grad()
        u = f(t)
        residual = (u[1:] - u[:-1]) / h + 0.5 * (u[1:] + u[:-1])
        cost = (residual**2).mean() + (u[0, 0] - 1.0) ** 2
        cost.backward()
        optimizer.step()
    assert float((f(t) - torch.exp(-t)).detach().abs().max()) < 0.02


def test_a_second_derivative_is_refused_by_torch():
    import torch

    x = torch.ones((1, 2), dtype=torch.float64, requires_grad=True)
    u = rp.interop.torch_function(network())(x).sum()
    with pytest.raises(RuntimeError, match="cannot be differentiated once more by torch"):
        torch.autograd.grad(u, x, create_graph=True)


def test_bad_input():
    import torch

    module = rp.interop.torch_function(network())
    with pytest.raises(TypeError, match=r"x must be a tensor of torch\.float64, not torch\.float32"):
        module(torch.ones((1, 2)))
    with pytest.raises(ValueError, match=r"x must have the shape \(m, 2\), not \(1, 3\)"):
        module(torch.ones((1, 3), dtype=torch.float64))
    with pytest.raises(TypeError, match="net must be a Network, not str"):
        rp.interop.torch_function("net")
    several = rp.Network.from_parameters([np.ones((2, 1, 3))], backend="numpy")
    with pytest.raises(ValueError, match=r"torch_function takes one network.*net\.unstack\(\)"):
        rp.interop.torch_function(several)
