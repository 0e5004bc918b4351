"""Trainings over NCCL's interface with MPI behind it, on NumPy's arrays taken for CuPy's; run by mpiexec."""

import ctypes
import json
import sys
from pathlib import Path
from types import SimpleNamespace

sys.path.insert(0, str(Path(__file__).parents[1]))

import cupy_on_the_host
import numpy as np
from mpi4py import MPI
from mpi_cases import CASES, LABELS, X, network

import retroprop as rp
from retroprop.scale.nccl import DeviceCommunicator

WORLD = MPI.COMM_WORLD
CALLS = []


def at(pointer, n, kind):
    c = ctypes.c_float if kind == 7 else ctypes.c_double
    return np.ctypeslib.as_array(ctypes.cast(pointer, ctypes.POINTER(c)), (n,))


class Communicator:
    def __init__(self, size, key, rank):
        assert (size, key, rank) == (WORLD.size, "the key of rank 0", WORLD.rank)

    def allReduce(self, source, to, n, kind, operation, stream):  # noqa: N802
        assert (operation, stream, source) == (0, cupy_on_the_host.STACK[-1].ptr, to)
        CALLS.append("allReduce")
        WORLD.Allreduce(MPI.IN_PLACE, at(to, n, kind))

    def send(self, source, n, kind, peer, stream):
        GROUP.append(WORLD.Isend(at(source, n, kind), peer))

    def recv(self, to, n, kind, peer, stream):
        GROUP.append(WORLD.Irecv(at(to, n, kind), peer))

    def destroy(self):
        CALLS.append("destroy")


GROUP = []


def group_end():
    CALLS.append("group")
    MPI.Request.Waitall(GROUP)
    GROUP.clear()


cupy = cupy_on_the_host.module()
nccl = SimpleNamespace(
    NCCL_FLOAT32=7, NCCL_FLOAT64=8, NCCL_SUM=0, NcclCommunicator=Communicator, groupEnd=group_end,
    groupStart=lambda: None, get_unique_id=lambda: "the key of rank 0" if WORLD.rank == 0 else "another",
)  # fmt: skip
BUS = ["0000:0A:00.0"]
cupy.cuda.nccl, cupy.cuda.Device = nccl, lambda: SimpleNamespace(pci_bus_id=BUS[0])
cupy.empty_like = lambda array: np.empty_like(array).view(cupy_on_the_host.Array)
sys.modules |= {"cupy": cupy, "cupy.cuda": cupy.cuda, "cupy.cuda.nccl": nccl}


class OnTheHost(type(rp.get_backend("numpy"))):
    def asarray(self, x, dtype=None, *, copy=None):
        return super().asarray(x, dtype, copy=copy).view(cupy_on_the_host.Array)


def viewed(self, buffer, own=DeviceCommunicator.sum):
    """NumPy's steps write into plain arrays: the same memory, with a pointer."""
    return own(self, buffer.view(cupy_on_the_host.Array))


DeviceCommunicator.sum = viewed
HERE = OnTheHost.open(None)


def trained(name, backend, **further):
    options = {"epochs": 8, "batch_size": 16, "seed": 3} | CASES[name]
    net = network(backend=backend, **options.pop("net", {}))
    history = rp.fit(net, options.pop("x", X), options.pop("y", LABELS), **options, **further)
    return np.concatenate([np.asarray(leaf).ravel() for leaf in net.parameters.leaves] + [history.cost])


found = {}
try:
    trained("adam", HERE, parallel=rp.scale.NCCL())
except ValueError as error:
    found["one GPU"] = str(error)
BUS[0] = f"0000:0{WORLD.rank}:00.0"
try:
    trained("adam", "numpy", parallel=rp.scale.NCCL())
except ValueError as error:
    found["elsewhere"] = str(error)
for name in ("dropout", "validation and early stopping", "metrics of the training rows"):
    for deterministic in (False, True):
        CALLS.clear()
        ours = trained(name, HERE, parallel=rp.scale.NCCL(), deterministic=deterministic)
        own = ours if not deterministic else trained(name, "numpy", parallel=rp.scale.MPI(), deterministic=True)
        found[f"{name}, {deterministic}"] = [
            float(np.abs(ours - trained(name, "numpy")).max()), bool((ours == own).all()), sorted(set(CALLS)),
            len({hash(one) for one in WORLD.allgather(ours.tobytes())}),
        ]  # fmt: skip
if WORLD.rank == 0:
    print(json.dumps(found))
