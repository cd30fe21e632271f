"""Pictures of runs: what is drawn is what was measured, in each kind and format."""

import itertools
import shutil

import h5py
import numpy as np
import pytest
from PIL import Image
from problems import MIXTURE
from typer.testing import CliRunner

import fastrev as fr
from fastrev.analysis.exact import law
from fastrev.analysis.figures import KINDS, save_figure, save_overview
from fastrev.analysis.pictures import binning, overlay, style
from fastrev.analysis.pictures.request import Options
from fastrev.analysis.pictures.variance import measured_variance
from fastrev.cli import PlotKind, app
from fastrev.engine.run import Run
from fastrev.engine.simulate import specified
from fastrev.model.moments import MomentsResult

RNG = np.random.default_rng(0)
STARTS = {".pdf": b"%PDF", ".svg": b"<?xml"}


def sampled(process, x0, times, n=3000, dim=1):
    """A run whose frames are drawn from the exact law, without simulating."""
    spec = specified(process, x0, n=n, dim=dim, time=fr.TimeGrid(times), frames=len(times), seed=1)
    frames = [law(spec, t).sample(n, seed=k, dim=dim) for k, t in enumerate(times)]
    return Run(np.array(frames, np.float32), spec.grid.times, 1, "", spec, observables={})


@pytest.fixture(scope="module")
def line(tmp_path_factory):
    """The file of a forward run, the only one simulated here."""
    path = tmp_path_factory.mktemp("runs") / "line.h5"
    process = fr.OrnsteinUhlenbeck(2.0, 1.0)
    return fr.simulate(process, fr.Point(1.0), n=5000, steps=2500, frames=5, seed=1, out=path)


@pytest.fixture(scope="module")
def back():
    vp = fr.VP()
    reverse = fr.reverse(vp, vp.score(MIXTURE))
    return sampled(reverse, fr.Gaussian(), np.array([1.0, 0.9, 0.7, 0.4, 0.1, 0.0]))


@pytest.fixture(scope="module")
def plane():
    turn = fr.Linear([[-0.3, -3.0], [3.0, -0.3]], [0.0, 0.0], [[0.4, 0.0], [0.1, 0.4]])
    start = fr.GaussianMixture([0.5, 0.5], [[2.0, 0.0], [-1.0, -1.0]], [0.3, 0.2])
    return sampled(turn, start, np.linspace(0.0, 1.0, 7), n=20_000, dim=2)


def unknown(frames, times, observables=()):
    """A run of no known law with these frames."""
    own, (_, n, dim) = fr.SDE(lambda x, t, p: -x, 1.0), frames.shape
    spec = specified(own, fr.Gaussian(), n=n, dim=dim, steps=5, seed=1)
    return Run(frames, np.asarray(times), 1, "", spec, observables=dict(observables))


def drawn(kind, run, **options):
    return KINDS[kind](run if isinstance(run, dict) else {"run": run}, Options(**options))


@pytest.mark.parametrize("bins", [1, 7, 100])
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_counts_are_numpys(bins, dtype):
    """Across blocks, with values on edges, outside, infinite and NaN."""
    x = RNG.normal(size=(2 * binning._BLOCK + 77, 2)).astype(dtype)
    edges = np.linspace(-2.5, 2.25, bins + 1)
    x[::1000, 0], x[5::1000, 0], x[7::1000, 1] = np.nan, np.inf, -np.inf
    x[9 : 9 + len(edges), 0], x[-1, 0] = edges, edges[-1]
    got = binning.counted(x, [0], [edges])
    known = x[np.isfinite(x[:, 0]), 0]
    assert (got == np.histogram(known, edges)[0]).all() and got.sum() > 100_000
    other = np.linspace(-1.0, 4.0, 6)
    got = binning.counted(x, [1, 0], [other, edges])
    finite = x[np.isfinite(x).all(axis=1)].astype(float)
    assert (got == np.histogram2d(finite[:, 1], finite[:, 0], (other, edges))[0]).all()


def test_counts_far_from_zero():
    """Cells narrower than a float32 far from zero can tell apart."""
    x = (1e6 + RNG.normal(size=(9999, 1))).astype(np.float32)
    edges = np.linspace(1e6 - 2.0, 1e6 + 3.0, 1001)
    want = np.histogram(x[:, 0].astype(float), edges)[0]
    assert (binning.counted(x, [0], [edges]) == want).all()


def test_limits_and_shares():
    x = RNG.standard_cauchy(size=(400_000, 1))
    x[:50] = np.nan
    low, high = binning.limits(x, 0)
    exact = 1.2 * np.tan(np.pi * 0.4995)
    assert abs(low / exact + 1.0) < 0.3 and abs(high / exact - 1.0) < 0.3
    edges = binning.cells((-5.0, 5.0), 100)
    heights, outside = binning.density(x, [0], [edges])
    assert heights.sum() * 0.1 + outside == pytest.approx(1.0)
    assert outside == pytest.approx(2.0 / np.pi * np.arctan(0.2), rel=0.02)  # beyond +-5
    assert binning.limits(np.full((9, 1), 2.0), 0) == (2.0, 2.0)
    assert np.isnan(binning.limits(np.full((9, 1), np.nan), 0)).all()
    assert style.ceiling(np.array([1e9, 1.0, 2.0, 3.0])) == 3.0
    assert style.time_texts(np.array([1.0, 1.0001]))[1] == "t = 1.0001"


def test_exact_plane(plane):
    """The density of two coordinates has mass 1, and half of it in the region so called."""
    axes = [np.linspace(-6.0, 6.0, 300)] * 2
    values = overlay.plane_density(overlay.exact_law(plane, 0.5), axes, [1, 0])
    cell = (axes[0][1] - axes[0][0]) ** 2
    assert values.sum() * cell == pytest.approx(1.0, abs=1e-6)
    outer, inner = overlay.regions(values)
    assert values[values >= inner].sum() * cell == pytest.approx(0.5, abs=0.01)
    assert values[values >= outer].sum() * cell == pytest.approx(0.95, abs=0.01)
    mean = (values.sum(axis=0) * axes[0]).sum() * cell  # of the first axis, coordinate 1
    assert mean == pytest.approx(overlay.moments_at(overlay.exact_law(plane, 0.5), 1)[0], abs=1e-6)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in ("animation", "sheet")])
def test_kinds_are_written(kind, line, plane, tmp_path):
    run = plane if kind in ("phase", "overview") else line
    path = save_figure(kind, run, tmp_path / "a.png", run.dim - 1, other=0)
    assert path == tmp_path / "a.png" and path.stat().st_size > 8000
    assert np.ptp(np.asarray(Image.open(path).convert("L"))) > 200


@pytest.mark.parametrize("ending", [".svg", ".pdf"])
def test_endings(ending, back, tmp_path):
    for kind in ("variance", "density"):
        path = save_figure(kind, back, tmp_path / f"a{ending}")
        assert path.read_bytes().startswith(STARTS[ending]) and path.stat().st_size > 8000


@pytest.mark.parametrize("name", ["line", "plane"])
def test_films(name, request, tmp_path):
    """One picture a frame, at the speed asked for, and they differ."""
    run = request.getfixturevalue(name)
    path = save_figure("animation", run, tmp_path / "a.gif", fps=20)
    with Image.open(path) as film:
        assert film.n_frames == len(run.times) and film.info["duration"] == 50
        pictures = [_picture(film, k) for k in range(film.n_frames)]
    assert all((a != b).any() for a, b in itertools.pairwise(pictures))


def _picture(film, k):
    film.seek(k)
    return np.asarray(film.convert("L"))


@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="needs ffmpeg")
def test_mp4(line, tmp_path):
    assert save_figure("animation", line, tmp_path / "a.mp4").read_bytes()[4:8] == b"ftyp"


def test_frames_hold_histogram_and_exact_density(back):
    figure = drawn("frames", back)
    panels = figure.axes
    assert [p.get_title() for p in panels] == [f"t = {t:g}" for t in back.times]
    for f, panel in enumerate(panels):
        heights, edges, _ = panel.patches[0].get_data()
        x = back.frames[f, :, 0].astype(float)
        want = np.histogram(x, edges)[0] / (len(x) * (edges[1] - edges[0]))
        np.testing.assert_allclose(heights, want, rtol=1e-12)
        grid, density = panel.lines[0].get_data()
        exact = law(back.specification, back.times[f])
        np.testing.assert_allclose(density, exact.pdf(grid), rtol=1e-12)
        centres, width = (edges[1:] + edges[:-1]) / 2.0, edges[1] - edges[0]
        assert np.abs(heights - exact.pdf(centres)).sum() * width < 0.25
    other = law(back.specification, 0.4)  # against the last frame's
    assert np.abs(heights - other.pdf(centres)).sum() * width > 0.4


def test_points_wide_ranges_and_lost_particles(line):
    """A frame at one point is a line; very different widths get an axis each; losses are told."""
    first = drawn("frames", line).axes[0]
    assert len(first.patches) == 0 and first.lines[0].get_xdata()[0] == 1.0
    assert first.texts[0].get_text() == "a point"
    x = RNG.normal(size=(3, 2000, 1)) * np.array([1.0, 30.0, 1000.0])[:, None, None]
    x[1, :100] = np.nan
    figure = drawn("frames", unknown(x, [0.0, 1.0, 2.0]))
    ends = [panel.get_xlim()[1] for panel in figure.axes]
    assert ends[2] > 100 * ends[0] and ends[1] > 5 * ends[0]
    assert "5 % not shown" in figure.axes[1].get_title()
    assert "shown" not in figure.axes[0].get_title()
    x[2] = np.nan
    assert drawn("frames", unknown(x, [0.0, 1.0, 2.0])).axes[2].texts[0].get_text() == (
        "nothing finite"
    )
    panel = drawn("variance", unknown(x, [0.0, 1.0, 2.0])).axes[0]
    assert "2 of 3 not finite" in panel.get_legend_handles_labels()[1][0]


def test_variance_points_are_numpys(line, back):
    panel = drawn("variance", {"a": line, "b": back}).axes[0]
    assert panel.get_legend_handles_labels()[1][:2] == ["a, exact", "b, exact"]
    points, _, bars = panel.containers[1]
    x = back.frames[:, :, 0].astype(float)
    v, m4 = x.var(axis=1, ddof=1), ((x - x.mean(axis=1, keepdims=True)) ** 4).mean(axis=1)
    np.testing.assert_allclose(points.get_xdata(), back.times)
    np.testing.assert_allclose(points.get_ydata(), v, rtol=1e-10)
    half = [(s[1, 1] - s[0, 1]) / 2.0 for s in bars[0].get_segments()]
    np.testing.assert_allclose(half, np.sqrt((m4 - v**2) / x.shape[1]), rtol=1e-8)
    curves = [c for c in panel.lines if len(c.get_xdata()) == 200]
    times, exact = curves[0].get_data()
    np.testing.assert_allclose(exact, 0.25 * (1.0 - np.exp(-4.0 * times)), atol=1e-12)


def test_moments_at_more_times_than_frames():
    times, v, m4 = np.linspace(0.0, 1.0, 9), np.full((9, 2), 2.0), np.full((9, 2), 13.0)
    moments = MomentsResult(times, np.full(9, 100), v, v[:, :, None] * np.eye(2), v, m4)
    run = unknown(RNG.normal(size=(2, 100, 2)), [0.0, 1.0], {"moments": moments})
    got = measured_variance(run, 1)
    assert (got[0] == times).all() and (got[1] == 2.0).all() and (got[2] == 0.3).all()


def test_paths_are_traced_and_thinned(line):
    panel = drawn("paths", line, particles=5).axes[0]
    mean, paths = panel.lines[0], panel.lines[1:]
    assert len(paths) == 5 and len(mean.get_xdata()) == 200
    times, x = paths[-1].get_data()
    assert 1000 < len(times) <= 2001 and times[-1] == 1.0
    steps = np.searchsorted(line.specification.grid.times, times)
    assert (x == line.trace(line.n - 1)[steps, 0, 0]).all()
    assert len(panel.collections) == 1  # the band


def test_density_columns_sum_to_one(back):
    figure = drawn("density", back)
    mesh = figure.axes[0].collections[0]
    values, corners = np.asarray(mesh.get_array()), mesh.get_coordinates()
    x, t = corners[:, 0, 1], corners[0, :, 0]
    share = (values * np.diff(x)[:, None]).sum(axis=0)
    assert (share <= 1.0 + 1e-12).all() and (share > 0.998).all()
    order = np.argsort(back.times)
    want = np.histogram(back.frames[order[2], :, 0].astype(float), x)[0] / (3000 * np.diff(x))
    np.testing.assert_allclose(values[:, 2], want, rtol=1e-9)
    np.testing.assert_allclose(t, [0.0, 0.05, 0.25, 0.55, 0.8, 0.95, 1.0])
    assert [axis.get_ylabel() for axis in figure.axes] == ["x", "density"]


def test_phase_images_share_limits_and_colours(plane):
    figure = drawn("phase", plane, coordinate=1, other=0)
    panels, bar = figure.axes[:-1], figure.axes[-1]
    assert len(panels) == 6 and "50 %" in bar.get_ylabel()
    meshes = [panel.collections[0] for panel in panels]
    assert len({mesh.get_clim() for mesh in meshes}) == 1
    assert len({(*panel.get_xlim(), *panel.get_ylim()) for panel in panels}) == 1
    assert {panel.get_aspect() for panel in panels} == {1.0}
    corners = meshes[1].get_coordinates()
    edges = corners[0, :, 0], corners[:, 0, 1]
    x = plane.frames[style.spread(7, 6)[1]].astype(float)
    want = np.histogram2d(x[:, 1], x[:, 0], edges, density=True)[0].T
    got = np.asarray(meshes[1].get_array())
    np.testing.assert_allclose(got / got.sum(), want / want.sum(), rtol=1e-9)


@pytest.mark.parametrize(
    ("kind", "name", "ending", "options", "message"),
    [
        ("frames", "line", ".jpg", {}, "must end in .png, .svg or .pdf"),
        ("frames", "line", ".gif", {}, "must end in .png"),
        ("animation", "line", ".png", {}, "must end in .gif or .mp4"),
        ("overveiw", "line", ".png", {}, "did you mean 'overview'"),
        ("frames", "line", "none/a.png", {}, "directory .* is not there"),
        ("phase", "line", ".png", {}, "two coordinates, and this run has dim = 1"),
        ("phase", "plane", ".png", {"other": 0}, "two different coordinates"),
        ("phase", "plane", ".png", {"other": 2}, "coordinate must be below 2, got 2"),
        ("animation", "plane", ".gif", {"other": 7}, "coordinate must be below 2, got 7"),
        ("animation", "line", ".gif", {"fps": 0}, "fps must lie between 1 and 50"),
        ("paths", "line", ".png", {"particles": 0}, "particles must be at least 1"),
        ("density", "short", ".png", {}, "density needs a run with frames, at least 3"),
        ("frames", "none", ".png", {}, "frames needs a run with frames"),
        ("animation", "none", ".gif", {}, "animation needs a run with frames"),
        ("phase", "flat", ".png", {}, "phase needs a run with frames"),
        ("variance", "none", ".png", {}, "keeps neither frames nor Moments"),
        ("frames", "both", ".png", {}, "frames draws one run, got 2: a, b"),
        ("variance", "empty", ".png", {}, "no run was given"),
    ]
    + [(kind, "plane", ".png", {"coordinate": 2}, "must be below 2, got 2")
       for kind in ("overview", "frames", "variance", "paths", "density", "phase")]
    + [(kind, "line", ".png", {"coordinate": -1}, "must be below 1, got -1")
       for kind in ("overview", "frames", "variance", "paths", "density")],
)  # fmt: skip
def test_refusals(kind, name, ending, options, message, line, plane, tmp_path):
    made = {
        "line": line,
        "plane": plane,
        "short": unknown(np.zeros((2, 5, 1)), [0.0, 1.0]),
        "none": unknown(np.zeros((0, 5, 1)), []),
        "flat": unknown(np.zeros((0, 5, 2)), []),
        "both": {"a": line, "b": plane},
        "empty": {},
    }
    path = tmp_path / (ending if "/" in ending else f"a{ending}")
    with pytest.raises(fr.InputError, match=message):
        save_figure(kind, made[name], path, **options)
    assert not list(tmp_path.iterdir())


def test_mp4_without_ffmpeg(line, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(fr.InputError, match="needs ffmpeg on the PATH"):
        save_figure("animation", line, tmp_path / "a.mp4")


def test_command(line, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert [kind.value for kind in PlotKind] == list(KINDS)
    for name in ("a", "b", "none"):
        shutil.copy(line.path, tmp_path / f"{name}.h5")
    with h5py.File("none.h5", "r+") as file:
        file["fastrev/shards"][:] = 0

    def plot(*arguments):
        return CliRunner().invoke(app, ["plot", *arguments])

    for arguments, written in (
        (["a.h5", "b.h5", "--kind", "variance"], "a.png"),
        (["a.h5", "b.h5"], "a.png"),
        (["a.h5", "--kind", "paths", "--particles", "3", "-o", "p.svg"], "p.svg"),
        (["b.h5", "--kind", "animation", "--fps", "5"], "b.gif"),
    ):
        done = plot(*arguments)
        assert done.exit_code == 0, done.exception
        assert f"wrote {written}" in done.output and (tmp_path / written).stat().st_size > 8000
    for kind in KINDS:
        out = "none.gif" if kind == "animation" else "none.png"
        done = plot("none.h5", "--kind", kind)
        assert isinstance(done.exception, fr.InputError) and "no shard" in str(done.exception)
        assert not (tmp_path / out).exists()
    assert "got 2: a, b" in str(plot("a.h5", "b.h5", "--kind", "density").exception)


def test_unknown_law(tmp_path):
    """Without an exact law only what was measured is drawn."""
    run = unknown(RNG.normal(size=(3, 500, 1)), [0.0, 0.5, 1.0])
    assert save_overview({"own": run}, tmp_path / "a.png").stat().st_size > 8000
    assert not drawn("density", run).axes[0].lines
    panel = drawn("frames", run).axes[0]
    assert not panel.lines and len(panel.patches) == 1
