"""The rules of the house, as a function of a module's source: what DESIGN forbids, found by reading the syntax."""

import ast

# A folder imports only folders before it.
ORDER = (
    "functions",
    "core",
    "user_cache",
    "backends",
    "inference",
    "network",
    "one_network",
    "persistence",
    "training",
    "estimators",
    "model_selection",
    "tabular",
    "interop",
    "explain",
    "scale",
    "bench",
    "cli",
)
ARRAY_LIBRARIES = ("numpy", "cupy", "cupyx", "torch", "jax", "array_api_strict", "array_api_compat")
# NumPy is the host: these read it and write it. The algorithm and the loop get arrays, wherever those live.
MAY_IMPORT_NUMPY = (
    "backends",
    "persistence",
    "estimators",
    "model_selection",
    "tabular",
    "interop",
    "explain",
    "scale",
    "bench",
    "cli",
)
# The floor, the peers and the exchange are other libraries' own code: imported where it is used, not before.
# An engine that connects devices speaks to their library.
MAY_IMPORT_LIBRARIES_LATE = ("bench", "interop", "scale")
MAY_NAME_BACKENDS = ("backends", "interop", "bench", "cli")
# What waits for a device, or cannot be captured: never where a step runs.
HOT = ("functions.activations", "functions.losses", "functions.outputs", "functions.special", "core.operations",
       "core.forward", "core.backward", "core.parameters", "training.step", "training.optimizers",
       "training.lbfgs")  # fmt: skip
WAITS = ("float", "bool", "int", "item", "tolist", "nonzero", "clip", "sign", "argwhere", "unique")
CREATES = ("zeros", "ones", "full", "empty", "eye", "arange", "linspace", "asarray")
# The check on the host creates host arrays, and initializers draw on the host.
ON_THE_HOST = ("core.gradient_check", "functions.initializers", "functions.custom")


def violations(module, source):
    """Return what `source`, the text of `retroprop.<module>`, does that its place forbids."""
    tree = ast.parse(source)
    folder = module.partition(".")[0]
    found, late = [], _inside_functions(tree)
    for node in ast.walk(tree):
        for imported in _imports(node):
            found += _import_faults(folder, imported, late=node in late)
        if folder not in MAY_NAME_BACKENDS:
            found += _name_faults(folder, node)
        if isinstance(node, ast.Call):
            found += _call_faults(module, folder, node)
    return found


def _imports(node):
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom) and node.module:
        if node.module == "retroprop":
            return [f"retroprop.{alias.name}" for alias in node.names]
        return [node.module]
    return []


def _inside_functions(tree):
    functions = (node for node in ast.walk(tree) if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)))
    return {inner for function in functions for inner in ast.walk(function)}


def _import_faults(folder, imported, *, late):
    root, _, rest = imported.partition(".")
    allowed = (
        folder == "backends"
        or (root == "numpy" and folder in MAY_IMPORT_NUMPY)
        or (late and folder in MAY_IMPORT_LIBRARIES_LATE)
    )
    if root in ARRAY_LIBRARIES and not allowed:
        return [f"imports {imported}"]
    target = rest.partition(".")[0]
    if root == "retroprop" and target in ORDER and ORDER.index(target) > ORDER.index(folder):
        return [f"imports {imported}, which is below it"]
    return []


def _name_faults(folder, node):
    if not isinstance(node, ast.Constant) or not isinstance(node.value, str):
        return []
    name = node.value.partition(":")[0]
    host = name == "numpy" and folder in MAY_IMPORT_NUMPY
    return [f"names the backend {node.value!r}"] if name in ARRAY_LIBRARIES and not host else []


def _call_faults(module, folder, call):
    name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    own = isinstance(call.func, ast.Attribute) and ast.unparse(call.func.value) in ("special", "operations")
    found = []
    # The limits of a dtype are numbers of the host: float(xp.finfo(...).eps) waits for nothing.
    if module in HOT and name in WAITS and not own and "finfo" not in ast.unparse(call):
        library = isinstance(call.func, ast.Attribute)
        if library or name in ("float", "bool", "int"):
            found.append(f"calls {ast.unparse(call)} where a step runs")
    if folder in ("core", "functions", "training") and module not in ON_THE_HOST and name in CREATES:
        library = isinstance(call.func, ast.Attribute) and ast.unparse(call.func.value).endswith("xp")
        if (
            library
            and "device" not in {keyword.arg for keyword in call.keywords}
            and "host.xp" not in ast.unparse(call)
        ):
            found.append(f"creates an array without device=: {ast.unparse(call)}")
    return found


def imported_modules(module, source, known):
    """Return the modules of the package, among `known`, that a module imports: anywhere in it, for types only too."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.partition(".")[0] == "retroprop":
            whole = node.module.removeprefix("retroprop").removeprefix(".")
            for alias in node.names:
                part = f"{whole}.{alias.name}".removeprefix(".")
                found.add(part if part in known else whole)
        elif isinstance(node, ast.Import):
            found |= {alias.name.removeprefix("retroprop.") for alias in node.names}
    return (found & set(known)) - {module}


def reached(graph, start):
    """Return all that is imported from `start` on, directly or not."""
    found, waiting = set(), [start]
    while waiting:
        for module in graph[waiting.pop()] - found:
            found.add(module)
            waiting.append(module)
    return found


def classes(source):
    """Return the names of the classes that a module defines at its top."""
    return [node.name for node in ast.parse(source).body if isinstance(node, ast.ClassDef)]
