"""A process whose address space is limited trains on a file that does not fit."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import retroprop as rp

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux limits the address space")
SOURCE = Path(rp.__file__).parents[1]
ROOT = Path(__file__).parents[2]
ROOM = 3 * 2**24  # bytes of address space beyond those of a process that has trained on a little

LIMITED = """
import json, resource, sys
import numpy as np
import retroprop as rp

def trained(x, y):
    net = rp.Network([4096, 2, 3], output="softmax", loss="cross_entropy", seed=0, backend="numpy")
    return rp.fit(net, x, y, epochs=1, batch_size=256, seed=0, shuffle=rp.scale.BlockShuffle(buffer_blocks=4)).cost

x, y, room = rp.scale.Npy(sys.argv[1]), rp.scale.Npy(sys.argv[2]), int(sys.argv[3])
trained(x[:20000], y[:20000])
status = dict(line.split(":", 1) for line in open("/proc/self/status"))
limit = int(status["VmSize"].split()[0]) * 1024 + room
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
refused = []
for mode in (None, "r"):
    try:
        np.load(sys.argv[1], mmap_mode=mode)
    except (MemoryError, OSError) as error:
        refused.append(type(error).__name__)
print(json.dumps({"refused": refused, "cost": trained(x, y)}))
"""


def run(command, seconds):
    """Run a program on one thread, with few arenas of address space."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("COV_")}
    one_thread = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"), "1")
    environment = own | one_thread | {"PYTHONPATH": str(SOURCE), "MALLOC_ARENA_MAX": "1"}
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=seconds, check=False)


def test_a_file_of_eight_times_the_room_is_trained_on(tmp_path):
    m = 8 * ROOM // 4096
    shape = {"descr": "|u1", "fortran_order": False, "shape": (m, 4096)}
    with (tmp_path / "x.npy").open("wb") as file:
        np.lib.format.write_array_header_1_0(file, shape)
        file.truncate(file.tell() + m * 4096)  # zeros, which take no disk
    np.save(tmp_path / "y.npy", np.arange(m, dtype="int8") % 3)
    arguments = [tmp_path / "x.npy", tmp_path / "y.npy", str(ROOM)]
    done = run([sys.executable, "-c", LIMITED, *arguments], 120)
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout)
    assert len(found["refused"]) == 2
    assert found["cost"][0] == pytest.approx(np.log(3), abs=0.01)


@pytest.mark.long
def test_all_formats_train_on_eight_times_the_limit_as_well_as_rows_in_memory(tmp_path):
    for name in ("zarr", "pyarrow"):
        pytest.importorskip(name, reason=f"{name} is not installed")
    command = [sys.executable, str(ROOT / "benchmarks" / "larger_than_memory.py"), "--limit", "640", "--times", "8",
               "--networks", "64-100-10", "--folder", str(tmp_path), "--json", str(tmp_path / "found.json"),
               "--no-quality"]  # fmt: skip
    done = run(command, 1800)
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads((tmp_path / "found.json").read_text())["64-100-10"]
    for kind in ("zarr", "parquet", "npy", "memmap"):
        assert found[kind]["rows"] * 256 >= 8 * 640 * 2**20
        assert abs(found[kind]["accuracy"] - found["memory"]["accuracy"]) <= 0.01
