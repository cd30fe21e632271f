"""Slow, obvious oracles in NumPy: Philox, ARS, Box-Muller, and the reference document's loop."""

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


def times(a, b):
    """The product in AES's field, of polynomials over two elements modulo 0x11B."""
    product = 0
    for bit in range(8):
        if b >> bit & 1:
            product ^= a << bit
    for bit in range(14, 7, -1):
        if product >> bit & 1:
            product ^= 0x11B << (bit - 8)
    return product


def s_box(a):
    """SubBytes of a byte, by the definition of FIPS 197."""
    inverse = next((b for b in range(256) if times(a, b) == 1), 0)
    bits = [inverse >> k & 1 for k in range(8)]
    c = [0x63 >> k & 1 for k in range(8)]
    new = [sum(bits[(k + r) % 8] for r in (0, 4, 5, 6, 7)) % 2 ^ c[k] for k in range(8)]
    return sum(bit << k for k, bit in enumerate(new))


S_BOX = np.array([s_box(a) for a in range(256)], np.uint8)
DOUBLE = np.array([times(a, 2) for a in range(256)], np.uint8)


def aes_round(state, key, last=False):
    """A round of AES on states (..., column, row) of bytes."""
    state = S_BOX[state]
    for row in range(4):
        state[..., row] = np.roll(state[..., row], -row, axis=-1)
    if not last:
        a, b, c, d = (np.roll(state, -k, axis=-1) for k in range(4))
        state = DOUBLE[a] ^ DOUBLE[b] ^ b ^ c ^ d
    return state ^ key


def ars4x32(counter, key):
    """Random123's ars4x32-7 on arrays that hold 32-bit words."""

    def states(words):
        words = np.stack([np.asarray(w, dtype="<u4") for w in words], axis=-1)
        return words.view(np.uint8).reshape(*words.shape, 4)

    def keys(r):
        halves = [(key[k] | key[k + 1] << 32) + r * w for k, w in ((0, W[0]), (2, W[1]))]
        return states([half >> shift & 0xFFFFFFFF for half in halves for shift in (0, 32)])

    state = states(counter) ^ keys(0)
    for r in range(1, 8):
        state = aes_round(state, keys(r), last=r == 7)
    return [state[..., k, :].copy().view("<u4")[..., 0].astype(np.uint64) for k in range(4)]


W = (0x9E3779B97F4A7C15, 0xBB67AE8584CAA73B)


def box_muller(word, w_angle, bits):
    """(z0, z1): of a signed word the sign is theirs, the size their radius; the low bits of the
    angle's place it in the half circle."""
    fraction = {32: 23, 64: 52}[bits]
    place = (w_angle & np.uint64(2**fraction - 1)).astype(np.float64)
    phi = np.pi * (place / 2.0**fraction - 0.5)
    signed = word.astype(f"u{bits // 8}").view(f"i{bits // 8}").astype(np.float64)
    u = np.maximum(np.abs(signed), 0.25) * 2.0 ** (1 - bits)
    r = np.copysign(np.sqrt(-2.0 * np.log(u)), signed)
    return r * np.cos(phi), r * np.sin(phi)


def angle(first, second, bits):
    """The word of an angle by two other pairs' of radii: of the first, the last bytes lead."""
    order = {32: [0, 0, 2, 1], 64: [0, 0, 1, 2, 4, 3, 5, 6]}[bits]  # from the top
    parts = [first >> np.uint64(8 * k) & np.uint64(0xFF) for k in order]
    turned = sum(part << np.uint64(bits - 8 * (k + 1)) for k, part in enumerate(parts))
    return turned ^ second


def normals(ids, step, coordinate, seed, dtype="float32", stream=1, generator="philox"):
    """The standard normal of each id at a step, as the design addresses it."""
    ids = np.asarray(ids, dtype=np.uint64)
    key = (seed & 0xFFFFFFFF, seed >> 32)
    low, high = ids & MASK, ids >> np.uint64(32)
    block, row = divmod(step, 8)
    pair, member = divmod(row, 2)
    bits = 8 * np.dtype(dtype).itemsize
    address = np.full_like(ids, stream << 24 | coordinate)

    def word(k):
        """One of the four words for eight steps."""
        if generator == "ars":
            counter = np.full_like(ids, 4 * block + k)
            shared = np.uint64(128 // bits)  # particles of a counter
            w = ars4x32((address, low // shared, high, counter), (*key, 0, 0))
            if bits == 64:
                w = [w[0] | w[1] << np.uint64(32), w[2] | w[3] << np.uint64(32)]
            return np.choose((ids % shared).astype(int), w)
        counter = np.full_like(ids, 2 * block + k // 2)
        if bits == 64:
            w = philox4x32((address, low, high, counter), key)[2 * (k % 2) :]
            return w[0] << np.uint64(32) | w[1]
        w = philox4x32((address, low >> np.uint64(1), high, counter), key)[2 * (k % 2) :]
        return np.where(ids % np.uint64(2) == 0, w[1], w[0])

    w_angle = angle(word((pair + 1) % 4), word((pair + 2) % 4), bits)
    return box_muller(word(pair), w_angle, bits)[member]


def first_normals(ids, coordinate, seed, dtype="float32", generator="philox"):
    """The standard normal of each id at the start: eight of one address serve eight ids."""
    ids = np.asarray(ids, dtype=np.uint64)
    group, place = np.divmod(ids & MASK, np.uint64(128))
    steps, shared = place // np.uint64(16), group * np.uint64(16) + place % np.uint64(16)
    shared += ids & ~MASK
    every = [normals(shared, s, coordinate, seed, dtype, 0, generator) for s in range(8)]
    return np.choose(steps.astype(int), every)


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
