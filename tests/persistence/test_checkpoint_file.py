"""Checkpoints whose bytes were changed, with their checksum made right again and without, load right or are refused."""

import itertools
import tracemalloc
import warnings

import numpy as np
import pytest

import retroprop as rp
from retroprop.persistence import checkpoint_file

RNG = np.random.default_rng(4)
X, Y = RNG.normal(size=(20, 3)), RNG.integers(0, 2, 20)
FIT = {"batch_size": 6, "seed": 2, "metrics": ["accuracy"], "early_stopping": rp.EarlyStopping(monitor="cost")}


def network():
    return rp.Network([3, 4, 2], output="softmax", loss="cross_entropy", dropout=0.2, seed=1, backend="numpy")


@pytest.fixture
def folder(tmp_path):
    """A folder with the checkpoints of the first and the second of three epochs."""
    rp.fit(network(), X, Y, epochs=2, checkpoint=rp.Checkpoint(tmp_path), **FIT)
    return tmp_path


def files(folder):
    return sorted(path for path in folder.iterdir() if path.suffix == ".safetensors")


def resumed(folder):
    net = network()
    history = rp.fit(net, X, Y, epochs=3, checkpoint=rp.Checkpoint(folder, resume=True), **FIT)
    return history.cost, [leaf.tobytes() for leaf in net.parameters.leaves]


def damages(content):
    foreign = checkpoint_file.to_bytes({}, {}).replace(b"retroprop", b"otherprop")
    newer = checkpoint_file.to_bytes({"format_version": 99, "written_by": "9.9"}, {})
    flipped = bytearray(content)
    flipped[-5] ^= 1
    header = content.replace(b"checkpoint", b"chekcpoint", 1)
    return [
        (content[: len(content) // 2], "is torn"),
        (content[:5], "is torn"),
        (b"", "is torn"),
        (content + b"\0", "is torn or altered"),
        (bytes(flipped), "is torn or altered"),
        (header, "is torn or altered"),
        (foreign, "is no checkpoint of retroprop"),
        (newer, "is of retroprop '9.9', in the newer format 99"),
        (b"\xff" * 50, "is torn, or no checkpoint"),
        ((2**40).to_bytes(8, "little") + b"{}", "is torn, or no checkpoint"),
    ]


@pytest.mark.parametrize("which", range(10))
def test_what_is_damaged_is_named_and_the_one_before_it_is_used(folder, which):
    whole = rp.fit(network(), X, Y, epochs=3, **FIT).cost
    newest = files(folder)[-1]
    content, message = damages(newest.read_bytes())[which]
    newest.write_bytes(content)
    with pytest.warns(UserWarning, match=f"epoch-000002.*{message}.*goes on from the one before it.*epoch-000001"):
        assert resumed(folder)[0] == whole
    for file in files(folder):
        file.write_bytes(content)
    with pytest.raises(rp.CheckpointError, match=f"no checkpoint can be used: .*{message}"):
        resumed(folder)


def test_a_pipe_in_place_of_a_checkpoint_is_not_read(folder):
    import os

    if not hasattr(os, "mkfifo"):
        pytest.skip("this system has no pipes with names")
    newest = files(folder)[-1]
    newest.unlink()
    os.mkfifo(newest)
    with pytest.warns(UserWarning, match="is no regular file"):
        resumed(folder)


def mutated(content, rng):
    """Return a content with a few bytes changed, cut or moved, in the header more often than not."""
    made, end = bytearray(content), checkpoint_file._header_end(content)
    for _ in range(rng.integers(1, 4)):
        at = int(rng.integers(0, end if rng.random() < 0.8 else len(made)))
        kind = rng.integers(6)
        if kind == 0:
            made[at] = rng.integers(256)
        elif kind == 1:
            made[at : at + 1] = b"0123456789"[rng.integers(10) :][:1]
        elif kind == 2:
            del made[at : at + int(rng.integers(1, 9))]
        elif kind == 3:
            made[at:at] = [b"9" * 9, b"[" * 300, b'"', b"null", b"-1", b"{}", b"1e999"][rng.integers(7)]
        elif kind == 4:
            a, b = sorted(rng.integers(8, end, 2).tolist())
            made[a:b] = made[a:b][::-1]
        else:
            words = [b"null", b"true", b"-1", b"1e400", b"[]", b"{}", b'"x"', b"99999999999999999999"]
            numbers = [i for i in range(8, min(end, len(made))) if 48 <= made[i] < 58 and not 48 <= made[i - 1] < 58]
            if numbers:
                begin = numbers[rng.integers(len(numbers))]
                stop = begin + sum(1 for _ in itertools.takewhile(lambda c: 48 <= c < 58, made[begin:]))
                made[begin:stop] = words[rng.integers(len(words))]
    return made


def with_another_card(content, rng):
    """Return a content with one value of its card, at any depth, in place of which another is."""
    card, tensors = checkpoint_file.from_bytes(content)
    places = []

    def walk(parent):
        for key, value in parent.items() if isinstance(parent, dict) else enumerate(parent):
            places.append((parent, key))
            if isinstance(value, (dict, list)):
                walk(value)

    walk({name: card[name] for name in ("work", "course", "history", "fitted", "number") if name in card})
    walk(card)
    parent, key = places[rng.integers(len(places))]
    others = [None, True, -1, 2**70, 0.5, "", "x", [], {}, [1, [2]], {"tensor": "course.order"}, {"float": "nan"},
              {"kind": "Course", "parts": {}}, {"tensor": "history.cost", "host": True, "order": "C"},
              {"kind": "State", "parts": {}},
              {"tensor": "course.state.point.x", "host": False, "order": "C"}]  # fmt: skip
    if rng.random() < 0.2:
        if isinstance(parent, dict):
            del parent[key]
        else:
            parent.pop(key)
    else:
        parent[key] = others[rng.integers(len(others))]
    names = sorted(tensors)
    if rng.random() < 0.2:
        name = names[rng.integers(len(names))]
        one = tensors[name]
        tensors[name] = [one.astype("float32"), one.astype("int64"), one.reshape(-1)[:1], one[None], one - one,
                         one / np.zeros((), one.dtype) if one.dtype.kind == "f" else one][rng.integers(6)]  # fmt: skip
    return checkpoint_file.to_bytes(card, tensors)


def summed(made):
    """Return a content with the length of its header and its checksum made right."""
    close = made.rfind(b"}", 8, checkpoint_file._header_end(bytes(made)) + 12)
    if close > 0:
        made[:8] = (close + 1 - 8).to_bytes(8, "little")
    content = bytes(made)
    at = checkpoint_file._place_of_sum(content)
    if at < 0 or len(content) < at + 64:
        return content
    return content[:at] + checkpoint_file._digest(content, at).encode() + content[at + 64 :]


def train(checkpoint, epochs=2):
    rp.fit(network(), X, Y, epochs=epochs, checkpoint=checkpoint, **FIT)


def minimise(checkpoint, epochs=2):
    net = rp.Network([3, 4, 2], output="softmax", loss="cross_entropy", seed=1, backend="numpy")
    rp.fit(net, X, Y, optimizer="lbfgs", epochs=epochs, checkpoint=checkpoint)


def estimator(checkpoint, epochs=2, **options):
    from retroprop.estimators import MLPClassifier

    return MLPClassifier(hidden_layer_sizes=(4,), max_iter=epochs, random_state=0, checkpoint=checkpoint, **options)


def train_estimator(checkpoint, epochs=2):
    options = {"batch_size": 6, "dropout": 0.2, "early_stopping": True, "validation_fraction": 0.3}
    estimator(checkpoint, epochs, **options).fit(X, Y)


def minimise_estimator(checkpoint, epochs=2):
    estimator(checkpoint, epochs, solver="lbfgs").fit(X, Y)


def train_ensemble(checkpoint, epochs=2):
    from retroprop.estimators import MLPEnsembleClassifier

    MLPEnsembleClassifier(estimator(checkpoint, epochs, batch_size=6), n_members=2, random_state=0).fit(X, Y)


def tried(folder, content, which, run=train):
    """Try one content; return whether it was loaded."""
    newest = files(folder)[-1]
    newest.write_bytes(content)
    tracemalloc.reset_peak()
    before = tracemalloc.get_traced_memory()[0]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        if run is not train:
            warnings.filterwarnings("ignore", message="Stochastic Optimizer|lbfgs failed|the training diverged")
        try:
            run(rp.Checkpoint(folder, keep=1, resume=True))
            loaded = True
        except (rp.CheckpointError, rp.DivergenceError):
            loaded = False
        except UserWarning as warning:
            raise AssertionError(f"mutation {which}: {warning}") from warning
        except ValueError as error:
            if "Solver produced non-finite parameter weights" not in str(error):
                raise
            loaded = False
    assert tracemalloc.get_traced_memory()[1] - before < 2 * len(content) + 64e6
    return loaded


@pytest.mark.parametrize(
    ("n", "sums"),
    [(200, True), (100, False), pytest.param(10_000, True, marks=pytest.mark.long),
     pytest.param(2000, False, marks=pytest.mark.long)],
)  # fmt: skip
def test_mutated_checkpoints_load_or_are_refused(tmp_path, n, sums):
    loaded = mutations_that_load(tmp_path, n, sums, train)
    # A number of the history, or the text of an own option, may be another: with its checksum such a file is whole.
    assert loaded < n / 2 if sums else loaded == 0


@pytest.mark.parametrize("run", [minimise, train_estimator, minimise_estimator, train_ensemble])
@pytest.mark.parametrize("n", [25, pytest.param(2000, marks=pytest.mark.long)])
def test_mutated_checkpoints_of_other_trainings(tmp_path, n, run):
    pytest.importorskip("sklearn", reason="the estimators need scikit-learn")
    assert mutations_that_load(tmp_path, n, True, run) < n / 2


def mutations_that_load(folder, n, sums, run):
    """Return how many of n mutated checkpoints of a training are gone on from."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        run(rp.Checkpoint(folder, keep=1))
    (newest,) = files(folder)
    content, rng = newest.read_bytes(), np.random.default_rng(n)
    loaded = 0
    tracemalloc.start()
    try:
        for which in range(n):
            made = mutated(content, rng)
            if sums:
                with np.errstate(all="ignore"):
                    made = with_another_card(content, rng) if which % 2 else summed(made)
            for file in files(folder):
                file.unlink()
            newest.touch()
            # A byte may have been replaced by itself.
            loaded += tried(folder, bytes(made), which, run) and bytes(made) != content
    finally:
        tracemalloc.stop()
    return loaded
