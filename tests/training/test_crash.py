"""Checkpoints survive an end of the process at every file operation, a loss of power, and disks that do not write."""

import errno
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import warnings

import numpy as np
import pytest
from faulty_files import Operations, after_power_loss, watched

import retroprop as rp
from retroprop.persistence import leftovers
from retroprop.persistence.checkpoints import CheckpointFolder

RNG = np.random.default_rng(4)
X, Y = RNG.normal(size=(12, 3)), RNG.normal(size=(12, 2))
EPOCHS = 3


def trained(folder, *, epochs=EPOCHS, resume=False, keep=1, **options):
    """Return the bytes and the costs that a training ends with."""
    net = rp.Network([3, 4, 2], hidden="tanh", dropout=0.2, seed=1, backend="numpy")
    checkpoint = None if folder is None else rp.Checkpoint(folder, keep=keep, resume=resume)
    history = rp.fit(net, X, Y, epochs=epochs, batch_size=5, seed=2, checkpoint=checkpoint, **options)
    return b"".join(leaf.tobytes() for leaf in net.parameters.leaves), history.cost


WHOLE = trained(None)


def resumed(folder):
    """Go on with a training, which may not have begun."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="there is no checkpoint")
        return trained(folder, resume=True)


def ended_at(number, folder):
    """Run the training in a child that ends hard at an operation; return whether it came so far."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of libraries that have threads; the child does not use them
        child = os.fork()
    if child == 0:
        try:
            with watched(Operations(folder, lambda at, name: os._exit(9) if at == number else None)):
                trained(folder)
            os._exit(0)
        finally:
            os._exit(1)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert status in (0, 9)
    return status == 9


needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")


@needs_fork
def test_a_process_that_ends_at_any_file_operation_goes_on_bit_for_bit(tmp_path):
    number = 0
    while ended_at(number, folder := tmp_path / f"{number}"):
        assert resumed(folder) == WHOLE, f"ended at operation {number}"
        left = sorted(path.name for path in folder.iterdir())
        assert left[-2:] == [f"epoch-{EPOCHS:06d}-batch-00000000.safetensors", "lock"]
        assert left[0].startswith("epoch"), "no leftover of the killed writer"
        assert len(left) <= 3, "one to keep, or two if the process ended before it removed the other"
        number += 1
    assert number > 6 * EPOCHS


@pytest.mark.parametrize("names_survive", [False, True])
def test_nor_does_a_loss_of_power_after_any_operation_cost_more_than_an_epoch(tmp_path, names_survive):
    folder = tmp_path / "run"
    with watched(Operations(folder)) as operations:
        trained(folder)
    log = operations.log
    files = [after_power_loss(log[:n], folder, names_survive=names_survive) for n in range(len(log) + 1)]
    whole = {name: content for found in files for name, content in found.items() if name[0] == "e"}
    # A prefix that leaves the same files as another is recovered from as that is.
    tried = {tuple(sorted(found.items())): found for found in files}
    for i, found in enumerate(tried.values()):
        left = tmp_path / f"{i}"
        left.mkdir()
        for name, content in found.items():
            (left / name).write_bytes(content)
        assert resumed(left) == WHOLE
    assert len(whole) == EPOCHS
    assert all(whole.values()), "no name of a checkpoint before its content is on the disk"


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EIO])
def test_a_disk_that_does_not_write_costs_a_warning_not_the_training(tmp_path, number):
    began = tmp_path / "began"
    with watched(Operations(began)) as operations:
        trained(began, epochs=1)
    first = len(operations.log)
    for at in range(first, first + 9):
        folder = tmp_path / f"{at}"

        def fail(done, name, at=at):
            if done >= at:
                raise OSError(number, os.strerror(number), "a file")

        with watched(Operations(folder, fail)), warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            assert trained(folder) == WHOLE
        assert re.search(r"cannot be written to '.*\.safetensors'", str(said[0].message))
        assert os.strerror(number) in str(said[0].message)
        assert resumed(folder) == WHOLE


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EACCES])
def test_a_training_that_cannot_write_at_its_start_does_not_begin(tmp_path, number):
    def fail(done, name):
        raise OSError(number, os.strerror(number), "a file")

    with watched(Operations(tmp_path / "run", fail)), pytest.raises(OSError, match=os.strerror(number)):
        trained(tmp_path / "run")


def fill_the_disk(path):
    with path.open("wb", buffering=0) as file:
        try:
            while file.write(bytes(4096)):
                pass
        except OSError as error:
            assert error.errno == errno.ENOSPC  # noqa: PT017


def test_a_small_file_system_that_is_full_costs_a_warning_and_keeps_the_last_good_one(tmp_path):
    if not hasattr(os, "geteuid") or os.geteuid() != 0 or shutil.which("mount") is None:
        pytest.skip("only root may mount a small file system")
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(tmp_path)]
    mounted = subprocess.run(mount, capture_output=True, text=True, check=False)
    if mounted.returncode != 0:
        pytest.skip(f"no file system may be mounted here: {mounted.stderr.strip()}")
    try:
        trained(tmp_path / "run", epochs=1)
        (good,) = (tmp_path / "run").glob("*.safetensors")
        fill_the_disk(tmp_path / "fills")
        with pytest.warns(UserWarning, match="No space left on device; the training goes on, and the newest is "):
            assert resumed(tmp_path / "run") == WHOLE
        assert sorted(path.name for path in (tmp_path / "run").iterdir()) == [good.name, "lock"]
        (tmp_path / "fills").unlink()
        assert resumed(tmp_path / "run") == WHOLE
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)


# Signals ---------------------------------------------------------------------------------------------------------


class SendsSignal:
    """A callback that sends a signal to this process at the end of an epoch."""

    def __init__(self, number, times=1):
        self.number, self.times = number, times

    def on_epoch_end(self, state):
        if state.epoch == 2:
            for _ in range(self.times):
                os.kill(os.getpid(), self.number)
                time.sleep(0.01)


@pytest.mark.skipif(not hasattr(signal, "SIGUSR1"), reason="this system has no such signals")
@pytest.mark.parametrize(("number", "reason"), [(15, "terminated"), (10, "terminated"), (2, "interrupted")])
def test_a_signal_ends_the_training_with_a_checkpoint(tmp_path, number, reason):
    number = {15: signal.SIGTERM, 10: signal.SIGUSR1, 2: signal.SIGINT}[number]
    before = signal.getsignal(number)
    net = rp.Network([3, 4, 2], hidden="tanh", dropout=0.2, seed=1, backend="numpy")
    history = rp.fit(net, X, Y, epochs=EPOCHS, batch_size=5, seed=2, checkpoint=rp.Checkpoint(tmp_path, every=99),
                     callbacks=[SendsSignal(number)])  # fmt: skip
    assert history.stop_reason == reason
    assert len(history) == 2
    assert signal.getsignal(number) is before
    assert resumed(tmp_path) == WHOLE


def test_a_second_interruption_ends_it_at_once(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        trained(tmp_path, callbacks=[SendsSignal(signal.SIGINT, 2)] * 2, epochs=2)


def test_a_signal_that_the_end_of_the_training_overtakes_is_not_lost(tmp_path):
    class AtEnd:
        def on_fit_end(self, state):
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        trained(tmp_path, callbacks=[AtEnd()])


# The folder ------------------------------------------------------------------------------------------------------


def test_two_runs_do_not_share_a_folder(tmp_path):
    pytest.importorskip("fcntl", reason="this system has no locks of files")
    holder = CheckpointFolder(tmp_path, 2)
    with pytest.raises(rp.CheckpointError, match=f"another run, process {os.getpid()}, writes"):
        trained(tmp_path)
    holder.close()
    assert trained(tmp_path) == WHOLE


def test_a_folder_that_holds_a_training_is_not_written_over(tmp_path):
    trained(tmp_path)
    with pytest.raises(rp.CheckpointError, match="pass resume=True"):
        trained(tmp_path)
    assert resumed(tmp_path) == WHOLE


def test_as_many_as_asked_for_stay_and_other_files_do(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    _, of_a_killed_writer = leftovers.create(tmp_path)
    os.close(of_a_killed_writer)
    trained(tmp_path, keep=2)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "epoch-000002-batch-00000000.safetensors", "epoch-000003-batch-00000000.safetensors", "lock", "notes.txt"
    ]  # fmt: skip


@pytest.mark.parametrize("how", [shutil.move, shutil.copytree])
def test_a_moved_or_copied_folder_is_the_same(tmp_path, how):
    trained(tmp_path / "there", epochs=2)
    how(tmp_path / "there", tmp_path / "here")
    assert resumed(tmp_path / "here") == WHOLE


@needs_fork
def test_a_child_that_lives_on_does_not_hold_the_folder(tmp_path):
    holder, (reading, writing) = CheckpointFolder(tmp_path, 2), os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of libraries that have threads
        child = os.fork()
    if child == 0:
        os.close(writing)
        os.read(reading, 1)  # until the parent ends it
        os._exit(0)
    try:
        holder.close()
        assert trained(tmp_path) == WHOLE
    finally:
        os.close(reading)
        os.close(writing)
        os.waitpid(child, 0)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="FIFOs, devices and links of POSIX")
@pytest.mark.parametrize(
    ("what", "message"),
    [("fifo", "is no regular file"), ("folder", "Is a directory"), ("device", ""), ("link", "")],
)
def test_what_is_no_lock_is_refused_by_its_name(tmp_path, what, message):
    lock, mine = tmp_path / "lock", tmp_path / "mine.txt"
    mine.write_text("precious")
    make = {"fifo": os.mkfifo, "folder": os.mkdir, "device": lambda at: at.symlink_to("/dev/full"),
            "link": lambda at: at.symlink_to(mine)}[what]  # fmt: skip
    make(lock)
    with pytest.raises((rp.CheckpointError, OSError), match=f"{message}.*lock|lock.*{message}"):
        trained(tmp_path)
    assert mine.read_text() == "precious"


def test_a_file_system_without_locks_is_written_to(tmp_path, monkeypatch):
    fcntl = pytest.importorskip("fcntl", reason="this system has no locks of files")

    def none(*arguments):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", none)
    assert trained(tmp_path) == WHOLE


@pytest.mark.long
def test_fifty_kills_at_random_times(tmp_path):
    code = (
        "import sys, numpy as np, retroprop as rp, hashlib\n"
        "r = np.random.default_rng(0); x, y = r.normal(size=(400, 6)), r.normal(size=(400, 2))\n"
        "net = rp.Network([6, 20, 2], dropout=0.1, seed=1, backend='numpy')\n"
        "c = rp.Checkpoint(sys.argv[1], every_seconds=0.01, resume=True) if len(sys.argv) > 1 else None\n"
        "rp.fit(net, x, y, epochs=600, batch_size=16, seed=2, checkpoint=c)\n"
        "print(hashlib.sha256(b''.join(a.tobytes() for a in net.parameters.leaves)).hexdigest())\n"
    )

    def start(*arguments):
        return subprocess.Popen(
            [sys.executable, "-W", "ignore", "-c", code, *arguments], stdout=subprocess.PIPE, text=True
        )

    expected, rng, kills = start().communicate()[0], np.random.default_rng(8), 0
    folder = 0
    while kills < 50:
        process = start(str(tmp_path / f"{folder}"))
        try:
            assert process.communicate(timeout=rng.uniform(0.3, 1.5))[0] == expected
            folder += 1
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            kills += 1
    assert start(str(tmp_path / f"{folder}")).communicate()[0] == expected
