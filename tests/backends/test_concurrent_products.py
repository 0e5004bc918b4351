"""Products beside one another: what must come before what is found from the memory they read and write."""

import numpy as np
import pytest
from cuda_on_the_host import COMPILER, CudaOnTheHost, planned
from test_cuda_captured import assert_same_training, trained

import retroprop as rp
from retroprop.backends.cuda.concurrent_products import concurrent_products
from retroprop.backends.record.recorder import form_of, record
from retroprop.core.operations import Operations
from retroprop.training import step as steps


def plan_of(sizes, m=16, **options):
    net = rp.Network(sizes, output="softmax", loss="cross_entropy", seed=0, backend="numpy", **options)
    rule = rp.optimizers.Adam()
    data = net.batch(np.ones((m, sizes[0])), np.zeros(m, int))
    arguments = (net.parameters, rule.start(net.parameters, np.zeros_like), (0.1,), data, np.arange(m), None)
    return planned(record(steps._step(net.architecture, rule, None, None), Operations(np), form_of(arguments), (0, 1)))


def place(plan):
    """Return addresses as the plan gives them, each cell that stays in a gigabyte of its own."""

    def address(node):
        here = plan.places[node.index]
        kept = 0 if here.cell.kept is None else (1 + here.cell.kept) << 30
        return kept + here.cell.offset + here.offset * node.dtype.itemsize

    return address


@pytest.mark.parametrize("sizes", [(6, 8, 3), (6, 8, 8, 3), (20, 64, 32, 64, 16, 5)])
def test_gradients_run_beside_the_deltas_until_they_are_needed(sizes):
    plan = plan_of(sizes)
    found = concurrent_products(plan.instructions, plan.places, place(plan))
    assert found, "nothing runs beside anything"
    for at, until in found.items():
        node = plan.instructions[at].nodes[0]
        assert node.op == "matmul"
        assert node.operands[0].op == "transpose", "a gradient, (δ^(l+1))ᵀ a^(l)"
        assert at + 1 < until <= len(plan.instructions)
        assert any(one.loop is None and one.nodes[0].op == "matmul" for one in plan.instructions[at + 1 : until])


def test_one_that_the_next_instruction_needs_stays_in_its_place():
    plan = plan_of((6, 3))
    assert concurrent_products(plan.instructions, plan.places, place(plan)) == {}


@pytest.mark.skipif(COMPILER is None, reason="no C++ compiler")
@pytest.mark.parametrize("sizes", [(6, 8, 8, 3), pytest.param((6, 20, 30, 20, 3), marks=pytest.mark.long)])
@pytest.mark.parametrize("options", [{}, {"clip_norm": 0.5}, {"net_options": {"l2": 0.01}}, {"hidden": "gelu"}])
def test_they_may_come_as_late_as_that(sizes, options):
    """The host launches what runs beside others at the last moment: a training is the same."""
    options = dict(options)
    if "hidden" in options:
        options["net_options"] = {"hidden": options.pop("hidden")}
    options = {"sizes": sizes, "epochs": 2, "batch_size": 20} | options
    backend = CudaOnTheHost()
    assert_same_training(trained(backend, **options), trained("numpy", **options))
    if "net_options" not in options:  # elsewhere memory may be given away, or the penalty be next
        assert all(replay._forked and replay.program.join_before for replay in backend.step._programs.values())


@pytest.mark.skipif(COMPILER is None, reason="no C++ compiler")
def test_without_a_gain_they_stay_in_their_places():
    backend = CudaOnTheHost(choice=1)
    options = {"sizes": (6, 8, 8, 3), "epochs": 2, "batch_size": 20}
    assert_same_training(trained(backend, **options), trained("numpy", **options))
    assert not any(replay._forked for replay in backend.step._programs.values())
