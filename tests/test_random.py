"""The generator: known answers, the oracle, then the law of the normals."""

import itertools

import llvmlite.binding as llvm
import naive
import numba
import numpy as np
import pytest
from llvmlite import ir
from scipy import stats

import fastrev as fr
from fastrev.kernels import aes, ars, philox, weave
from fastrev.kernels import fill as fill_module
from fastrev.kernels import noise as noise_module
from fastrev.kernels import rows as rows_module
from fastrev.kernels.jit import from_python
from fastrev.kernels.lanes import Lanes
from fastrev.kernels.noise import NOISE
from fastrev.kernels.streams import STREAM_INITIAL, STREAM_STEP

GENERATORS = {
    "philox": (philox.philox4x32, naive.philox4x32),
    "ars": (ars.ars4x32, naive.ars4x32),
}
PI = [
    0x243F6A88,
    0x85A308D3,
    0x13198A2E,
    0x03707344,
    0xA4093822,
    0x299F31D0,
    0x082EFA98,
    0xEC4E6C89,
]
KNOWN = [
    ("philox", [0] * 6, "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
    ("philox", [0xFFFFFFFF] * 6, "408f276d 41c83b0e a20bc7c6 6d5451fd"),
    ("philox", PI[:6], "d16cfe09 94fdcceb 5001e420 24126ea1"),
    ("ars", [0] * 8, "dacf61ff c45798f3 113c7eeb 101e27f3"),
    ("ars", [0xFFFFFFFF] * 8, "fbaaff1f bb547ef9 13d8cd78 7aaa969b"),
    ("ars", PI, "d1df87af f67d43ba 4f66afdb 393dcb2d"),
]
"""Counter and key, and the words of philox4x32_R(10) and ars4x32_R(7)."""


@pytest.mark.parametrize(("generator", "given", "answer"), KNOWN)
def test_known_answers(generator, given, answer):
    """Of Random123."""
    ours, oracle = GENERATORS[generator]
    assert " ".join(f"{int(w):08x}" for w in ours(*(np.uint64(w) for w in given))) == answer
    words = oracle([np.array([w]) for w in given[:4]], given[4:])
    assert " ".join(f"{int(w[0]):08x}" for w in words) == answer


def test_a_cipher_of_these_rounds():
    """AES-128 of FIPS 197, appendix B: the oracle's rounds, and the kernels' table."""
    key = np.frombuffer(bytes.fromhex("2b7e151628aed2a6abf7158809cf4f3c"), np.uint8).reshape(4, 4)
    state = np.frombuffer(bytes.fromhex("3243f6a8885a308d313198a2e0370734"), np.uint8)
    state, factor = state.reshape(4, 4) ^ key, 1
    for r in range(1, 11):
        first = naive.S_BOX[np.roll(key[3], -1)] ^ np.array([factor, 0, 0, 0], np.uint8) ^ key[0]
        key = np.bitwise_xor.accumulate([first, *key[1:]])
        state, factor = naive.aes_round(state, key, last=r == 10), naive.times(factor, 2)
    assert state.tobytes().hex() == "3925841d02dc09fbdc118597196a0b32"
    assert aes._s_box() == naive.S_BOX.tolist()


def test_rounds_by_arm(monkeypatch):
    """The code for these processors, which has been run by an emulator only."""
    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()
    try:
        target = llvm.Target.from_triple("aarch64-linux-gnu")
    except RuntimeError:
        pytest.skip("LLVM without this target")
    monkeypatch.setattr(aes, "_triple", lambda: target.triple)
    monkeypatch.setattr(aes, "processor_has", lambda feature: feature == "aes")
    module, kind = ir.Module(), ir.VectorType(ir.IntType(64), 4)
    function = ir.Function(module, ir.FunctionType(kind, [kind] * 2), "rounds")
    builder = ir.IRBuilder(function.append_basic_block())
    state, key = (Lanes(builder, value) for value in function.args)
    builder.ret(aes.aes_round(aes.aes_round(state, key), key, last=True).value)
    machine = target.create_target_machine(features="+neon,+aes")
    code = machine.emit_assembly(llvm.parse_assembly(str(module)))
    assert code.count("aese\t") == 4 and code.count("aesmc\t") == 2  # of two states


def test_known_answer_by_what_arm_has(monkeypatch):
    """AESE adds a key, then does SubBytes and ShiftRows; AESMC does MixColumns."""

    def instruction(name, *args):
        if name.endswith("aesmc"):
            return aes._mix_columns(*args)
        state, key = args
        return aes._by_table(state ^ key, last=True).integers(8)

    monkeypatch.setattr(aes, "_x86", lambda: False)
    monkeypatch.setattr(aes, "_arm", lambda: True)
    monkeypatch.setattr(aes, "_called", instruction)
    compiled_now = numba.njit(ars.ars4x32.py_func)
    words = compiled_now(*(np.uint64(w) for w in PI))
    assert " ".join(f"{int(w):08x}" for w in words) == KNOWN[-1][-1]


def fill(generator, dtype, size, low=0, high=0, block=0, coordinate=0, seed=12345, steps=8):
    """Of block number `block` of eight steps."""
    noise, z = NOISE[generator], np.zeros((8, 1, size), dtype)
    address, k0, k1 = STREAM_STEP | coordinate, seed & 0xFFFFFFFF, seed >> 32
    first = low - low % noise.generator.PARTICLES[dtype]
    words = noise.words(dtype, size, first, high, address, k0, k1)
    counter = block * noise.generator.BLOCK_COUNTERS
    numbers = [np.uint64(w) for w in (low, high, counter, address, k0, k1)]
    from_python(noise.fill_normals)(z, 0, steps, words, *numbers)
    return z[:, 0, :]


def first_normals(generator, dtype, size, low, high=0, coordinate=3, seed=7):
    """Of the start."""
    noise, room = NOISE[generator], -(-size // 16) * 16
    row, z = np.zeros(size, dtype), np.zeros((8, 1, room), dtype)
    words = noise.words(dtype, room, 0, 0, 0, 0, 0)
    address = low, high, STREAM_INITIAL | coordinate, seed & 0xFFFFFFFF, seed >> 32
    from_python(noise.fill_first)(row, z, words, *(np.uint64(w) for w in address))
    return row


generators = pytest.mark.parametrize("generator", NOISE)


@generators
@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 4e-7), ("float64", 2e-15)])
@pytest.mark.parametrize("first", [0, 2**32 - 5000, 2**40])
def test_normals_match_the_oracle(generator, dtype, tolerance, first):
    seed, coordinate = 2**63 + 17, 3
    high, low = divmod(first, 2**32)
    z = fill(generator, dtype, 4096, low, high, 2, coordinate, seed)
    ids = first + np.arange(4096)

    def oracle(step, seed):
        return naive.normals(ids, step, coordinate, seed, dtype, generator=generator)

    want = np.array([oracle(16 + row, seed) for row in range(8)])
    radius = np.repeat(np.hypot(want[0::2], want[1::2]), 2, axis=0)
    # rounding u near 1 moves r = sqrt(-2 ln u) by eps/r: the pair's centre is coarser
    assert np.max(np.abs(z - want) / (1.0 + radius + 1.0 / radius)) < tolerance
    assert np.max(np.abs(z[0] - oracle(16, seed ^ 1))) > 1.0  # one flipped bit of the seed


@generators
@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 4e-7), ("float64", 2e-15)])
@pytest.mark.parametrize("first", [0, 128, 2**32 - 1300, 2**40 + 77])
@pytest.mark.parametrize("size", [1, 16, 100, 1000])
def test_the_first_normals_match_the_oracle(generator, dtype, tolerance, first, size):
    """Those of the start, wherever a tile begins, with room for one group or for several."""
    high, low = divmod(first, 2**32)
    row, ids = first_normals(generator, dtype, size, low, high), first + np.arange(size)
    want, other = (naive.first_normals(i, 3, 7, dtype, generator) for i in (ids, ids + 1))
    assert np.max(np.abs(row - want) / (1.0 + np.abs(want))) < 40 * tolerance
    assert np.max(np.abs(row - other)) > 0.01


@generators
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_rows_begin_with_any_particle(generator, dtype):
    """Also with one that is not the first of its counter."""
    whole = fill(generator, dtype, 64, 1024)
    for low in range(1025, 1029):
        z, before = fill(generator, dtype, 64, low), low - 1024
        np.testing.assert_array_equal(z[:, : 64 - before], whole[:, before:])
        assert not np.array_equal(z[:, 0], whole[:, before - 1])


@generators
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("size", [16, 64])
def test_few_steps_take_half(generator, dtype, size):
    """Up to four steps fill four rows, with the same bits, and no others; one more fills all."""
    whole = fill(generator, dtype, size)
    for steps in range(1, 9):
        z, rows = fill(generator, dtype, size, steps=steps), 4 if steps <= 4 else 8
        np.testing.assert_array_equal(z[:rows], whole[:rows])
        assert not np.isin(z[rows:], whole[rows:]).any()


@generators
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("size", [16, 48, 272])
def test_rows_are_not_overrun(generator, dtype, size):
    """What lies behind the last row stays, at every whole multiple of sixteen."""
    noise, space = NOISE[generator], np.full(8 * size + 64, 7.0, dtype)
    z = space[: 8 * size].reshape(8, 1, size)
    words = noise.words(dtype, size, 0, 0, STREAM_STEP, 1, 2)
    numbers = [np.uint64(w) for w in (0, 0, 0, STREAM_STEP, 1, 2)]
    from_python(noise.fill_normals)(z, 0, 8, words, *numbers)
    assert np.all(space[8 * size :] == 7.0) and not np.any(z == 7.0)


@generators
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_law_of_the_normals(generator, dtype):
    blocks = [fill(generator, dtype, 2**16, block=b) for b in range(8)]
    z = np.concatenate(blocks).astype(np.float64).ravel()
    n = len(z)
    for power, moment, variance in ((1, 0, 1), (2, 1, 2), (3, 0, 15), (4, 3, 96)):
        assert abs((z**power).mean() - moment) / np.sqrt(variance / n) < 4.5
    assert stats.kstest(z, "norm").pvalue > 1e-5
    assert stats.kstest(1.005 * z, "norm").pvalue < 1e-5  # the check can tell


@generators
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_neighbours_are_uncorrelated(generator, dtype):
    """Over steps of one particle, particles of one step, and both members of a pair."""
    z = fill(generator, dtype, 2**17).astype(np.float64)
    steps = [(z[0], z[1]), (z[0], z[2]), (z[3], z[4])]
    for a, b in steps + [(z[0, :-lag], z[0, lag:]) for lag in (1, 2, 3)]:
        for f in (lambda v: v, np.square):
            r = np.corrcoef(f(a), f(b))[0, 1]
            assert abs(r) * np.sqrt(len(a)) < 4.5


@generators
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_pairs_of_four_words_are_independent(generator, dtype):
    """Four pairs of steps take radii and angles from four words."""
    z = fill(generator, dtype, 2**20).astype(np.float64)
    turn = np.arctan2(z[1::2], z[0::2]) / (2.0 * np.pi) + 0.5
    u = np.exp(-0.5 * (z[1::2] ** 2 + z[0::2] ** 2))  # uniform, too

    def p_value(a, b):
        counts = np.histogram2d(a, b, bins=64, range=[[0, 1], [0, 1]])[0]
        return stats.chisquare(counts.ravel()).pvalue

    for a, b in itertools.product(range(4), repeat=2):
        assert p_value(turn[a], u[b]) > 1e-5
        if a < b:
            assert p_value(turn[a], turn[b]) > 1e-5
            assert p_value(u[a], u[b]) > 1e-5
        assert p_value((turn[a] + turn[b - 1]) % 1, u[b]) > 1e-5
    assert p_value(turn[0], turn[0]) < 1e-5  # the check can tell
    assert p_value(turn[0], (turn[0] * 16) % 1) < 1e-5


def leading(words, bits, of_radius, of_angle, pairs=range(4)):
    """The first bits of the words of some pairs' radii, whose sign is theirs, and angles."""
    taken = range({32: 22, 64: 51}[bits], -1, -1)
    radii = [w >> np.uint64(bits - 1 - k) & np.uint64(1) for w in words for k in range(of_radius)]
    radii = [radii[of_radius * pair + k] for pair in pairs for k in range(of_radius)]
    turned = (naive.angle(words[(k + 1) % 4], words[(k + 2) % 4], bits) for k in pairs)
    return [*radii, *(w >> np.uint64(k) & np.uint64(1) for w in turned for k in taken[:of_angle])]


@pytest.mark.parametrize(
    ("bits", "of_radius", "of_angle", "pairs"),
    [
        (32, 16, 16, range(4)),
        (64, 32, 28, range(4)),
        *((32, 32, 23, two) for two in itertools.combinations(range(4), 2)),
        *((64, 64, 52, two) for two in itertools.combinations(range(4), 2)),
    ],
)
def test_bits_of_radii_and_angles_are_independent(bits, of_radius, of_angle, pairs):
    """They are exclusive ors of the words' bits, of which no combination vanishes: the first ones
    of all four pairs, and all that two pairs use."""

    def rank(of_angle):
        """Of what each single bit of the four words changes."""
        words = np.zeros((4, 4 * bits), np.uint64)
        for k in range(4 * bits):
            words[k // bits, k] = np.uint64(1) << np.uint64(k % bits)
        rows = [
            int("".join(map(str, row.astype(int))), 2)
            for row in leading(words, bits, of_radius, of_angle, pairs)
        ]
        found = []
        for row in rows:
            rest = row
            for other in found:
                rest = min(rest, rest ^ other)
            if rest:
                found.append(rest)
        return len(found), len(rows)

    got, wanted = rank(of_angle)
    assert got == wanted
    if len(pairs) == 4:  # the check can tell
        got, wanted = rank(of_angle + 8)
        assert got < wanted


class AsLanes(Lanes):
    """What single instructions of 512 bits do, by others: so that any processor runs their code."""

    def xor_high(self, a, b):
        return self ^ (a ^ b) & (0xFFFFFFFF << 32)

    def of_registers(self, table):
        places = range(self.value.type.count)
        word, values = ir.IntType(32), ir.VectorType(ir.DoubleType(), len(table))
        found = ir.Constant(ir.VectorType(ir.DoubleType(), len(places)), ir.Undefined)
        for lane in (ir.Constant(word, k) for k in places):
            k = self.builder.extract_element((self & 15).value, lane)
            one = self.builder.extract_element(ir.Constant(values, list(table)), k)
            found = self.builder.insert_element(found, one, lane)
        return Lanes(self.builder, found)


@generators
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_same_bits_by_other_registers(monkeypatch, generator, dtype):
    """The code for 32 registers of 64 bytes where this has 16 of 32, and the other way round."""

    def rows():
        each = ((block, steps) for block in (0, 3) for steps in (8, 3))
        several = [fill(generator, dtype, 256, 64, 7, b, steps=s)[:s] for b, s in each]
        return [*several, first_normals(generator, dtype, 500, 300)]

    wide, want = not philox.wide_registers(), rows()
    for module in (fill_module, rows_module, philox):
        monkeypatch.setattr(module, "wide_registers", lambda: wide)
    monkeypatch.setattr(weave, "keep_together", lambda *vectors: None)
    monkeypatch.setattr(Lanes, "xor_high", AsLanes.xor_high)
    monkeypatch.setattr(Lanes, "_of_registers", AsLanes.of_registers)
    name, words = f"{generator}_other", NOISE[generator].generator
    monkeypatch.setitem(NOISE, generator, noise_module._make_noise(name, words))
    for a, b in zip(want, rows(), strict=True):
        np.testing.assert_array_equal(a, b)
    if (generator, dtype) == ("ars", "float32"):  # the check can tell
        monkeypatch.setattr(Lanes, "sqrt", lambda self: self)
        monkeypatch.setitem(NOISE, generator, noise_module._make_noise("wrong", words))
        assert not np.array_equal(fill(generator, dtype, 256, 64, 7), want[0])


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
        largest = 2 ** (bits - 1)  # of it u rounds to 1
        for w, sign in ((largest - 1, 1.0), (largest, -1.0)):
            centre, nothing = pair(word(w), middle)
            assert 0.0 <= sign * centre < 2e-4 and nothing == 0.0
        up, down = (pair(word(w), middle)[0] for w in (12345, 2**bits - 12345))
        assert up == -down and up > 0.0
        assert np.hypot(*pair(word(0), word(0))) == pytest.approx(radius, rel=1e-6)


def test_radii_are_numbers():
    """-2 ln u is positive for every u in (1/2, 1], where it comes next to 0, and near for the rest.

    By float32's polynomial, whose terms do not vanish at u = 1."""
    from fastrev.kernels.normal import normal_pair32

    @numba.njit
    def radii(words):
        return np.array([normal_pair32(w, np.uint32(2**22))[0] for w in words])

    for e in (30, 29, 12, 1):
        words = np.uint32(1) * ((np.arange(2**23, dtype=np.uint64) + 2**23) * 2**e >> 23)
        r = radii(words.astype(np.uint32)).astype(np.float64)
        exact = -2.0 * np.log(words.astype(np.float32).astype(np.float64) * 2.0**-31)
        assert np.all(r > 0.0)
        assert np.max(np.abs(r**2 - exact) / (1.0 + exact)) < 6e-7
        assert np.max(np.abs(r**2 - exact * 1.00001) / (1.0 + exact)) > 6e-7  # the check can tell


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
