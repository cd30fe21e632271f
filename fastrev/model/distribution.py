"""What distributions share: where a run starts, and what its marginals are.

Scalar parameters serve every coordinate; an array gives each coordinate its
own.  Points are rows: an `x` of shape (N, d) holds N points and gives N
densities; an `x` of fewer dimensions holds points on the line.
"""

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from fastrev.model import check, mixture
from fastrev.model.check import Array, InputError


@dataclass(frozen=True)
class Draw:
    """How a kernel draws coordinate j of one particle: `function(j, u, v, z, p)`.

    u is uniform on (0, 1) and shared by the particle's coordinates, v is uniform
    and z standard normal for coordinate j; the flags say which are looked at.
    """

    function: Callable[..., Any]
    params: dict[str, Array]
    uses_u: bool = False
    uses_v: bool = False
    uses_z: bool = False
    correlated: bool = False
    """Whether x then becomes mean_k + chol_k x for the component k that u chooses: params mean
    (K, d), chol (K, d, d), lower triangles, and cumulative (K - 1,)."""


class Distribution:
    """What all distributions share.  `dim` is None where the parameters are scalars."""

    dim: int | None

    def draw(self, dim: int) -> Draw:
        """The kernel's draw for `dim` coordinates."""
        raise NotImplementedError

    def moments(self) -> tuple[Array, Array]:
        """Mean and variance of each coordinate, shapes (d,), or (1,) where scalar."""
        raise NotImplementedError

    def components(self) -> mixture.Components:
        """The distribution as a Gaussian mixture.  Raises InputError where it is none."""
        raise InputError(
            f"{type(self).__name__} has no closed-form marginal; "
            "allowed: Point, Gaussian, GaussianMixture, Empirical"
        )

    def sample(self, n: int, seed: int | None = None, dim: int | None = None) -> Array:
        """n points, shape (n, d), float64, from NumPy's generator."""
        d = agree(self.dim, dim)
        size = int(check.positive("n", n))
        return self._sample(np.random.default_rng(seed), (size, d))

    def _sample(self, rng: np.random.Generator, shape: tuple[int, int]) -> Array:
        raise NotImplementedError

    def pdf(self, x: ArrayLike) -> Array:
        """The density at each point."""
        return mixture.pdf(self.components(), x)

    def cdf(self, x: ArrayLike) -> Array:
        """P(X <= x), for one coordinate."""
        return mixture.cdf(self.components(), x)

    def score(self, x: ArrayLike) -> Array:
        """The score, grad log p, at each point, in the shape of x."""
        return mixture.score(self.components(), x)


def agree(own: int | None, asked: int | None) -> int:
    """The number of coordinates.  Raises InputError where two sources disagree."""
    if own is not None and asked is not None and own != asked:
        raise InputError(f"dim must be {own}, as the distribution has, got {asked}")
    return own or asked or 1


def common_dim(*parameters: Array) -> int | None:
    """The common length of the array parameters, None where all are scalars."""
    sizes = {value.shape[-1] for value in parameters if value.ndim}
    if len(sizes) > 1:
        raise InputError(f"parameters must have equally many coordinates, got {sorted(sizes)}")
    return sizes.pop() if sizes else None


def expand(value: Array, shape: tuple[int, ...]) -> Array:
    """A copy of the shape."""
    return np.array(np.broadcast_to(value, shape))


def freeze(instance: Any, **values: Any) -> None:
    """Set checked values on a frozen dataclass."""
    for name, value in values.items():
        object.__setattr__(instance, name, value)


def parameters(instance: Any) -> dict[str, Any]:
    """The constructor's arguments of a model object, arrays as lists."""
    values = {f.name: getattr(instance, f.name) for f in fields(instance) if f.init}
    return {n: v.tolist() if isinstance(v, np.ndarray) else v for n, v in values.items()}
