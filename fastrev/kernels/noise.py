"""Standard normals for one coordinate of consecutive particles.

Row s of the buffer serves step 8 b + s.  A philox block gives four normals;
filling two blocks in one loop keeps two independent chains of ten dependent
rounds in flight (measured: +13 % over one).
"""

import numpy as np

from fastrev.kernels.jit import loop, scalar
from fastrev.kernels.normal import normal_pair32, normal_pair64, uniform64
from fastrev.kernels.philox import STREAM_LOW_BITS, philox4x32

_u64 = np.uint64
_ONE = _u64(1)
_HALF = _u64(32)
_LOW_BITS = _u64(STREAM_LOW_BITS)

BLOCK_STEPS = 8
"""Steps whose noise is made at once."""


@scalar
def _four32(low, high, block, address, k0, k1):
    """The four float32 normals of one counter."""
    w0, w1, w2, w3 = philox4x32(low, high, block, address, k0, k1)
    z0, z1 = normal_pair32(w0, w1)
    z2, z3 = normal_pair32(w2, w3)
    return z0, z1, z2, z3


@scalar
def _join(high, low):
    return _u64((_u64(high) << _HALF) | _u64(low))


@scalar
def _four64(low, high, block, address, k0, k1):
    """The four float64 normals of one counter and its twin for the low bits."""
    w0, w1, w2, w3 = philox4x32(low, high, block, address, k0, k1)
    v0, v1, v2, v3 = philox4x32(low, high, block, _u64(address | _LOW_BITS), k0, k1)
    z0, z1 = normal_pair64(_join(w0, v0), _join(w1, v1))
    z2, z3 = normal_pair64(_join(w2, v2), _join(w3, v3))
    return z0, z1, z2, z3


def _make_fill(four):
    @loop
    def fill(z, w, low, high, block, address, k0, k1):
        for l in range(z.shape[2]):
            i = _u64(low + _u64(l))
            a0, a1, a2, a3 = four(i, high, block, address, k0, k1)
            b0, b1, b2, b3 = four(i, high, _u64(block + _ONE), address, k0, k1)
            z[0, w, l], z[1, w, l], z[2, w, l], z[3, w, l] = a0, a1, a2, a3
            z[4, w, l], z[5, w, l], z[6, w, l], z[7, w, l] = b0, b1, b2, b3

    return fill


fill_normals = {"float32": _make_fill(_four32), "float64": _make_fill(_four64)}
"""dtype -> fill(z (8, w, B), w, id low, id high, block, stream | coordinate, k0, k1)."""


@scalar
def uniform_at(low, high, block, address, k0, k1):
    """A 53-bit uniform on (0, 1) from words 2 and 3 of one counter."""
    _, _, w2, w3 = philox4x32(low, high, block, address, k0, k1)
    return uniform64(_join(w2, w3))
