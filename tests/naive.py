"""Slow, obvious oracles in NumPy: Philox, Box-Muller, and the reference document's loop."""

from collections.abc import Callable

import numpy as np

MASK = np.uint64(0xFFFFFFFF)


def philox4x32(counter, key):
    """Random123's philox4x32-10 on uint64 arrays that hold 32-bit words."""
    c = [np.asarray(w, dtype=np.uint64) for w in counter]
    k = [int(w) for w in key]
    for _ in range(10):
        p0 = c[0] * np.uint64(0xD2511F53)
        p1 = c[2] * np.uint64(0xCD9E8D57)
        c = [
            (p1 >> np.uint64(32)) ^ c[1] ^ np.uint64(k[0]),
            p1 & MASK,
            (p0 >> np.uint64(32)) ^ c[3] ^ np.uint64(k[1]),
            p0 & MASK,
        ]
        k = [(k[0] + 0x9E3779B9) & 0xFFFFFFFF, (k[1] + 0xBB67AE85) & 0xFFFFFFFF]
    return c


def box_muller(u, w_angle, bits):
    """(z0, z1): the angle's top bit is their sign, its low ones place it in the half circle."""
    fraction = {32: 23, 64: 52}[bits]
    place = (w_angle & np.uint64(2**fraction - 1)).astype(np.float64)
    phi = np.pi * (place / 2.0**fraction - 0.5)
    r = np.sqrt(-2.0 * np.log(u)) * (1.0 - 2.0 * (w_angle >> np.uint64(bits - 1)))
    return r * np.cos(phi), r * np.sin(phi)


def normals(ids, step, coordinate, seed, dtype="float32", stream=1):
    """The standard normal of each id at a step, as the design addresses it."""
    ids = np.asarray(ids, dtype=np.uint64)
    block, row = divmod(step, 2)
    key = (seed & 0xFFFFFFFF, seed >> 32)
    low, high = ids & MASK, ids >> np.uint64(32)
    if dtype == "float32":
        low = low >> np.uint64(1)
    address = np.full_like(ids, stream << 24 | coordinate)
    w = philox4x32((address, low, high, np.full_like(ids, block)), key)
    if dtype == "float32":
        even = ids % np.uint64(2) == 0
        w_radius, w_angle = np.where(even, w[1], w[0]), np.where(even, w[3], w[2])
        u = (w_radius.astype(np.float64) + 0.5) * 2.0**-32
        return box_muller(u, w_angle, 32)[row]
    w_radius, w_angle = w[0] << np.uint64(32) | w[1], w[2] << np.uint64(32) | w[3]
    u = (w_radius.astype(np.float64) + 0.5) * 2.0**-64
    return box_muller(u, w_angle, 64)[row]


def reverse_brownian(x, D, T, num_steps, noise: Callable[[int], np.ndarray]):
    """The loop of the reference document, with its random numbers handed in."""
    dt = -T / num_steps
    for i in range(num_steps):
        t = T + i * dt
        drift = x / t
        x = x + drift * dt + np.sqrt(2 * D * abs(dt)) * noise(i)
    return x


def euler_maruyama(x, times, drift, diffusion, noise):
    """x + f h + g sqrt|h| z over a grid."""
    for i, (t, h) in enumerate(zip(times[:-1], np.diff(times), strict=True)):
        x = x + drift(x, t) * h + diffusion(x, t) * np.sqrt(abs(h)) * noise(i)
    return x
