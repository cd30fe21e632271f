"""A run in words: what a reader wants to know first."""

import tomllib
from typing import TYPE_CHECKING, Any

from fastrev.engine.shards import bounds

if TYPE_CHECKING:
    from fastrev.engine.run import Run


def lines_of(run: "Run") -> dict[str, str]:
    """What a reader wants to know first, by label."""
    s = values_of(run)
    lines = {"model": s["model"], "x0": s["x0"], "n": f"{s['n']:,} particles, dim {s['dim']}"}
    if s["part"]:
        lines["part"] = f"{s['part'][0]} of {s['part'][1]}"
    done = run.particles
    if done < s["particles"]:
        lines["committed"] = f"{done:,} particles ({done / s['particles']:.1%})"
    if not s["everyone"]:
        lines["kept"] = f"{run.n:,} particles"
    lines["steps"] = f"{s['steps']:,} ({s['method']}, {s['dtype']})"
    lines["times"] = f"{s['time']}, {s['frames']} frames"
    if s["observe"]:
        lines["observed"] = s["observe"]
    if s["boundary"]:
        lines["boundary"] = s["boundary"]
    lines["seed"] = f"{s['seed']} ({s['generator']})"
    if run.seconds > 0:
        lines["throughput"] = (
            f"{in_millions(run.throughput)} particle-steps/s ({run.seconds:.2f} s{_compiling(run)})"
        )
    if run.non_finite:
        lines["non-finite"] = f"{run.non_finite:,} coordinates"
    lines["file"] = str(run.path) if run.path else "in memory"
    return lines


def values_of(run: "Run") -> dict[str, Any]:
    """Of its specification, by name."""
    tables = tomllib.loads(run.toml)
    own = tables["run"]
    model = _one_line(tables["process"])
    if "score" in tables:
        noise = tables["reverse"]["noise"]
        model = f"reverse of {model}, {_one_line(tables['score'])}, noise {noise:g}"
    return {
        "model": model,
        "x0": "given states" if tables["x0"]["kind"] == "array" else _one_line(tables["x0"]),
        "n": own["n"],
        "dim": own["dim"],
        "part": own.get("part"),
        "particles": _particles(own),
        "everyone": own.get("keep") in (None, {"start": 0, "stop": own["n"], "step": 1}),
        "shard_size": own["shard_size"],
        "of": tuple(own.get("part", (1, 1))),
        "steps": own.get("steps", len(own["time"]) - 1),
        "time": f"{own['time'][0]:g} -> {own['time'][-1]:g}",
        "frames": len(run.times),
        "observe": ", ".join(tables.get("observe", {})),
        "boundary": _one_line(tables["boundary"]) if "boundary" in tables else "",
        "seed": run.seed,
        "generator": own.get("generator", "philox"),
        "dtype": own["dtype"],
        "method": _method(own["method"]),
    }


def in_millions(rate: float) -> str:
    """A rate as `3,680 million`, a small one with two digits."""
    millions = rate / 1e6
    return f"{millions:,.0f} million" if millions >= 10.0 else f"{millions:.2g} million"


def _compiling(run: "Run") -> str:
    known = run.compile_seconds >= 0
    return f", and {run.compile_seconds:.2f} s compiling" if known else ""


def _particles(run: dict[str, Any]) -> int:
    """How many of a run's particles a file has room for: all but for a part."""
    first, end = bounds(run["n"], run["shard_size"], tuple(run.get("part", (1, 1))))
    return end - first


def _one_line(table: dict[str, Any]) -> str:
    """A table as `Kind(name=value, ...)`."""
    parts = (f"{k}={_short(v)}" for k, v in table.items() if k not in ("kind", "header"))
    return f"{table.get('kind', '')}({', '.join(parts)})"


def _method(value: Any) -> str:
    """A method's name, and its options where it has some of its own."""
    return _one_line(value) if isinstance(value, dict) else str(value)


def _short(value: Any) -> str:
    if isinstance(value, dict):
        if "function" in value:
            return str(value["function"])
        return f"<{value['array']}>" if set(value) == {"array"} else _one_line(value)
    if isinstance(value, list):
        return f"[{', '.join(_short(item) for item in value)}]"
    return f"{value:g}" if isinstance(value, float) else str(value)
