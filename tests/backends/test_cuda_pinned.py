"""Pinned buffers over a device whose streams run as far apart as their events allow."""

import importlib.util
import logging
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest

import retroprop as rp
from retroprop.backends.cuda import switches

PATH = Path(rp.__file__).parent / "backends" / "cuda" / "pinned.py"


class Device:
    """Streams that are queues: `eager` ones run whenever they can, the others when somebody waits for them."""

    def __init__(self, eager):
        self.eager, self.streams = eager, []
        self.here = Stream(self)

    def advance(self, *, all_streams=False):
        """Run what may run, until nothing may; return whether anything did."""
        ran = False
        for stream in self.streams:
            while (all_streams or stream.number in self.eager) and stream.may_go():
                stream.works.pop(0)[1]()
                ran = True
        return ran

    def until(self, done):
        while not done():
            assert self.advance() or self.advance(all_streams=True), "it waits for ever"


class Stream:
    def __init__(self, device):
        self.device, self.works, self.number = device, [], len(device.streams)
        device.streams.append(self)

    def may_go(self):
        return bool(self.works) and self.works[0][0]()

    def do(self, work, ready=lambda: True):
        self.works.append((ready, work))
        self.device.advance()

    def record(self, event=None):
        event = Event(self.device) if event is None else event
        event.record(self)
        return event

    def wait_event(self, event):
        wanted = event.recorded  # none, where it was never recorded
        self.do(lambda: None, lambda: event.reached >= wanted)


class Event:
    def __init__(self, device):
        self.device, self.recorded, self.reached = device, 0, 0

    def record(self, stream):
        self.recorded += 1
        stream.do(lambda number=self.recorded: setattr(self, "reached", number))

    def synchronize(self):
        wanted = self.recorded
        self.device.until(lambda: self.reached >= wanted)


class Array(np.ndarray):
    def set(self, source, stream):
        assert (self.shape, self.dtype) == (source.shape, source.dtype)
        stream.do(lambda: np.copyto(self, source))


@pytest.fixture
def over(monkeypatch):
    """Return what makes the module over a device."""

    def make(device, empty_pinned=np.empty):
        cupy, cupyx = ModuleType("cupy"), ModuleType("cupyx")
        cupyx.empty_pinned = empty_pinned
        cupy.empty = lambda shape, dtype: np.zeros(shape, dtype).view(Array)
        cupy.cuda = SimpleNamespace(
            Stream=lambda non_blocking: Stream(device), Event=lambda block=False, disable_timing=False: Event(device),
            get_current_stream=lambda: device.here,
        )  # fmt: skip
        monkeypatch.setitem(sys.modules, "cupy", cupy)
        monkeypatch.setitem(sys.modules, "cupyx", cupyx)
        spec = importlib.util.spec_from_file_location("pinned_on_the_host", PATH)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    return make


@pytest.mark.parametrize("eager", [(), (0,), (1,), (0, 1)], ids=["neither", "steps", "copies", "both"])
def test_each_step_sees_the_rows_of_its_turn(eager, over):
    device, seen = Device(eager), []
    staging = over(device).pinned((5, 3), np.dtype("uint8"))
    turns = 7
    for turn in range(turns):
        staging.room(turn, 4)[...] = turn
        there = staging.moved(turn, 4)
        for _ in range(2):  # steps
            device.here.do(lambda there=there: seen.append(there.copy()))
    device.until(lambda: len(seen) == 2 * turns)
    for number, found in enumerate(seen):
        np.testing.assert_array_equal(found, np.full((4, 3), number // 2))


def test_a_copy_does_not_wait_for_the_steps_of_the_turn_before(over):
    device = Device(eager=(1,))
    staging = over(device).pinned((5, 3), np.dtype("uint8"))
    staging.room(0, 5)[...] = 1
    staging.moved(0, 5)
    device.advance(all_streams=True)
    device.here.do(lambda: None)  # the steps, which the device has not come to yet
    staging.room(1, 5)[...] = 2
    there = staging.moved(1, 5)
    assert device.here.works
    np.testing.assert_array_equal(there, np.full((5, 3), 2))


def test_without_pinned_memory_rows_are_copied_from_pageable_memory_and_that_is_logged(over, caplog, monkeypatch):
    def refuses(shape, dtype):
        raise MemoryError("cudaErrorMemoryAllocation")

    with caplog.at_level(logging.WARNING, "retroprop"):
        assert over(Device(()), refuses).pinned((5, 3), np.dtype("uint8")) is None
    assert caplog.messages == [
        "rows are copied from pageable memory, not pinned: MemoryError: cudaErrorMemoryAllocation"
    ]
    caplog.clear()
    monkeypatch.setenv(switches.ENVIRONMENT_VARIABLE, "pinned")
    assert over(Device(())).pinned((5, 3), np.dtype("uint8")) is None
    assert caplog.messages == []
