"""Kernels that call back: how compiled code knows the callable, and what it raised."""

import weakref
from typing import Any

from fastrev.engine.messages import KernelError
from fastrev.model.check import InputError
from fastrev.model.kernel import Kernel


def with_callable(content: str | None, called: Kernel | None) -> str | None:
    """The fingerprint of a kernel together with that of what it calls back."""
    from fastrev.kernels.fingerprint import UNKNOWN, content_hash

    if called is None or content is None:
        return content
    own = content_hash(called.identity)
    return None if own == UNKNOWN else content + own


def registered(called: Kernel | None) -> int | None:
    """The number by which compiled code knows the callable."""
    if called is None or called.callback is None:
        return None
    from fastrev.kernels.scores.batched import register

    return register(called.callback)


def release_with(owner: Any, number: int | None) -> None:
    """Forget the callable when its owner is gone."""
    if number is not None:
        from fastrev.kernels.scores.batched import release

        weakref.finalize(owner, release, number)


def raise_from(number: int | None) -> None:
    """Raise what the callable raised."""
    if number is None:
        return
    from fastrev.kernels.scores.batched import error_of

    error = error_of(number)
    if isinstance(error, InputError) or (error and not isinstance(error, Exception)):
        raise error
    if error is not None:
        raise KernelError(f"BatchedScore: the function raised {error!r}") from error
