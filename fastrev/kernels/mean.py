"""Sums of a user's function over a tile."""

from typing import Any

import numpy as np

from fastrev.kernels.jit import inner_loop
from fastrev.kernels.parts import make_part
from fastrev.kernels.recipe import Observer, Recipe
from fastrev.kernels.specialise import Specialiser
from fastrev.kernels.sums import power_sums
from fastrev.kernels.tuples import make_column


def make_mean(observer: Observer, recipe: Recipe, build: Specialiser) -> Any:
    """`add(numbers, x, tau, table, k, work)`, numbers laid out as model/mean.py says.

    table is the times, in the run's dtype, and the function's params
    """
    assert observer.part is not None
    function, params = make_part(observer.part, build)
    real = np.dtype(recipe.dtype).type
    if observer.part.shape == "tuple":
        assert recipe.dim is not None
        column = make_column(recipe.dim)

        @build.own_loop
        def values_of_particles(x, t, p, out):
            for l in range(x.shape[1]):
                out[l] = real(function(column(x, l), t, p))

        @build.own_loop
        def mean_of_particles(numbers, x, tau, table, k, work):
            out = work[0]
            values_of_particles(x, table[0][k], params(table[1:], 0, 0), out)
            _add(numbers, 0, 1, out)
            numbers[0] += x.shape[1]

        return mean_of_particles

    @build.own_loop
    def values_of_coordinates(row, t, p, out):
        for l in range(len(row)):
            out[l] = real(function(row[l], t, p))

    @build.own_loop
    def mean_of_coordinates(numbers, x, tau, table, k, work):
        out = work[0]
        for j in range(len(x)):
            values_of_coordinates(x[j], table[0][k], params(table[1:], 0, j), out)
            _add(numbers, j, len(x), out)
        numbers[0] += x.shape[1]

    return mean_of_coordinates


@inner_loop
def _add(numbers, j, count, values):
    """Sums of y and y^2 about a reference point, the first value that came."""
    if numbers[0] == 0.0:
        numbers[1 + j] = values[0]
    s1, s2, _, _ = power_sums(values, numbers[1 + j])
    numbers[1 + count + j] += s1
    numbers[1 + 2 * count + j] += s2
