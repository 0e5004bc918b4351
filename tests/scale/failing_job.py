"""A training that fails in one way on one rank; started by mpiexec with the way, the update, the folder."""

import os
import resource
import signal
import sys
import time
from pathlib import Path

import mpi_cases
import numpy as np
from mpi4py import MPI

import retroprop as rp
from retroprop.training import share, split_step

WAY, UPDATE, FOLDER = sys.argv[1], int(sys.argv[2]), sys.argv[3]
RESUME, FIXED = "resume" in sys.argv, "fixed" in sys.argv
RANK, SIZE = MPI.COMM_WORLD.rank, MPI.COMM_WORLD.size


def fails():
    """Fail in the asked way."""
    Path(FOLDER, "failed").touch()
    if WAY == "raises":
        raise LookupError("the disk of this rank is gone")
    if WAY == "is killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if WAY == "has no memory":
        resource.setrlimit(resource.RLIMIT_AS, (1, resource.RLIM_INFINITY))
        np.ones(2**28)
    if WAY == "gets SIGTERM":
        os.kill(os.getpid(), signal.SIGTERM)
    if WAY == "gets SIGINT":
        os.kill(os.getpid(), signal.SIGINT)
    if WAY == "waits":
        time.sleep(60.0)


DISAGREES = {
    "has another version": lambda: setattr(share, "__version__", "0.0.1"),
    "has other data": lambda: mpi_cases.X.__iadd__(1.0),
    "compiles loops": lambda: os.environ.update(RETROPROP_NUMBA="loops"),
}
if WAY in DISAGREES:
    Path(FOLDER, "failed").touch()
    if RANK == SIZE - 1:
        DISAGREES[WAY]()
elif WAY not in ("never", "raises everywhere") and RANK == SIZE - 1:
    taken, updates = split_step.SplitStep.__call__, [0]

    def counted(self, *arguments):
        updates[0] += 1
        if updates[0] == UPDATE:
            fails()
        return taken(self, *arguments)

    split_step.SplitStep.__call__ = counted

if WAY == "raises everywhere":

    class Raises:
        def on_epoch_end(self, state):
            raise LookupError("the disk of this rank is gone")

    callbacks = [Raises()]
else:
    callbacks = []

net = mpi_cases.network(dropout=0.2)
checkpoint = rp.Checkpoint(Path(FOLDER, "run"), every=1, keep=2, resume=RESUME)
history = rp.fit(
    net, mpi_cases.X, mpi_cases.LABELS, epochs=6, batch_size=20, seed=1, metrics=["accuracy"], callbacks=callbacks,
    checkpoint=None if "bare" in sys.argv else checkpoint, parallel=rp.scale.MPI(), deterministic=FIXED,
)  # fmt: skip
if RANK == 0:
    np.save(Path(FOLDER, "parameters.npy"), mpi_cases.flat(net))
    print(f"ended: {history.stop_reason} after {len(history)} epochs", flush=True)
