"""One step of a tile whose particles are coupled: kernels of tuples (x_0, .., x_{d-1})."""

from typing import Any

from fastrev.kernels.parts import forward_drift, make_part
from fastrev.kernels.recipe import Recipe
from fastrev.kernels.specialise import Specialiser
from fastrev.kernels.steppers.euler_maruyama import euler, euler_maruyama
from fastrev.kernels.steppers.heun import Compiled, make_heun_tuples, make_two_stages
from fastrev.kernels.steppers.milstein import milstein
from fastrev.kernels.tuple_parts import Noise, Vectors, product_of
from fastrev.kernels.tuple_slopes import make_numeric, make_slopes, sum_of
from fastrev.kernels.tuples import make_column, make_each, make_products, make_put


def make_advance_tuples(recipe: Recipe, build: Specialiser, real: Any) -> Any:
    """`advance(x, z, s, work, i, j0, times, h, root, c, tables)`: step i for a tile, in place."""
    assert recipe.dim is not None
    d, m = recipe.dim, recipe.rank
    make = Vectors(d, build, real)
    drift, drift_params = make.function(recipe.drift, "the drift")
    noise = Noise(recipe, make)
    pull, pull_params = _make_pull(recipe, make, noise)
    combine = make_each(build.scalar(recipe.combine) if recipe.combine else forward_drift, d)
    step = _make_step(recipe, make, noise)
    column, column_z, put = make_column(d), make_column(m), make_put(d)
    diffusion, diffusion_params = noise.function, noise.params
    tiled = recipe.score is not None and recipe.score.shape == "tile"
    tile_score, tile_params = make_part(recipe.score if tiled else None, build)
    score, score_params = make.function(None if tiled else recipe.score, "the score")

    @build.own_loop
    def advance_tuples(x, z, s, work, i, j0, times, h, root, c, tables):
        t = times[i]
        f_p = drift_params(tables[0], i)
        g_p = diffusion_params(tables[1], i)
        s_p = score_params(tables[2], i)
        d_p = pull_params(tables, i)
        for l in range(x.shape[1]):
            v = column(x, l)
            g = diffusion(v, t, g_p)
            b = combine((drift(v, t, f_p), pull(v, t, d_p, g, score(v, t, s_p)), c))
            put(x, l, step(v, t, g_p, b, g, h, root, column_z(z, l)))

    @build.own_loop
    def advance_tuples_with_tile_score(x, z, s, work, i, j0, times, h, root, c, tables):
        t = times[i]
        tile_score(x, t, tile_params(tables[2], i, 0), s, work)
        f_p = drift_params(tables[0], i)
        g_p = diffusion_params(tables[1], i)
        d_p = pull_params(tables, i)
        for l in range(x.shape[1]):
            v = column(x, l)
            g = diffusion(v, t, g_p)
            b = combine((drift(v, t, f_p), pull(v, t, d_p, g, column(s, l)), c))
            put(x, l, step(v, t, g_p, b, g, h, root, column_z(z, l)))

    one_stage = advance_tuples_with_tile_score if tiled else advance_tuples
    if recipe.stages != "heun":
        return one_stage
    used_score, used_params = (tile_score, tile_params) if tiled else (score, score_params)
    parts = Compiled(
        drift, drift_params, diffusion, diffusion_params, used_score, used_params, combine, tiled
    )
    two_stages = make_heun_tuples(parts, noise.squared, noise.spread, (d, m), build, real)
    return make_two_stages(two_stages, one_stage, build)


def make_variances_tuples(recipe: Recipe, build: Specialiser, real: Any) -> Any:
    """`variances(x, i, j0, t, root, tables, out)`: (G G^T)_jj root^2 of each coordinate j."""
    assert recipe.dim is not None
    make = Vectors(recipe.dim, build, real)
    noise = Noise(recipe, make)
    diffusion, params, squared = noise.function, noise.params, noise.squared
    ones, column, put = (real(1.0),) * make.d, make_column(make.d), make_put(make.d)
    row_square, scaled = make_products(1, recipe.rank, False), make_each(product_of, make.d)

    @build.own_scalar
    def norm(row):
        return row_square((row,), row)[0]

    norms, matrix = make_each(norm, make.d), noise.structure == "matrix"

    @build.own_scalar
    def diagonal_of_matrix(g):
        return norms((g,))

    @build.own_scalar
    def diagonal_of_numbers(g):
        return squared(g, ones)

    diagonal = diagonal_of_matrix if matrix else diagonal_of_numbers

    @build.own_loop
    def variances(x, i, j0, t, root, tables, out):
        p = params(tables[1], i)
        for l in range(x.shape[1]):
            put(out, l, scaled((diagonal(diffusion(column(x, l), t, p)), root * root)))

    return variances


def _make_step(recipe: Recipe, make: Vectors, noise: Noise) -> Any:
    """`step(v, t, g_p, b, g, h, root, z)`: a step of one stage, d numbers."""
    d, unit, spread = make.d, make.real(1.0), noise.spread
    if recipe.stages == "milstein" and recipe.noisy and noise.structure == "diagonal":
        each, slopes = make_each(milstein, d), make_slopes(make, noise)

        @make.build.own_scalar
        def milstein_step(v, t, g_p, b, g, h, root, z):
            return each((v, b, g, slopes(v, t, g_p), h, root, z))

        return milstein_step
    plain = make_each(euler_maruyama if recipe.noisy else euler, d)

    @make.build.own_scalar
    def plain_step(v, t, g_p, b, g, h, root, z):
        return plain((v, b, spread(g, z), h, root, unit))

    return plain_step


def _make_pull(recipe: Recipe, make: Vectors, noise: Noise) -> tuple[Any, Any]:
    """`pull(v, t, p, g, s)` = div a + a s, the first term where G depends on x; its params."""
    squared = noise.squared
    if recipe.divergence is None:

        @make.build.own_scalar
        def pull(v, t, p, g, s):
            return squared(g, s)

        @make.build.own_scalar
        def no_params(tables, i):
            return ()

        return pull, no_params
    if recipe.divergence == "numeric":
        divergence, params, table = make_numeric(recipe, make, noise), noise.params, 1
    else:
        divergence, params = make.function(recipe.divergence, "the divergence")
        table = 3
    add = make_each(sum_of, make.d)

    @make.build.own_scalar
    def pull_with_divergence(v, t, p, g, s):
        return add((divergence(v, t, p), squared(g, s)))

    @make.build.own_scalar
    def params_of(tables, i):
        return params(tables[table], i)

    return pull_with_divergence, params_of
