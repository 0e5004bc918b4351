"""A model file cannot hurt: a forged one with the right checksum is refused in one line, at once, in little memory."""

import json
import os
import struct
import threading
import time
import tracemalloc

import numpy as np
import pytest
from forging import described, parts, sealed, whole

import retroprop as rp
from retroprop.persistence import ModelFileError, load_with_metadata, read_metadata

BESIDES = 64e6  # bytes that reading may take besides twice the size of the file


@pytest.fixture(name="path")
def _path(tmp_path):
    return tmp_path / "model.safetensors"


@pytest.fixture(name="content")
def _content(path):
    net = rp.Network([3, 4, 2], hidden="leaky_relu", loss=rp.losses.Huber(0.5), seed=0, backend="numpy")
    rp.save(net, path, metadata={"note": "mine"})
    return path.read_bytes()


def refused(path, match=None, load=rp.load):
    """Assert that the file is refused in one line that names it, in a second and in twice its size and 64 MB."""
    size = path.stat().st_size
    tracemalloc.start()
    began = time.perf_counter()
    try:
        with pytest.raises(ModelFileError, match=match) as caught:
            load(path, backend="numpy") if load is not read_metadata else load(path)
        seconds, peak = time.perf_counter() - began, tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    message = str(caught.value)
    assert path.name in message
    assert message.isprintable()
    assert len(message) < 400 + len(str(path))
    assert seconds < 10.0, "tracemalloc makes it several times as slow as it is"
    assert peak <= 2 * size + BESIDES
    return message


def entry(shape, begin, end, dtype="F32"):
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


HUGE = 10**18
HEADERS = {
    "an absurd size": lambda h: h.update({"theta.0": entry([HUGE, HUGE], 0, 4 * HUGE * HUGE)}),
    "a size beyond the digits of an integer": lambda h: h.update({"theta.0": entry([10**400], 0, 4 * 10**400)}),
    "an overlap": lambda h: h["theta.1"].update(data_offsets=[0, 32]),
    "a gap": lambda h: [h.pop("bias.0"), None][1],
    "all in one place": lambda h: h.update({f"theta.{l}": entry([1, 1], 0, 4) for l in range(50)}),
    "begins after its end": lambda h: h["theta.0"].update(data_offsets=[48, 0]),
    "a negative size": lambda h: h["theta.0"].update(shape=[-4, -3]),
    "a size that is a fraction": lambda h: h["theta.0"].update(shape=[4.0, 3.0]),
    "a size that is true": lambda h: h["theta.0"].update(shape=[12, True]),
    "a shape of another number": lambda h: h["theta.0"].update(shape=[4, 4]),
    "a transposed shape": lambda h: h["theta.0"].update(shape=[3, 4]),
    "a hundred axes": lambda h: h["theta.0"].update(shape=[1] * 100 + [4, 3]),
    "integers": lambda h: h["theta.0"].update(dtype="I32"),
    "a dtype that is a list": lambda h: h["theta.0"].update(dtype=["F32"]),
    "half of its numbers in another dtype": lambda h: h["theta.0"].update(dtype="F64", shape=[2, 3]),
    "one entry more in a tensor": lambda h: h["theta.0"].update(strides=[1]),
    "a tensor that is a number": lambda h: h.update({"theta.0": 3}),
    "a tensor of another name": lambda h: h.update({"theta.7": h.pop("theta.1")}),
    "a name of control characters": lambda h: h.update({"\x1b[2J\r\n\u202e": h.pop("theta.1")}),
    "metadata that are a list": lambda h: h.update(__metadata__=[1]),
    "metadata that are numbers": lambda h: h["__metadata__"].update(note=3),
    "no metadata": lambda h: [h.pop("__metadata__"), None][1],
    "an empty tensor more": lambda h: h.update({"theta.9": entry([0], 0, 0)}),
}


@pytest.mark.parametrize("what", HEADERS)
def test_a_forged_header(what, path, content):
    header, numbers = parts(content)
    HEADERS[what](header)
    path.write_bytes(sealed(header, numbers))
    refused(path)


def architecture(**values):
    return lambda d: d["architecture"].update(values)


DESCRIPTIONS = {
    "more layers than tensors": architecture(layer_sizes=[3, 4, 2, 1]),
    "a size that is not that of the tensor": architecture(layer_sizes=[3, 4, 9]),
    "a size that is a fraction": architecture(layer_sizes=[3, 4.0, 2]),
    "no sizes": architecture(layer_sizes=[]),
    "sizes of text": architecture(layer_sizes="342"),
    "a bias that is a number": architecture(bias=1),
    "no bias": architecture(bias=False),
    "a slope of text": architecture(hidden=[{"name": "leaky_relu", "slope": "0.1); import os; os.abort("}]),
    "a slope that is true": architecture(hidden=[{"name": "leaky_relu", "slope": False}]),
    "a slope out of range": architecture(hidden=[{"name": "leaky_relu", "slope": 1e300}]),
    "a parameter that a function lacks": architecture(output={"name": "identity", "slope": 0.1}),
    "a name that is a list": architecture(output={"name": ["identity"]}),
    "a function that is text": architecture(output="identity"),
    "a custom function that nobody gave": architecture(output={"custom": "\x1b]0;\x07"}),
    "a custom function without a name": architecture(loss={"custom": {"a": []}}),
    "groups of nothing": architecture(output={"name": "grouped_softmax", "sizes": []}),
    "groups of too much": architecture(output={"name": "grouped_softmax", "sizes": [2**70, 2]}),
    "one entry more": architecture(surprise=1),
    "one entry less": lambda d: [d["architecture"].pop("l1"), None][1],
    "an architecture that is a list": lambda d: d.update(architecture=[1]),
    "a penalty of text": architecture(l2="\ud800"),
    "dropout of a list in a list": architecture(dropout=[[0.5]]),
    "a penalty beyond float64": architecture(l2=10**400),
    "an unknown name of a thousand characters": architecture(loss={"name": "\n" * 1000}),
    "a version that is true": lambda d: d.update(format_version=True),
    "a version below 1": lambda d: d.update(format_version=0),
    "nested a hundred deep": architecture(loss=json.loads("[" * 100 + "]" * 100)),
}


@pytest.mark.parametrize("what", DESCRIPTIONS)
def test_a_forged_description(what, path, content):
    path.write_bytes(described(content, DESCRIPTIONS[what]))
    refused(path)


def test_the_forgery_alone_changes_nothing(path, content):
    path.write_bytes(described(content, lambda d: None))
    net, metadata = load_with_metadata(path, backend="numpy")
    assert net.architecture.output.loss == rp.losses.Huber(0.5)
    assert metadata == {"note": "mine"}


def own(description):
    return whole({"__metadata__": {"retroprop": description}}, b"")


LIST = b'{"a": [' + b"[]," * 2_500_000 + b"[]]}"
TEXTS = {
    "a header longer than the file": (struct.pack("<Q", 2**63) + b"{}", "bytes"),
    "a header of no bytes": (struct.pack("<Q", 0), "bytes"),
    "a header that is no object": (whole(b"[1, 2]", b""), "no object"),
    "a header of broken text": (whole(b'{"\xff": 1}', b""), "header cannot be read"),
    "a key twice": (whole(b'{"a": 1, "a": 2}', b""), "twice"),
    "NaN": (whole(b'{"a": NaN}', b""), "NaN"),
    "deep": (whole(b'{"a":' + b"[" * 90_000 + b"]" * 90_000 + b"}", b""), "deep"),
    "many lists": (whole(LIST, b""), "lists 5000003 items"),
    "many lists in the description": (own(LIST.decode()), "lists 5000003 items"),
    "a description nested deeply": (own("[" * 90_000), "header cannot be read"),
    "a description with a key twice": (own('{"format_version": 1, "format_version": 1}'), "twice"),
    "half a surrogate pair": (whole(b'{"__metadata__": {"note": "\\ud800"}}', b""), "surrogate"),
    "a string without an end": (whole(b'{"' + b'\\"' * 2_000_000, b""), "header cannot be read"),
    "more text than is read": (whole(b'{"a": "' + b" " * 2**24 + b'"}', b""), "at most"),
    "a number of a million digits": (whole(b'{"a": ' + b"9" * 1_000_000 + b"}", b""), "header cannot be read"),
}


@pytest.mark.parametrize("what", TEXTS)
@pytest.mark.parametrize("load", [rp.load, read_metadata])
def test_a_header_that_would_hurt(what, load, path):
    content, match = TEXTS[what]
    path.write_bytes(content)
    refused(path, match, load)


@pytest.mark.parametrize(
    ("n", "match"), [(20_000, "its 20000 arrays are not those of 3 layers"), (60_000, "items"), (200_000, "header of")]
)
def test_many_tensors_are_refused_at_once(n, match, path, content):
    """Below and above the number of items, and of bytes, that a header may have."""
    own = json.dumps({"__metadata__": parts(content)[0]["__metadata__"]}).encode()
    one = b', "theta.%d": {"dtype": "F32", "shape": [1, 1], "data_offsets": [%d, %d]}'
    path.write_bytes(whole(own[:-1] + b"".join(one % (l, 4 * l, 4 * l + 4) for l in range(n)) + b"}", bytes(4 * n)))
    began = time.perf_counter()
    with pytest.raises(ModelFileError, match=match):
        rp.load(path)
    assert time.perf_counter() - began < 1.0


def test_a_version_with_control_characters_is_printed_without_them(path, content):
    newer = {"format_version": 7, "written_by": "\x1b[31m9.9\x1b]8;;http://x\x07\u202e[bold]" + "x" * 10_000}
    path.write_bytes(described(content, lambda d: d.update(newer)))
    assert "9.9" in refused(path, "in format 7.*Upgrade")


def test_what_others_read_is_what_we_read(path, content):
    safetensors = pytest.importorskip("safetensors.numpy")
    net = rp.load(path, backend="numpy")
    theirs = safetensors.load(content)
    for l, (theta, bias) in enumerate(zip(net.thetas, net.biases, strict=True)):
        assert theirs[f"theta.{l}"].tobytes() == theta.tobytes()
        assert theirs[f"bias.{l}"].tobytes() == bias.tobytes()


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_parameters_that_are_not_finite_are_neither_loaded_nor_saved(value, path, content):
    header, numbers = parts(content)
    (begin, _) = header["theta.1"]["data_offsets"]
    path.write_bytes(sealed(header, numbers[:begin] + np.float32(value).astype("<f4").tobytes() + numbers[begin + 4 :]))
    refused(path, rf"thetas\[1\] must be finite; .* is {value}")
    path.write_bytes(content)
    net = rp.load(path, backend="numpy")
    net.thetas[1][0, 0] = value
    with pytest.raises(ValueError, match=r"NaN or infinite, in theta\.1"):
        rp.save(net, path)
    assert path.read_bytes() == content


def test_metadata_larger_than_is_read_are_not_written(path, content):
    net = rp.load(path, backend="numpy")
    with pytest.raises(ValueError, match="metadata make a header of"):
        rp.save(net, path, metadata={"a": "x" * 2**24})
    assert path.read_bytes() == content
    most = {"a": "x" * (2**24 - 2000), "b": "[{,"}
    rp.save(net, path, metadata=most)
    assert read_metadata(path) == most


# What is no regular file ---------------------------------------------------------------------------------------------


def seconds(function):
    """Return the seconds of a call in a thread, at most 5: a call that waits for ever must not hold up the run."""
    began = time.perf_counter()
    thread = threading.Thread(target=function, daemon=True)
    thread.start()
    thread.join(5.0)
    return time.perf_counter() - began


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no FIFO")
@pytest.mark.parametrize("link", [False, True])
def test_a_fifo_is_refused_without_waiting(path, link):
    os.mkfifo(path if not link else path.with_name("pipe"))
    if link:
        path.symlink_to(path.with_name("pipe"))
    found = []

    def load():
        try:
            rp.load(path)
        except ModelFileError as error:
            found.append(str(error))

    assert seconds(load) < 4.0
    assert found == [f"{path} is a FIFO (named pipe), not a model file."]


@pytest.mark.skipif(not os.path.exists("/dev/zero"), reason="this system has no /dev/zero")  # noqa: PTH110
@pytest.mark.parametrize("device", ["/dev/zero", "/dev/null"])
def test_a_device_is_refused(device):
    with pytest.raises(ModelFileError, match=f"^{device} is a device, not a model file"):
        rp.load(device)


def test_a_file_that_cannot_be_read_says_why(path, content, monkeypatch):
    from retroprop.persistence import reading

    def denied(*args):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(reading.os, "open", denied)
    with pytest.raises(PermissionError, match=r"Permission denied: .*model\.safetensors"):
        rp.load(path)
