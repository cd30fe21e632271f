"""One step of a tile, from the parts of a recipe."""

from typing import Any

from fastrev.kernels.jit import scalar
from fastrev.kernels.params import make_params
from fastrev.kernels.recipe import Part, Recipe
from fastrev.kernels.specialise import Specialiser
from fastrev.kernels.steppers import euler, euler_maruyama


def _make_part(part: Part | None, build: Specialiser) -> tuple[Any, Any]:
    """The jitted function of a part, and the one that assembles its p."""
    if part is None:
        return scalar(_nothing), make_params((), (), per_coordinate=True)
    params = make_params(part.names, part.scheduled, per_coordinate=not part.tiled)
    return (build.loop if part.tiled else build.scalar)(part.function), params


def _nothing(x, t, p):
    return x


def _forward_drift(f, a, s, c):
    return f


def make_advance(recipe: Recipe, build: Specialiser, real: Any) -> Any:
    """`advance(x, z, s, work, i, j0, t, h, root, c, tables)`: step i for a tile, in place."""
    drift, drift_params = _make_part(recipe.drift, build)
    diffusion, diffusion_params = _make_part(recipe.diffusion, build)
    score, score_params = _make_part(recipe.score, build)
    combine = build.scalar(recipe.combine or _forward_drift)
    step = euler_maruyama if recipe.noisy else euler

    @build.own_loop
    def advance_coordinates(x, z, s, work, i, j0, t, h, root, c, tables):
        for w in range(len(x)):
            f_p = drift_params(tables[0], i, j0 + w)
            g_p = diffusion_params(tables[1], i, j0 + w)
            s_p = score_params(tables[2], i, j0 + w)
            row, noise = x[w], z[w]
            for l in range(len(row)):
                v = row[l]
                f = real(drift(v, t, f_p))
                g = real(diffusion(v, t, g_p))
                b = combine(f, g * g, real(score(v, t, s_p)), c)
                row[l] = step(v, b, g, h, root, noise[l])

    @build.own_loop
    def advance_with_tile_score(x, z, s, work, i, j0, t, h, root, c, tables):
        score(x, t, score_params(tables[2], i, j0), s, work)
        for j in range(len(x)):
            f_p = drift_params(tables[0], i, j)
            g_p = diffusion_params(tables[1], i, j)
            row, noise, pull = x[j], z[j], s[j]
            for l in range(len(row)):
                v = row[l]
                f = real(drift(v, t, f_p))
                g = real(diffusion(v, t, g_p))
                b = combine(f, g * g, pull[l], c)
                row[l] = step(v, b, g, h, root, noise[l])

    tiled = recipe.score is not None and recipe.score.tiled
    return advance_with_tile_score if tiled else advance_coordinates
