"""Steps of dx = b dt + g dw from t to t + h, with root = sqrt|h| (times eta in reverse)."""

from fastrev.kernels.intrinsics import fma, half_of
from fastrev.kernels.jit import scalar


@scalar
def euler_maruyama(x, b, g, h, root, z):
    """x + b h + g sqrt|h| z, everything at t.

    Weak order 1; strong order 1 where g does not depend on x, else 1/2.
    Maruyama, Rend. Circ. Mat. Palermo 4 (1955) 48.
    """
    return fma(g * root, z, fma(b, h, x))


@scalar
def euler(x, b, g, h, root, z):
    """x + b h: the same without noise.  Order 1."""
    return fma(b, h, x)


@scalar
def milstein(x, b, g, slope, h, root, z):
    """Euler-Maruyama + 1/2 g g' |h| (z^2 - 1), g' = dg/dx = slope, for diagonal noise.

    Weak order 1, strong order 1.
    Milstein, Theory Probab. Appl. 19 (1975) 557; Kloeden and Platen, eq. 10.3.1.
    """
    spread = root * z
    correction = fma(spread, spread, -(root * root))
    return fma(half_of(g * slope), correction, fma(g, spread, fma(b, h, x)))


@scalar
def heun(x, b, b_ahead, g, g_ahead, h, root, z):
    """x + 1/2 (b + b') h + 1/2 (g + g') sqrt|h| z; b', g' at t + h and the Euler-Maruyama point.

    For noise that does not depend on x: strong order 1, weak order 2; without noise the
    second-order Heun scheme of the probability-flow ODE (Karras et al. 2022,
    arXiv:2206.00364, algorithm 1).  Kloeden and Platen, section 15.1.
    """
    half = half_of(h)
    return fma(half_of(g + g_ahead) * root, z, fma(b_ahead, half, fma(b, half, x)))
