"""Shards: contiguous ranges of particle ids, each run over the whole grid, each committed whole."""

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Shard:
    """Particles first .. first + count - 1; index counts the shards of a run, or of its part."""

    index: int
    first: int
    count: int

    @property
    def end(self) -> int:
        """The first particle beyond it."""
        return self.first + self.count


def shards(n: int, size: int, part: tuple[int, int] = (1, 1)) -> Iterator[Shard]:
    """All shards of n particles in order, or those of part k of m; the last may be smaller."""
    first, end = bounds(n, size, part)
    for index in range(-(-(end - first) // size)):
        yield shard_at(index, n, size, part)


def shard_at(index: int, n: int, size: int, part: tuple[int, int] = (1, 1)) -> Shard:
    """One of these shards."""
    first = bounds(n, size, part)[0] + index * size
    return Shard(index, first, min(size, n - first))


def bounds(n: int, size: int, part: tuple[int, int] = (1, 1)) -> tuple[int, int]:
    """The first particle of a part, and the first beyond it: parts have whole shards."""
    k, m = part
    count = -(-n // size)
    return count * (k - 1) // m * size, min(n, count * k // m * size)


def pieces(shard: Shard, tile: int, count: int) -> list[tuple[int, int]]:
    """The shard as (first, count) ranges of whole tiles: a 64th of what is left each, and not less
    than about `count` particles.

    So there are few calls where there is much work, and threads end together.  All but the first
    begin at a multiple of a tile: noise of a tile that begins within a counter has to be moved.
    """
    least, a, ranges = max(1, count // tile) * tile, shard.first, []
    while a < shard.end:
        size = min(max(least, (shard.end - a) // 64 // tile * tile) - a % tile, shard.end - a)
        ranges.append((a, size))
        a += size
    return ranges
