"""Products with bias, relu and sums of δ: where a plan has them, and that the training is the same."""

import pytest
from cuda_on_the_host import COMPILER, CudaOnTheHost
from test_cuda_captured import assert_same_training, trained

pytestmark = pytest.mark.skipif(COMPILER is None, reason="no C++ compiler")
DEEP = (6, 8, 130, 8, 3)


@pytest.mark.parametrize("case", [
    {}, {"net_options": {"bias": False}}, {"net_options": {"l2": 0.01}}, {"shuffle": False},
    {"optimizer": "sgd"}, {"batch_size": None}, {"dtype": "float64"},
], ids=["plain", "without bias", "penalised", "in order", "sgd", "full batch", "float64"])  # fmt: skip
def test_the_training_is_the_same(case):
    backend = CudaOnTheHost(epilogues=True)
    options = {"sizes": DEEP, "epochs": 2, "batch_size": 20} | case
    assert_same_training(trained(backend, **options), trained("numpy", **options), case.get("dtype", "float32"))
    log = backend.runtime.log
    if "net_options" in case and not case["net_options"].get("bias", True):
        assert log["relu_aux"] > 0
        assert log["drelu"] > 0
    else:
        assert log["relu_aux_bias"] > 0
        assert log["drelu_bgrad"] > 0


@pytest.mark.parametrize("options", [{"hidden": "tanh"}, {"dropout": 0.5}, {"hidden": "leaky_relu"}])
def test_what_is_no_epilogue_is_a_kernel(options):
    backend = CudaOnTheHost(epilogues=True)
    found = trained(backend, sizes=DEEP, epochs=1, batch_size=20, net_options=options)
    assert_same_training(found, trained("numpy", sizes=DEEP, epochs=1, batch_size=20, net_options=options))
    assert not [kind for kind in backend.runtime.log if "drelu" in kind]


def test_the_slower_way_is_not_taken():
    backend = CudaOnTheHost(epilogues=True, choice=1)
    assert_same_training(trained(backend, sizes=DEEP), trained("numpy", sizes=DEEP))
    log = backend.runtime.log
    # three layers, two batch sizes: each measured with the last sums of δ in a kernel, and in a product
    assert log["relu_aux_bias"] == 2 * 2 * 3
    assert log["drelu_bgrad"] == 0  # there is no mask to read


def test_nodes_are_saved():
    launched = {}
    for epilogues in (False, True):
        backend = CudaOnTheHost(epilogues=epilogues, graphs=False)
        trained(backend, sizes=(6, 8, 8, 3), epochs=1, batch_size=59, shuffle=False)
        replay = next(iter(backend.step._programs.values()))
        launched[epilogues] = len(replay.program.launches)
    assert launched[False] - launched[True] == 4
