"""A kernel's values at many points: functions of whole tiles compiled, others in plain NumPy."""

import uuid
from collections import namedtuple
from functools import lru_cache
from typing import Any

import numpy as np

from fastrev.model.check import Array
from fastrev.model.evaluate import evaluated
from fastrev.model.kernel import Kernel


def values(kernel: Kernel, x: Array, t: float) -> Array:
    """Values at x (N, d) and time t: (N, d), (N,) of one number for all, or (N, d, m)."""
    if kernel.shape != "tile":
        return evaluated(kernel, x, t)
    out = np.zeros((x.shape[1], len(x)))
    if kernel.callback is not None:
        kernel.callback(np.asfortranarray(x), t, out.T)
        return out.T
    given = kernel.constants() | {k: v[0] for k, v in kernel.scheduled(np.array([t])).items()}
    numbers = [float(v) if np.ndim(v) == 0 else np.array(v, order="C") for v in given.values()]
    p = _fields(tuple(given))(*numbers) if given else ()
    scratch = (np.zeros((5, len(x))),) if kernel.function.__code__.co_argcount == 5 else ()
    _compiled(kernel.function)(np.ascontiguousarray(x.T), t, p, out, *scratch)
    return out.T


@lru_cache
def _fields(names: tuple[str, ...]) -> Any:
    """One type for the same names: another would be compiled anew."""
    return namedtuple("Params", names)  # type: ignore[misc]


@lru_cache
def _compiled(function: Any) -> Any:
    from fastrev.kernels.specialise import Specialiser

    return Specialiser(np.float64, f"values_{uuid.uuid4().hex}").loop(function)
