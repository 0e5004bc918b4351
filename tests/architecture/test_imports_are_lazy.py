"""`import retroprop` costs a user hardly more than `import numpy`."""

import subprocess
import sys


def loaded(code):
    script = f"import sys\n{code}\nprint(*sorted(sys.modules))"
    return set(
        subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True).stdout.split()
    )


def test_nothing_is_loaded_before_it_is_asked_for():
    extra = loaded("import retroprop") - loaded("import numpy")
    roots = {name.partition(".")[0] for name in extra}
    heavy = {"cupy", "torch", "jax", "jaxlib", "sklearn", "scipy", "matplotlib", "numba", "array_api_compat", "rich"}
    assert not roots & (heavy | {"array_api_strict", "typer", "polars", "safetensors", "onnx", "pandas", "sympy"})
    third_party = roots - set(sys.stdlib_module_names) - {"retroprop", "numpy"}
    assert {name for name in third_party if not name.startswith(("_", "sitecustomize"))} == set()
    foreign = [name for name in extra if not name.startswith("retroprop")]
    assert len(foreign) < 40, f"the standard library's modules beyond NumPy's own: {sorted(foreign)}"


def test_a_network_on_numpy_loads_no_other_library():
    code = (
        "import retroprop as rp\n"
        "net = rp.Network([2, 3, 1], seed=0)\n"
        "rp.fit(net, [[0, 1], [1, 0]], [0, 1], epochs=2)\n"
        "rp.check_gradient(net, [[0, 1]], [1])"
    )
    roots = {name.partition(".")[0] for name in loaded(code)}
    assert not roots & {"cupy", "torch", "jax", "sklearn", "scipy", "matplotlib", "array_api_compat", "rich"}
