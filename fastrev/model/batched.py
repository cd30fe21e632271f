"""A score that any Python callable gives, a block of particles at a time."""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastrev.model import check
from fastrev.model.check import InputError
from fastrev.model.kernel import Kernel

_NUMBERS = 1 << 17
"""Coordinates in a block where none is asked for: half a megabyte in float32."""


@dataclass(frozen=True, eq=False)
class BatchedScore:
    """s(x, t) from a callable `(x (B, d), t) -> (B, d)`: NumPy, torch, JAX, an ONNX session.

    function   takes x, an array (B, d) of the run's dtype in Fortran's order, and t, a float;
               returns an array of the same shape, of any precision.  A torch module gets tensors
               and is put into eval mode; an ONNX session gets its inputs in the order (x, t)
    dim        coordinates, if it asks for a number of them
    block      particles in a block; None for about 2^17 coordinates, 256 to 16,384 particles

    Random numbers and steps stay in the engine's kernels, which other threads run meanwhile; so
    the function may be called from several threads at once.  A particle is always in the same
    block, at the same place, so that results do not depend on threads, shards or resuming if the
    function's own do not vary.  An error in it, or an array of another shape or kind, ends the
    run with that error; what is committed to a file stays.  Raises InputError.
    """

    function: Callable[..., Any]
    dim: int | None = None
    block: int | None = None

    def __post_init__(self) -> None:
        if not callable(self.function) and not _is_session(self.function):
            raise InputError(
                "BatchedScore.function must be a callable (x (B, d), t) -> (B, d), "
                f"got {self.function!r}"
            )
        check.dimension("BatchedScore.dim", self.dim)
        check.dimension("BatchedScore.block", self.block)

    def block_size(self, dim: int) -> int:
        """Particles in a block."""
        return self.block or max(256, min(1 << 14, _NUMBERS // dim // 16 * 16))

    def as_kernel(self, dim: int) -> Kernel:
        """The tile kernel that calls back."""
        from fastrev.kernels.scores.batched import batched_score

        return Kernel(
            batched_score,
            shape="tile",
            callback=_checked(_adapted(self.function)),
            identity=self.function,
            block=self.block_size(dim),
        )


def _is_session(function: Any) -> bool:
    """Whether it is an ONNX session, by what it offers."""
    return hasattr(function, "get_inputs") and hasattr(function, "run")


def _adapted(function: Any) -> Callable[[Any, float], Any]:
    """The callable on arrays."""
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(function, torch.nn.Module):
        return _torch_module(function, torch)
    if _is_session(function):
        names = [one.name for one in function.get_inputs()]

        def session(x: Any, t: float) -> Any:
            values = (x, np.asarray(t, x.dtype))
            return function.run(None, dict(zip(names, values, strict=False)))[0]

        return session
    return function  # type: ignore[no-any-return]


def _torch_module(module: Any, torch: Any) -> Callable[[Any, float], Any]:
    module.eval()
    like = next(module.parameters(), torch.zeros(()))

    def called(x: Any, t: float) -> Any:
        with torch.inference_mode():
            at = torch.tensor(t, dtype=like.dtype, device=like.device)
            return module(torch.from_numpy(x).to(like), at)

    return called


def _checked(function: Callable[[Any, float], Any]) -> Callable[[Any, float, Any], None]:
    """`(x, t, out)`, which fills out.  Raises InputError where the answer does not fit."""

    def fill(x: Any, t: float, out: Any) -> None:
        answer = function(x.copy(order="K"), t)
        if hasattr(answer, "detach"):
            answer = answer.detach().cpu().numpy()
        answer = np.asarray(answer)
        if answer.shape != out.shape or answer.dtype.kind != "f":
            raise InputError(
                f"BatchedScore: the function must return an array of shape {out.shape} of floats, "
                f"got shape {answer.shape} of {answer.dtype}"
            )
        _turn(answer, out)

    return fill


_PART = 32_768
"""Bytes that are turned at a time; more leave the first cache between one column and the next."""


def _turn(rows: Any, columns: Any) -> None:
    """Copy (B, d) where particles are contiguous to where coordinates are (measured, 1024 x 64:
    27 us, 75 us at once)."""
    count = max(1, _PART // rows[:1].nbytes)
    for first in range(0, len(rows), count):
        columns[first : first + count] = rows[first : first + count]
