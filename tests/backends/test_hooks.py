"""The hooks for speed: whatever a backend puts there has the signature and the results of the plain form."""

import inspect

import numpy as np
from harness import assert_close

import retroprop as rp
from retroprop.backends import Backend
from retroprop.core.operations import Operations


def test_overrides_have_the_signature_of_the_plain_form(backend):
    for plain, kind in ((Backend, type(backend)), (Operations, type(backend.operations()))):
        for name, method in inspect.getmembers(plain, inspect.isfunction):
            if not name.startswith("_"):
                assert inspect.signature(getattr(kind, name)) == inspect.signature(method), f"{kind}.{name}"
    own = {name for name in vars(type(backend.operations())) if not name.startswith("_")}
    assert own <= set(vars(Operations)), "a backend makes an operation faster, it adds none"


def test_captured_step_is_the_step(backend):
    def step(operations, state, x):
        return (state[0] + backend.xp.sum(x * x), state[1] * 2.0), x + 1.0

    captured = backend.capture(step)
    state = (backend.asarray(1.0, "float32"), backend.asarray([1.0, 2.0], "float32"))
    x = backend.asarray([3.0, 4.0], "float32")
    for _ in range(2):
        state, y = captured(state, x)
    assert_close(state[0], 51.0, backend=backend, dtype="float32")
    assert_close(state[1], [4.0, 8.0], backend=backend, dtype="float32")
    assert_close(y, [4.0, 5.0], backend=backend, dtype="float32")


def test_host_memory_is_not_shared_where_it_could_change(backend):
    """A batch overwritten by the caller after the call must not change what was computed from it."""
    x = np.ones((200, 300))
    moved = [backend.asarray(x, "float32") for _ in range(20)]
    x[:] = np.nan
    if backend.name != "numpy":
        assert all(np.isfinite(backend.to_numpy(array)).all() for array in moved)
    theta = np.ones((2, 3))
    net = rp.Network.from_parameters([theta], backend=backend, dtype="float64")
    theta[:] = np.nan
    assert np.isfinite(backend.to_numpy(net.thetas[0])).all()
