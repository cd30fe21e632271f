"""Shards: contiguous ranges of particle ids, each run over the whole grid, each committed whole."""

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Shard:
    """Particles first .. first + count - 1."""

    index: int
    first: int
    count: int


def shards(n: int, size: int) -> Iterator[Shard]:
    """All shards of n particles in order; the last may be smaller."""
    for index in range(-(-n // size)):
        yield shard_at(index, n, size)


def shard_at(index: int, n: int, size: int) -> Shard:
    """One of the shards of n particles."""
    first = index * size
    return Shard(index, first, min(size, n - first))


def pieces(shard: Shard, tile: int, count: int) -> list[tuple[int, int]]:
    """The shard as (first, count) ranges of whole tiles, about `count` particles each."""
    size = max(1, count // tile) * tile
    end = shard.first + shard.count
    return [(a, min(size, end - a)) for a in range(shard.first, end, size)]
