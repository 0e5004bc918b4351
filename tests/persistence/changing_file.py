"""Loads of a model file that a thread cuts, extends and replaces meanwhile; run in a process of its own.

Prints how many loads there were and how many of them gave a network, which is one of the two that were written.
"""

import random
import sys
import threading
from pathlib import Path

import numpy as np

import retroprop as rp

loads = int(sys.argv[1])
nets = [rp.Network([300, 200, 10], seed=seed, backend="numpy") for seed in (0, 1)]
for k, net in enumerate(nets):
    rp.save(net, f"{k}.safetensors")
contents = [Path(f"{k}.safetensors").read_bytes() for k in range(2)]
path = Path("model.safetensors")
over = threading.Event()


def disturb():
    rng = random.Random(0)
    while not over.is_set():
        kind, content = rng.randrange(4), rng.choice(contents)
        if kind == 0:
            with path.open("r+b") as file:
                file.truncate(rng.randrange(len(content)))
        elif kind == 1:
            with path.open("ab") as file:
                file.write(bytes(rng.choice((1, 4096, 10**6))))
        elif kind == 2:
            rp.save(rng.choice(nets), path)
        else:  # as `cp` does
            path.write_bytes(content)
        over.wait(rng.choice((0.0, 0.0005, 0.002)))


path.write_bytes(contents[0])
thread = threading.Thread(target=disturb)
thread.start()
whole = 0
try:
    for _ in range(loads):
        try:
            net = rp.load(path, backend="numpy")
        except rp.ModelFileError:
            continue
        whole += 1
        assert any(
            all(np.array_equal(a, b) for a, b in zip(net.parameters.leaves, one.parameters.leaves, strict=True))
            for one in nets
        )
finally:
    over.set()
    thread.join()
print(loads, whole)
