"""Heun: two stages a step, the drift averaged over both ends."""

from dataclasses import dataclass
from typing import Any

from fastrev.kernels.intrinsics import fma, half_of
from fastrev.kernels.jit import inlined
from fastrev.kernels.parts import square
from fastrev.kernels.specialise import Specialiser
from fastrev.kernels.steppers.euler_maruyama import euler_maruyama
from fastrev.kernels.tuples import make_column, make_each, make_put


@inlined
def heun(x, b, b_ahead, g, g_ahead, h, root, z):
    """x + 1/2 (b + b') h + 1/2 (g + g') sqrt|h| z; b', g' at t + h and the Euler-Maruyama point.

    For noise that does not depend on x: strong order 1, weak order 2; without noise the
    second-order Heun scheme of the probability-flow ODE (Karras et al. 2022,
    arXiv:2206.00364, algorithm 1).  Kloeden and Platen, section 15.1.
    """
    half = half_of(h)
    return fma(half_of(g + g_ahead) * root, z, fma(b_ahead, half, fma(b, half, x)))


@dataclass(frozen=True)
class Compiled:
    """The jitted parts of a recipe, and what assembles their p; `tiled`: the score is a tile's."""

    drift: Any
    drift_params: Any
    diffusion: Any
    diffusion_params: Any
    score: Any
    score_params: Any
    combine: Any
    tiled: bool


def make_two_stages(two: Any, one: Any, build: Specialiser) -> Any:
    """Two stages a step, but one where the step ends at t = 0 and runs down to it."""

    @build.own_loop
    def advance_two_stages(x, z, s, work, i, j0, times, h, root, c, tables):
        if h < 0 and times[i + 1] == 0:
            one(x, z, s, work, i, j0, times, h, root, c, tables)
        else:
            two(x, z, s, work, i, j0, times, h, root, c, tables)

    return advance_two_stages


def make_heun_coordinates(parts: Compiled, build: Specialiser, real: Any) -> Any:
    """`advance(...)` of both stages for functions of one coordinate."""
    drift, drift_params = parts.drift, parts.drift_params
    diffusion, diffusion_params = parts.diffusion, parts.diffusion_params
    score, score_params, combine = parts.score, parts.score_params, parts.combine

    @build.own_loop
    def heun_coordinates(x, z, s, work, i, j0, times, h, root, c, tables):
        t, t_ahead = times[i], times[i + 1]
        for w in range(len(x)):
            f_p, f_q = drift_params(tables[0], i, j0 + w), drift_params(tables[0], i + 1, j0 + w)
            g_p = diffusion_params(tables[1], i, j0 + w)
            g_q = diffusion_params(tables[1], i + 1, j0 + w)
            s_p, s_q = score_params(tables[2], i, j0 + w), score_params(tables[2], i + 1, j0 + w)
            row, noise = x[w], z[w]
            for l in range(len(row)):
                v = row[l]
                g = real(diffusion(v, t, g_p))
                a = square(g) * real(score(v, t, s_p))
                b = combine(real(drift(v, t, f_p)), a, c)
                y = euler_maruyama(v, b, g, h, root, noise[l])
                g_ahead = real(diffusion(y, t_ahead, g_q))
                a = square(g_ahead) * real(score(y, t_ahead, s_q))
                b_ahead = combine(real(drift(y, t_ahead, f_q)), a, c)
                row[l] = heun(v, b, b_ahead, g, g_ahead, h, root, noise[l])

    return _make_heun_tile_score(parts, build, real) if parts.tiled else heun_coordinates


def _make_heun_tile_score(parts: Compiled, build: Specialiser, real: Any) -> Any:
    """The same with a tile's score, which is asked for all particles at once."""
    drift, drift_params = parts.drift, parts.drift_params
    diffusion, diffusion_params = parts.diffusion, parts.diffusion_params
    score, score_params, combine = parts.score, parts.score_params, parts.combine

    @build.own_loop
    def heun_with_tile_score(x, z, s, work, i, j0, times, h, root, c, tables):
        t, t_ahead, d = times[i], times[i + 1], len(x)
        scores, predicted, drifts = s[:d], s[d : 2 * d], s[2 * d :]
        score(x, t, score_params(tables[2], i, j0), scores, work)
        for j in range(d):
            f_p, g_p = drift_params(tables[0], i, j), diffusion_params(tables[1], i, j)
            for l in range(x.shape[1]):
                v = x[j, l]
                g = real(diffusion(v, t, g_p))
                b = combine(real(drift(v, t, f_p)), square(g) * scores[j, l], c)
                drifts[j, l] = b
                predicted[j, l] = euler_maruyama(v, b, g, h, root, z[j, l])
        score(predicted, t_ahead, score_params(tables[2], i + 1, j0), scores, work)
        for j in range(d):
            f_q, g_p = drift_params(tables[0], i + 1, j), diffusion_params(tables[1], i, j)
            g_q = diffusion_params(tables[1], i + 1, j)
            for l in range(x.shape[1]):
                v, y = x[j, l], predicted[j, l]
                g, g_ahead = real(diffusion(v, t, g_p)), real(diffusion(y, t_ahead, g_q))
                b_ahead = combine(real(drift(y, t_ahead, f_q)), square(g_ahead) * scores[j, l], c)
                x[j, l] = heun(v, drifts[j, l], b_ahead, g, g_ahead, h, root, z[j, l])

    return heun_with_tile_score


def make_heun_tuples(
    parts: Compiled,
    squared: Any,
    spread: Any,
    sizes: tuple[int, int],
    build: Specialiser,
    real: Any,
) -> Any:
    """`advance(...)` of both stages for functions of whole particles.

    squared(g, s) is G G^T s, spread(g, z) is G z; sizes are d and the number of noises.
    """
    drift, drift_params = parts.drift, parts.drift_params
    diffusion, diffusion_params = parts.diffusion, parts.diffusion_params
    score, score_params, combine = parts.score, parts.score_params, parts.combine
    d, m = sizes
    predict, average, unit = make_each(euler_maruyama, d), make_each(heun, d), real(1.0)
    column, column_z, put = make_column(d), make_column(m), make_put(d)

    @build.own_loop
    def heun_tuples(x, z, s, work, i, j0, times, h, root, c, tables):
        t, t_ahead = times[i], times[i + 1]
        f_p, f_q = drift_params(tables[0], i), drift_params(tables[0], i + 1)
        g_p, g_q = diffusion_params(tables[1], i), diffusion_params(tables[1], i + 1)
        s_p, s_q = score_params(tables[2], i), score_params(tables[2], i + 1)
        for l in range(x.shape[1]):
            v, w = column(x, l), column_z(z, l)
            g = diffusion(v, t, g_p)
            b = combine((drift(v, t, f_p), squared(g, score(v, t, s_p)), c))
            y = predict((v, b, spread(g, w), h, root, unit))
            g_ahead = diffusion(y, t_ahead, g_q)
            pulled = squared(g_ahead, score(y, t_ahead, s_q))
            b_ahead = combine((drift(y, t_ahead, f_q), pulled, c))
            noises = spread(g, w), spread(g_ahead, w)
            put(x, l, average((v, b, b_ahead, noises[0], noises[1], h, root, unit)))

    if not parts.tiled:
        return heun_tuples

    @build.own_loop
    def heun_tuples_with_tile_score(x, z, s, work, i, j0, times, h, root, c, tables):
        t, t_ahead, width = times[i], times[i + 1], len(x)
        scores, predicted, drifts = s[:width], s[width : 2 * width], s[2 * width :]
        f_p, f_q = drift_params(tables[0], i), drift_params(tables[0], i + 1)
        g_p, g_q = diffusion_params(tables[1], i), diffusion_params(tables[1], i + 1)
        score(x, t, score_params(tables[2], i, 0), scores, work)
        for l in range(x.shape[1]):
            v = column(x, l)
            g = diffusion(v, t, g_p)
            b = combine((drift(v, t, f_p), squared(g, column(scores, l)), c))
            put(drifts, l, b)
            put(predicted, l, predict((v, b, spread(g, column_z(z, l)), h, root, unit)))
        score(predicted, t_ahead, score_params(tables[2], i + 1, 0), scores, work)
        for l in range(x.shape[1]):
            v, y, w = column(x, l), column(predicted, l), column_z(z, l)
            g, g_ahead = diffusion(v, t, g_p), diffusion(y, t_ahead, g_q)
            pulled = squared(g_ahead, column(scores, l))
            b_ahead = combine((drift(y, t_ahead, f_q), pulled, c))
            noises = spread(g, w), spread(g_ahead, w)
            b = column(drifts, l)
            put(x, l, average((v, b, b_ahead, noises[0], noises[1], h, root, unit)))

    return heun_tuples_with_tile_score
