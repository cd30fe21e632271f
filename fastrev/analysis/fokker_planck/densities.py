"""Densities on a grid: moments, marginals, distribution functions, scores."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from fastrev.engine.grid_score import GridScore
from fastrev.model import grid
from fastrev.model.check import Array, InputError


@dataclass(frozen=True, eq=False)
class Law:
    """The law at one time: a mass for each cell, (X,) or (X, Y), and the cells' edges."""

    edges: tuple[Array, ...]
    mass: Array

    @property
    def dim(self) -> int:
        """Coordinates."""
        return len(self.edges)

    def cdf(self, x: Any) -> Array:
        """P(X <= x), the mass of a cell spread evenly over it.  Raises InputError in 2-D."""
        self._check_line("cdf")
        return np.asarray(np.interp(x, self.edges[0], _summed(self.mass)))

    def pdf(self, x: Any) -> Array:
        """The density, linear between centres, 0 beyond the grid.  Raises InputError in 2-D."""
        self._check_line("pdf")
        edges, x = self.edges[0], np.asarray(x, np.float64)
        density = np.interp(x, 0.5 * (edges[1:] + edges[:-1]), self.mass / np.diff(edges))
        return np.where((x >= edges[0]) & (x <= edges[-1]), density, 0.0)

    def _check_line(self, name: str) -> None:
        if self.dim != 1:
            raise InputError(f"{name} is for one coordinate: take that of a marginal")

    def marginal(self, coordinate: int) -> "Law":
        """The law of one coordinate.  Raises InputError."""
        if coordinate not in range(self.dim):
            raise InputError(f"coordinate must be less than {self.dim}, got {coordinate!r}")
        others = tuple(j for j in range(self.dim) if j != coordinate)
        return Law((self.edges[coordinate],), self.mass.sum(axis=others))

    def masses(self, edges: Sequence[Array]) -> Array:
        """The masses in other cells, each spread evenly over its own."""
        found = self.mass
        for k, (own, other) in enumerate(zip(self.edges, edges, strict=True)):

            def moved(line: Array, own: Array = own, other: Array = other) -> Array:
                return np.diff(np.interp(other, own, np.concatenate([[0.0], np.cumsum(line)])))

            found = np.apply_along_axis(moved, k, found)
        return found


class Densities(NamedTuple):
    """p at the cells' centres and the times (F,).

    density   (F, X), or (F, X, Y) with y
    """

    times: Array
    x: Array
    density: Array
    y: Array | None = None

    @property
    def axes(self) -> tuple[Array, ...]:
        """The centres along each coordinate."""
        return (self.x,) if self.y is None else (self.x, self.y)

    @property
    def dim(self) -> int:
        """Coordinates."""
        return len(self.axes)

    @property
    def mass(self) -> Array:
        """The integral of p, (F,)."""
        return np.asarray(self._masses.reshape(len(self.times), -1).sum(axis=1))

    @property
    def mean(self) -> Array:
        """Of each coordinate, (F, d)."""
        return np.stack([m @ x for m, x in self._lines()], axis=1)

    @property
    def variance(self) -> Array:
        """Of each coordinate, (F, d)."""
        means = self.mean.T[:, :, None]
        spread = [
            (m * (x - c) ** 2).sum(axis=1) for (m, x), c in zip(self._lines(), means, strict=True)
        ]
        return np.stack(spread, axis=1)

    @property
    def _masses(self) -> Array:
        """Of the cells, in the shape of density."""
        return np.asarray(self.density * np.prod([axis[1] - axis[0] for axis in self.axes]))

    def _lines(self) -> list[tuple[Array, Array]]:
        """Masses (F, X) and centres of each coordinate alone."""
        found = []
        for k, axis in enumerate(self.axes):
            others = tuple(j + 1 for j in range(self.dim) if j != k)
            found.append((self._masses.sum(axis=others), axis))
        return found

    def marginal(self, coordinate: int) -> "Densities":
        """The densities of one coordinate.  Raises InputError."""
        if coordinate not in range(self.dim):
            raise InputError(f"coordinate must be less than {self.dim}, got {coordinate!r}")
        mass, axis = self._lines()[coordinate]
        return Densities(self.times, axis, mass / (axis[1] - axis[0]))

    def law(self, t: float) -> Law:
        """The law at a stored time, equal to t within 1e-9 of the largest.  Raises InputError."""
        row = self._nearest(t)
        if abs(self.times[row] - t) > 1e-9 * np.abs(self.times).max():
            raise InputError(
                f"the solution holds no t = {t:g}; the nearest of its times is "
                f"{self.times[row]:g}: give solve the times that are wanted"
            )
        return self._law(row)

    def cdf(self, t: float) -> Any:
        """The distribution function at the stored time nearest to t, as a function of x."""
        law = self._law(self._nearest(t))
        law._check_line("cdf")
        return law.cdf

    def _nearest(self, t: float) -> int:
        return int(np.argmin(np.abs(self.times - t)))

    def _law(self, row: int) -> Law:
        return Law(tuple(map(edges_of, self.axes)), self._masses[row])

    def score(self, interpolation: str = "linear") -> grid.GridScore:
        """grad log p on the grid at the times, see `GridScore.from_density`."""
        order = np.argsort(self.times)
        return GridScore.from_density(
            self.times[order], self.x, self.density[order], self.y, interpolation
        )


def _summed(mass: Array) -> Array:
    """The distribution function at the edges."""
    total = np.concatenate([[0.0], np.cumsum(mass)])
    return np.asarray(total / total[-1])


def edges_of(centres: Array) -> Array:
    """The edges of evenly spaced cells, (X + 1,)."""
    h = (centres[-1] - centres[0]) / (len(centres) - 1)
    return np.asarray(centres[0] + h * (np.arange(len(centres) + 1) - 0.5))
