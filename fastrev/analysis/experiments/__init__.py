"""The experiments of the reference documents: runs, what theory says of each, a figure.

    anderson   the worked example: Brownian motion from a point, and Anderson's way back
    paradox    its drift alone, its noise alone, naive reversal, and Anderson's process
    vp         a mixture to N(0, 1) and back, by Anderson's process and the probability flow

Each run is a configuration in this folder, which `fastrev run` takes too.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from fastrev.analysis.experiments.judging import Reference, Row, Verdict, rows_of, verdict
from fastrev.analysis.experiments.pictures import draw_paradox, draw_rows
from fastrev.analysis.pictures.request import check_figure
from fastrev.analysis.pictures.style import saved
from fastrev.engine.config import from_tables, read_tables
from fastrev.engine.run import Run
from fastrev.engine.simulate import execute
from fastrev.engine.specification import Specification
from fastrev.model import check
from fastrev.model.check import InputError

__all__ = ["EXPERIMENTS", "Experiment", "Judged", "Part", "as_theory_says", "perform", "picture"]

FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class Part:
    """One run of an experiment.

    label     its name in tables, figures and, with _ for spaces, in its file's name
    config    its configuration here, without .toml
    equation  what it runs
    follows   whether theory says that it follows p_t
    against   the configuration whose laws it is measured against; its own by default
    """

    label: str
    config: str
    equation: str
    follows: bool = True
    against: str | None = None

    @property
    def path(self) -> Path:
        """The configuration."""
        return FOLDER / f"{self.config}.toml"


@dataclass(frozen=True)
class Experiment:
    """Runs side by side, and what draws them."""

    parts: tuple[Part, ...]
    draw: Callable[[Sequence[Any]], Any]


class Judged(NamedTuple):
    """A run that is done, and what it shows."""

    part: Part
    run: Run
    reference: Reference
    rows: list[Row]
    verdict: Verdict


_RIGHT = "anderson_reverse"

EXPERIMENTS = {
    "anderson": Experiment(
        (
            Part("forward", "anderson_forward", "dx = sqrt(2D) dw"),
            Part("reverse", _RIGHT, "dx = (x/t) dt + sqrt(2D) dw, from t = 1 to 0"),
        ),
        draw_rows,
    ),
    "paradox": Experiment(
        (
            Part("drift only", "paradox_drift", "dx = (x/t) dt", False, _RIGHT),
            Part("noise only", "paradox_noise", "dx = sqrt(2D) dw", False, _RIGHT),
            Part(
                "naive reversal", "paradox_naive", "dx = f dt + sqrt(2D) dw, f = 0", False, _RIGHT
            ),
            Part("Anderson", _RIGHT, "dx = (x/t) dt + sqrt(2D) dw"),
        ),
        draw_paradox,
    ),
    "vp": Experiment(
        (
            Part("forward", "vp_forward", "dx = -x beta/2 dt + sqrt(beta) dw"),
            Part("Anderson", "vp_anderson", "dx = -beta (x/2 + s) dt + sqrt(beta) dw"),
            Part("probability flow", "vp_flow", "dx = -beta/2 (x + s) dt"),
        ),
        draw_rows,
    ),
}


def perform(
    name: str,
    folder: str | Path = ".",
    n: int | None = None,
    seed: int | None = None,
    overwrite: bool = False,
) -> Iterator[Judged]:
    """Run an experiment, one run at a time, each into NAME_LABEL.h5 in the folder.

    n      particles; those of the configurations by default
    seed   of the first run, the next ones follow; those of the configurations by default

    Raises InputError for an unknown name, bad options or files that exist, before any run.
    """
    check.one_of("experiment", name, EXPERIMENTS)
    parts = EXPERIMENTS[name].parts
    figure = figure_path(name, folder)
    check_figure(figure)
    targets = [Path(folder) / f"{name}_{_word(part.label)}.h5" for part in parts]
    there = [path for path in (*targets, figure) if path.exists()]
    if there and not overwrite:
        listed = ", ".join(str(path) for path in there)
        raise InputError(f"{listed}: there already, and kept; --overwrite replaces them")
    seeds = [None if seed is None else seed + k for k in range(len(parts))]
    specs = [specification(part.path, n, own) for part, own in zip(parts, seeds, strict=True)]
    return _performed(parts, specs, targets, overwrite)


def _performed(
    parts: Sequence[Part], specs: Sequence[Specification], targets: Sequence[Path], overwrite: bool
) -> Iterator[Judged]:
    for part, spec, target in zip(parts, specs, targets, strict=True):
        against = specification(FOLDER / f"{part.against}.toml") if part.against else spec
        reference = Reference(against)
        run = execute(spec, target, overwrite=overwrite)
        rows = rows_of(run, reference)
        yield Judged(part, run, reference, rows, verdict(rows, against.reverse))


def specification(path: Path, n: int | None = None, seed: int | None = None) -> Specification:
    """A configuration's, with particles and seed of one's own.  Raises InputError."""
    tables = read_tables(path)
    given = {"n": n, "seed": seed}
    tables["run"] |= {key: value for key, value in given.items() if value is not None}
    return from_tables(tables, imports=True).specification


def figure_path(name: str, folder: str | Path) -> Path:
    """Where the figure goes."""
    return Path(folder) / f"{name}.png"


def picture(name: str, judged: Sequence[Judged], folder: str | Path = ".") -> Path:
    """Draw an experiment's runs and write NAME.png in the folder."""
    return saved(lambda: EXPERIMENTS[name].draw(judged), figure_path(name, folder))


def as_theory_says(judged: Sequence[Judged]) -> Verdict:
    """Whether each run came out as theory says, and a line that says so."""
    wrong = [one.part.label for one in judged if one.verdict.follows is not one.part.follows]
    if wrong:
        return Verdict(False, f"NOT as theory says: {', '.join(wrong)}")
    right = [one.part.label for one in judged if one.verdict.follows]
    who = "every run follows" if len(right) == len(judged) else f"only {', '.join(right)} follows"
    return Verdict(True, f"as theory says: {who} p_t")


def _word(label: str) -> str:
    return label.lower().replace(" ", "_")
