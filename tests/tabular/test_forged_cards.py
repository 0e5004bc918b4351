"""Model files whose description of the table was changed, the checksum made right: predicted with, or refused."""

import json
import random
import time
import tracemalloc
import warnings
from pathlib import Path

import pytest
from mutated_json import mutate

import retroprop as rp
from retroprop import tabular
from retroprop.persistence import TABULAR_KEY, ModelFileError, load_with_metadata

pytest.importorskip("polars", reason="tables need polars")
HERE = Path(__file__).parent
DATA = {"flowers": "flowers.csv", "totals": "totals.csv", "pair": "pair.npz"}
MODELS = [
    (path.parent / DATA.get(path.stem, "plants.csv"), load_with_metadata(path, backend="numpy"))
    for path in sorted(HERE.glob("version_*/*.safetensors"))
]
BESIDES = 64e6  # bytes


def forged(rng, path):
    """Write a model file with one to three mutations of its card, and return the data that it is for."""
    data, (net, metadata) = rng.choice(MODELS)
    card = json.loads(metadata[TABULAR_KEY])
    try:
        for _ in range(rng.choice((1, 1, 1, 2, 3))):
            mutate(card, rng)
        text = json.dumps(card)
    except (ValueError, OverflowError, RecursionError):
        text = metadata[TABULAR_KEY][:-5]  # a value that JSON cannot hold
    rp.save(net, path, metadata={**metadata, TABULAR_KEY: text})
    return data


@pytest.mark.parametrize("n", [150, pytest.param(10_000, marks=pytest.mark.long)])
def test_a_forged_card_is_predicted_with_or_refused(n, tmp_path):
    path, rng = tmp_path / "m.safetensors", random.Random(n)
    predicted, wrong = 0, []
    for k in range(n):
        data = forged(rng, path)
        began = time.perf_counter()
        if k % 20 == 0:
            tracemalloc.start()
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error", RuntimeWarning)
                warnings.simplefilter("ignore", UserWarning)
                model = tabular.load(path, backend="numpy")
                repr(model)
                assert len(model.predict(data))
            predicted += 1
        except (tabular.DataError, ModelFileError) as error:
            wrong += [error] * (not str(error).isprintable())
        finally:
            peak = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
        assert peak < 2 * path.stat().st_size + BESIDES, k
        assert time.perf_counter() - began < 10.0, k
    assert wrong == []
    # Much does not matter: what the report says, a number that is another.
    assert 0.1 * n < predicted < 0.9 * n
