"""What one compiled kernel is made of."""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from fastrev.kernels.fingerprint import OpaqueError, fingerprint, is_own


@dataclass(frozen=True)
class Part:
    """A function (x, t, p) with the names of p's fields; `scheduled` ones vary by step."""

    function: Callable[..., Any]
    names: tuple[str, ...] = ()
    scheduled: tuple[bool, ...] = ()
    shape: Literal["coordinate", "tuple", "tile"] = "coordinate"


@dataclass(frozen=True)
class Observer:
    """A reduction over a tile: `add(numbers (K,), x (w, B), tau (B,), table, k, work)`.

    k is the row of its time, tau the times of absorption, infinite for none; table holds its
    parameters, work is scratch.  Either add is given, or `make(observer, recipe, build)`, which
    returns it for a user's own function, part.  Both are functions of this package.
    """

    add: Callable[..., None] | None = None
    make: Callable[..., Any] | None = None
    part: Part | None = None


@dataclass(frozen=True)
class Recipe:
    """What one compiled kernel does; values of parameters are not part of it.

    combine is f, pull, c -> the drift of the step, pull = div a + a s; None runs forward.
    structure is of G: one number, d of them, or d rows of `rank`; divergence the part that
    gives div a, "numeric" for central differences, None where G does not depend on x.
    stages is the way of taking a step, corrected whether Langevin steps follow it.
    affine says whether a step is one of `advance_affine`, with tables of its own.
    marked says whether its score marks particles that it is not made for.
    dim is known where a part works on tuples.
    generator, of `noise.NOISE`, is that of the normals of the start, the steps and correctors.
    draw is None where the initial state is given as an array.
    """

    dtype: str
    drift: Part
    diffusion: Part
    score: Part | None = None
    combine: Callable[..., Any] | None = None
    noisy: bool = True
    draw: Callable[..., Any] | None = None
    draw_names: tuple[str, ...] = ()
    draw_uses: tuple[bool, bool, bool] = (False, False, False)
    correlated: bool = False
    storage: str = "float32"
    observers: tuple[Observer, ...] = ()
    structure: Literal["scalar", "diagonal", "matrix"] = "scalar"
    divergence: Part | Literal["numeric"] | None = None
    stages: Literal["euler-maruyama", "milstein", "heun"] = "euler-maruyama"
    corrected: bool = False
    affine: bool = False
    marked: bool = False
    boundary: Literal["reflect", "periodic", "absorb", "absorb-bridge"] | None = None
    dim: int | None = None
    rank: int = 1
    generator: str = "philox"

    @property
    def coupled(self) -> bool:
        """Whether all coordinates of a particle are needed at once."""
        tiled = self.score is not None and self.score.shape == "tile"
        shaped = tiled or self.by_tuple or self.by_tile
        return bool(self.observers) or shaped or self.correlated or self.absorbing

    @property
    def absorbing(self) -> bool:
        """Whether a particle may end before the run does."""
        return self.boundary in ("absorb", "absorb-bridge")

    @property
    def by_tuple(self) -> bool:
        """Whether a step is taken with whole particles: a part is a function of them."""
        return any(part.shape == "tuple" for part in self.parts) and not self.by_tile

    @property
    def parts(self) -> list[Part]:
        """The functions it is made of."""
        every = (self.drift, self.diffusion, self.score, self.divergence)
        return [part for part in every if isinstance(part, Part)]

    @property
    def by_tile(self) -> bool:
        """Whether a step is taken with whole tiles: drift or diffusion is a function of them."""
        return "tile" in (self.drift.shape, self.diffusion.shape)

    @property
    def rooms(self) -> int:
        """How many arrays like the state a step needs beside it."""
        two = self.stages == "heun"
        if self.by_tile:  # drift, G, score, divergence; predicted state, drift and G there
            return 7 if two else 4
        return 3 if two else 1  # score; predicted state and drift there

    @property
    def own(self) -> bool:
        """Whether it is made of this package's own functions, which are what they are from
        beginning to end of a process: a user's may refer to what changes."""
        functions = [part.function for part in self.parts] + [self.combine, self.draw]
        functions += [o.part.function for o in self.observers if o.part]
        return all(one is None or is_own(one) for one in functions)

    def fingerprint(self) -> str | None:
        """A content hash of everything that is compiled in, None where part of it is opaque."""
        return _remembered(self) if self.own else self._fingerprint()

    def _fingerprint(self) -> str | None:
        parts = [self.dtype, self.generator, self.storage, self.noisy, self.combine]
        parts += [self.stages, self.corrected, self.structure, self.dim, self.rank]
        parts += [self.divergence == "numeric", self.boundary, self.marked, self.affine]
        parts += [self.draw, self.draw_names, self.draw_uses, self.correlated]
        for part in (self.drift, self.diffusion, self.score, self.divergence):
            parts += _pieces(part)
        for observer in self.observers:  # their own code is part of `fingerprint.sources`
            made: Any = observer.add or observer.make
            parts += [made.__module__, made.__qualname__, *_pieces(observer.part)]
        try:
            return fingerprint(*parts)
        except OpaqueError:
            return None


@functools.lru_cache(256)
def _remembered(recipe: Recipe) -> str | None:
    """Its fingerprint, which takes a tenth of a small run's time."""
    return recipe._fingerprint()


def _pieces(part: Any) -> list[Any]:
    """What decides the code of a part."""
    if isinstance(part, Part):
        return [part.function, part.names, part.scheduled, part.shape]
    return [part]
