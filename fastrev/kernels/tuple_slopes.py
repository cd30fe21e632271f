"""Derivatives of G by x where particles are coupled: slopes of its entries, divergence of G G^T."""

from typing import Any

from fastrev.kernels.jit import inlined
from fastrev.kernels.parts import central_step, square
from fastrev.kernels.recipe import Recipe
from fastrev.kernels.tuple_parts import Noise, Vectors
from fastrev.kernels.tuples import make_each, make_only, make_products, make_replaced


@inlined
def sum_of(a, b):
    """a + b"""
    return a + b


@inlined
def _slope(high, low, width):
    return (high - low) / width


def make_slopes(make: Vectors, noise: Noise) -> Any:
    """`slopes(v, t, p)`: dg_j/dx_j of a diagonal G."""
    total = None
    for j in range(make.d):
        total = _added(total, _make_derivative(j, _own_entry(j, make), make, noise), make)
    return total


def _own_entry(j: int, make: Vectors) -> Any:
    """`own_entry(g)`: g_j alone, as d numbers."""
    only = make_only(j, make.d)

    @make.build.own_scalar
    def own_entry(g):
        return only(g[j])

    return own_entry


def make_numeric(recipe: Recipe, make: Vectors, noise: Noise) -> Any:
    """`divergence(v, t, p)`: sum_j d a_ij / dx_j, as `parts.make_central` differentiates."""
    total = None
    for j in range(make.d):
        column_of = _make_column_of(j, recipe, make)
        total = _added(total, _make_derivative(j, column_of, make, noise), make)
    return total


def _added(earlier: Any, derivative: Any, make: Vectors) -> Any:
    if earlier is None:
        return derivative
    add = make_each(sum_of, make.d)

    @make.build.own_scalar
    def total(v, t, p):
        return add((earlier(v, t, p), derivative(v, t, p)))

    return total


def _make_derivative(j: int, part_of: Any, make: Vectors, noise: Noise) -> Any:
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


def _make_column_of(j: int, recipe: Recipe, make: Vectors) -> Any:
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
