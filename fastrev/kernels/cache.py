"""Compiled kernels on disk, addressed by content.

Numba's own cache is keyed by source file and time stamp: it misses for every
kernel that is handed another jitted function, and does not notice a changed
callee.  Here the file name is a hash of all that decides the machine code, so
a hit is right by construction, nothing ever needs invalidating, and a run that
changes nothing adds nothing.

The directory is FASTREV_CACHE_DIR, or `fastrev` in the user's cache directory.
"""

import hashlib
import os
import pickle
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

from numba.core.caching import _Cache
from numba.core.compiler import CompileResult
from numba.core.runtime import rtsys

from fastrev.kernels.fingerprint import environment


def directory() -> Path:
    """Where compiled kernels are kept."""
    own = os.environ.get("FASTREV_CACHE_DIR")
    if own:
        return Path(own)
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA", str(Path.home() / "AppData" / "Local"))
    elif sys.platform == "darwin":
        base = str(Path.home() / "Library" / "Caches")
    else:
        base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "fastrev"


class ContentCache(_Cache):
    """The disk cache of one kernel, for Numba's dispatcher (`dispatcher._cache`)."""

    def __init__(self, content: str) -> None:
        self._content = content
        self.hits = 0

    @property
    def cache_path(self) -> str:
        """The directory."""
        return str(directory())

    def _path(self, sig: Any, target_context: Any) -> Path:
        magic = target_context.codegen().magic_tuple()  # target triple, processor, features
        key = repr((self._content, environment(), str(sig), magic))
        return directory() / f"{hashlib.sha256(key.encode()).hexdigest()}.kernel"

    def load_overload(self, sig: Any, target_context: Any) -> CompileResult | None:
        """The compiled function for this signature, None where it is not stored or not whole."""
        with suppress(Exception):  # whatever is wrong with a cache file, compiling mends it
            plain, payload = pickle.loads(self._path(sig, target_context).read_bytes())
            if plain:  # skips what only compiling needs: 0.07 s instead of 0.4 s
                rtsys.initialize(target_context)
            else:
                target_context.refresh()
            result = CompileResult._rebuild(target_context, *payload)
            self.hits += 1
            return result
        return None

    def save_overload(self, sig: Any, data: CompileResult) -> None:
        """Store a compiled function; a directory that cannot be written is no error."""
        if data.library.has_dynamic_globals:  # holds addresses of this process
            return
        path = self._path(sig, data.target_context)
        with suppress(OSError, pickle.PicklingError):
            path.parent.mkdir(parents=True, exist_ok=True)
            payload = (_needs_only_the_runtime(data), data._reduce())
            blob = pickle.dumps(payload, protocol=pickle.HIGHEST_PROTOCOL)
            handle, temporary = tempfile.mkstemp(dir=path.parent, suffix=".part")
            with os.fdopen(handle, "wb") as file:
                file.write(blob)
            os.replace(temporary, path)

    def enable(self) -> None:
        """Always on."""

    def disable(self) -> None:
        """Always on."""

    def flush(self) -> None:
        """Nothing is held in memory."""


_RUNTIME = ("Py", "_Py", "NRT_", "llvm.")
_HELPERS = {
    "numba_attempt_nocopy_reshape",
    "numba_do_raise",
    "numba_gil_ensure",
    "numba_gil_release",
    "numba_runtime_build_excinfo_struct",
    "numba_unpickle",
    "sqrt",
    "sqrtf",
}


def _needs_only_the_runtime(data: CompileResult) -> bool:
    """Whether every outside function that the code calls is there without Numba's registries."""
    outside = {f.name for f in data.library._final_module.functions if f.is_declaration}
    return all(name.startswith(_RUNTIME) or name in _HELPERS for name in outside)
