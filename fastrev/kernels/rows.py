"""Vectors of rows of arrays, for code generators."""

from typing import Any

from llvmlite import ir
from numba.core import cgutils

from fastrev.kernels.lanes import Lanes
from fastrev.kernels.processor import wide_registers

_BYTES = {"float": 4, "double": 8, "i32": 4, "i64": 8}


def lanes_of(bits: int) -> int:
    """Numbers of so many bits in a vector."""
    return (512 if wide_registers() else 256) // bits


def rows_of(context: Any, builder: Any, kind: Any, value: Any, places: Any) -> list[Any]:
    """Addresses in an array, by their indices."""
    array = context.make_array(kind)(context, builder, value)
    return [cgutils.get_item_pointer(context, builder, kind, array, place) for place in places]


def length_of(context: Any, builder: Any, kind: Any, value: Any) -> Any:
    """Of an array's rows."""
    array = context.make_array(kind)(context, builder, value)
    return cgutils.unpack_tuple(builder, array.shape)[-1]


def load(builder: Any, row: Any, index: Any, kind: Any) -> Lanes:
    """The vector of a row with this index."""
    value = builder.load(_place(builder, row, index, kind))
    value.align = _BYTES[str(kind.element)]
    return Lanes(builder, value)


def store(vector: Lanes, row: Any, index: Any) -> None:
    """Make it the vector of a row with this index."""
    builder, kind = vector.builder, vector.value.type
    place = _place(builder, row, index, kind)
    builder.store(vector.value, place).align = _BYTES[str(kind.element)]


def load_each(builder: Any, rows: list[Any], index: Any, kind: Any) -> list[Lanes]:
    """The vectors of rows with this index."""
    return [load(builder, row, index, kind) for row in rows]


def store_each(vectors: list[Lanes], rows: list[Any], index: Any) -> None:
    """Make them the vectors of as many rows, at most, with this index."""
    for row, one in zip(rows, vectors, strict=False):
        store(one, row, index)


def _place(builder: Any, row: Any, index: Any, kind: Any) -> Any:
    start = builder.mul(index, ir.Constant(index.type, kind.count))
    return builder.bitcast(builder.gep(row, [start]), kind.as_pointer())
