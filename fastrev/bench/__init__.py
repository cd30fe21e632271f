"""How fast this machine is: fastrev beside what others would write, answers checked.

`measure_all(Settings())` is what `fastrev bench` runs.
"""

from fastrev.bench.bench import Settings, measure_all

__all__ = ["Settings", "measure_all"]
