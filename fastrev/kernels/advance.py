"""One step of a tile, from the parts of a recipe.

With a = G G^T, the drift of a step is combine(f, pull, c), where pull = div a + a s.
"""

from typing import Any

from fastrev.kernels.parts import forward_drift, make_central, make_part, square
from fastrev.kernels.recipe import Recipe
from fastrev.kernels.specialise import Specialiser
from fastrev.kernels.steppers.euler_maruyama import euler, euler_maruyama
from fastrev.kernels.steppers.heun import Compiled, make_heun_coordinates, make_two_stages
from fastrev.kernels.steppers.milstein import milstein


def make_advance(recipe: Recipe, build: Specialiser, real: Any) -> Any:
    """`advance(x, z, s, work, i, j0, times, h, root, c, tables)`: step i for a tile, in place."""
    if recipe.affine:
        from fastrev.kernels.advance_affine import make_advance_affine

        return make_advance_affine(recipe, build)
    if recipe.by_tile:
        from fastrev.kernels.advance_tiles import make_advance_tiles

        return make_advance_tiles(recipe, build, real)
    if recipe.by_tuple:
        from fastrev.kernels.advance_tuples import make_advance_tuples

        return make_advance_tuples(recipe, build, real)
    return _make_advance_coordinates(recipe, build, real)


def make_variances(recipe: Recipe, build: Specialiser, real: Any) -> Any:
    """`variances(x, i, j0, t, root, tables, out)`: of the noise of step i in each coordinate."""
    if recipe.by_tile:
        from fastrev.kernels.advance_tiles import make_variances_tiles

        return make_variances_tiles(recipe, build, real)
    if recipe.by_tuple:
        from fastrev.kernels.advance_tuples import make_variances_tuples

        return make_variances_tuples(recipe, build, real)
    diffusion, params = make_part(recipe.diffusion, build)

    @build.own_loop
    def variances(x, i, j0, t, root, tables, out):
        for w in range(len(x)):
            p = params(tables[1], i, j0 + w)
            row, variance = x[w], out[w]
            for l in range(len(row)):
                variance[l] = square(real(diffusion(row[l], t, p)) * root)

    return variances


def _make_advance_coordinates(recipe: Recipe, build: Specialiser, real: Any) -> Any:
    """Every part is a function of one coordinate; a score may also be a tile's."""
    drift, drift_params = make_part(recipe.drift, build)
    diffusion, diffusion_params = make_part(recipe.diffusion, build)
    score, score_params = make_part(recipe.score, build)
    pull, pull_params = _make_pull(recipe, diffusion, diffusion_params, build, real)
    combine = build.scalar(recipe.combine) if recipe.combine else forward_drift
    step = _make_step(recipe, diffusion, build, real)

    @build.own_borrower
    def advance_coordinates(x, z, s, work, i, j0, times, h, root, c, tables):
        t = times[i]
        for w in range(len(x)):
            f_p = drift_params(tables[0], i, j0 + w)
            g_p = diffusion_params(tables[1], i, j0 + w)
            s_p = score_params(tables[2], i, j0 + w)
            d_p = pull_params(tables, i, j0 + w)
            row, noise = x[w], z[w]
            for l in range(len(row)):
                v = row[l]
                f = real(drift(v, t, f_p))
                g = real(diffusion(v, t, g_p))
                b = combine(f, pull(v, t, d_p, g, real(score(v, t, s_p))), c)
                row[l] = step(v, t, g_p, b, g, h, root, noise[l])

    @build.own_borrower
    def advance_with_tile_score(x, z, s, work, i, j0, times, h, root, c, tables):
        t = times[i]
        score(x, t, score_params(tables[2], i, j0), s, work)
        for j in range(len(x)):
            f_p = drift_params(tables[0], i, j)
            g_p = diffusion_params(tables[1], i, j)
            d_p = pull_params(tables, i, j)
            row, noise, scores = x[j], z[j], s[j]
            for l in range(len(row)):
                v = row[l]
                f = real(drift(v, t, f_p))
                g = real(diffusion(v, t, g_p))
                b = combine(f, pull(v, t, d_p, g, scores[l]), c)
                row[l] = step(v, t, g_p, b, g, h, root, noise[l])

    tiled = recipe.score is not None and recipe.score.shape == "tile"
    one_stage = advance_with_tile_score if tiled else advance_coordinates
    if recipe.stages != "heun":
        return one_stage
    parts = Compiled(
        drift, drift_params, diffusion, diffusion_params, score, score_params, combine, tiled
    )
    return make_two_stages(make_heun_coordinates(parts, build, real), one_stage, build)


def _make_step(recipe: Recipe, diffusion: Any, build: Specialiser, real: Any) -> Any:
    """`step(x, t, g_p, b, g, h, root, z)`: a step of one stage."""
    if recipe.stages == "milstein" and recipe.noisy and recipe.structure == "diagonal":

        @build.own_scalar
        def g_of(x, t, p):
            return real(diffusion(x, t, p))

        central = make_central(g_of, real, build)

        @build.own_scalar
        def milstein_step(x, t, g_p, b, g, h, root, z):
            return milstein(x, b, g, central(x, t, g_p), h, root, z)

        return milstein_step
    plain = euler_maruyama if recipe.noisy else euler

    @build.own_scalar
    def plain_step(x, t, g_p, b, g, h, root, z):
        return plain(x, b, g, h, root, z)

    return plain_step


def _make_pull(
    recipe: Recipe, diffusion: Any, diffusion_params: Any, build: Specialiser, real: Any
) -> tuple[Any, Any]:
    """`pull(x, t, p, g, s)` = d(g^2)/dx + g^2 s, the first where g depends on x; its params."""
    if recipe.divergence is None:

        @build.own_scalar
        def pull(x, t, p, g, s):
            return square(g) * s

        @build.own_scalar
        def no_params(tables, i, j):
            return ()

        return pull, no_params
    if recipe.divergence == "numeric":

        @build.own_scalar
        def square_of(x, t, p):
            return square(real(diffusion(x, t, p)))

        divergence, params, table = make_central(square_of, real, build), diffusion_params, 1
    else:
        divergence, params = make_part(recipe.divergence, build)
        table = 3

    @build.own_scalar
    def pull_with_divergence(x, t, p, g, s):
        return real(divergence(x, t, p)) + square(g) * s

    @build.own_scalar
    def params_of(tables, i, j):
        return params(tables[table], i, j)

    return pull_with_divergence, params_of
