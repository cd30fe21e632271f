"""A score that is a Python callable: compiled code calls back, a block of particles at a time.

The callable is known by a number, a parameter of the kernel; so one kernel serves all of them,
and what is kept on disk holds no address.  Other threads draw noise and take steps meanwhile.
"""

import ctypes
import itertools
import threading
from collections.abc import Callable

import llvmlite.binding
import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

_SYMBOL = "fastrev_call_back"

_callables: dict[int, Callable[..., None]] = {}
_errors: dict[int, BaseException] = {}
_numbers = itertools.count(1)
_lock = threading.Lock()


def register(function: Callable[..., None]) -> int:
    """A number for `function(x (B, d), t, out (B, d))`, which fills out; until `release`.

    Its arrays are a tile turned on its side: a coordinate of all particles is contiguous.
    """
    with _lock:
        number = next(_numbers) % (1 << 24)  # a float32 holds it
        _callables[number] = function
    return number


def release(number: int) -> None:
    """Forget a callable."""
    _callables.pop(number, None)
    _errors.pop(number, None)


def error_of(number: int) -> BaseException | None:
    """What the callable raised, if it did; from then on it was not called."""
    return _errors.pop(number, None)


@ctypes.CFUNCTYPE(
    None,
    ctypes.c_int64,
    ctypes.c_void_p,
    ctypes.c_void_p,
    ctypes.c_int64,
    ctypes.c_int64,
    ctypes.c_int64,
    ctypes.c_double,
)
def _call_back(number, x, out, d, count, itemsize, t):
    """Nothing may be raised into compiled code: an error is kept, and what follows is 0."""
    try:
        if number in _callables and number not in _errors:
            given, wanted = (
                np.frombuffer(
                    (ctypes.c_char * (count * d * itemsize)).from_address(p), dtype=f"f{itemsize}"
                )
                .reshape(d, count)
                .T
                for p in (x, out)
            )
            _callables[number](given, t, wanted)
            return
    except BaseException as error:
        _errors[number] = error
    ctypes.memset(out, 0, count * d * itemsize)


llvmlite.binding.add_symbol(_SYMBOL, ctypes.cast(_call_back, ctypes.c_void_p).value)


@intrinsic
def _call(typingctx, number, x, out, t):
    """Call callable `number` on a tile x (d, B), to fill out (d, B)."""

    def codegen(context, builder, signature, args):
        whole, real, address = ir.IntType(64), ir.DoubleType(), ir.IntType(8).as_pointer()
        kind = ir.FunctionType(ir.VoidType(), [whole, address, address, whole, whole, whole, real])
        function = cgutils.get_or_insert_function(builder.module, kind, _SYMBOL)
        arrays = [context.make_array(signature.args[k])(context, builder, args[k]) for k in (1, 2)]
        pointers = [builder.bitcast(array.data, address) for array in arrays]
        shape = cgutils.unpack_tuple(builder, arrays[0].shape)
        builder.call(function, [args[0], *pointers, *shape, arrays[0].itemsize, args[3]])
        return context.get_dummy_value()

    return types.none(types.int64, x, out, types.float64), codegen


def batched_score(x, t, p, out, work):
    """Call with the tile as it lies; p.number says whom."""
    _call(np.int64(p.number), x, out, np.float64(t))
