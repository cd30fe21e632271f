import os
import sys
import tempfile
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))


if "FASTREV_CACHE_DIR" not in os.environ:  # workers share that of the process that began them
    _cache = tempfile.TemporaryDirectory(prefix="fastrev-tests-")
    os.environ["FASTREV_CACHE_DIR"] = _cache.name  # a test never meets another day's kernels


@pytest.fixture
def data() -> Path:
    return Path(__file__).parent.parent / "data"
