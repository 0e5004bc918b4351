"""A small run with made-up figures, for everything that only reads results."""

import pytest
from made_up import row

from retroprop.bench.results import PeakMemory, Results, Roof, Skipped


@pytest.fixture
def results():
    small = {
        ("floor", "numpy"): (1e-6, 1e-6, 2e-6),
        ("forward", "numpy"): (1.5e-6, 1.5e-6, 1.5e-6),
        ("gradient", "numpy"): (2e-6, 2e-6, 2e-6),
        ("step", "numpy"): (2e-6, 3e-6, 4e-6),
        ("step", "torch:cpu"): (8e-6, 8e-6, 8e-6),
        ("peer", "hand-written NumPy"): (4e-6, 6e-6, 8e-6),
        ("peer", "JAX + optax"): (3e-6, 3e-6, 3e-6),
    }
    large = {
        ("floor", "numpy"): (0.1, 0.1, 0.1),
        ("step", "numpy"): (0.11, 0.11, 0.11),
        ("step", "torch:cpu"): (0.055, 0.055, 0.055),
        ("peer", "hand-written NumPy"): (0.22, 0.22, 0.22),
    }
    fit = {("fit", "numpy"): (0.2, 0.2, 0.2), ("peer", "scikit-learn"): (0.5, 0.5, 0.5)}
    skipped = [Skipped(kind="peer", name="Thinc", reason="computes in float32 only")]
    memory = [
        PeakMemory(backend="numpy", peak=5_000, transient=10),
        PeakMemory(backend="torch:cpu", reason="torch does not report it"),
    ]
    return Results(
        machine={
            "date": "2026-01-02",
            "system": "Linux x86_64",
            "cpu": "A Processor",
            "cores": 2,
            "blas": "openblas 0.3",
            "python": "3.11.0",
            "retroprop": "0.1.0",
            "commit": None,
            "packages": {"numpy": "2.1.0"},
            "environment": {"OMP_NUM_THREADS": "1"},
            "backends": ["numpy", "torch:cpu"],
            "gpus": {},
        },
        rows=[
            row([2, 2, 2], 4, small, skipped=skipped, memory=memory),
            row([784, 1024, 1024, 10], 1024, large),
            row([784, 100, 10], 200, fit, data_rows=8000, epochs=5),
        ],
        roofs=[
            Roof(backend="numpy", dtype="float32", flops=2e11, bandwidth=1e10),
            Roof(backend="torch:cpu", dtype="float32", flops=1e11, bandwidth=2e10),
        ],
        absent={"cupy": "needs cupy"},
    )
