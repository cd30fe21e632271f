"""Standard normals for one coordinate of consecutive particles.

Row s of the buffer serves step 8 b + s.  A Philox counter gives four normals;
two counters are worked at once, which hides the latency of their rounds.
"""

import numpy as np

from fastrev.kernels.jit import loop, scalar
from fastrev.kernels.normal import normal_pair32, normal_pair64, uniform64
from fastrev.kernels.philox import STREAM_LOW_BITS, philox4x32, philox4x32_pair

_u64 = np.uint64
_ONE = _u64(1)
_HALF = _u64(32)
_LOW_BITS = _u64(STREAM_LOW_BITS)

BLOCK_STEPS = 8
"""Steps whose noise is made at once."""


@scalar
def _eight32(low, high, block, address, k0, k1):
    """The float32 normals of two consecutive blocks."""
    a, b = philox4x32_pair(low, high, block, address, _u64(block + _ONE), address, k0, k1)
    return (
        *normal_pair32(a[0], a[1]),
        *normal_pair32(a[2], a[3]),
        *normal_pair32(b[0], b[1]),
        *normal_pair32(b[2], b[3]),
    )


@scalar
def _join(high, low):
    return _u64((_u64(high) << _HALF) | _u64(low))


@scalar
def _four64(low, high, block, address, k0, k1):
    """The float64 normals of one block; its twin in another stream gives the low bits."""
    twin = _u64(address | _LOW_BITS)
    a, b = philox4x32_pair(low, high, block, address, block, twin, k0, k1)
    return (
        *normal_pair64(_join(a[0], b[0]), _join(a[1], b[1])),
        *normal_pair64(_join(a[2], b[2]), _join(a[3], b[3])),
    )


@scalar
def _eight64(low, high, block, address, k0, k1):
    """The float64 normals of two consecutive blocks."""
    return (
        *_four64(low, high, block, address, k0, k1),
        *_four64(low, high, _u64(block + _ONE), address, k0, k1),
    )


@scalar
def _first32(low, high, block, address, k0, k1):
    w0, w1, _, _ = philox4x32(low, high, block, address, k0, k1)
    return normal_pair32(w0, w1)[0]


@scalar
def _first64(low, high, block, address, k0, k1):
    w0, w1, _, _ = philox4x32(low, high, block, address, k0, k1)
    v0, v1, _, _ = philox4x32(low, high, block, _u64(address | _LOW_BITS), k0, k1)
    return normal_pair64(_join(w0, v0), _join(w1, v1))[0]


first_normal = {"float32": _first32, "float64": _first64}
"""dtype -> the first normal of one counter, for the initial draw."""


def _make_fill(eight):
    @loop
    def fill(z, w, low, high, block, address, k0, k1):
        for l in range(z.shape[2]):
            n = eight(_u64(low + _u64(l)), high, block, address, k0, k1)
            z[0, w, l], z[1, w, l], z[2, w, l], z[3, w, l] = n[0], n[1], n[2], n[3]
            z[4, w, l], z[5, w, l], z[6, w, l], z[7, w, l] = n[4], n[5], n[6], n[7]

    return fill


fill_normals = {"float32": _make_fill(_eight32), "float64": _make_fill(_eight64)}
"""dtype -> fill(z (8, w, B), w, id low, id high, block, stream | coordinate, k0, k1)."""


@scalar
def uniform_at(low, high, block, address, k0, k1):
    """A 53-bit uniform on (0, 1) from words 2 and 3 of one counter."""
    _, _, w2, w3 = philox4x32(low, high, block, address, k0, k1)
    return uniform64(_join(w2, w3))
