"""What is linear in a coordinate."""

from fastrev.kernels.intrinsics import fma


def affine(x, t, p):
    """slope x + offset, the drift of a linear process or the score of a Gaussian."""
    return fma(p.slope, x, p.offset)
