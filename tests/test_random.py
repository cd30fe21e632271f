"""The generator: known answers, the oracle, then the law of the normals."""

import naive
import numpy as np
import pytest
from scipy import stats

import fastrev as fr
from fastrev.kernels import noise, philox

KNOWN = [
    ([0] * 4, [0] * 2, "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
    ([0xFFFFFFFF] * 4, [0xFFFFFFFF] * 2, "408f276d 41c83b0e a20bc7c6 6d5451fd"),
    (
        [0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344],
        [0xA4093822, 0x299F31D0],
        "d16cfe09 94fdcceb 5001e420 24126ea1",
    ),
]


@pytest.mark.parametrize(("counter", "key", "answer"), KNOWN)
def test_known_answers(counter, key, answer):
    """Random123, tests/kat_vectors."""
    words = philox.philox4x32(*(np.uint64(w) for w in (*counter, *key)))
    assert " ".join(f"{int(w):08x}" for w in words) == answer
    oracle = naive.philox4x32([np.array([w]) for w in counter], key)
    assert " ".join(f"{int(w[0]):08x}" for w in oracle) == answer


def fill(dtype, size, low=0, high=0, block=0, coordinate=0, seed=12345, steps=8):
    z = np.zeros((8, 1, size), dtype)
    address, k0, k1 = philox.STREAM_STEP | coordinate, seed & 0xFFFFFFFF, seed >> 32
    words = noise.kept_words(dtype, size, low, high, address, k0, k1)
    blocks = [np.uint64(w) for w in (low, high, block, address, k0, k1)]
    noise.fill_normals(z, 0, steps, words, *blocks)
    return z[:, 0, :]


@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 4e-7), ("float64", 2e-15)])
@pytest.mark.parametrize("first", [0, 2**32 - 5000, 2**40])
def test_normals_match_the_oracle(dtype, tolerance, first):
    seed, coordinate = 2**63 + 17, 3
    high, low = divmod(first, 2**32)
    z = fill(dtype, 4096, low, high, 8, coordinate, seed)
    ids = first + np.arange(4096)
    want = np.array([naive.normals(ids, 16 + row, coordinate, seed, dtype) for row in range(8)])
    radius = np.repeat(np.hypot(want[0::2], want[1::2]), 2, axis=0)
    # rounding u near 1 moves r = sqrt(-2 ln u) by eps/r: the pair's centre is coarser
    assert np.max(np.abs(z - want) / (1.0 + radius + 1.0 / radius)) < tolerance
    other = naive.normals(ids, 16, coordinate, seed ^ 1, dtype)
    assert np.max(np.abs(z[0] - other)) > 1.0  # one flipped bit of the seed


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("size", [16, 64])
def test_few_steps_take_half(dtype, size):
    """Up to four steps fill four rows, with the same bits; one more fills all."""
    whole = fill(dtype, size)
    for steps in range(1, 9):
        z, rows = fill(dtype, size, steps=steps), 4 if steps <= 4 else 8
        np.testing.assert_array_equal(z[:rows], whole[:rows])
        assert not z[rows:].any()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_law_of_the_normals(dtype):
    z = np.concatenate([fill(dtype, 2**16, block=4 * b) for b in range(8)]).astype(np.float64)
    z = z.ravel()
    n = len(z)
    for power, moment, variance in ((1, 0, 1), (2, 1, 2), (3, 0, 15), (4, 3, 96)):
        assert abs((z**power).mean() - moment) / np.sqrt(variance / n) < 4.5
    assert stats.kstest(z, "norm").pvalue > 1e-5
    assert stats.kstest(1.005 * z, "norm").pvalue < 1e-5  # the check can tell


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_neighbours_are_uncorrelated(dtype):
    """Over steps of one particle, particles of one step, and both members of a pair."""
    z = fill(dtype, 2**17).astype(np.float64)
    for a, b in ((z[0], z[1]), (z[0], z[2]), (z[3], z[4]), (z[0, :-1], z[0, 1:])):
        for f in (lambda v: v, np.square):
            r = np.corrcoef(f(a), f(b))[0, 1]
            assert abs(r) * np.sqrt(len(a)) < 4.5


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_pairs_that_share_an_angle_are_independent(dtype):
    """Two pairs of steps take their angles from one word."""
    z = fill(dtype, 2**20).astype(np.float64)
    turn = np.arctan2(z[1::2], z[0::2]) / (2.0 * np.pi) + 0.5

    def p_value(a, b):
        counts = np.histogram2d(a, b, bins=64, range=[[0, 1], [0, 1]])[0]
        return stats.chisquare(counts.ravel()).pvalue

    for a, b in ((0, 1), (2, 3), (0, 2), (1, 3)):
        assert p_value(turn[a], turn[b]) > 1e-5
    assert p_value(turn[0], turn[0]) < 1e-5  # the check can tell
    assert p_value(turn[0], (turn[0] * 16) % 1) < 1e-5


@pytest.mark.parametrize(
    ("bits", "own"), [(32, [23, *range(24, 31)]), (64, [55, *range(56, 60)])], ids=["32", "64"]
)
def test_second_angles_lie_evenly_given_the_first(bits, own):
    """Whatever the first angle is, so polynomials of the second pair have the mean they should."""
    word = np.uint64(0x0123456789ABCDEF % 2**bits)
    for k in own:
        word &= ~np.uint64(1 << k)
    patterns = np.arange(2 ** len(own), dtype=np.uint64)
    words = np.full(len(patterns), word)
    for k, bit in enumerate(own):
        words |= (patterns >> np.uint64(k) & np.uint64(1)) << np.uint64(bit)
    u = np.full(len(words), np.exp(-0.5))  # a radius of 1
    first = np.array(naive.box_muller(u, words, bits))
    assert np.ptp(first, axis=1).max() == 0.0
    turned = naive.second_angle(words, bits)
    angles = np.sort(np.arctan2(*naive.box_muller(u, turned, bits)[::-1]))
    np.testing.assert_allclose(np.diff(angles), 2.0 * np.pi / len(words), atol=1e-12)


def test_tails_reach_the_design():
    """The smallest uniform, word 0, gives 6.76 sigma in float32 and 9.49 in float64."""
    from fastrev.kernels.normal import normal_pair32, normal_pair64

    for pair, word, bits, places in (
        (normal_pair32, np.uint32, 32, 23),
        (normal_pair64, np.uint64, 64, 52),
    ):
        middle = word(2 ** (places - 1))  # of the half circle: all of the radius goes to z0
        radius, nothing = pair(word(0), middle)
        assert radius == pytest.approx(np.sqrt(2 * (bits + 1) * np.log(2)), rel=2.0 ** (1 - places))
        assert nothing == 0.0
        assert pair(word(2**bits - 1), middle) == (0.0, 0.0)  # u rounds to 1
        assert np.hypot(*pair(word(0), word(0))) == pytest.approx(radius, rel=1e-6)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    "x0",
    [
        fr.Gaussian([1.0, -2.0], [0.5, 3.0]),
        fr.Uniform([-1.0, 0.0], [2.0, 0.5]),
        fr.GaussianMixture([1, 2, 3], [[-3, 0], [0, 1], [2, -1]], [0.3, 0.2, 0.4]),
        fr.Empirical(np.random.default_rng(0).normal(size=(50, 2))),
    ],
    ids=lambda d: type(d).__name__,
)
def test_initial_draws(x0, dtype):
    """Drawn inside the kernel, each coordinate follows its law, and components are shared."""
    tiny = fr.Brownian(1e-12)
    x = fr.simulate(tiny, x0, n=200_000, time=(0, 1), steps=1, dtype=dtype, seed=3, dim=2).frames[0]
    mean, variance = x0.moments()
    for j in range(2):
        column = x[:, j].astype(np.float64)
        assert abs(column.mean() - mean[j]) / np.sqrt(variance[j] / len(column)) < 4.5
        sample = x0.sample(200_000, seed=4)[:, j].astype(dtype)
        assert stats.ks_2samp(column, sample).pvalue > 1e-5
        assert stats.ks_2samp(column, sample + 0.2 * np.sqrt(variance[j])).pvalue < 1e-5
    want = np.cov(x0.sample(200_000, seed=5).T)[0, 1]
    assert abs(np.cov(x.T.astype(np.float64))[0, 1] - want) < 0.03
