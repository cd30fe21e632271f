"""Euler-Maruyama: everything at the beginning of the step."""

from fastrev.kernels.intrinsics import fma
from fastrev.kernels.jit import inlined


@inlined
def euler_maruyama(x, b, g, h, root, z):
    """x + b h + g sqrt|h| z, everything at t.

    Weak order 1; strong order 1 where g does not depend on x, else 1/2.
    Maruyama, Rend. Circ. Mat. Palermo 4 (1955) 48.
    """
    return fma(g * root, z, fma(b, h, x))


@inlined
def euler(x, b, g, h, root, z):
    """x + b h: the same without noise.  Order 1."""
    return fma(b, h, x)
