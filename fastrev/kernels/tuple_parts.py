"""Parts of a step whose particles are coupled: drift, score and noise, of tuples."""

from typing import Any

from fastrev.kernels.jit import inlined
from fastrev.kernels.parts import make_part, square
from fastrev.kernels.recipe import Part, Recipe
from fastrev.kernels.specialise import Specialiser
from fastrev.kernels.tuples import make_each, make_products


@inlined
def product_of(g, z):
    """g z"""
    return g * z


@inlined
def _pull_of(g, s):
    return square(g) * s


class Vectors:
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


def _appended(earlier: Any, params: Any, j: int, make: Vectors) -> Any:
    if earlier is None:

        @make.build.own_scalar
        def first(table, i):
            return (params(table, i, j),)

        return first

    @make.build.own_scalar
    def more(table, i):
        return (*earlier(table, i), params(table, i, j))

    return more


class Noise:
    """G as the structure of the noise has it, and its products.

    function, params   G(x, t, p): a number, d numbers, or d rows of m
    spread(g, z)       G z, d numbers
    squared(g, s)      G G^T s
    """

    def __init__(self, recipe: Recipe, make: Vectors) -> None:
        self.structure = recipe.structure
        d, m = make.d, recipe.rank
        what = "the diffusion"
        product, root = make_each(product_of, d), make_each(_pull_of, d)
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

    def _whole(self, part: Part, make: Vectors, m: int, what: str) -> tuple[Any, Any]:
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
