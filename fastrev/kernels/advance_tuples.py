"""One step of a tile whose particles are coupled: kernels of tuples (x_0, .., x_{d-1})."""

from typing import Any

from fastrev.kernels.jit import scalar
from fastrev.kernels.parts import central_step, forward_drift, make_part, square
from fastrev.kernels.recipe import Part, Recipe
from fastrev.kernels.specialise import Specialiser
from fastrev.kernels.steppers.euler_maruyama import euler, euler_maruyama
from fastrev.kernels.steppers.heun import Compiled, make_heun_tuples, make_two_stages
from fastrev.kernels.steppers.milstein import milstein
from fastrev.kernels.tuples import (
    make_column,
    make_each,
    make_only,
    make_products,
    make_put,
    make_replaced,
)


def make_advance_tuples(recipe: Recipe, build: Specialiser, real: Any) -> Any:
    """`advance(x, z, s, work, i, j0, times, h, root, c, tables)`: step i for a tile, in place."""
    assert recipe.dim is not None
    d, m = recipe.dim, recipe.rank
    make = _Vectors(d, build, real)
    drift, drift_params = make.function(recipe.drift, "the drift")
    noise = _Noise(recipe, make)
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
    make = _Vectors(recipe.dim, build, real)
    noise = _Noise(recipe, make)
    diffusion, params, squared = noise.function, noise.params, noise.squared
    ones, column, put = (real(1.0),) * make.d, make_column(make.d), make_put(make.d)
    row_square, scaled = make_products(1, recipe.rank, False), make_each(_product, make.d)

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


def _make_step(recipe: Recipe, make: "_Vectors", noise: "_Noise") -> Any:
    """`step(v, t, g_p, b, g, h, root, z)`: a step of one stage, d numbers."""
    d, unit, spread = make.d, make.real(1.0), noise.spread
    if recipe.stages == "milstein" and recipe.noisy and noise.structure == "diagonal":
        each, slopes = make_each(milstein, d), _make_slopes(make, noise)

        @make.build.own_scalar
        def milstein_step(v, t, g_p, b, g, h, root, z):
            return each((v, b, g, slopes(v, t, g_p), h, root, z))

        return milstein_step
    plain = make_each(euler_maruyama if recipe.noisy else euler, d)

    @make.build.own_scalar
    def plain_step(v, t, g_p, b, g, h, root, z):
        return plain((v, b, spread(g, z), h, root, unit))

    return plain_step


def _make_slopes(make: "_Vectors", noise: "_Noise") -> Any:
    """`slopes(v, t, p)`: dg_j/dx_j of a diagonal G."""
    total = None
    for j in range(make.d):
        total = _added(total, _make_derivative(j, _own_entry(j, make), make, noise), make)
    return total


def _own_entry(j: int, make: "_Vectors") -> Any:
    """`own_entry(g)`: g_j alone, as d numbers."""
    only = make_only(j, make.d)

    @make.build.own_scalar
    def own_entry(g):
        return only(g[j])

    return own_entry


class _Vectors:
    """Parts as functions from tuples to tuples of d numbers, whatever their shape."""

    def __init__(self, d: int, build: Specialiser, real: Any) -> None:
        self.d, self.build, self.real = d, build, real

        @build.own_scalar
        def cast(x):
            return real(x)

        self.cast = cast

    def function(self, part: Part | None, what: str) -> tuple[Any, Any]:
        """`function(v, t, p)` and `params(table, i)`."""
        inner, params = make_part(part, self.build)
        if part is not None and part.shape == "coordinate":
            return self._by_coordinate(inner, params)
        each = make_each(self.cast, self.d, what)

        @self.build.own_scalar
        def function(v, t, p):
            return each((inner(v, t, p),))

        @self.build.own_scalar
        def whole(table, i):
            return params(table, i, 0)

        return function, whole

    def _by_coordinate(self, inner: Any, params: Any) -> tuple[Any, Any]:
        real = self.real

        @self.build.own_scalar
        def one(x, t, p):
            return real(inner(x, t, p))

        each, every = make_each(one, self.d), self._all_params(params)

        @self.build.own_scalar
        def function(v, t, ps):
            return each((v, t, ps))

        return function, every

    def _all_params(self, params: Any) -> Any:
        """`every(table, i)`: the p of each coordinate, as a tuple."""
        every = None
        for j in range(self.d):
            every = _appended(every, params, j, self)
        return every


def _appended(earlier: Any, params: Any, j: int, make: _Vectors) -> Any:
    if earlier is None:

        @make.build.own_scalar
        def first(table, i):
            return (params(table, i, j),)

        return first

    @make.build.own_scalar
    def more(table, i):
        return (*earlier(table, i), params(table, i, j))

    return more


class _Noise:
    """G as the structure of the noise has it, and its products.

    function, params   G(x, t, p): a number, d numbers, or d rows of m
    spread(g, z)       G z, d numbers
    squared(g, s)      G G^T s
    """

    def __init__(self, recipe: Recipe, make: _Vectors) -> None:
        self.structure = recipe.structure
        d, m = make.d, recipe.rank
        what = "the diffusion"
        product, root = make_each(_product, d), make_each(_pull_of, d)
        if recipe.structure == "diagonal":
            self.function, self.params = make.function(recipe.diffusion, what)
        else:
            self.function, self.params = self._whole(recipe.diffusion, make, m, what)

        if recipe.structure != "matrix":

            @make.build.own_scalar
            def spread(g, z):
                return product((g, z))

            @make.build.own_scalar
            def squared(g, s):
                return root((g, s))
        else:
            forth, back = make_products(d, m, False), make_products(d, m, True)

            @make.build.own_scalar
            def spread(g, z):
                return forth(g, z)

            @make.build.own_scalar
            def squared(g, s):
                return forth(g, back(g, s))

        self.spread, self.squared = spread, squared

    def _whole(self, part: Part, make: _Vectors, m: int, what: str) -> tuple[Any, Any]:
        """A scalar g, or a matrix of d rows."""
        inner, params = make_part(part, make.build)
        row, numbers = make_each(make.cast, m, f"each row of {what}"), make.cast

        @make.build.own_scalar
        def cast_row(numbers_of_row):
            return row((numbers_of_row,))

        rows = make_each(cast_row, make.d, what)
        matrix = self.structure == "matrix"

        @make.build.own_scalar
        def matrix_of(v, t, p):
            return rows((inner(v, t, p),))

        @make.build.own_scalar
        def number_of(v, t, p):
            return numbers(inner(v, t, p))

        @make.build.own_scalar
        def whole(table, i):
            return params(table, i, 0)

        return (matrix_of if matrix else number_of), whole


def _make_pull(recipe: Recipe, make: _Vectors, noise: _Noise) -> tuple[Any, Any]:
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
        divergence, params, table = _make_numeric(recipe, make, noise), noise.params, 1
    else:
        divergence, params = make.function(recipe.divergence, "the divergence")
        table = 3
    add = make_each(_sum, make.d)

    @make.build.own_scalar
    def pull_with_divergence(v, t, p, g, s):
        return add((divergence(v, t, p), squared(g, s)))

    @make.build.own_scalar
    def params_of(tables, i):
        return params(tables[table], i)

    return pull_with_divergence, params_of


def _make_numeric(recipe: Recipe, make: _Vectors, noise: _Noise) -> Any:
    """`divergence(v, t, p)`: sum_j d a_ij / dx_j, as `parts.make_central` differentiates."""
    total = None
    for j in range(make.d):
        column_of = _make_column_of(j, recipe, make)
        total = _added(total, _make_derivative(j, column_of, make, noise), make)
    return total


def _added(earlier: Any, derivative: Any, make: _Vectors) -> Any:
    if earlier is None:
        return derivative
    add = make_each(_sum, make.d)

    @make.build.own_scalar
    def total(v, t, p):
        return add((earlier(v, t, p), derivative(v, t, p)))

    return total


def _make_derivative(j: int, part_of: Any, make: _Vectors, noise: _Noise) -> Any:
    """`derivative(v, t, p)`: d/dx_j of part_of(G), d numbers."""
    d, real, diffusion = make.d, make.real, noise.function
    replaced, slope = make_replaced(j), make_each(_slope, d)
    third, one = central_step(real), real(1.0)

    @make.build.own_scalar
    def derivative(v, t, p):
        size = abs(v[j])
        e = third * (size if size > one else one)
        above, below = v[j] + e, v[j] - e
        high = part_of(diffusion(replaced(v, above), t, p))
        low = part_of(diffusion(replaced(v, below), t, p))
        return slope((high, low, above - below))

    return derivative


def _make_column_of(j: int, recipe: Recipe, make: _Vectors) -> Any:
    """`column_of(g)`: column j of G G^T."""
    if recipe.structure == "matrix":
        forth = make_products(make.d, recipe.rank, False)

        @make.build.own_scalar
        def column_of(g):
            return forth(g, g[j])

        return column_of
    only = make_only(j, make.d)

    @make.build.own_scalar
    def diagonal_of(g):
        return only(square(g[j]))

    return diagonal_of


@scalar
def _sum(a, b):
    return a + b


@scalar
def _slope(high, low, width):
    return (high - low) / width


@scalar
def _product(g, z):
    return g * z


@scalar
def _pull_of(g, s):
    return square(g) * s
