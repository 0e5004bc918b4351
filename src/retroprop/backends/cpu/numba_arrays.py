"""Arrays from a table of addresses and sizes, in a function that Numba compiles."""

from functools import lru_cache
from typing import Any


@lru_cache(maxsize=32)
def reader(dtype: str, ndim: int) -> Any:
    """Return the function (table, place) that gives the array in C order whose address and sizes are in a table there.

    It takes a tenth of the time of `numba.carray` to compile. Numba is imported here.
    """
    from numba import types
    from numba.core import cgutils
    from numba.extending import intrinsic
    from numba.np.arrayobj import make_array, populate_array

    array_type = types.Array(getattr(types, {"bool": "boolean"}.get(dtype, dtype)), ndim, "C")

    @intrinsic  # type: ignore[untyped-decorator]
    def read(typing_context: Any, table: Any, place: Any) -> Any:
        def lower(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            numbers = make_array(signature.args[0])(context, builder, arguments[0]).data
            at = [builder.add(arguments[1], context.get_constant(types.intp, i)) for i in range(ndim + 1)]
            address, *shape = [builder.load(builder.gep(numbers, [i])) for i in at]
            array = make_array(array_type)(context, builder)
            itemsize = context.get_constant(types.intp, context.get_abi_sizeof(context.get_data_type(array_type.dtype)))
            strides = [itemsize]
            for size in shape[:0:-1]:
                strides.insert(0, builder.mul(strides[0], size))
            populate_array(
                array,
                data=builder.inttoptr(address, array.data.type),
                shape=cgutils.pack_array(builder, shape),
                strides=cgutils.pack_array(builder, strides),
                itemsize=itemsize,
                meminfo=None,
            )
            return array._getvalue()

        return array_type(table, place), lower

    return read


@lru_cache(maxsize=1)
def disjoint() -> Any:
    """Return the compiler of functions whose arrays do not overlap: their loops need no check of that to be vectorised.

    A loop over many arrays is not vectorised at all with the checks.
    """
    from numba.core.compiler import Compiler

    class DisjointArrays(Compiler):  # type: ignore[misc]
        def define_pipelines(self) -> Any:
            self.state.flags.noalias = True
            return super().define_pipelines()

    return DisjointArrays
