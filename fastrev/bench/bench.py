"""All that `fastrev bench` measures, in order."""

import platform
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from fastrev.bench import limit as c_kernel
from fastrev.bench import measure, models
from fastrev.bench.disk import Bandwidth, bandwidth
from fastrev.bench.measure import Contender, Measured
from fastrev.bench.models import BROWNIAN, Model, brownian, scheme_law
from fastrev.engine import threads


@dataclass(frozen=True)
class Settings:
    """How much is measured.

    n          particles of a run of fastrev for each core
    most       particles of such a run on many cores
    share      of the particles that slow peers are given
    models     of MODELS
    dtypes     of fastrev; the first is the one that scales and is compared with C
    megabytes  of the file
    """

    steps: int = 200
    rounds: int = 5
    slow_rounds: int = 3
    n: int = 2**19
    most: int = 2**24
    share: float = 1.0
    models: tuple[Callable[[], Model], ...] = models.MODELS
    dtypes: tuple[str, ...] = ("float32", "float64")
    megabytes: float = 256.0

    @classmethod
    def quick(cls) -> "Settings":
        """Some seconds, for a check that all works."""
        return cls(
            rounds=2, slow_rounds=1, n=2**17, share=0.125, dtypes=("float32",), megabytes=32.0
        )


@dataclass(frozen=True)
class Scaling:
    """fastrev's rate on some threads, and the part of so many times that on one."""

    threads: int
    rate: float
    efficiency: float


@dataclass(frozen=True)
class Report:
    """What was measured.

    models   by name: the contenders, fastrev's own first
    missing  why there is no C kernel to compare with; "" where there is
    """

    machine: dict[str, Any]
    settings: Settings
    models: dict[str, list[Measured]]
    missing: str
    scaling: list[Scaling]
    disk: Bandwidth

    def ratios(self, name: str, ours: str) -> dict[str, float]:
        """How many times faster than each of the others one of a model's contenders is."""
        rates = {m.name: m.rate for m in self.models[name]}
        return {other: rates[ours] / rate for other, rate in rates.items() if other != ours}


def measure_all(
    settings: Settings | None = None,
    folder: Path | None = None,
    tell: Callable[[str], None] = lambda text: None,
) -> Report:
    """Every model by every contender, threads, and the disk.

    folder   where the temporary file is written; the system's own unless given
    tell     is told what is measured next

    Raises WrongAnswerError.
    """
    settings = settings or Settings()
    count = threads.count()
    with measure.on_threads(count):
        tell("compiling the C kernel")
        limit, missing = _limit()
        measured = {}
        for make in settings.models:
            model = make()
            tell(f"compiling and measuring: {model.name}")
            contenders = _contenders(model, settings, count, limit)
            law = scheme_law(model, settings.steps)
            measured[model.name] = measure.interleaved(
                contenders, law, settings.steps, settings.rounds
            )
        tell("measuring: threads")
        scaling = scales(settings, count)
        tell("measuring: a file")
        disk = bandwidth(settings.megabytes, min(2, settings.rounds), folder)
    return Report(_machine(count, limit), settings, measured, missing, scaling, disk)


def scales(settings: Settings, count: int) -> list[Scaling]:
    """On 1, 2, 4, ... and all threads, in turns."""
    some = sorted({2**k for k in range(count.bit_length()) if 2**k < count} | {count})
    law = scheme_law(brownian(), settings.steps)
    n = min(settings.n * count, settings.most)
    contender = measure.ours(brownian(), settings.dtypes[0], n, settings.steps)
    on = [_on(contender, k) for k in some]
    rates = [m.rate for m in measure.interleaved(on, law, settings.steps, settings.rounds)]
    return [Scaling(k, rate, rate / (k * rates[0])) for k, rate in zip(some, rates, strict=True)]


def _on(contender: Contender, count: int) -> Contender:
    """The same on some threads."""

    def run() -> Any:
        with measure.on_threads(count):
            return contender.run()

    return Contender(f"{contender.name} on {count} threads", run, contender.n, contender.warm)


def _contenders(
    model: Model, settings: Settings, count: int, limit: c_kernel.Limit | None
) -> list[Contender]:
    n, steps = min(settings.n * count, settings.most), settings.steps
    few = max(1000, int(settings.share * model.n))
    slow = {"steps": steps, "most": settings.slow_rounds}
    every = [measure.ours(model, dtype, n, steps) for dtype in settings.dtypes]
    if model.name == BROWNIAN:
        every += [
            measure.ours(model, settings.dtypes[0], n, steps, generator=generator)
            for generator in measure.generators()[1:]
        ]
        if limit is not None:
            every.append(measure.by_c(limit, n, steps))
        every.append(measure.by_numpy_float32(few, **slow))
    every.append(measure.by_numba(model, few * count, **slow))
    every.append(measure.by_numpy(model, few, **slow))
    return every


def _limit() -> tuple[c_kernel.Limit | None, str]:
    """The C kernel, or why there is none."""
    try:
        return c_kernel.build(), ""
    except c_kernel.LimitError as error:
        return None, str(error)


def _machine(count: int, limit: c_kernel.Limit | None) -> dict[str, Any]:
    """Where this was measured."""
    from fastrev.engine.provenance import provenance

    origin = provenance()
    return {
        "processor": _processor(),
        "cores": threads.available_cores(),
        "threads": count,
        "system": origin["system"],
        "python": origin["python"],
        "versions": origin["versions"],
        "compiler": None if limit is None else limit.compiler,
        "vector": None if limit is None else f"{limit.lanes} float32",
    }


def _processor() -> str:
    """Its name, as far as the system tells."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def settings_as_dict(settings: Settings) -> dict[str, Any]:
    """For JSON."""
    return asdict(settings) | {"models": [make.__name__ for make in settings.models]}
