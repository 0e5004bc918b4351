"""A matrix product of arrays that lie row by row, as cublasLt sees it: column by column.

Rows of a matrix, read as columns, are the transposed matrix. So C = A B, row by row, is Cᵀ = Bᵀ Aᵀ, column by column,
over the same memory and with nothing copied: our second operand is cublasLt's A, our first its B.
"""

from typing import NamedTuple

Shape = tuple[int, ...]


class Matrix(NamedTuple):
    """A matrix as it lies in memory, column by column.

    Attributes
    ----------
    rows, columns : int
        Of what lies there, before it is transposed.
    leading : int
        Numbers from one column to the next.
    transposed : bool
        Whether the product takes its transpose.
    """

    rows: int
    columns: int
    leading: int
    transposed: bool = False


class Product(NamedTuple):
    """D (m, n) = op(A) (m, k) op(B) (k, n), column by column; D is our result, transposed.

    Attributes
    ----------
    m, n, k : int
        m is our result's number of columns, n that of its rows.
    a, b, d : Matrix
        a is our second operand, b our first.
    """

    m: int
    n: int
    k: int
    a: Matrix
    b: Matrix
    d: Matrix


def matrix_of(shape: Shape, strides: Shape) -> Matrix:
    """Return an array of two axes, `strides` in numbers and not in bytes, as it lies column by column.

    The transpose of a row-by-row matrix is what lies column by column, so an array as it is made is not `transposed`
    here, and a transposed view of one is.

    Raises
    ------
    ValueError
        If neither its rows nor its columns lie in one piece.
    """
    rows, columns = shape
    down, along = strides
    if (along == 1 or columns == 1) and (down >= columns or rows == 1):
        return Matrix(columns, rows, max(down if rows > 1 else columns, 1))
    if (down == 1 or rows == 1) and (along >= rows or columns == 1):
        return Matrix(rows, columns, max(along if columns > 1 else rows, 1), transposed=True)
    raise ValueError(f"a matrix of shape {shape} with strides {strides} lies neither by rows nor by columns.")


def product_of(first: tuple[Shape, Shape], second: tuple[Shape, Shape], result: tuple[Shape, Shape]) -> Product:
    """Return our product `result = first @ second`, each given as (shape, strides in numbers).

    Raises
    ------
    ValueError
        If the shapes do not fit, or one does not lie in a way that cublasLt can read.
    """
    (n, k), (k_too, m) = first[0], second[0]
    if k != k_too or result[0] != (n, m):
        raise ValueError(f"no product of shapes {first[0]} and {second[0]} has the shape {result[0]}.")
    d = matrix_of(*result)
    if d.transposed:
        raise ValueError("the result of a product must lie row by row.")
    return Product(m, n, k, matrix_of(*second), matrix_of(*first), d)


def mask_leading(rows: int) -> int:
    """Return the leading dimension, in bits, of the mask that relu leaves: a multiple of 128."""
    return -(-rows // 128) * 128


def mask_bytes(rows: int, columns: int) -> int:
    """Return the bytes of relu's mask of a column-by-column matrix."""
    return mask_leading(rows) // 8 * columns
