"""The `p` of a kernel, assembled inside the loop over steps.

A kernel's parameters arrive as a flat tuple: constants first, then schedules
with a leading axis of steps.  `make_params` gives the function that picks one
step's (and one coordinate's) values and names them.
"""

import functools
from collections import namedtuple
from collections.abc import Callable
from typing import Any

from numba import types
from numba.extending import intrinsic

from fastrev.kernels.jit import inlined
from fastrev.kernels.view import view


@inlined
def _entry(values, i, j):
    return values[i]


@inlined
def _row(values, i, j):
    """values[i], to which nobody counts references: so a step may be a `jit.borrower`."""
    return view(values, i * (values.strides[0] // values.itemsize), values.shape[1:])


@inlined
def _entry_of_coordinate(values, i, j):
    return values[i, j]


@inlined
def _constant(value, i, j):
    return value


@inlined
def _none(values, i, j):
    return ()


@functools.lru_cache(256)
def make_params(names: tuple[str, ...], scheduled: tuple[bool, ...], per_coordinate: bool) -> Any:
    """`params(values, i, j)`: a named tuple of the values at step i for coordinate j.

    names           the fields of p, in the order of the tuple `values`
    scheduled       which of them have a leading axis of steps
    per_coordinate  whether a schedule's second axis is the coordinate
    """
    if not names:
        return _none
    fields = namedtuple("Params", names)  # type: ignore[misc]

    def pick(position: int, typ: Any) -> Callable[..., Any]:
        if not scheduled[position]:
            return _constant
        if per_coordinate and typ.ndim == 2:
            return _entry_of_coordinate
        return _row if typ.ndim > 1 and typ.layout == "C" else _entry

    @intrinsic
    def params(typingctx, values, i, j):
        pickers = [pick(k, t) for k, t in enumerate(values)]
        entry_types = []
        for picker, typ in zip(pickers, values, strict=True):
            signature = typingctx.resolve_function_type(types.Dispatcher(picker), (typ, i, j), {})
            entry_types.append(signature.return_type)
        result = types.NamedTuple(tuple(entry_types), fields)

        def codegen(context, builder, signature, args):
            tuple_value, i_value, j_value = args
            entries = []
            for k, (picker, typ) in enumerate(zip(pickers, values, strict=True)):
                value = builder.extract_value(tuple_value, k)
                entry_signature = entry_types[k](typ, i, j)
                call = context.get_function(types.Dispatcher(picker), entry_signature)
                entry = call(builder, (value, i_value, j_value))
                entries.append(entry)
            return context.make_tuple(builder, result, entries)

        return result(values, i, j), codegen

    params.fastrev_shared = True  # see `specialise`
    return params
