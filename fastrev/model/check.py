"""Checks of user input: one clear error that names the field, what came, what is allowed."""

import math
import types
from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


class InputError(ValueError):
    """A value the user gave cannot be used; the message names the field."""


def number(field: str, value: Any) -> float:
    """A finite real number.  Raises InputError."""
    try:
        if isinstance(value, str | bytes | bool):
            raise TypeError
        result = float(value)
    except (TypeError, ValueError, OverflowError):
        raise InputError(f"{field} must be a finite number, got {value!r}") from None
    if not math.isfinite(result):
        raise InputError(f"{field} must be a finite number, got {value!r}")
    return result


def positive(field: str, value: Any) -> float:
    """A finite number > 0.  Raises InputError."""
    result = number(field, value)
    if result <= 0.0:
        raise InputError(f"{field} must be positive, got {value!r}")
    return result


def non_negative(field: str, value: Any) -> float:
    """A finite number >= 0.  Raises InputError."""
    result = number(field, value)
    if result < 0.0:
        raise InputError(f"{field} must not be negative, got {value!r}")
    return result


def finite_array(field: str, value: Any, ndim: Iterable[int]) -> Array:
    """A read-only float64 copy with one of the allowed dimensions and no NaN or infinity.

    What a mask hides counts as NaN.  Raises InputError.
    """
    allowed = tuple(ndim)
    try:
        given = np.asanyarray(value)
        if given.dtype.kind == "c":
            raise TypeError
        array = np.array(given, dtype=np.float64)
    except (TypeError, ValueError, RuntimeError):  # the last by torch, of tensors with gradients
        raise InputError(f"{field} must be an array of numbers, got {value!r}") from None
    if isinstance(given, np.ma.MaskedArray):
        array[np.ma.getmaskarray(given)] = np.nan
    if array.ndim not in allowed or array.size == 0:
        dims = " or ".join(f"{n}-D" for n in allowed)
        raise InputError(f"{field} must be a non-empty {dims} array, got shape {array.shape}")
    bad = ~np.isfinite(array)
    if bad.any():
        where = np.argwhere(bad)[0]
        index = f" at index {tuple(int(i) for i in where)}" if array.ndim else ""
        raise InputError(f"{field} must be finite, got {array[tuple(where)]}{index}")
    array.setflags(write=False)
    return array


def positive_array(field: str, value: Any, ndim: Iterable[int]) -> Array:
    """A finite array with every entry > 0.  Raises InputError."""
    array = finite_array(field, value, ndim)
    if np.any(array <= 0.0):
        raise InputError(f"{field} must be positive, got {float(array.min())!r}")
    return array


def even_axis(field: str, value: Any) -> Array:
    """Even points, four or more; where they were rounded to float32, as they were before.

    Raises InputError.
    """
    axis = finite_array(field, value, ndim=(1,))
    even = np.linspace(axis[0], axis[-1], len(axis))
    step = (axis[-1] - axis[0]) / max(len(axis) - 1, 1)
    off = float(np.abs(axis - even).max())
    rounding = min(float(np.spacing(np.float32(np.abs(axis).max()))), 1e-2 * step)
    if len(axis) < 4 or step <= 0.0 or off > max(1e-6 * step, rounding):
        raise InputError(f"{field} must be evenly spaced, increasing, 4 or more points")
    even.setflags(write=False)
    return axis if off <= 1e-6 * step else even


def covariance(field: str, value: Any, ndim: int) -> Array:
    """A symmetric positive definite matrix (ndim 2), or several (ndim 3).  Raises InputError."""
    array = finite_array(field, value, ndim=(ndim,))
    if array.shape[-1] != array.shape[-2]:
        raise InputError(f"{field} must be square, got shape {array.shape}")
    transposed = array.swapaxes(-1, -2)
    if not np.allclose(array, transposed, rtol=1e-10, atol=1e-14 * float(np.abs(array).max())):
        raise InputError(f"{field} must be symmetric, got {array.tolist()}")
    least = float(np.linalg.eigvalsh(array).min())
    if least <= 0.0:
        raise InputError(f"{field} must be positive definite, got an eigenvalue {least:g}")
    return np.asarray(0.5 * (array + transposed))


def function(field: str, value: Any, arguments: str = "x, t, p") -> types.FunctionType:
    """A plain Python function of these arguments, taken out of a jitted one.

    Raises InputError.
    """
    plain = getattr(value, "py_func", value)
    if not isinstance(plain, types.FunctionType):
        raise InputError(f"{field} must be a Python function ({arguments}), got {value!r}")
    count, names = plain.__code__.co_argcount, arguments.split(", ")
    needed = count - len(plain.__defaults__ or ())
    if not needed <= len(names) <= count:
        took = ", ".join(plain.__code__.co_varnames[:count])
        raise InputError(f"{field} must be a function ({arguments}), got one of ({took})")
    return plain


def nearest(word: str, known: Iterable[str]) -> str:
    """A hint naming the known word closest to `word`, and all of them if none is close."""
    words = sorted(known)
    close = get_close_matches(word, words, n=1, cutoff=0.5)
    return f"did you mean {close[0]!r}?" if close else f"allowed: {', '.join(words)}"


def one_of(field: str, value: Any, known: Iterable[str]) -> None:
    """One of some words.  Raises InputError."""
    words = tuple(known)
    if value not in words:
        raise InputError(f"{field} {value!r} is not known: {nearest(str(value), words)}")


def dimension(field: str, value: Any) -> None:
    """None, or a whole number from 1 on.  Raises InputError."""
    whole = isinstance(value, int | np.integer) and not isinstance(value, bool)
    if value is not None and (not whole or value < 1):
        raise InputError(f"{field} must be None or a whole number of at least 1, got {value!r}")
