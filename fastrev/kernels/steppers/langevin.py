"""Langevin steps, which leave the law p_t of a score alone: the corrector of a reverse step."""

from typing import Any

from fastrev.kernels.intrinsics import fma
from fastrev.kernels.jit import inlined
from fastrev.kernels.parts import make_part
from fastrev.kernels.recipe import Recipe
from fastrev.kernels.specialise import Specialiser
from fastrev.kernels.tuples import make_column, make_each, make_put


@inlined
def langevin(x, s, length, spread, z):
    """x + e s + sqrt(2 e) z, with e = length and sqrt(2 e) = spread.

    Song et al. 2021, arXiv:2011.13456, algorithm 1.
    """
    return fma(spread, z, fma(length, s, x))


def make_correct(recipe: Recipe, build: Specialiser, real: Any) -> Any:
    """`correct(x, z, s, work, i, j0, t, length, spread, tables)`: one Langevin step at the end
    t of step i, in place; z (w, B)."""
    assert recipe.score is not None
    score, params = make_part(recipe.score, build)
    if recipe.score.shape == "tile":

        @build.own_loop
        def correct_by_tile(x, z, s, work, i, j0, t, length, spread, tables):
            score(x, t, params(tables[2], i + 1, j0), s, work)
            for j in range(len(x)):
                row, noise, scores = x[j], z[j], s[j]
                for l in range(len(row)):
                    row[l] = langevin(row[l], scores[l], length, spread, noise[l])

        return correct_by_tile
    if recipe.score.shape == "tuple":
        assert recipe.dim is not None
        d = recipe.dim
        column, put, each = make_column(d), make_put(d), make_each(langevin, d)

        @build.own_scalar
        def cast(x):
            return real(x)

        numbers = make_each(cast, d, "the score")

        @build.own_loop
        def correct_by_tuple(x, z, s, work, i, j0, t, length, spread, tables):
            p = params(tables[2], i + 1, j0)
            for l in range(x.shape[1]):
                v = column(x, l)
                scores = numbers((score(v, t, p),))
                put(x, l, each((v, scores, length, spread, column(z, l))))

        return correct_by_tuple

    @build.own_loop
    def correct_by_coordinate(x, z, s, work, i, j0, t, length, spread, tables):
        for w in range(len(x)):
            p = params(tables[2], i + 1, j0 + w)
            row, noise = x[w], z[w]
            for l in range(len(row)):
                v = row[l]
                row[l] = langevin(v, real(score(v, t, p)), length, spread, noise[l])

    return correct_by_coordinate
