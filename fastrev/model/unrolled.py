"""Functions of d coordinates written out, term by term.

A loop over coordinates inside a kernel would keep the loop over particles from
vectorising; the text below is what a user would write by hand for that d.
"""

from collections.abc import Callable
from functools import cache
from typing import Any

from fastrev.model.check import InputError

LARGEST = 32
"""Coordinates of the largest function written out."""


def _written(body: str) -> Callable[..., Any]:
    scope: dict[str, Any] = {}
    exec(f"def written(x, t, p):\n    return ({body},)", scope)
    return scope["written"]  # type: ignore[no-any-return]


@cache
def matrix_drift(d: int) -> Callable[..., Any]:
    """`(x, t, p)`: p.slope x + p.offset, d numbers.  Raises InputError."""
    if d > LARGEST:
        raise InputError(f"a matrix acts on at most {LARGEST} coordinates, got {d}")
    rows = (
        " + ".join([f"p.offset[{j}]", *(f"p.slope[{j}, {k}] * x[{k}]" for k in range(d))])
        for j in range(d)
    )
    return _written(", ".join(rows))


@cache
def matrix_rows(d: int, m: int) -> Callable[..., Any]:
    """`(x, t, p)`: the array p.g as d rows of m numbers."""
    rows = (f"({', '.join(f'p.g[{j}, {k}]' for k in range(m))},)" for j in range(d))
    return _written(", ".join(rows))
