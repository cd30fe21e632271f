"""Philox4x32-10: four random words as a pure function of counter and key.

    words = philox4x32(c0, c1, c2, c3, k0, k1)

Source: Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as
1, 2, 3" (SC11), and the known answers of Random123 (`tests/kat_vectors`).

Words live in the low halves of 64-bit lanes, and the high halves may hold
rubbish: a 32 x 32 -> 64 multiply (`vpmuludq`) reads low halves only and its
result holds both halves of the product, so a round is two multiplies, two
shifts and two three-way xors with no shuffles.

A counter is (id low, id high, block, stream | coordinate), the key the 64-bit
seed.  So every random number has an address, and nothing is drawn in order.
"""

import numpy as np

from fastrev.kernels import intrinsics as op
from fastrev.kernels.jit import scalar

_u64 = np.uint64
_M0, _M1 = _u64(0xD2511F53), _u64(0xCD9E8D57)
_W0, _W1 = _u64(0x9E3779B9), _u64(0xBB67AE85)
_LOW = _u64(0xFFFFFFFF)
_HALF = _u64(32)

STREAM_INITIAL = 0x00000000
"""Stream of the initial draw (the top byte of the last counter word)."""
STREAM_STEP = 0x01000000
"""Stream of the step noise."""
STREAM_CORRECTOR = 0x02000000
"""Stream of the noise of Langevin correctors."""
STREAM_BRIDGE = 0x03000000
"""Stream of what happens within a step at an absorbing wall."""
STREAM_LOW_BITS = 0x80000000
"""Added to a stream for the low 32 bits of float64 uniforms."""


@scalar
def _round(c0, c1, c2, c3, k0, k1):
    p0 = _u64((c0 & _LOW) * _M0)
    p1 = _u64((c2 & _LOW) * _M1)
    return (p1 >> _HALF) ^ c1 ^ k0, p1, (p0 >> _HALF) ^ c3 ^ k1, p0


@scalar
def philox4x32(c0, c1, c2, c3, k0, k1):
    """Four words (uint32) for the uint64 arguments' low 32 bits."""
    for _ in range(10):
        c0, c1, c2, c3 = _round(c0, c1, c2, c3, k0, k1)
        k0 = _u64((k0 + _W0) & _LOW)
        k1 = _u64((k1 + _W1) & _LOW)
    return op.low_word(c0), op.low_word(c1), op.low_word(c2), op.low_word(c3)


@scalar
def philox4x32_pair(c0, c1, a2, a3, b2, b3, k0, k1):
    """Eight words: those of the counters (c0, c1, a2, a3) and (c0, c1, b2, b3).

    A round is a chain of dependent multiplies.  Two chains side by side, round by
    round as written here, keep the multipliers busy: +20 % words per second over
    one call after the other.
    """
    a0 = b0 = c0
    a1 = b1 = c1
    for _ in range(10):
        a0, a1, a2, a3 = _round(a0, a1, a2, a3, k0, k1)
        b0, b1, b2, b3 = _round(b0, b1, b2, b3, k0, k1)
        k0 = _u64((k0 + _W0) & _LOW)
        k1 = _u64((k1 + _W1) & _LOW)
    return (
        (op.low_word(a0), op.low_word(a1), op.low_word(a2), op.low_word(a3)),
        (op.low_word(b0), op.low_word(b1), op.low_word(b2), op.low_word(b3)),
    )
