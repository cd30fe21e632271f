"""The addresses of random numbers.

A counter is (stream | coordinate, q, id high, b) and the key the 64-bit seed, where p particles
share a counter, with p q to p q + p - 1 as the low words of their ids, and every block of eight
steps has some numbers b of its own.  At the start eight particles share the normals of a block
(`noise.fill_first`).  So every random number has an address, nothing is drawn in order, and what
is drawn for one purpose never meets what is drawn for another.
"""

from typing import ClassVar, NamedTuple, Protocol

from fastrev.kernels.lanes import Lanes
from fastrev.kernels.weave import Stages

STREAM_INITIAL = 0x00000000
"""Stream of the initial draw (the top byte of the first counter word)."""
STREAM_STEP = 0x01000000
"""Stream of the step noise."""
STREAM_CORRECTOR = 0x02000000
"""Stream of the noise of Langevin correctors."""
STREAM_BRIDGE = 0x03000000
"""Stream of what happens within a step at an absorbing wall."""


class Address(NamedTuple):
    """What the counters of a loop over particles share: numbers below 2^32, as 64-bit integers.

    high    word of the ids
    block   of the first counter
    stream  with the coordinate
    k0, k1  low and high word of the key
    """

    high: Lanes
    block: Lanes
    stream: Lanes
    k0: Lanes
    k1: Lanes


class Words(Protocol):
    """Emits the words of vectors of counters of consecutive particles.

    PARTICLES       dtype -> how many share a counter; the first has a multiple of this as its id
    LANES           64-bit integers of a vector that a counter takes
    KEPT            vectors that are kept of counters for all their blocks
    BLOCK_COUNTERS  numbers of counters for a block of eight steps
    PACE            bits of a word -> stages in a turn of words, of squared radii, of normals
    """

    PARTICLES: ClassVar[dict[str, int]]
    LANES: ClassVar[int]
    KEPT: ClassVar[int]
    BLOCK_COUNTERS: ClassVar[int]
    PACE: ClassVar[dict[int, tuple[int, int, int]]]

    at: Address
    width: int

    def __init__(self, at: Address, count: int, width: int) -> None:
        """For so many words of a particle, in vectors of `width` 64-bit integers."""

    def kept(self, first: Lanes) -> list[Lanes]:
        """What is kept of a vector of counters, with this low word of the id and those after it."""

    def words(self, kept: list[Lanes], bits: int, out: list[Lanes]) -> Stages:
        """Their words, of so many bits, appended to `out`."""
