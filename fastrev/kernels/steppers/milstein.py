"""Milstein: the next term of the stochastic Taylor expansion, for diagonal noise."""

from fastrev.kernels.intrinsics import fma, half_of
from fastrev.kernels.jit import inlined


@inlined
def milstein(x, b, g, slope, h, root, z):
    """Euler-Maruyama + 1/2 g g' |h| (z^2 - 1), g' = dg/dx = slope, for diagonal noise.

    Weak order 1, strong order 1.
    Milstein, Theory Probab. Appl. 19 (1975) 557; Kloeden and Platen, eq. 10.3.1.
    """
    spread = root * z
    correction = fma(spread, spread, -(root * root))
    return fma(half_of(g * slope), correction, fma(g, spread, fma(b, h, x)))
