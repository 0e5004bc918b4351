"""Training on data that do not fit in memory, beside training on data that do; and the quality of the block shuffle.

    python benchmarks/larger_than_memory.py [--digits FILE.npz] [--limit MIB] [--times N] [--networks NAME ...]
        [--formats NAME ...] [--folder DIR] [--json FILE]

Images of digits, X and y of an .npz file (by default scikit-learn's, enlarged), are shifted by up to two pixels and get
noise, anew each time, until they take `times` the limit; a fifth of the images, perturbed likewise, is the test data.
Chunks and row groups have 4 MiB: of 784 bytes, which are one value of fixed size in Parquet, compressed by LZ4; of 64
numbers in columns of their own as they are.

Each process has a limit of its address space (`ulimit -v`) or, for a numpy.memmap, whose mapping is address space, of
its data segment (`ulimit -d`). One trains a pass over the whole file, for its accuracy; 784-1024-1024-10 over a part.
The accuracy of memory is that of as many updates on the rows that an eighth of the limit holds; in both the learning
rate falls to 0. Another process trains four times on those rows in memory and, in turns, on a part of the file with as
many rows. Rows a second are medians; a ratio is that of the file over memory. Where other programs share the processors
the wall says little, so there are two more: of the processor time of the training's thread, "idle", which is the ratio
where the threads that read find a processor idle; and of all threads, "one", where there is one processor for all. The
ratio of the pass over the whole file, whose training waits for a first buffer once, is "whole": another process's.

The second table has no files: the same orders in memory, of rows that are stored class by class, and as they come.
"""

import argparse
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from time import perf_counter, process_time, thread_time
from typing import Any

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ.setdefault(variable, "1")
# Address space that is reserved and never used: arenas of glibc, one a thread, and of Arrow's allocator.
os.environ |= {"MALLOC_ARENA_MAX": "1", "ARROW_DEFAULT_MEMORY_POOL": "system"}
# So does the compiler of Numba, 270 MiB. RETROPROP_NUMBA=1 measures with it, under a limit of 1024.
os.environ.setdefault("RETROPROP_NUMBA", "0")
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))

import numpy as np  # noqa: E402

import retroprop as rp  # noqa: E402

FORMATS = ("zarr", "parquet", "npy", "memmap")
# Sizes, rows of a batch, rows of an epoch (None: all of the file)
NETWORKS = {
    "64-100-10": ([64, 100, 10], 200, None),
    "784-100-10": ([784, 100, 10], 128, None),
    "784-1024-1024-10": ([784, 1024, 1024, 10], 256, 2**15),
}
BLOCK = 2**22  # bytes of a chunk or row group
MIXED = rp.scale.BlockShuffle(buffer_blocks=8)
TURNS, PASSES = 5, 4  # and passes over the rows in memory for one over a part of the file
FILES = {"zarr": ("zarr",), "parquet": ("parquet",), "npy": ("npy",), "memmap": ("npy",)}


# The data --------------------------------------------------------------------------------------------------------


class Digits:
    """Images of 28 x 28 as bytes, those of the test apart; `rows` are perturbed ones, as bytes or as 8 x 8 means."""

    def __init__(self, path: str | None) -> None:
        if path is None:
            from sklearn.datasets import load_digits

            found = load_digits()
            images = np.kron(found.images, np.ones((3, 3))) * (255 / 16)
            images, y = np.pad(images, ((0, 0), (2, 2), (2, 2))).astype("uint8"), found.target
        else:
            with np.load(path) as file:
                images, y = file["X"].reshape(-1, 28, 28), file["y"]
        order = np.random.default_rng(0).permutation(len(y))
        images, y, n = images[order], y[order].astype("int64"), len(y) // 5
        self.tests, self.test_y, self.shifted, self.y = shifted(images[:n]), y[:n], shifted(images[n:]), y[n:]

    def rows(self, n: int, columns: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
        return perturbed(self.shifted[columns], self.y, n, np.random.default_rng(seed))

    def test(self, columns: int, n: int = 10_000) -> tuple[np.ndarray, np.ndarray]:
        return perturbed(self.tests[columns], self.test_y, n, np.random.default_rng(2**32))


def shifted(images: np.ndarray) -> dict[int, list[np.ndarray]]:
    """Return images shifted in 25 ways, in each form."""
    padded = np.pad(images, ((0, 0), (2, 2), (2, 2)))
    found = [padded[:, down : down + 28, right : right + 28] for down in range(5) for right in range(5)]
    return {columns: [formed(one, columns) for one in found] for columns in (784, 64)}


def perturbed(
    images: list[np.ndarray], y: np.ndarray, n: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    which, shifts = rng.integers(0, len(y), n), rng.integers(0, 25, n)
    x = np.empty((n, images[0].shape[1]), images[0].dtype)
    for shift, some_images in enumerate(images):
        some = np.flatnonzero(shifts == shift)
        x[some] = some_images[which[some]]
    if x.dtype == "uint8":
        noise = rng.integers(0, 32, x.shape, "uint8")
        x = np.minimum(x, 255 - noise) + noise
    else:
        x += np.float32(0.05) * rng.standard_normal(x.shape, "float32")
    return x, y[which]


def formed(images: np.ndarray, columns: int) -> np.ndarray:
    """Return images of 28 x 28 as rows: their bytes, or the means of their inner 24 x 24 pixels as numbers up to 1."""
    if columns == 784:
        return images.reshape(-1, 784)
    means = images[:, 2:26, 2:26].reshape(-1, 8, 3, 8, 3).mean((2, 4), "float32")
    return means.reshape(-1, 64) / np.float32(255)


def write(digits: Digits, folder: Path, columns: int, n_bytes: int, formats: tuple[str, ...]) -> int:
    """Write the same rows in each format; return their number."""
    dtype = np.dtype("uint8" if columns == 784 else "float32")
    chunk = BLOCK // (columns * dtype.itemsize)
    parts = -(-n_bytes // (columns * dtype.itemsize * chunk))
    m, kinds = parts * chunk, {file for name in formats for file in FILES[name]}
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    written: dict[str, Any] = {}
    if "npy" in kinds:
        for name, shape, kind in (("x", (m, columns), dtype), ("y", (m,), np.dtype("int64"))):
            written[name] = (folder / f"{name}.npy").open("wb")
            header = {"descr": kind.str, "fortran_order": False, "shape": shape}
            np.lib.format.write_array_header_1_0(written[name], header)
    if "zarr" in kinds:
        import zarr
        from zarr.codecs import BloscCodec

        codec = BloscCodec(cname="lz4", shuffle="noshuffle") if columns == 784 else None
        chunks = chunk, columns
        zx = zarr.create_array(
            str(folder / "x.zarr"), shape=(m, columns), chunks=chunks, dtype=dtype, compressors=codec
        )
        zy = zarr.create_array(str(folder / "y.zarr"), shape=(m,), chunks=(4 * chunk,), dtype="int64")
    targets = []
    for at in range(parts):
        x, y = digits.rows(chunk, columns, at)
        targets.append(y)
        if "npy" in kinds:
            written["x"].write(x.tobytes())
            written["y"].write(y.tobytes())
        if "zarr" in kinds:
            zx[at * chunk : (at + 1) * chunk] = x
        if "parquet" in kinds:
            import pyarrow as pa
            from pyarrow import parquet

            if columns == 784:
                bytes_ = pa.FixedSizeBinaryArray.from_buffers(
                    pa.binary(columns), chunk, [None, pa.py_buffer(x.tobytes())]
                )
                table = pa.table({"x": bytes_, "label": y})
            else:
                table = pa.table({**{f"x{i}": x[:, i] for i in range(columns)}, "label": y})
            if "table" not in written:
                written["table"] = parquet.ParquetWriter(
                    folder / "xy.parquet",
                    table.schema,
                    use_dictionary=False,
                    compression="lz4" if columns == 784 else "none",
                )
            written["table"].write_table(table, row_group_size=chunk)
    if "zarr" in kinds:
        zy[:] = np.concatenate(targets)
    for file in written.values():
        file.close()
    return m


# A training in a process of its own ------------------------------------------------------------------------------


def opened(name: str, folder: Path) -> tuple[Any, Any]:
    if name == "zarr":
        return rp.scale.Zarr(folder / "x.zarr"), rp.scale.Zarr(folder / "y.zarr")
    if name == "parquet":
        file = folder / "xy.parquet"
        return rp.scale.Parquet(file, drop="label"), rp.scale.Parquet(file, "label")
    if name == "npy":
        return rp.scale.Npy(folder / "x.npy"), rp.scale.Npy(folder / "y.npy")
    return np.load(folder / "x.npy", mmap_mode="r"), np.load(folder / "y.npy", mmap_mode="r")


def network(sizes: list[int], seed: int = 0) -> rp.Network:
    net = rp.Network(sizes, output="softmax", loss="cross_entropy", seed=seed, backend="numpy")
    if sizes[0] == 784:  # bytes
        net.thetas = [net.thetas[0] / 255, *net.thetas[1:]]
    return net


def rule(sizes: list[int], rows: int, batch: int) -> rp.optimizers.Adam:
    return rp.optimizers.Adam(rp.schedules.Cosine(1e-3 if sizes[0] == 64 else 3e-5, rows // batch))


def child(job: dict[str, Any]) -> None:
    """Train under a limit, and print the figures as JSON."""
    sizes, batch, part = NETWORKS[job["network"]]
    test = np.load(job["test"])
    limit, name, folder = job["limit"] * 2**20, job["format"], Path(job["folder"])
    kind = resource.RLIMIT_DATA if name == "memmap" else resource.RLIMIT_AS
    resource.setrlimit(kind, (limit, limit))
    x, y = opened(name, folder)
    rows = part or len(x)
    held = min(limit // 8 // (sizes[0] * x.dtype.itemsize), rows)
    if job["does"] == "turns":
        print(json.dumps(turns(job["network"], x, y, held)))
        return
    epochs = 1
    if job["does"] == "memory":
        x, y, epochs = np.array(x[:held]), np.array(y[:held]), max(round(rows / held), 1)
    elif rows < len(x):
        x, y = x[:rows], y[:rows]
    net, begun = network(sizes), perf_counter()
    history = rp.fit(net, x, y, optimizer=rule(sizes, len(x) * epochs, batch), epochs=epochs, batch_size=batch, seed=0,
                     shuffle=job["does"] == "memory" or MIXED)  # fmt: skip
    took = perf_counter() - begun
    with Path("/proc/self/status").open() as file:
        peak = next(int(line.split()[1]) for line in file if line.startswith("VmPeak")) // 1024
    accuracy = float((net.predict(test["x"]).argmax(axis=1) == test["y"]).mean())
    print(json.dumps({
        "accuracy": accuracy, "rows": len(x), "epochs": epochs, "seconds": took, "epoch_seconds": history.seconds,
        "address_space_mib": peak, "resident_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    }))  # fmt: skip


class Clock:
    """The seconds of the epochs of a training: of the wall, of this thread's processor, of all threads'."""

    def __init__(self) -> None:
        self.begun = self.took = (0.0, 0.0, 0.0)

    def on_fit_begin(self, state: object) -> None:
        self.begun = perf_counter(), thread_time(), process_time()

    def on_epoch_end(self, state: object) -> None:
        now = perf_counter(), thread_time(), process_time()
        self.took = now[0] - self.begun[0], now[1] - self.begun[1], now[2] - self.begun[2]


def turns(name: str, x: Any, y: Any, held: int) -> dict[str, Any]:
    """Return rows a second of passes over the rows `held` in memory and of parts of the file as long, in turns."""
    sizes, batch, part = NETWORKS[name]
    chunk = BLOCK // (sizes[0] * x.dtype.itemsize)
    # As many rows in all, as the work of a training decides how its step is computed. A part of the file has several
    # buffers of blocks: the training waits for the first, of which the whole file has a hundred.
    held, passes = (held, 1) if part else (held // chunk * chunk, PASSES)
    long = held * passes
    memory = np.array(x[:held]), np.array(y[:held])
    speeds: dict[str, list[list[float]]] = {"memory": [], "file": []}
    for turn in range(3 if part else TURNS):
        at = turn * long % (len(x) - long + 1) // chunk * chunk
        there = x[at : at + long], y[at : at + long]
        for kind, (some, targets), shuffle, epochs in (("memory", memory, True, passes), ("file", there, MIXED, 1)):
            clock = Clock()
            rp.fit(network(sizes), some, targets, optimizer=rule(sizes, 10**6, batch), epochs=epochs, batch_size=batch,
                   seed=turn, shuffle=shuffle, callbacks=[clock])  # fmt: skip
            speeds[kind].append([long / seconds for seconds in clock.took])
    middle = {kind: [statistics.median(column) for column in zip(*rows, strict=True)] for kind, rows in speeds.items()}
    wall, own, all_threads = (a / b for a, b in zip(middle["file"], middle["memory"], strict=True))
    return {
        "memory_rows_a_second": middle["memory"][0], "rows_a_second": middle["file"][0], "ratio": wall,
        "ratio_with_idle_processor": own, "ratio_on_one_processor": all_threads, "turns": speeds,
    }  # fmt: skip


def run(**job: Any) -> dict[str, Any]:
    command = [sys.executable, __file__, "--child", json.dumps(job)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=3600)
    if done.returncode:
        raise SystemExit(f"{job['format']} of {job['network']} failed:\n{done.stderr[-2000:]}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def compared(digits: Digits, columns: int, options: argparse.Namespace, parent: Path) -> dict[str, Any]:
    """Return the figures of the networks of so many columns: each format, and the memory beside it."""
    names = [name for name in options.networks if NETWORKS[name][0][0] == columns]
    found: dict[str, Any] = {name: {} for name in names}
    n_bytes, formats = int(options.times * options.limit * 2**20), list(options.formats)
    for kind in formats:
        # One format at a time: the page cache has the memory of the machine for it.
        folder, begun = parent / FILES[kind][0], perf_counter()
        if not folder.exists():
            m = write(digits, folder, columns, n_bytes, (kind,))
            print(f"{m:,} rows of {columns} columns, {n_bytes / 2**30:.2f} GiB, {options.times:g} times the limit of "
                  f"{options.limit} MiB; written in {perf_counter() - begun:.0f} s", flush=True)  # fmt: skip
            x, y = digits.test(columns)
            np.savez(folder / "test.npz", x=x, y=y)
        for name in names:
            job = {"network": name, "folder": str(folder), "limit": options.limit, "test": str(folder / "test.npz")}
            if "memory" not in found[name]:
                found[name]["memory"] = run(**job, format=kind, does="memory")
            one = run(**job, format=kind, does="turns") | run(**job, format=kind, does="whole")
            one["ratio_of_whole"] = speed(one) / speed(found[name]["memory"])
            found[name][kind] = one
            show(name, kind, one, found[name]["memory"])
        if kind == formats[-1] or FILES[formats[formats.index(kind) + 1]] != FILES[kind]:
            shutil.rmtree(folder)
    return found


def speed(one: dict[str, Any]) -> float:
    """Return rows a second of a training."""
    rows: float = one["rows"] * one["epochs"] / sum(one["epoch_seconds"])
    return rows


def show(name: str, kind: str, one: dict[str, Any], memory: dict[str, Any]) -> None:
    ratios = [one[key] for key in ("ratio", "ratio_with_idle_processor", "ratio_on_one_processor")]
    print(
        f"{name:18s} {kind:8s} rows/s {one['rows_a_second']:>9,.0f}, memory {one['memory_rows_a_second']:>9,.0f}: "
        f"x{ratios[0]:.2f}, idle x{ratios[1]:.2f}, one x{ratios[2]:.2f}; whole x{one['ratio_of_whole']:.2f}, "
        f"accuracy after {one['rows']:,} rows {100 * one['accuracy']:.2f}, memory {100 * memory['accuracy']:.2f}; "
        f"address space {one['address_space_mib']} MiB, resident {one['resident_mib']} MiB", flush=True,
    )  # fmt: skip


# The quality of the order ----------------------------------------------------------------------------------------


def quality(digits: Digits, m: int = 2**16, rows: int = 512, epochs: int = 20, seeds: int = 3) -> list[dict[str, Any]]:
    """Return accuracies and mixtures of orders of the same rows, whose blocks have `rows` of them."""
    x, y = digits.rows(m, 64, seed=0)
    sizes, batch, _ = NETWORKS["64-100-10"]
    test, test_y = digits.test(64)
    found = []
    by_class = np.argsort(y, kind="stable")
    whole = None
    for stored, order in (("as they come", None), ("class by class", by_class)):
        some, targets = (x, y) if order is None else (x[order], y[order])
        for mixed in (None, 64, 16, 4, 0):
            shuffle: Any = mixed is None or (mixed > 0 and rp.scale.BlockShuffle(block_rows=rows, buffer_blocks=mixed))
            accuracies = []
            for seed in range(seeds):
                net = network(sizes, seed)
                schedule = rule(sizes, m * epochs, batch)
                rp.fit(net, some, targets, optimizer=schedule, epochs=epochs, batch_size=batch, seed=seed,
                       shuffle=shuffle)  # fmt: skip
                accuracies.append(float((net.predict(test).argmax(axis=1) == test_y).mean()))
            spread = spread_of(targets, batch, shuffle)
            whole = spread if whole is None else whole
            found.append({
                "stored": stored, "buffer_blocks": mixed, "of_blocks": m // rows, "accuracy": accuracies,
                "spread": spread / whole,
            })  # fmt: skip
            name = {None: "all rows", 0: "no shuffle"}.get(mixed, f"{mixed} of {m // rows} blocks")
            print(f"{stored:15s} {name:18s} accuracy {100 * statistics.mean(accuracies):.2f}  spread of the classes "
                  f"x{spread / whole:.1f}", flush=True)  # fmt: skip
    return found


def spread_of(y: np.ndarray, batch: int, shuffle: Any) -> float:
    """Return the variance of the shares of the classes between the batches of an epoch."""
    order = np.arange(len(y))
    if shuffle is True:
        order = np.random.default_rng(0).permutation(len(y))
    elif shuffle:
        order = shuffle.order(len(y), np.random.default_rng(0))
    batches = y[order][: len(y) // batch * batch].reshape(-1, batch)
    shares = np.stack([(batches == label).mean(1) for label in range(10)])
    return float(shares.var(1).mean())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--child", help=argparse.SUPPRESS)
    parser.add_argument("--digits", help="an .npz file with X, images of 28 x 28 bytes, and y, their digits")
    parser.add_argument("--limit", type=int, default=768, help="MiB of address space")
    parser.add_argument("--times", type=float, default=8.0, help="the size of the data, in limits")
    parser.add_argument("--networks", nargs="*", choices=NETWORKS, default=list(NETWORKS))
    parser.add_argument("--formats", nargs="*", choices=FORMATS, default=list(FORMATS))
    parser.add_argument("--folder", help="where the data are written, and deleted; by default a temporary one")
    parser.add_argument("--json", help="a file for all figures")
    parser.add_argument("--no-quality", action="store_true", help="leave the second table out")
    options = parser.parse_args()
    if options.child:
        child(json.loads(options.child))
        return
    digits, found = Digits(options.digits), dict[str, Any]()
    with tempfile.TemporaryDirectory(dir=options.folder) as parent:
        for columns in sorted({NETWORKS[name][0][0] for name in options.networks}):
            found |= compared(digits, columns, options, Path(parent))
    if not options.no_quality:
        found["quality"] = quality(digits)
    if options.json:
        Path(options.json).write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
