"""Several steps of linear processes at once, for vectors of particles."""

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from fastrev.kernels.lanes import Lanes
from fastrev.kernels.rows import lanes_of, length_of, load, rows_of, store

STRIDE = 4
"""Steps for which particles are loaded once (measured, Zen 3: a run takes 2 % less than by two in
LLVM's own loop, which by four has too few vectors side by side)."""
_VECTORS = 4
"""Vectors side by side: each step of one waits for the one before it."""


def _make_stride(has_offsets: bool) -> Any:
    """`stride`, of steps with offsets or without."""

    @intrinsic
    def stride(typingctx, x, w, z, s, slopes, offsets, spreads, i, j):
        def codegen(context, builder, signature, args):
            kinds, zero = signature.args, ir.Constant(args[1].type, 0)
            steps = [ir.Constant(zero.type, k) for k in range(STRIDE)]
            lanes = lanes_of(kinds[0].dtype.bitwidth)

            def numbers(which: int, *column: Any) -> list[Lanes]:
                places = [[builder.add(args[7], k), *column] for k in steps]
                rows = rows_of(context, builder, kinds[which], args[which], places)
                return [Lanes(builder, builder.load(row)).over(lanes) for row in rows]

            slope, spread = numbers(4, args[8]), numbers(6)
            offset = numbers(5, args[8]) if has_offsets else []
            (row,) = rows_of(context, builder, kinds[0], args[0], [[args[1], zero]])
            places = [[builder.add(args[3], k), args[1], zero] for k in steps]
            noise = rows_of(context, builder, kinds[2], args[2], places)
            size = length_of(context, builder, kinds[0], args[0])
            kind = ir.VectorType(row.type.pointee, lanes)

            def turn(index: list[Any]) -> None:
                state = [load(builder, row, v, kind) for v in index]
                for k in range(STRIDE):
                    state = [one.fma(slope[k], one) for one in state]
                    state = [
                        load(builder, noise[k], v, kind).fma(spread[k], one)
                        for v, one in zip(index, state, strict=True)
                    ]
                    state = [one + offset[k] for one in state] if has_offsets else state
                for v, one in zip(index, state, strict=True):
                    store(one, row, v)

            vectors = builder.udiv(size, ir.Constant(zero.type, lanes))
            many = ir.Constant(zero.type, _VECTORS)
            first = builder.sub(vectors, builder.urem(vectors, many))
            with cgutils.for_range_slice(builder, zero, first, many) as (index, _):
                turn([builder.add(index, ir.Constant(zero.type, v)) for v in range(_VECTORS)])
            with cgutils.for_range(builder, vectors, first) as loop:
                turn([loop.index])
            return builder.mul(vectors, ir.Constant(zero.type, lanes))

        given = x, types.intp, z, types.intp, slopes, offsets, spreads, types.intp, types.intp
        return types.intp(*given), codegen

    return stride


stride = _make_stride(has_offsets=False)
"""`stride(x, w, z, s, slopes, offsets, spreads, i, j)`: from step i on `STRIDE` steps

    x + slope x + spread z

of coordinate w, in place, to the same bits as one by one, with the noise of rows s on and the
numbers of column j.  It returns how many particles took them: the first ones, whole vectors.
"""
stride_with_offsets = _make_stride(has_offsets=True)
"""The same with steps x + slope x + offset + spread z."""
