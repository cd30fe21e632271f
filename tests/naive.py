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


def second_angle(w, bits):
    """The word with its bytes rearranged: two pairs of normals share the word of an angle."""
    order = {32: [2, 3, 0, 1], 64: [6, 7, 2, 1, 0, 5, 4, 3]}[bits]  # from the top
    parts = [w >> np.uint64(8 * k) & np.uint64(0xFF) for k in order]
    return sum(part << np.uint64(bits - 8 * (k + 1)) for k, part in enumerate(parts))


def normals(ids, step, coordinate, seed, dtype="float32", stream=1):
    """The standard normal of each id at a step, as the design addresses it."""
    ids = np.asarray(ids, dtype=np.uint64)
    key = (seed & 0xFFFFFFFF, seed >> 32)
    low, high = ids & MASK, ids >> np.uint64(32)
    block, row = divmod(step, 8)
    two_pairs, pair, member = row // 4, row // 2 % 2, row % 2
    bits = 8 * np.dtype(dtype).itemsize
    address = np.full_like(ids, stream << 24 | coordinate)

    def word(k):
        """One of the six words for eight steps."""
        counter = np.full_like(ids, 4 * block + k // 2)
        if bits == 64:
            w = philox4x32((address, low, high, counter), key)[2 * (k % 2) :]
            return w[0] << np.uint64(32) | w[1]
        w = philox4x32((address, low >> np.uint64(1), high, counter), key)[2 * (k % 2) :]
        return np.where(ids % np.uint64(2) == 0, w[1], w[0])

    w_radius, w_angle = word(3 * two_pairs + 2 * pair), word(3 * two_pairs + 1)
    if pair == 1:
        w_angle = second_angle(w_angle, bits)
    u = (w_radius.astype(np.float64) + 0.5) * 2.0**-bits
    return box_muller(u, w_angle, bits)[member]


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
