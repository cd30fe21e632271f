"""What was measured, as tables, as JSON, as a figure."""

import json
import math
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.table import Table

from fastrev.bench.bench import Report, settings_as_dict
from fastrev.bench.measure import Measured
from fastrev.model.check import InputError

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def check_targets(data: Path | None, plot: Path | None, folder: Path | None) -> None:
    """Before a minute is spent: places that can be written to.  Raises InputError."""
    from fastrev.analysis.figures import check_figure

    if plot is not None:
        check_figure(plot)
    for name, place in (("--json", data), ("--plot", plot)):
        if place is not None and not place.parent.is_dir():
            raise InputError(f"{name} {place}: there is no folder {place.parent}")
    if folder is not None and not folder.is_dir():
        raise InputError(f"--folder {folder}: there is no such folder")


def tables(report: Report) -> list[Table]:
    """Rates of every model, threads, the disk."""
    return [_rates(report), _scaling(report), _disk(report)]


def as_dict(report: Report) -> dict[str, Any]:
    """Plain values; what is not known is None."""
    models = {}
    for name, measured in report.models.items():
        models[name] = {m.name: asdict(m) | {"checked": True} for m in measured}
        for m in measured:
            models[name][m.name]["faster_than"] = report.ratios(name, m.name)
    whole = {
        "machine": report.machine,
        "settings": settings_as_dict(report.settings),
        "models": models,
        "limit": report.missing or "C",
        "scaling": [asdict(row) for row in report.scaling],
        "disk": asdict(report.disk) | {"checked": True},
    }
    return _without_nan(whole)  # type: ignore[no-any-return]


def save_json(report: Report, path: Path) -> Path:
    """Write it."""
    path.write_text(json.dumps(as_dict(report), indent=2) + "\n")
    return path


def save_plot(report: Report, path: Path) -> Path:
    """Rates of every model beside one another, and the rate on some threads."""
    from fastrev.analysis.pictures.style import saved

    return saved(lambda: _figure(report), path)


def _rates(report: Report) -> Table:
    machine, steps = report.machine, report.settings.steps
    table = Table(
        title=f"Particle-steps per second: {machine['processor']}, {machine['threads']} threads, "
        f"{steps} steps",
        title_justify="left",
        title_style="bold",
        caption="Peers in float64 unless named; every answer within 5 standard errors of the "
        "scheme's exact variance.",
        caption_justify="left",
    )
    table.add_column("1-D, no output", no_wrap=True)
    for heading in ("million/s", "x NumPy", "x Numba", "of C", "comp. s", "z"):
        table.add_column(heading, justify="right", no_wrap=True)
    for name, measured in report.models.items():
        table.add_section()
        table.add_row(name, style="bold")
        for m in measured:
            table.add_row(f" {m.name}", *_cells(report, name, m))
            if report.missing and m is measured[-1] and name == next(iter(report.models)):
                table.add_row(f" C: {report.missing}")
    return table


def _cells(report: Report, name: str, m: Measured) -> list[str]:
    """A row's numbers."""
    ratios = report.ratios(name, m.name)
    own = m.name.startswith("fastrev")
    return [
        f"{m.rate / 1e6:,.0f}",
        f"{ratios['NumPy']:,.1f}" if own else "",
        f"{ratios['Numba']:,.1f}" if own else "",
        f"{ratios['C']:.0%}" if m.name == "fastrev float32" and "C" in ratios else "",
        "" if math.isnan(m.compile_seconds) else f"{m.compile_seconds:.2f}",
        f"{m.z:+.1f}",
    ]


def _scaling(report: Report) -> Table:
    table = Table(title="fastrev over threads", title_justify="left", title_style="bold")
    for heading in ("threads", "million/s", "efficiency"):
        table.add_column(heading, justify="right")
    for row in report.scaling:
        table.add_row(str(row.threads), f"{row.rate / 1e6:,.0f}", f"{row.efficiency:.0%}")
    return table


def _disk(report: Report) -> Table:
    disk = report.disk
    table = Table(
        title=f"Writing {disk.megabytes:,.0f} MB to the disk",
        title_justify="left",
        title_style="bold",
    )
    for heading in ("", "MB/s"):
        table.add_column(heading, justify="right")
    table.add_row("frames streamed to HDF5", f"{disk.streaming:,.0f}")
    table.add_row("a plain write", f"{disk.plain:,.0f}")
    return table


def _figure(report: Report) -> "Figure":
    from fastrev.analysis.pictures import style

    figure = style.canvas(8.0, 3.6)
    left, right = figure.subplots(1, 2, width_ratios=(2.2, 1.0))
    names = list(dict.fromkeys(m.name for rows in report.models.values() for m in rows))
    colours = dict(zip(names, (*style.COLOURS, "#000000", "#888888"), strict=False))
    labelled: set[str] = set()
    at, ticks = 0.0, []
    for name, measured in report.models.items():
        ticks.append((at + 0.5 * (len(measured) - 1), name))
        for m in measured:
            label = None if m.name in labelled else m.name
            labelled.add(m.name)
            left.barh(at, m.rate / 1e6, color=colours[m.name], label=label)
            left.text(m.rate / 1e6, at, f" {m.rate / 1e6:,.0f}", va="center", fontsize=7)
            at += 1.0
        at += 0.7
    left.set(xscale="log", xlabel="million particle-steps per second")
    left.set_yticks(*map(list, zip(*ticks, strict=True)))
    left.invert_yaxis()
    left.margins(x=0.15)
    figure.legend(loc="outside upper center", ncols=len(labelled), columnspacing=1.2)
    _draw_scaling(right, report)
    return figure


def _draw_scaling(panel: Any, report: Report) -> None:
    from fastrev.analysis.pictures.style import COLOURS

    counts = [row.threads for row in report.scaling]
    rates = [row.rate / 1e6 for row in report.scaling]
    panel.plot(counts, rates, "o-", color=COLOURS[0], ms=5, mfc="none", label="fastrev")
    straight = [rates[0] * k for k in counts]
    panel.plot(counts, straight, ls=":", color="0.5", label="in proportion")
    panel.set(xlabel="threads", ylabel="million particle-steps per second", ylim=(0, None))
    panel.set_xticks(counts)
    panel.legend()


def _without_nan(value: Any) -> Any:
    """NaN is not JSON."""
    if isinstance(value, dict):
        return {key: _without_nan(v) for key, v in value.items()}
    if isinstance(value, list):
        return [_without_nan(v) for v in value]
    return None if isinstance(value, float) and math.isnan(value) else value
