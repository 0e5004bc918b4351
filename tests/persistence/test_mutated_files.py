"""Thousands of mutated model files, the checksum made right after the mutation or not: loaded right, or refused."""

import json
import random
import tracemalloc
from pathlib import Path

import pytest
from forging import parts, sealed, whole
from mutated_json import mutate

import retroprop as rp
from retroprop.persistence import ModelFileError

BESIDES = 64e6  # bytes that reading may take besides twice the size of the file
MODELS = [path.read_bytes() for path in sorted((Path(__file__).parent / "format_1").glob("*.safetensors"))]


def mutated(rng, *, seal):
    """Return a model file with one to three mutations of its header, its description, its numbers or its bytes."""
    content = rng.choice(MODELS)
    header, numbers = parts(content)
    try:
        for _ in range(rng.choice((1, 1, 1, 2, 3))):
            where = rng.random()
            if where < 0.35:
                mutate(header, rng)
            elif where < 0.85:
                description = json.loads(header["__metadata__"]["retroprop"])
                mutate(description, rng)
                header["__metadata__"]["retroprop"] = json.dumps(description)
            elif where < 0.95:
                flipped, at = bytearray(numbers), rng.randrange(len(numbers))
                flipped[at] ^= 1 << rng.randrange(8)
                numbers = bytes(flipped)
            else:
                numbers = numbers[: rng.randrange(len(numbers))] + bytes(rng.choice((0, 0, 1, 8)))
        content = sealed(header, numbers) if seal else whole(header, numbers)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError, RecursionError):
        pass  # a mutation that JSON cannot hold, or that leaves nothing for the next one
    if rng.random() < (0.1 if seal else 0.5):
        damaged, at = bytearray(content), rng.randrange(min(len(content), 1200))
        damaged[at : at + rng.choice((1, 1, 4))] = rng.randbytes(rng.choice((0, 1, 4)))
        content = bytes(damaged)
    return content


def agrees(net, content, again):
    """Assert that the network is what the file says: saved, it has the same numbers and the same description."""
    rp.save(net, again)
    ours, theirs = (parts(one) for one in (again.read_bytes(), content))
    descriptions = [json.loads(header.pop("__metadata__")["retroprop"])["architecture"] for header, _ in (ours, theirs)]
    assert json.dumps(descriptions[0], sort_keys=True) == json.dumps(descriptions[1], sort_keys=True)
    for (header, numbers), (other, others) in ((ours, theirs), (theirs, ours)):
        for name, entry in header.items():
            begin, end = entry["data_offsets"]
            first, last = other[name]["data_offsets"]
            assert (entry["dtype"], entry["shape"]) == (other[name]["dtype"], other[name]["shape"])
            assert numbers[begin:end] == others[first:last]


@pytest.mark.parametrize(
    ("n", "seal", "measured"),
    [
        (300, True, 20),
        (100, False, 20),
        pytest.param(10_000, True, 1, marks=pytest.mark.long),
        pytest.param(2_000, False, 1, marks=pytest.mark.long),
    ],
)
def test_a_mutated_file_is_loaded_right_or_refused(n, seal, measured, tmp_path):
    """The memory is measured at each `measured`-th, since that takes four times as long."""
    path, again = tmp_path / "model.safetensors", tmp_path / "again.safetensors"
    rng = random.Random(n)
    loaded, wrong = 0, []
    for k in range(n):
        content = mutated(rng, seal=seal)
        path.write_bytes(content)
        if k % measured == 0:
            tracemalloc.start()
        try:
            net = rp.load(path, backend="numpy")
        except ModelFileError as error:
            wrong += [error] * (not str(error).startswith(str(path)) or not str(error).isprintable())
        else:
            loaded += 1
            agrees(net, content, again)
        finally:
            peak = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
        assert peak <= 2 * len(content) + BESIDES, k
    assert wrong == []
    # Most mutations break something, and some change nothing that matters, as the version that wrote it.
    assert 0 < loaded < n / 2
