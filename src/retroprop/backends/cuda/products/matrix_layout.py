"""A matrix product of row-major arrays in cublasLt's terms, which are column-major.

A row-major matrix, read as column-major, is its transpose. So C = A B in row-major memory is Cᵀ = Bᵀ Aᵀ in column-major
terms, over the same memory and with nothing copied: our second operand is cublasLt's A, our first its B.
"""

from typing import NamedTuple

Shape = tuple[int, ...]


class Matrix(NamedTuple):
    """A matrix in memory, in column-major terms: its shape there, and the elements from one column to the next.

    The product takes its transpose if it is `transposed`.
    """

    rows: int
    columns: int
    leading: int
    transposed: bool = False


class Product(NamedTuple):
    """D (m, n) = op(A) (m, k) op(B) (k, n), column-major; D is our result, a our second operand, b our first."""

    m: int
    n: int
    k: int
    a: Matrix
    b: Matrix
    d: Matrix


def matrix_of(shape: Shape, strides: Shape) -> Matrix:
    """Return an array of two axes, its strides in elements, in column-major terms.

    As these describe the transpose of a row-major array, a new array is not `transposed` here, and a transposed view of
    one is. One whose rows and columns are not contiguous raises ValueError.
    """
    rows, columns = shape
    down, along = strides
    if (along == 1 or columns == 1) and (down >= columns or rows == 1):
        return Matrix(columns, rows, max(down if rows > 1 else columns, 1))
    if (down == 1 or rows == 1) and (along >= rows or columns == 1):
        return Matrix(rows, columns, max(along if columns > 1 else rows, 1), transposed=True)
    raise ValueError(f"a matrix of shape {shape} with strides {strides} is neither row-major nor column-major.")


def product_of(first: tuple[Shape, Shape], second: tuple[Shape, Shape], result: tuple[Shape, Shape]) -> Product:
    """Return our product `result = first @ second`, each given as (shape, strides in elements).

    Shapes that do not fit, and a layout that cublasLt cannot read, raise ValueError.
    """
    (n, k), (k_too, m) = first[0], second[0]
    if k != k_too or result[0] != (n, m):
        raise ValueError(f"no product of shapes {first[0]} and {second[0]} has the shape {result[0]}.")
    d = matrix_of(*result)
    if d.transposed:
        raise ValueError("the result of a product must be row-major.")
    return Product(m, n, k, matrix_of(*second), matrix_of(*first), d)
