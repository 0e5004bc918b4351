"""PyTorch's steps as graphs, over a graph that is the step done again: what is copied, tried, replayed, given up."""

import logging
from contextlib import contextmanager, nullcontext

import numpy as np
import pytest
from harness import mapped
from test_cuda_captured import assert_same_training, data, trained

import retroprop as rp
from retroprop.backends.backend import PLAIN
from retroprop.training import rows

torch = pytest.importorskip("torch", reason="PyTorch is not installed")

from retroprop.backends.cpu.source_program import ReplayedStep  # noqa: E402
from retroprop.backends.cpu.torch_calls import TorchCalls  # noqa: E402
from retroprop.backends.cuda.torch_graph import GraphedStep, cuda_graph  # noqa: E402
from retroprop.backends.record import tree  # noqa: E402
from retroprop.backends.torch_backend import TorchBackend  # noqa: E402


class Graphs:
    """Captures by doing the work; a replay does it again, into the memory of the first results."""

    def __init__(self):
        self.captured, self.replayed = 0, 0

    def __call__(self, work, device):
        self.captured += 1
        results = work()

        def replay():
            self.replayed += 1
            for old, new in zip(tree.leaves(results), tree.leaves(work()), strict=True):
                old.copy_(new)

        return replay, results


class GraphedTorch(TorchBackend):
    """PyTorch on the CPU, with the steps of a GPU."""

    def __init__(self, graphs):
        super().__init__("cpu")
        self.graphs = graphs

    def capture(self, step, *, donate=(), demands=PLAIN):
        recorded = ReplayedStep(step, self.operations(), donate, TorchCalls(self.device))
        return GraphedStep(recorded, self.device, self.graphs) if donate else recorded


def compared(graphs, dtype="float32", **options):
    options = {"sizes": (6, 8, 3), "dtype": dtype} | options
    net, history = trained(GraphedTorch(graphs), **options)
    assert all(isinstance(leaf, torch.Tensor) for leaf in net.parameters.leaves)
    assert_same_training((net, history), trained("numpy", **options), dtype)


WEIGHT = np.linspace(0.5, 2.0, 59)
SCHEDULED = rp.schedules.Exponential(0.1, decay=0.9)


@pytest.mark.parametrize("options", [
    {}, {"optimizer": rp.optimizers.SGD(SCHEDULED, momentum=0.9)}, {"optimizer": rp.optimizers.SGD(SCHEDULED)},
    {"optimizer": rp.optimizers.AdamW(SCHEDULED)}, {"dtype": "float64"}, {"sample_weight": WEIGHT}, {"clip_norm": 0.5},
    {"net_options": {"dropout": 0.3}}, {"metrics": ["accuracy"], "validation_data": data(20, 5)}, {"shuffle": False},
    {"batch_size": None, "epochs": 8}, {"net_options": {"l2": 0.01, "hidden": "tanh"}},
    {"optimizer": "rmsprop"}, {"optimizer": "lion"},
], ids=str)  # fmt: skip
def test_a_training_is_numpys(options):
    graphs = Graphs()
    compared(graphs, **options)
    # the first two of a form are launched one by one, the third is tried
    assert graphs.replayed > 3
    assert graphs.captured <= 2


def test_the_smaller_batch_of_each_epoch_has_a_graph_of_its_own():
    graphs = Graphs()
    compared(graphs, epochs=5)
    assert graphs.captured == 2
    assert graphs.replayed == 5 * 15 - 2 * 2  # the first two of a form are not


def test_a_graph_that_fails_leaves_the_launches(caplog):
    def refuse(work, device):
        work()
        raise RuntimeError("no graph today")

    with caplog.at_level(logging.WARNING, "retroprop"):
        compared(refuse)
    (record,) = caplog.records  # logged once
    assert "RuntimeError: no graph today" in record.getMessage()


def test_a_graph_that_does_something_else_is_not_trusted(caplog):
    class Twice(Graphs):
        def __call__(self, work, device):
            replay, results = super().__call__(work, device)
            return lambda: (replay(), replay()), results

    with caplog.at_level(logging.WARNING, "retroprop"):
        compared(Twice())
    (record,) = caplog.records
    assert "a graph did not leave the results of its launches" in record.getMessage()


def test_without_memory_to_try_a_graph_steps_are_launched(caplog, monkeypatch):
    graphs = Graphs()
    whole = torch.Tensor.clone
    monkeypatch.setattr(torch.Tensor, "clone", lambda x: full() if x.shape == (8, 6) else whole(x))

    def full():
        raise torch.OutOfMemoryError("full")

    with caplog.at_level(logging.WARNING, "retroprop"):
        trained(GraphedTorch(graphs))
    assert "no memory for a copy to try it on: full" in caplog.text
    assert graphs.captured == 0


def test_other_data_of_the_same_form_are_not_those_of_the_graph():
    """A graph reads the data it was made of; others of their form go the slower way, and are not lost."""
    graphs = Graphs()
    backend = GraphedTorch(graphs)
    step = backend.capture(lambda operations, w, x, number: (w + number * operations.xp.sum(x, axis=0),), donate=(0,))
    x, other = torch.ones((5, 3)), torch.full((5, 3), 2.0)
    w, expected = torch.zeros(3), 0.0
    for k, given in enumerate([x, x, x, x, other, x, other, other, x]):
        (w,) = step(w, given, float(k))
        expected += k * 5.0 * float(given[0, 0])
        assert w.tolist() == [expected] * 3


@pytest.mark.parametrize("batches", [1, 6])
def test_rows_that_are_read_in_stretches_have_graphs(batches, monkeypatch, tmp_path):
    """Each stretch lies elsewhere: a step is tried anew for it, or where every step has one its data are copied."""
    monkeypatch.setattr(rows, "STRETCH", batches * 4 * 6)
    graphs = Graphs()
    x = np.random.default_rng(2).integers(0, 256, (59, 6)).astype("uint8")
    options = {"sizes": (6, 8, 3), "epochs": 2}
    found = trained(GraphedTorch(graphs), given=mapped(tmp_path / "x", x), **options)
    assert_same_training(found, trained("numpy", given=x, **options))
    # Stretches of one, or two of six batches, of which the first has two launched and the next one; and one of the
    # rest, whose step is tried when its data come the second time, and copied from then on: 4 + 3 * 5 + 2.
    assert (graphs.captured, graphs.replayed) == ((1, 26) if batches == 1 else (5, 21))


def test_a_capture_that_fails_at_its_end_leaves_the_stream_that_was(monkeypatch):
    """As PyTorch has it: the end of a capture raises before the stream of before is set again."""
    streams = ["default"]

    @contextmanager
    def graph(made):
        streams.append("of the capture")
        yield
        raise RuntimeError("the capture is not valid")

    monkeypatch.setattr(torch.cuda, "CUDAGraph", object)
    monkeypatch.setattr(torch.cuda, "graph", graph)
    monkeypatch.setattr(torch.cuda, "device", lambda device: nullcontext())
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: streams[-1])
    monkeypatch.setattr(torch.cuda, "set_stream", streams.append)
    with pytest.raises(RuntimeError, match="not valid"):
        cuda_graph(lambda: None, "cuda:0")
    assert streams[-1] == "default"
