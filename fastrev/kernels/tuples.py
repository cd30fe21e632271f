"""Particles as tuples of d numbers: read from a tile, mapped over, written back.

Every loop over coordinates is unrolled while compiling, so the loop over lanes
around it holds only scalars and vectorises.
"""

from collections.abc import Callable
from typing import Any

from numba import types
from numba.core.errors import TypingError
from numba.extending import intrinsic


def make_column(d: int) -> Any:
    """`column(x, l)`: the numbers x[0, l] .. x[d-1, l] of an array (>= d, B) as a tuple."""

    @intrinsic
    def column(typingctx, x, l):
        def codegen(context, builder, signature, args):
            entries = [builder.load(_entry(context, builder, signature, args, j)) for j in range(d)]
            return context.make_tuple(builder, signature.return_type, entries)

        return types.UniTuple(x.dtype, d)(x, types.intp), codegen

    return column


def make_put(d: int) -> Any:
    """`put(x, l, values)`: the reverse of `column`."""

    @intrinsic
    def put(typingctx, x, l, values):
        def codegen(context, builder, signature, args):
            for j in range(d):
                value = builder.extract_value(args[2], j)
                builder.store(value, _entry(context, builder, signature, args, j))
            return context.get_dummy_value()

        return types.void(x, types.intp, values), codegen

    return put


def _entry(context, builder, signature, args, j):
    """A pointer to x[j, l] of a C-contiguous array."""
    array = context.make_array(signature.args[0])(context, builder, args[0])
    length = builder.extract_value(array.shape, 1)
    place = builder.add(builder.mul(length.type(j), length), args[1])
    return builder.gep(array.data, [place])


def make_each(function: Any, d: int, what: str = "") -> Any:
    """`each((a, b, ...))`: the tuple of function(a_j, b_j, ...) for j < d.

    An argument that is a tuple gives its entry j, any other itself.  `what` is named in
    the error where a tuple has another length.
    """

    @intrinsic
    def each(typingctx, arguments):
        if what and not isinstance(arguments[0], types.BaseTuple):
            raise TypingError(f"{what} must return {d} numbers, got one")
        for typ in arguments:
            if isinstance(typ, types.BaseTuple) and len(typ) != d:
                raise TypingError(f"{what} must return {d} numbers, got {len(typ)}")
        results, signatures = [], []
        for j in range(d):
            entry = tuple(_type_of(typ, j) for typ in arguments)
            signature = typingctx.resolve_function_type(types.Dispatcher(function), entry, {})
            signatures.append(signature)
            results.append(signature.return_type)

        def codegen(context, builder, signature, args):
            given = [builder.extract_value(args[0], k) for k in range(len(arguments))]
            entries = []
            for j, wanted in enumerate(signatures):
                picked = [
                    builder.extract_value(value, j) if isinstance(typ, types.BaseTuple) else value
                    for value, typ in zip(given, arguments, strict=True)
                ]
                call = context.get_function(types.Dispatcher(function), wanted)
                entries.append(call(builder, tuple(picked)))
            return context.make_tuple(builder, signature.return_type, entries)

        return types.Tuple(results)(arguments), codegen

    return each


def _type_of(typ: Any, j: int) -> Any:
    return typ[j] if isinstance(typ, types.BaseTuple) else typ


def _fused_sum(builder: Any, pairs: list[tuple[Any, Any]]) -> Any:
    """a0 b0 + a1 b1 + ..., each product fused into the sum."""
    total = builder.fmul(*pairs[0])
    for a, b in pairs[1:]:
        total = builder.fma(a, b, total)
    return total


def make_products(d: int, m: int, transposed: bool) -> Any:
    """`products(rows, u)`: G u for G as d rows of m numbers, or G^T u."""
    across, along = (m, d) if transposed else (d, m)

    @intrinsic
    def products(typingctx, rows, u):
        def codegen(context, builder, signature, args):
            def entry(j, k):
                return builder.extract_value(builder.extract_value(args[0], j), k)

            weights = [builder.extract_value(args[1], k) for k in range(along)]
            entries = [
                _fused_sum(
                    builder,
                    [
                        (entry(k, i) if transposed else entry(i, k), w)
                        for k, w in enumerate(weights)
                    ],
                )
                for i in range(across)
            ]
            return context.make_tuple(builder, signature.return_type, entries)

        return types.UniTuple(u[0], across)(rows, u), codegen

    return products


def make_only(j: int, d: int) -> Any:
    """`only(value)`: d numbers, zero but for the entry j."""

    @intrinsic
    def only(typingctx, value):
        def codegen(context, builder, signature, args):
            zero = context.get_constant_null(value)
            entries = [args[0] if k == j else zero for k in range(d)]
            return context.make_tuple(builder, signature.return_type, entries)

        return types.UniTuple(value, d)(value), codegen

    return only


def make_replaced(j: int) -> Callable[..., Any]:
    """`replaced(values, value)`: a tuple with its entry j replaced."""

    @intrinsic
    def replaced(typingctx, values, value):
        def codegen(context, builder, signature, args):
            return builder.insert_value(args[0], args[1], j)

        return values(values, value), codegen

    return replaced
