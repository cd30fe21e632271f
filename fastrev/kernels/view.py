"""Part of a contiguous array in another shape."""

from numba import types
from numba.core import cgutils
from numba.core.imputils import impl_ret_borrowed
from numba.extending import intrinsic
from numba.np.arrayobj import populate_array


@intrinsic
def view(typingctx, space, first, shape):
    """The elements of a contiguous array from `first` on, as an array of this shape.

    As `space[first:first + size].reshape(shape)`, which takes ten times as long to compile; but it
    does not keep the memory alive, which must outlive it: nobody counts references to it in the
    loop over steps (measured: 1 % of a run).
    """
    kind = space.copy(ndim=len(shape))

    def codegen(context, builder, signature, args):
        whole = context.make_array(space)(context, builder, args[0])
        part = context.make_array(kind)(context, builder)
        lengths = cgutils.unpack_tuple(builder, args[2])
        itemsize = context.get_constant(
            types.intp, context.get_abi_sizeof(context.get_data_type(space.dtype))
        )
        strides = [itemsize]
        for length in reversed(lengths[1:]):
            strides.insert(0, builder.mul(strides[0], length))
        populate_array(
            part,
            data=builder.gep(whole.data, [args[1]]),
            shape=lengths,
            strides=strides,
            itemsize=itemsize,
            meminfo=None,
        )
        return impl_ret_borrowed(context, builder, kind, part._getvalue())

    return kind(space, types.intp, types.UniTuple(types.intp, len(shape))), codegen
