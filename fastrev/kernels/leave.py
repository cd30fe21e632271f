"""What leaves a tile as it runs: frames, and numbers for observables."""

import math
from typing import Any

import numpy as np

from fastrev.kernels.half import LEAST_INFINITE, half_bits, half_bits_of_double
from fastrev.kernels.intrinsics import stay_apart
from fastrev.kernels.jit import inner_loop
from fastrev.kernels.recipe import Observer, Recipe
from fastrev.kernels.specialise import Specialiser
from fastrev.kernels.view import view


def make_leave(recipe: Recipe, build: Specialiser) -> Any:
    """`leave(k, frames, frame_rows, rows, j0, x, tau, numbers, observed_rows, observed_tables,
    work)`: the frame and the observations that are due at time k, if any.

    rows are the first row of the tile's particles, those that are kept, the place of its first
    particle, and whether all are kept.
    """
    keep = _make_keep(recipe, build)
    observe = _make_observe(recipe.observers, recipe, build)

    @build.own_borrower
    def leave(
        k,
        frames,
        frame_rows,
        rows,
        j0,
        x,
        tau,
        numbers,
        observed_rows,
        observed_tables,
        work,
    ):
        stay_apart()
        observe(numbers, observed_rows, observed_tables, k, x, tau, work)
        if frame_rows[k] >= 0:  # last: its stores go to memory while the next noise is made
            keep(frames, frame_rows[k], rows, j0, x)

    return leave


def _make_observe(observers: tuple[Observer, ...], recipe: Recipe, build: Specialiser) -> Any:
    """`observe(numbers, rows, tables, k, x, tau, work)`: each observer that is due at time k."""
    if not observers:

        @build.own_borrower
        def nothing(numbers, rows, tables, k, x, tau, work):
            return

        return nothing
    first, others = observers[0], _make_observe(observers[1:], recipe, build)
    add = first.add if first.make is None else first.make(first, recipe, build)

    def observe(numbers, rows, tables, k, x, tau, work):
        row = rows[0][k]
        if row >= 0:
            add(numbers[0][row], x, tau, tables[0], row, work)
        others(numbers[1:], rows[1:], tables[1:], k, x, tau, work)

    observe.__qualname__ += str(len(observers))  # two functions of one kernel, two names
    return build.own_borrower(observe)


def _make_keep(recipe: Recipe, build: Specialiser) -> Any:
    """`keep(frames, f, rows, j0, x)`: a tile as rows of frame f."""
    real, half = np.dtype(recipe.storage).type, recipe.storage == "float16"

    @build.own_scalar
    def as_real(x):
        return real(x)

    to_half = half_bits if recipe.dtype == "float32" else half_bits_of_double
    convert = to_half if half else as_real

    @build.own_borrower
    def keep(frames, f, rows, j0, x):
        a, lanes, done, everything = rows
        if everything and frames.shape[2] == 1:  # side by side: vector code
            row = view(frames, f * frames.shape[1] + a, (x.shape[1],))
            for l in range(x.shape[1]):
                row[l] = convert(x[0, l])
            return
        for j in range(x.shape[0]):
            if everything:
                for l in range(x.shape[1]):
                    frames[f, a + l, j0 + j] = convert(x[j, l])
            else:
                for q in range(len(lanes)):
                    frames[f, a + q, j0 + j] = convert(x[j, lanes[q] - done])

    return keep


@inner_loop
def keep_passages(passages, rows, tau):
    """Times of absorption of the particles that are kept."""
    a, lanes, done, everything = rows
    if everything:
        for l in range(len(tau)):
            passages[a + l] = tau[l]
    else:
        for q in range(len(lanes)):
            passages[a + q] = tau[lanes[q] - done]


@inner_loop
def _not_below(x, least):
    """How many entries are NaN or of magnitude `least` or more, and a lane that has one, or -1."""
    least, lost = x.dtype.type(least), np.int32(0)
    for j in range(x.shape[0]):
        for l in range(x.shape[1]):
            lost = np.int32(lost + np.int32(0 if abs(x[j, l]) < least else 1))
    if lost > 0:  # apart: a count alone is vector code, twelve times as fast
        for j in range(x.shape[0]):
            for l in range(x.shape[1]):
                if not abs(x[j, l]) < least:
                    return lost, l
    return lost, -1


@inner_loop
def not_finite(x):
    """How many entries are infinite or NaN, and a lane that has one, -1 for none."""
    return _not_below(x, math.inf)


@inner_loop
def not_held(x):
    """The same for a float16, which is infinite sooner."""
    return _not_below(x, LEAST_INFINITE)


def lost_by(storage: str) -> Any:
    """`lost_of(x)`: what frames of this dtype do not hold as a finite number."""
    return not_held if storage == "float16" else not_finite


@inner_loop
def count_marked(marks):
    """How many particles are marked: by more than 1/2."""
    count = 0
    for l in range(len(marks)):
        count += marks[l] > 0.5
    return count
