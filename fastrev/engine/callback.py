"""Kernels that call back: how compiled code knows the callable, and what it raised."""

import weakref
from collections.abc import Callable

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


class Called:
    """A callable, forgotten by compiled code when this object is gone.

    number   by which compiled code knows it
    """

    def __init__(self, function: Callable[..., None]) -> None:
        from fastrev.kernels.scores.batched import register, release

        self.number = register(function)
        weakref.finalize(self, release, self.number)

    def raise_error(self) -> None:
        """Raise what the callable raised."""
        from fastrev.kernels.scores.batched import error_of

        error = error_of(self.number)
        if isinstance(error, InputError) or (error and not isinstance(error, Exception)):
            raise error
        if error is not None:
            raise KernelError(f"BatchedScore: the function raised {error!r}") from error
