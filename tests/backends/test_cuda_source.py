"""The bodies of CuPy's kernels are plain C++: compiled for the host, they compute what NumPy does."""

import ctypes
import shutil
import subprocess
from functools import partial

import numpy as np
import pytest
from harness import tolerance

import retroprop as rp
from retroprop.backends.tracing.cuda_source import TYPES, can_kernel, fits_kernel, kernel_of
from retroprop.backends.tracing.plan import Plan
from retroprop.backends.tracing.recording import form_of, record
from retroprop.functions import activations, losses

COMPILER = shutil.which("c++") or shutil.which("g++") or shutil.which("clang++")
needs_a_compiler = pytest.mark.skipif(COMPILER is None, reason="no C++ compiler")


def planned(formula, arrays):
    step = lambda operations, *given: formula(operations.xp, *given)  # noqa: E731
    recording = record(step, form_of(tuple(arrays)), ())
    return Plan(recording, can=can_kernel, fits=fits_kernel, columns_first=lambda shape: False)


def run_on_the_host(kernel, arrays, shape, folder):
    """Compile a kernel's body in a loop over all numbers, and return its outputs."""
    declared = [*kernel.inputs.split(", "), *kernel.outputs.split(", ")]
    n_numbers = len(kernel.numbers)
    inputs = kernel.inputs.split(", ")
    numbers = inputs[len(inputs) - n_numbers :] if n_numbers else []
    types = {name: TYPES[dtype] for dtype, name in (d.split() for d in declared)}
    scalars = {n.split()[1] for n in numbers}
    parameters = [f"{t} {name}" if name in scalars else f"{t} *p_{name}" for name, t in types.items()]
    named = "\n".join(f"{t} &{name} = p_{name}[i];" for name, t in types.items() if name not in scalars)
    text = (
        '#include <cmath>\nusing namespace std;\nextern "C" void run(long long n, '
        f"{', '.join(parameters)}) {{\nfor (long long i = 0; i < n; ++i) {{\n{named}\n{kernel.body}\n}}\n}}\n"
    )
    source, library = folder / "kernel.cpp", folder / "kernel.so"
    source.write_text(text)
    subprocess.run([COMPILER, "-O1", "-shared", "-fPIC", "-o", library, source], check=True)
    results = [np.empty(shape, node.dtype) for node in kernel.writes]
    broad = [np.ascontiguousarray(np.broadcast_to(array, shape)) for array in arrays[: len(kernel.reads)]]
    float_of = {"float": ctypes.c_float, "double": ctypes.c_double}
    values = [float_of[types[n.split()[1]]](v) for n, v in zip(numbers, arrays[len(kernel.reads) :], strict=True)]
    pointers = [ctypes.c_void_p(array.ctypes.data) for array in (*broad, *results)]
    run = ctypes.CDLL(str(library)).run
    run(ctypes.c_longlong(int(np.prod(shape))), *pointers[: len(broad)], *values, *pointers[len(broad) :])
    return results


RNG = np.random.default_rng(0)
ACTIVATIONS = sorted(activations.elementwise_names())


def value_of(name):
    f = activations.get(name)
    return lambda xp, z: (f.value(z, xp),)


def derivative_of(name):
    f = activations.get(name)
    return lambda xp, z: (f.pull_back(0.5 * z, z, f.value(z, xp), xp),)


def derivative_of_loss(name):
    loss = losses.get(name)
    return lambda xp, z: (loss.derivative(xp.abs(z) / 10.0, xp.abs(z) / 7.0, xp),)


FORMULAS = {
    **{name: value_of(name) for name in ACTIVATIONS},
    **{f"{name}'": derivative_of(name) for name in ACTIVATIONS},
    **{f"{name} loss'": derivative_of_loss(name) for name in losses.LOSSES},
}


@needs_a_compiler
@pytest.mark.parametrize("name", sorted(FORMULAS))
def test_every_pointwise_formula(name, dtype, tmp_path):
    formula, z = (
        FORMULAS[name],
        np.concatenate([RNG.normal(size=61) * 3.0, [0.0, -0.0, 9.5]]).astype(dtype).reshape(8, 8),
    )
    plan = planned(formula, [z])
    if not plan.instructions:  # the identity
        return
    (one,) = plan.instructions
    with np.errstate(all="ignore"):
        (expected,) = formula(np, z)
    (found,) = run_on_the_host(kernel_of(one), [z], z.shape, tmp_path)
    np.testing.assert_allclose(found, expected, rtol=tolerance(dtype), atol=tolerance(dtype))


@needs_a_compiler
@pytest.mark.parametrize("optimizer", [
    rp.optimizers.SGD(0.1), rp.optimizers.SGD(0.1, momentum=0.9, nesterov=True), rp.optimizers.RMSprop(0.1),
    rp.optimizers.Adam(0.1), rp.optimizers.AdamW(0.1), rp.optimizers.Lion(0.1),
], ids=lambda optimizer: optimizer.name)  # fmt: skip
def test_the_update_is_one_kernel(optimizer, dtype, tmp_path):
    arrays = [RNG.uniform(0.1, 1.0, 100).astype(dtype) for _ in range(2 + optimizer.slots)]
    hyper = optimizer.hyper(3, 0.1)
    plan = planned(optimizer.formula, [*arrays, *hyper])
    (one,) = plan.instructions
    kernel = kernel_of(one)
    inputs = plan.recording.arguments
    place = {node.index: k for k, node in enumerate(inputs)}
    given = [([*arrays, *hyper])[place[node.index]] for node in (*kernel.reads, *kernel.numbers)]
    found = run_on_the_host(kernel, given, (100,), tmp_path)
    expected = dict(
        zip((leaf.index for leaf in plan.recording.results), optimizer.formula(np, *arrays, *hyper), strict=True)
    )
    for node, numbers in zip(kernel.writes, found, strict=True):
        np.testing.assert_allclose(numbers, expected[node.index], rtol=tolerance(dtype))


def test_between_two_products_there_is_one_kernel():
    """Bias and activation, derivative and mask: what would be six launches is two."""
    from retroprop.training import step as steps

    net = rp.Network([6, 8, 8, 3], hidden="gelu", dropout=0.5, output="identity", seed=0, backend="numpy")
    optimizer = rp.optimizers.Adam()
    masks = tuple(np.ones((5, 8), "float32") for _ in range(2))
    data = net.batch(np.ones((5, 6)), np.ones((5, 3)))
    step = partial(steps._step(net.architecture, optimizer, None, None))
    state = optimizer.start(net.parameters, np.zeros_like)
    recording = record(step, form_of((net.parameters, state, (0.1,), data, None, masks)), (0, 1))
    plan = Plan(recording, can=can_kernel, fits=fits_kernel, columns_first=lambda shape: False)
    kernels = [one for one in plan.instructions if one.loop is not None]
    products = [one for one in plan.instructions if one.loop is None and one.node.op == "matmul"]
    assert len(products) == 3 + 3 + 2
    # 2 hidden layers forward and back; output; cost and its mean; the update
    assert len(kernels) <= 2 + 2 + 1 + 2 + 1
