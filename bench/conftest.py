import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture
def record(benchmark):
    """Stores what a reader needs beside the time; call after the benchmark ran."""
    import llvmlite
    import numba
    import numpy as np

    from fastrev.engine import threads

    def note(particle_steps, **more):
        info = {"threads": threads.count(), "numba": numba.__version__, "numpy": np.__version__}
        info |= {"llvmlite": llvmlite.__version__} | more
        if benchmark.stats is not None:
            seconds = benchmark.stats.stats.min
            info["particle_steps_per_s"] = particle_steps / seconds
            info["ns_per_particle_step"] = 1e9 * seconds / particle_steps
        benchmark.extra_info.update(info)

    return note
