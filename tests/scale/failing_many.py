"""Networks divided by ranks, one of which fails in one way; started by mpiexec with the way and the folder."""

import hashlib
import os
import signal
import sys
import threading
import time
from pathlib import Path

import many_cases
from mpi4py import MPI

import retroprop as rp
from retroprop.estimators.epoch_group import EpochGroup
from retroprop.training.many import group

WAY, FOLDER = sys.argv[1], sys.argv[2]
RANK, SIZE = MPI.COMM_WORLD.rank, MPI.COMM_WORLD.size
FOREVER = 10**7  # epochs


def fails():
    Path(FOLDER, "failed").touch()
    if WAY == "raises":
        raise LookupError("the disk of this rank is gone")
    os.kill(os.getpid(), {"is killed": signal.SIGKILL}.get(WAY, signal.SIGTERM if "SIGTERM" in WAY else signal.SIGINT))


class Fails:
    """Fails in the fourth epoch of the last rank."""

    def on_epoch_end(self, state):
        if state.epoch == 4 and RANK == SIZE - 1:
            fails()


options = {"epochs": FOREVER, "callbacks": [Fails()]}
if WAY == "gets SIGINT":  # in a group
    options = {"epochs": FOREVER}
    if RANK == SIZE - 1:
        advance, steps = group.Group._advance, [0]

        def counted(one):
            steps[0] += 1
            if steps[0] == 9:
                fails()
            advance(one)

        group.Group._advance = counted
if "checkpoints" in WAY:
    options["checkpoint"] = [rp.Checkpoint(f"{FOLDER}/{k}") for k in range(5)]
if "waits" in WAY:  # the last rank has the least work, and waits for the others
    options = {"epochs": [FOREVER, FOREVER, 1], "net": {"sizes": many_cases.SIZES[:3]}}
    if RANK == SIZE - 1:

        def later():
            time.sleep(1.5)
            fails()

        threading.Thread(target=later).start()

if "ensemble" in WAY:
    advance, steps = EpochGroup._advance, [0]

    def counted(one):
        steps[0] += 1
        if steps[0] == 9 and RANK == SIZE - 1:
            fails()
        advance(one)

    EpochGroup._advance = counted
    given = {"estimator": {"max_iter": FOREVER, "n_iter_no_change": FOREVER}, "n_members": 2 * SIZE}
    found = many_cases.ensemble("seeds", rp.scale.MPI(), **given)
    text = hashlib.sha256(found.predict_proba(many_cases.X).tobytes()).hexdigest()
    print(f"ended: interrupted with {text} and {len(found.estimators_)} networks\n", end="", flush=True)
    sys.exit()

nets, histories = many_cases.trained(rp.scale.MPI(), **options)
reasons = sorted({one.stop_reason for one in histories if one.stop_reason != "epochs"})
for rank in range(SIZE):
    MPI.COMM_WORLD.Barrier()
    if rank == RANK:
        found = many_cases.digest((nets, histories))
        print(f"ended: {', '.join(reasons)} with {found} and {len(nets)} networks", flush=True)
        time.sleep(0.1)
