"""One implicit step along one coordinate, with the fluxes of Chang and Cooper.

    dp/dt = -dJ/dx,   J = v p - D dp/dx

Between cells i and i + 1 of width h, with v and D constant there, J is that of the stationary
solution through both (Chang and Cooper, J. Comput. Phys. 6 (1970) 1; Scharfetter and Gummel,
IEEE Trans. Electron Devices 16 (1969) 64, eq. 15):

    J = D/h [B(-w) p_i - B(w) p_i+1],   w = v h/D,   B(w) = w/(e^w - 1)

No flux leaves the grid.  The matrix of a step has columns of sum 1, a positive diagonal and
nothing positive beside it: mass is kept and what is positive stays so, for every dt.
"""

import numpy as np
from scipy.linalg import solve_banded

from fastrev.model.check import Array


def stepped(mass: Array, v: Array, diffusivity: Array, h: float, dt: float) -> Array:
    """Masses of cells after implicit Euler along the last axis: p' + dt dJ(p')/dx = p.

    mass             (L, X), one line a row
    v, diffusivity   (L, X - 1) between the cells, in units of x/t and x^2/t
    """
    up, down = fluxes(v, diffusivity, h)
    bands = np.zeros((3, *mass.shape))  # all lines one after the other, and nothing between them
    bands[1] = 1.0
    bands[1, :, :-1] += dt / h * up
    bands[1, :, 1:] += dt / h * down
    bands[0, :, 1:] = -dt / h * down
    bands[2, :, :-1] = -dt / h * up
    after = solve_banded((1, 1), bands.reshape(3, -1), mass.ravel(), check_finite=False)
    return np.asarray(after).reshape(mass.shape)


def fluxes(v: Array, diffusivity: Array, h: float) -> tuple[Array, Array]:
    """up and down of J = up p_i - down p_i+1, both >= 0; upwind where there is no diffusion."""
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        w = np.where(v == 0.0, 0.0, np.abs(v) * h / diffusivity)
    spread = diffusivity / h * _bernoulli(w)
    return spread + np.maximum(v, 0.0), spread + np.maximum(-v, 0.0)  # B(-w) = B(w) + w


def _bernoulli(w: Array) -> Array:
    """w/(e^w - 1) for w >= 0."""
    near = w < 1e-8
    safe = np.where(near, 1.0, np.minimum(w, 700.0))
    return np.where(near, 1.0 - 0.5 * w, safe / np.expm1(safe))
