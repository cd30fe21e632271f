"""The `fastrev` command: one thin function per verb."""

import enum
import functools
import math
import os
import sys
import time
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from fastrev.analysis.experiments import Judged
    from fastrev.engine.run import Run

app = typer.Typer(
    help="Forward and reverse-time stochastic differential equations for millions of particles.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
_piped = not sys.stdout.isatty() and "COLUMNS" not in os.environ
console = Console(markup=False, width=140 if _piped else None)
"""A file's lines may be as long as a table's."""

Kernels = Annotated[
    list[str] | None,
    typer.Option("--kernel", help="Your own function: PLACE=module:function, as the error names."),
]
Trust = Annotated[bool, typer.Option("--trust", help="Compile the source stored in the file.")]
Processes = Annotated[int | None, typer.Option(min=1, help="So many processes here.")]
Dask = Annotated[str | None, typer.Option(help="A Dask scheduler, tcp://host:port.")]
DaskLocal = Annotated[int | None, typer.Option(min=1, help="A Dask cluster of so many here.")]
Mpi = Annotated[bool, typer.Option("--mpi", help="Under mpiexec: the ranks compute.")]
Part = Annotated[
    str | None, typer.Option(help="Only this part, as 3/8, into a file of its own; see merge.")
]
Parts = Annotated[int | None, typer.Option(min=2, help="So many parts, each in its own file.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace files that exist.")]


@app.command()
def demo(
    folder: Annotated[Path, typer.Option("--folder", "-C", help="Where files go.")] = Path("."),
    n: Annotated[int, typer.Option(help="Particles.")] = 1_000_000,
    seed: Annotated[int, typer.Option(help="Seed of the forward run.")] = 1,
) -> None:
    """Spread a point by Brownian motion and bring it back, against the exact law.

    Writes demo_forward.h5, demo_reverse.h5 and demo.png (replacing those of an earlier demo).
    """
    import fastrev as fr
    from fastrev.analysis.figures import save_overview

    process, p0 = fr.Brownian(D=0.5), fr.Point(0.0)
    simulate = functools.partial(fr.simulate, n=n, steps=1000, frames=11, overwrite=True)
    forward = simulate(process, p0, time=(0.0, 1.0), seed=seed, out=folder / "demo_forward.h5")
    back = simulate(
        fr.reverse(process, process.score(p0)),
        process.marginal(p0, 1.0),
        time=(1.0, 0.0),
        seed=seed + 1,
        out=folder / "demo_reverse.h5",
    )
    _report("forward: dx = sqrt(2D) dw", forward)
    _report("reverse: dx = (x/t) dt + sqrt(2D) dw, from t = 1 to 0", back)
    console.print(
        "With equal steps down to 0 the scheme ends at variance 2D|h|, not 0: "
        "the point is reached only as |h| -> 0.",
        style="dim",
    )
    figure = save_overview({"forward": forward, "reverse": back}, folder / "demo.png")
    console.print(f"wrote {forward.path}, {back.path}, {figure}")


@app.command()
def experiment(
    name: Annotated[str, typer.Argument(help="anderson, paradox or vp.")],
    n: Annotated[int | None, typer.Option(help="Particles of each run, else 1,000,000.")] = None,
    seed: Annotated[
        int | None, typer.Option(help="Of the first run; the next ones follow.")
    ] = None,
    folder: Annotated[Path, typer.Option("--folder", "-C", help="Where files go.")] = Path("."),
    overwrite: Overwrite = False,
) -> None:
    """Test Anderson's reversal, wrong ones beside it, and the flow: runs, tables, a figure.

    anderson: the worked example, there and back; paradox: drift alone, noise alone, naive reversal;
    vp: a mixture to noise and back.  Each time is measured against the exact law, of the
    scheme where it is known: variance with its z-score, Kolmogorov-Smirnov, W1 beside what
    noise alone gives.  Writes NAME_*.h5 and NAME.png; exit status 1 where a run is not as
    theory says.
    """
    from fastrev.analysis import experiments

    judged = []
    for one in experiments.perform(name, folder, n, seed, overwrite):
        console.print(_judged_table(one))
        console.print(f"{one.part.label} {one.verdict.text}\n", highlight=False, soft_wrap=True)
        judged.append(one)
    figure = experiments.picture(name, judged, folder)
    files = ", ".join(str(one.run.path) for one in judged)
    console.print(f"wrote {files}, {figure}")
    configurations = ", ".join(one.part.path.name for one in judged)
    console.print(
        f"configurations: {configurations} in {experiments.FOLDER}",
        style="dim",
        highlight=False,
        soft_wrap=True,
    )
    whole = experiments.as_theory_says(judged)
    console.print(whole.text, style="green" if whole.follows else "red", soft_wrap=True)
    raise typer.Exit(0 if whole.follows else 1)


@app.command()
def run(
    config: Annotated[Path, typer.Argument(help="A TOML file; see data/.")],
    out: Annotated[Path | None, typer.Option("--out", "-o", help="The HDF5 file.")] = None,
    figure: Annotated[bool, typer.Option(help="Draw a figure beside it.")] = True,
    overwrite: Overwrite = False,
    processes: Processes = None,
    dask: Dask = None,
    dask_local: DaskLocal = None,
    mpi: Mpi = False,
    part: Part = None,
    parts: Parts = None,
) -> None:
    """Run a configuration: snapshots to HDF5, and a figure.

    With --parts, each worker writes a file of its own, where it runs; with --part, this command
    runs one of them, for job arrays.  `fastrev merge` joins them.
    """
    from fastrev.analysis.figures import check_figure, save_overview
    from fastrev.engine.clusters import HELPER, Where, executor_at
    from fastrev.engine.config import read_config
    from fastrev.engine.parts import parsed_part, part_path, run_parts
    from fastrev.engine.simulate import execute

    chosen = parsed_part(part, parts)
    spec, output = read_config(config, {"part": list(chosen)} if chosen else {})
    target = out or Path(output.file or f"{config.stem}.h5")
    if part and chosen:
        target = part_path(target, *chosen)
    picture = Path(output.figure) if output.figure else target.with_suffix(".png")
    if figure:
        check_figure(picture)
    with executor_at(Where(processes, dask, dask_local, mpi)) as executor:
        if executor is HELPER:
            return
        if parts:
            every = run_parts(spec, target, executor, overwrite, _wrote)
            pattern = str(every[0]).replace(f".part1of{parts}", f".part*of{parts}")
            console.print(f"join them: fastrev merge {pattern} -o {target}", soft_wrap=True)
            return
        result = execute(spec, target, overwrite=overwrite, executor=executor)
    _report(config.stem, result)
    if figure:
        console.print(f"wrote {save_overview({config.stem: result}, picture)}")


@app.command()
def explain(config: Annotated[Path, typer.Argument(help="A TOML file; see data/.")]) -> None:
    """Say which loops of a configuration's kernel are vector code, and what a step costs."""
    from fastrev.engine.config import read_config
    from fastrev.engine.explain import explained

    spec, _ = read_config(config)
    console.print(str(explained(spec)), highlight=False, markup=False, soft_wrap=True)


@app.command()
def info(file: Annotated[Path, typer.Argument(help="A run's HDF5 file.")]) -> None:
    """Say what a file holds: model, grid, progress, size, where it came from."""
    import fastrev as fr
    from fastrev.store.reader import read_header

    result = fr.open(file)
    console.print(repr(result), highlight=False, markup=False, soft_wrap=True)
    committed = result.frames.committed()
    header = read_header(file, arrays=False)
    rows = {
        "shards": f"{committed.sum():,} of {len(committed):,} committed",
        "size": f"{file.stat().st_size / 1e6:,.1f} MB",
        "made": f"{header.provenance['created']} on {header.provenance['host']}",
        "versions": header.provenance["versions"],
    }
    for label, text in rows.items():
        console.print(f"  {label:<11}{text}", highlight=False, markup=False, soft_wrap=True)


@app.command()
def train(
    config: Annotated[Path, typer.Argument(help="A TOML file; see data/digits.toml.")],
    out: Annotated[Path | None, typer.Option("--out", "-o", help=".npz or .safetensors.")] = None,
    overwrite: Overwrite = False,
) -> None:
    """Fit a network to the score of data points, and write it to one file."""
    import fastrev as fr
    from fastrev.learn.config import read_training
    from fastrev.model.check import InputError
    from fastrev.model.network_file import checked_path

    given = read_training(config)
    target = checked_path(out or given.target)
    if target.exists() and not overwrite:
        raise InputError(f"{target} exists; give --overwrite to replace it")
    start = time.perf_counter()
    score = fr.learn.train(
        given.process, given.data, given.time, given.checkpoint, dim=given.dim, **given.options
    )
    score.save(target)
    seconds = time.perf_counter() - start
    console.print(f"{score}: {seconds:,.0f} s", highlight=False, markup=False, soft_wrap=True)
    console.print(f"wrote {target}, hash {score.sha256[:12]}", highlight=False, soft_wrap=True)


class PlotKind(enum.StrEnum):
    """What is drawn."""

    OVERVIEW = "overview"
    FRAMES = "frames"
    VARIANCE = "variance"
    PATHS = "paths"
    DENSITY = "density"
    PHASE = "phase"
    ANIMATION = "animation"
    SHEET = "sheet"


@app.command()
def plot(
    files: Annotated[
        list[Path], typer.Argument(help="Runs' HDF5 files; several for overview and variance.")
    ],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="png, svg or pdf; an animation: gif or mp4.")
    ] = None,
    kind: Annotated[
        PlotKind, typer.Option(help="What to draw; sheet is for samples that are pictures.")
    ] = PlotKind.OVERVIEW,
    coordinate: Annotated[int, typer.Option(help="Which coordinate.")] = 0,
    other: Annotated[int, typer.Option(help="The second one of phase and animation.")] = 1,
    particles: Annotated[int, typer.Option(help="How many paths.")] = 12,
    fps: Annotated[int, typer.Option(help="Frames a second of an animation.")] = 10,
    data: Annotated[Path | None, typer.Option(help="Real points, for a sheet.")] = None,
    shape: Annotated[str | None, typer.Option(help="Of a picture, such as 28x28.")] = None,
    kernel: Kernels = None,
    trust: Trust = False,
) -> None:
    """Draw runs, with the exact law where it is known: snapshots, variance, paths, a film."""
    import fastrev as fr
    from fastrev.analysis.figures import save_figure

    ending = ".gif" if kind is PlotKind.ANIMATION else ".png"
    alike = len({file.stem for file in files}) < len(files)
    own = _kernels(kernel)
    runs = {str(file) if alike else file.stem: fr.open(file, own, trust) for file in files}
    options = {"other": other, "particles": particles, "fps": fps, "data": data, "shape": shape}
    target = out or files[0].with_suffix(ending)
    console.print(f"wrote {save_figure(kind.value, runs, target, coordinate, **options)}")


@app.command()
def compare(
    file: Annotated[Path, typer.Argument(help="A run's HDF5 file.")],
    other: Annotated[
        Path | None, typer.Argument(help="Another run's file; the exact law if absent.")
    ] = None,
    particles: Annotated[int, typer.Option(min=2, help="At most so many of a frame.")] = 1_000_000,
) -> None:
    """Distances of a run from its exact law or another run, beside what noise alone would give.

    Of each coordinate, at each time that both have: Kolmogorov and Smirnov's with its p-value, the
    first Wasserstein distance, the energy distance.  Equal means W1 of at most three times its
    noise and p above 1e-4; so a scheme's own error below that passes.
    """
    import fastrev as fr
    from fastrev.analysis.comparison import compare as distances
    from fastrev.analysis.comparison import judgement, share_noise

    runs = [fr.open(one) for one in (file, other) if one]
    rows = distances(runs[0], runs[1] if other else "exact", particles)
    title = f"{file.name} and {other.name if other else 'its exact law'}"
    table = Table(title=title, box=SIMPLE_HEAD, pad_edge=False)
    for heading in ("t", "coord.", "KS", "p", "W1", "noise", "energy", "noise"):
        table.add_column(heading, justify="right", no_wrap=True)
    for row in rows:
        numbers = (f"{value:.3g}" for value in row.distance[:6])
        table.add_row(f"{row.t:.4g}", str(row.coordinate), *numbers)
    console.print(table)
    console.print(judgement(rows), soft_wrap=True)
    if other and share_noise(*runs):
        console.print("both have one seed, and so the same noise: independent runs differ more")


@app.command()
def resume(
    file: Annotated[Path, typer.Argument(help="A run's HDF5 file.")],
    repair: Annotated[bool, typer.Option("--repair", help="Also redo damaged shards.")] = False,
    kernel: Kernels = None,
    trust: Trust = False,
    processes: Processes = None,
    dask: Dask = None,
    dask_local: DaskLocal = None,
    mpi: Mpi = False,
) -> None:
    """Compute what an interrupted run lacks, or what is damaged, and only that."""
    import fastrev as fr
    from fastrev.engine.clusters import HELPER, Where, executor_at

    before = fr.open(file).frames.committed()
    with executor_at(Where(processes, dask, dask_local, mpi)) as executor:
        if executor is HELPER:
            return
        result = fr.resume(file, _kernels(kernel), trust, repair, executor=executor)
    console.print(f"{(~before).sum()} of {len(before)} shards were missing")
    console.print(repr(result), highlight=False, markup=False, soft_wrap=True)


@app.command()
def extend(
    file: Annotated[Path, typer.Argument(help="A run's HDF5 file.")],
    n: Annotated[int, typer.Option(help="Particles in all.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="The new file.")],
    kernel: Kernels = None,
    trust: Trust = False,
    overwrite: Overwrite = False,
) -> None:
    """Add particles to an ensemble: a new file, whose old rows are copied."""
    import fastrev as fr

    result = fr.extend(file, n, out, _kernels(kernel), trust, overwrite)
    console.print(repr(result), highlight=False, markup=False, soft_wrap=True)


@app.command()
def merge(
    parts: Annotated[list[Path], typer.Argument(help="The files of all parts of a run.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="The new file.")],
    overwrite: Overwrite = False,
) -> None:
    """Join a run's parts into the file that the whole run would have made."""
    import fastrev as fr

    console.print(repr(fr.merge(parts, out, overwrite)), highlight=False, markup=False)


@app.command()
def trace(
    file: Annotated[Path, typer.Argument(help="A run's HDF5 file.")],
    particle: Annotated[list[int], typer.Option("--particle", help="Ids; may be repeated.")],
    every: Annotated[int, typer.Option(min=1, help="Every so many steps.")] = 1,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="A .csv or .h5 file.")] = None,
    kernel: Kernels = None,
    trust: Trust = False,
    overwrite: Overwrite = False,
) -> None:
    """Compute the whole paths of some particles again, from the file's own specification."""
    import fastrev as fr
    from fastrev.analysis.paths import save_paths

    result = fr.open(file, _kernels(kernel), trust)
    target = out or file.with_name(f"{file.stem}_paths.csv")
    written = save_paths(result, particle, every, target, overwrite)
    console.print(f"wrote {written}")


@app.command()
def validate(
    file: Annotated[Path, typer.Argument(help="A run's HDF5 file.")],
    deep: Annotated[bool, typer.Option("--deep", help="Also check every shard's rows.")] = False,
) -> None:
    """Check a file against H5MD 1.1 and its own checksums; exit status 1 where a rule is broken."""
    from fastrev.store.validate import validate as check

    findings = check(file, deep)
    styles = {"ok": "green", "advice": "yellow", "error": "red"}
    for level, rule, detail in findings:
        line = f"{level:7s}{rule}" + ("" if level == "ok" else f": {detail}")
        console.print(line, style=styles[level], markup=False, highlight=False, soft_wrap=True)
    if any(finding.level == "error" for finding in findings):
        raise typer.Exit(1)


@app.command()
def repack(
    file: Annotated[Path, typer.Argument(help="A finished run's HDF5 file.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="The new file.")],
    compression: Annotated[str, typer.Option(help="gzip or zstd.")] = "gzip",
    level: Annotated[int | None, typer.Option(help="Of the compressor.")] = None,
    bits: Annotated[int | None, typer.Option(help="Mantissa bits to keep.")] = None,
    overwrite: Overwrite = False,
) -> None:
    """Compress a finished file into a new one, and say what it saved."""
    from fastrev.store.repack import repack as pack

    before, after = pack(file, out, compression, level, bits, overwrite)
    sizes = f"{before / 1e6:,.1f} MB -> {after / 1e6:,.1f} MB"
    console.print(f"wrote {out}: {sizes} ({1 - after / before:.0%} saved)")


@app.command()
def bench(
    json: Annotated[Path | None, typer.Option("--json", help="Also write the numbers.")] = None,
    plot: Annotated[Path | None, typer.Option("--plot", help="Also draw: png, svg, pdf.")] = None,
    folder: Annotated[
        Path | None, typer.Option(help="Where the temporary file goes; the system's unless given.")
    ] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="Some seconds, less exact, float32 only.")
    ] = False,
) -> None:
    """Measure this machine: fastrev beside NumPy, Numba and hand-written C, every answer checked.

    About a minute, best on an idle machine.
    """
    from fastrev.bench import Settings, measure_all
    from fastrev.bench.report import check_targets, save_json, save_plot, tables

    check_targets(json, plot, folder)
    with console.status("measuring") as status:
        report = measure_all(Settings.quick() if quick else Settings(), folder, status.update)
    for table in tables(report):
        console.print(table)
    if json:
        console.print(f"wrote {save_json(report, json)}")
    if plot:
        console.print(f"wrote {save_plot(report, plot)}")


def _wrote(path: Path) -> None:
    console.print(f"wrote {path}", highlight=False, soft_wrap=True)


def _kernels(given: list[str] | None) -> dict[str, str]:
    """PLACE=module:function options as a mapping.  Raises InputError."""
    from fastrev.model.check import InputError

    pairs = [text.partition("=") for text in given or []]
    for place, _, name in pairs:
        if ":" not in name:
            raise InputError(f"--kernel must be PLACE=module:function, got {place!r}")
    return {place: name for place, _, name in pairs}


def _report(title: str, result: "Run") -> None:
    """The run's table of variances and its speed."""
    from fastrev.analysis.compare import variance_table, verdict
    from fastrev.engine.summary import in_millions

    rows = variance_table(result)
    title = title if result.dim == 1 else f"{title}, the first of {result.dim} coordinates"
    table = Table(title=title, title_justify="left", title_style="bold")
    for heading in ("t", "exact variance", "scheme's variance", "measured variance", "z-score"):
        table.add_column(heading, justify="right")
    for row in rows:
        table.add_row(
            f"{row.t:.4g}",
            *(_cell(v) for v in (row.exact, row.scheme, row.measured)),
            _cell(row.z, "+.2f"),
        )
    console.print(table)
    console.print(verdict(rows, result.n))
    for name, one in result.observables.items():
        if hasattr(one, "survival"):
            console.print(
                f"{name}: {one.absorbed[-1] / one.n[-1]:.4g} of them absorbed by t = "
                f"{one.times[-1]:.4g}, at {one.mean[-1]:.4g} +- {one.stderr[-1]:.2g} in the mean"
            )
    console.print(
        f"{result.particles:,} particles: {in_millions(result.throughput)} particle-steps/s "
        f"({result.seconds:.2f} s, and {result.compile_seconds:.2f} s compiling)\n"
    )


def _judged_table(one: "Judged") -> Table:
    """A run of an experiment against the law that it should follow."""
    table = Table(title=f"{one.part.label}: {one.part.equation}", title_justify="left")
    for heading in ("t", "variance", "scheme's", "measured", "z", "KS p", "W1", "noise"):
        table.add_column(heading, justify="right", no_wrap=True)
    for row in one.rows:
        size = abs(row.z)
        table.add_row(
            f"{row.t:.3g}",
            *(_cell(v, ".4g") for v in (row.exact, row.scheme, row.measured)),
            _cell(row.z, "+.2f" if size < 100.0 else "+.0f" if size < 1e5 else "+.0e"),
            *(_cell(v, form) for v, form in ((row.ks_p, ".1g"), (row.w1, ".2g"))),
            _cell(row.w1_noise, ".2g"),
            style=None if row.agrees else "red",
        )
    return table


def _cell(value: float, form: str = ".6g") -> str:
    return "-" if math.isnan(value) else format(value, form)


def main() -> None:
    """Entry point: bad input ends in one line and exit status 2, Ctrl-C in 130."""
    errors = Console(stderr=True, soft_wrap=True, highlight=False, markup=False)

    def show(message: Warning | str, *where: Any, **how: Any) -> None:
        errors.print(f"fastrev: warning: {message}", style="yellow")

    warnings.showwarning = show
    try:
        app()
    except (ValueError, RuntimeError) as error:
        if type(error).__module__.split(".")[0] != "fastrev":
            raise
        errors.print(f"fastrev: {error}", style="red")
        raise SystemExit(2) from None
    except SystemExit as stop:
        if stop.code == 130:
            errors.print("fastrev: interrupted; shards committed to a file are kept (see resume)")
        raise


if __name__ == "__main__":
    main()
