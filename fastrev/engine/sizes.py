"""How many particles a shard, a piece of it for a thread, and a tile have."""

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from fastrev.engine.specification import Specification

_FOR_THREADS = 64 * 1456
"""Coordinates of a shard at least: 64 tiles, and an end that counts little."""


def default_shard_size(steps: int, dim: int, frames: int, itemsize: int) -> int:
    """Particles per shard: about a second of work, but enough for many threads, and at most 16 MiB
    of frames, of which two shards' are held at a time: the system has to find and clear that
    memory (measured: 4 10^6 particles x 1000 steps, 11 frames, 1.10 of the time without; with
    24 MiB 1.12, with 48 MiB 1.27).  Without frames at most 2^24 coordinates, so that a run that
    stops by itself can.
    """
    by_work = max(2**31 // steps, _FOR_THREADS) // dim
    by_memory = 2**24 // (frames * itemsize or 1) // dim
    size = min(max(1024, by_work), by_memory)
    return max(1, size // 1024 * 1024 if size >= 1024 else size)


_LEAST_PIECE, _PIECE, _LONG_PIECE = 1 << 19, 1 << 21, 1 << 23
"""Particle-steps that a thread does at a time, at least: a millisecond, so that the threads' speeds
even out and Ctrl-C does not wait; of a small shard a quarter, so that there are more pieces; of a
large one four, for each brings numbers of observables (measured: 50 us, 1 % of a run), but not
where a score may take a microsecond a step."""

_PIECES, _MANY_PIECES = 16, 128
"""Pieces of a shard, at least, where they are not the least; where they are long."""

_NUMBERS = 1 << 23
"""Bytes that the observables of a shard's pieces may take before they are joined."""


def piece_size(spec: "Specification", count: int, light: bool) -> int:
    """Particles of a piece, at least, of a shard of so many; light: no particle takes long."""
    per_particle = spec.grid.steps * spec.dim
    particle_steps = count * per_particle
    least = max(_LEAST_PIECE, min(_PIECE, particle_steps // _PIECES))
    if light:
        least = max(least, min(_LONG_PIECE, particle_steps // _MANY_PIECES))
    return max(least // per_particle, count * spec.numbers_nbytes // _NUMBERS)


_TILE = 960
"""Particles per tile in float32, with its noise of eight steps some 46 kB; half as many in float64
(measured, Emerald Rapids with 48 kB of first cache: 1 % faster than 1472; Zen 3 with 32 kB: all
from 256 to 960 within 1 %, in float64 480 faster than 960 by 1 to 2 %).

A whole number of the 64 particles, 32 in float64, that the loop of a step takes at a time; rows of
a power of two would fall on the same few sets of the cache (measured: 1024 is 13 % slower).
"""

_WIDER = 3
"""Times as many where every step of a tile has more to begin with: a table of its own to read
(measured: 8 % faster), observables to join (at every step 3 %, at one of a hundred 2 % slower)."""

_OFTEN = 5
"""Steps for each of which observables are joined once, where that is often."""

_LEAST_TILE = 256
"""Where a shard has few particles and each takes long, so that there are tiles for all threads
(measured: 5 % slower)."""


def tile_size(spec: "Specification", coupled: bool, tables: bool) -> int:
    """Particles per tile, whole vectors; about 4096 numbers where it holds all coordinates.

    tables   whether a step has a table of its own
    """
    most = _TILE * 4 // np.dtype(spec.dtype).itemsize
    most = max(64, min(most, 4096 // spec.dim // 16 * 16)) if coupled else most
    often = any(_OFTEN * len(o.steps) > spec.grid.steps for o in spec.observed.values())
    most = most * _WIDER if tables or often else most
    few = max(spec.shard_size // (4 * _PIECES), _LEAST_PIECE // (spec.grid.steps * spec.dim))
    return min(most, max(_LEAST_TILE, few // 64 * 64))
