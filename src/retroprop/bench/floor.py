"""The floor under a step: its matrix products and nothing else, into preallocated buffers.

No step is faster than its products, unless it computes something else. Every product here has factors and a result of
its own, in the layouts of a step: a Θᵀ, δᵀ a, δ Θ, with Θ and its gradient stored (to, from), or on a processor in
Fortran order where a step stores them so (`theta_fortran`).
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from retroprop.backends import Backend
from retroprop.backends.cpu.numpy_calls import theta_fortran
from retroprop.bench.contestant import Contestant, on_backend
from retroprop.bench.workloads import MatrixProduct, Workload
from retroprop.functions.types import Array, Namespace


class _Stored(NamedTuple):
    """The factors of a product in the layout a step stores them in."""

    kind: str
    left: Array
    right: Array

    def factors(self, xp: Namespace) -> tuple[Array, Array]:
        """Return the factors in the orientation in which they are multiplied."""
        if self.kind == "forward":
            return self.left, xp.matrix_transpose(self.right)
        if self.kind == "gradient":
            return xp.matrix_transpose(self.left), self.right
        return self.left, self.right


def floor(backend: Backend, workload: Workload, dtype: str) -> Contestant:
    """Return the matrix products of one step of a workload on a backend."""
    return on_backend(backend, "floor", multiply(backend, workload.products, dtype))


def multiply(backend: Backend, products: Sequence[MatrixProduct], dtype: str) -> Callable[[], Any]:
    """Return a function that computes the products in the fastest plain way of the library."""
    rng = np.random.default_rng(0)

    def drawn(*shape: int) -> Array:
        return backend.asarray(rng.standard_normal(shape), dtype)

    def stored(product: MatrixProduct) -> _Stored:
        m, k, n = product.m, product.k, product.n
        left = drawn(k, m) if product.kind == "gradient" else drawn(m, k)
        return _Stored(product.kind, left, drawn(n, k) if product.kind == "forward" else drawn(k, n))

    with backend.active():
        return _WAYS.get(backend.name, _plain)(backend, [stored(product) for product in products])


def _into_buffers(
    multiply: Callable[..., Any],
    backend: Backend,
    products: list[_Stored],
    by_columns: Callable[[tuple[int, ...]], bool] = lambda shape: False,
) -> Callable[[], Any]:
    xp, calls = backend.xp, []

    def turned(theta: Array) -> Array:
        """Return Θ in the order a step stores it in."""
        if not by_columns(tuple(theta.shape)):
            return theta
        columns = xp.matrix_transpose(xp.empty(tuple(theta.shape)[::-1], dtype=theta.dtype, device=backend.device))
        columns[...] = theta
        return columns

    for product in products:
        if product.kind != "gradient":
            product = product._replace(right=turned(product.right))
        a, b = product.factors(xp)
        if product.kind == "gradient" and by_columns((a.shape[0], b.shape[1])):  # (A B)ᵀ = Bᵀ Aᵀ
            a, b = xp.matrix_transpose(b), xp.matrix_transpose(a)
        calls.append((a, b, xp.empty((a.shape[0], b.shape[1]), dtype=a.dtype, device=backend.device)))

    def run() -> None:
        for a, b, out in calls:
            multiply(a, b, out=out)

    return run


def _numpy(backend: Backend, products: list[_Stored]) -> Callable[[], Any]:
    # For two matrices np.dot is np.matmul with half the overhead of a call.
    return _into_buffers(np.dot, backend, products, theta_fortran)


def _cupy(backend: Backend, products: list[_Stored]) -> Callable[[], Any]:
    import cupy

    return _into_buffers(cupy.matmul, backend, products)


def _torch(backend: Backend, products: list[_Stored]) -> Callable[[], Any]:
    import torch

    on_cpu = backend.device.type == "cpu"
    return _into_buffers(torch.mm, backend, products, *([theta_fortran] if on_cpu else []))


def _jax(backend: Backend, products: list[_Stored]) -> Callable[[], Any]:
    import jax

    kinds = [product.kind for product in products]

    # JAX has no out=, and a transpose outside the compiled function is a copy. Every result is returned: the compiler
    # removes a product that nothing reads.
    def multiplied(stored: list[tuple[Array, Array]]) -> list[Array]:
        found = []
        for kind, (left, right) in zip(kinds, stored, strict=True):
            a, b = _Stored(kind, left, right).factors(backend.xp)
            found.append(a @ b)
        return found

    compiled, stored = jax.jit(multiplied), [(product.left, product.right) for product in products]
    return lambda: compiled(stored)


def _plain(backend: Backend, products: list[_Stored]) -> Callable[[], Any]:
    factors = [product.factors(backend.xp) for product in products]
    return lambda: [backend.xp.matmul(a, b) for a, b in factors]


_WAYS = {"numpy": _numpy, "cupy": _cupy, "torch": _torch, "jax": _jax}
