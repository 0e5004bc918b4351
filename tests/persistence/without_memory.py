"""Loads of a model file whose n-th allocation fails; run in a process of its own.

Prints how many loads ended in MemoryError and how many gave the network.
"""

import _testcapi
import sys
import warnings

import numpy as np

import retroprop as rp

warnings.simplefilter("ignore")
net = rp.Network([3, 4, 2], hidden="tanh", seed=0, backend="numpy")
rp.save(net, "model.safetensors")
rp.load("model.safetensors", backend="numpy")
ended = {"MemoryError": 0, "loaded": 0}
for n in range(int(sys.argv[1])):
    found = None
    _testcapi.set_nomemory(n, n + 1)
    try:
        found = rp.load("model.safetensors", backend="numpy")
    except MemoryError:
        pass
    finally:
        _testcapi.remove_mem_hooks()
    if found is not None:
        assert all(np.array_equal(a, b) for a, b in zip(found.parameters.leaves, net.parameters.leaves, strict=True))
    ended["MemoryError" if found is None else "loaded"] += 1
assert rp.load("model.safetensors", backend="numpy").layer_sizes == (3, 4, 2)
print(ended["MemoryError"], ended["loaded"])
