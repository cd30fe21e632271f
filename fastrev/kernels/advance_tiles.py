"""One step of a tile where a part is a function of whole tiles: arrays (d, B) with an `out`.

Each part is evaluated for all particles into a room of its own, whatever its shape, and a
last loop takes the step.
"""

from typing import Any

from fastrev.kernels.parts import forward_drift, make_part, square
from fastrev.kernels.recipe import Part, Recipe
from fastrev.kernels.specialise import Specialiser
from fastrev.kernels.steppers.euler_maruyama import euler, euler_maruyama
from fastrev.kernels.steppers.heun import heun, make_two_stages
from fastrev.kernels.tuples import make_column, make_each, make_put


def make_advance_tiles(recipe: Recipe, build: Specialiser, real: Any) -> Any:
    """`advance(x, z, s, work, i, j0, times, h, root, c, tables)`: step i for a tile, in place."""
    evaluate = _make_evaluate(recipe, build, real)
    step = euler_maruyama if recipe.noisy else euler

    @build.own_loop
    def advance_tiles(x, z, s, work, i, j0, times, h, root, c, tables):
        d = len(x)
        b, g = s[:d], s[d : 2 * d]
        evaluate(x, times[i], i, s[2 * d :], work, tables, c, b, g)
        for j in range(d):
            for l in range(x.shape[1]):
                x[j, l] = step(x[j, l], b[j, l], g[j, l], h, root, z[j, l])

    if recipe.stages != "heun":
        return advance_tiles

    @build.own_loop
    def heun_tiles(x, z, s, work, i, j0, times, h, root, c, tables):
        d = len(x)
        b, g, rest = s[:d], s[d : 2 * d], s[2 * d :]
        y, b_ahead, g_ahead = rest[2 * d : 3 * d], rest[3 * d : 4 * d], rest[4 * d : 5 * d]
        evaluate(x, times[i], i, rest, work, tables, c, b, g)
        for j in range(d):
            for l in range(x.shape[1]):
                y[j, l] = euler_maruyama(x[j, l], b[j, l], g[j, l], h, root, z[j, l])
        evaluate(y, times[i + 1], i + 1, rest, work, tables, c, b_ahead, g_ahead)
        for j in range(d):
            for l in range(x.shape[1]):
                x[j, l] = heun(
                    x[j, l], b[j, l], b_ahead[j, l], g[j, l], g_ahead[j, l], h, root, z[j, l]
                )

    return make_two_stages(heun_tiles, advance_tiles, build)


def make_variances_tiles(recipe: Recipe, build: Specialiser, real: Any) -> Any:
    """`variances(x, i, j0, t, root, tables, out)`: g^2 root^2 of each coordinate."""
    fill = _make_fill(recipe.diffusion, recipe, build, real)

    @build.own_loop
    def variances(x, i, j0, t, root, tables, out):
        fill(x, t, i, tables[1], out, out)
        for j in range(len(x)):
            for l in range(x.shape[1]):
                out[j, l] = square(out[j, l] * root)

    return variances


def _make_evaluate(recipe: Recipe, build: Specialiser, real: Any) -> Any:
    """`evaluate(x, t, i, rooms, work, tables, c, b, g)`: the drift of a step and G, (d, B).

    rooms (2 d or more, B) are for the score and the divergence.
    """
    drift = _make_fill(recipe.drift, recipe, build, real)
    diffusion = _make_fill(recipe.diffusion, recipe, build, real)
    if recipe.score is None:

        @build.own_loop
        def evaluate_forward(x, t, i, rooms, work, tables, c, b, g):
            drift(x, t, i, tables[0], b, work)
            diffusion(x, t, i, tables[1], g, work)

        return evaluate_forward
    score = _make_fill(recipe.score, recipe, build, real)
    combine = build.scalar(recipe.combine) if recipe.combine else forward_drift
    by_x = isinstance(recipe.divergence, Part)
    divergence = _make_fill(recipe.divergence, recipe, build, real) if by_x else None

    @build.own_loop
    def evaluate(x, t, i, rooms, work, tables, c, b, g):
        d = len(x)
        scores, slopes = rooms[:d], rooms[d : 2 * d]
        drift(x, t, i, tables[0], b, work)
        diffusion(x, t, i, tables[1], g, work)
        score(x, t, i, tables[2], scores, work)
        if by_x:
            divergence(x, t, i, tables[3], slopes, work)
        for j in range(d):
            for l in range(x.shape[1]):
                pull = square(g[j, l]) * scores[j, l]
                if by_x:
                    pull = slopes[j, l] + pull
                b[j, l] = combine(b[j, l], pull, c)

    return evaluate


def _make_fill(part: Any, recipe: Recipe, build: Specialiser, real: Any) -> Any:
    """`fill(x, t, i, table, out, work)`: a part of any shape at all particles, (d, B)."""
    function, params = make_part(part, build)
    if part.shape == "tile":

        @build.own_loop
        def fill_by_tile(x, t, i, table, out, work):
            function(x, t, params(table, i, 0), out, work)

        return fill_by_tile
    if part.shape == "tuple":
        assert recipe.dim is not None

        @build.own_scalar
        def cast(value):
            return real(value)

        d = recipe.dim
        column, put, numbers = make_column(d), make_put(d), make_each(cast, d, "a kernel")

        @build.own_loop
        def fill_by_tuple(x, t, i, table, out, work):
            p = params(table, i, 0)
            for l in range(x.shape[1]):
                put(out, l, numbers((function(column(x, l), t, p),)))

        return fill_by_tuple

    @build.own_loop
    def fill_by_coordinate(x, t, i, table, out, work):
        for j in range(len(x)):
            p = params(table, i, j)
            for l in range(x.shape[1]):
                out[j, l] = real(function(x[j, l], t, p))

    return fill_by_coordinate
