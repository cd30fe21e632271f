"""Runs that stop when an error is reached: a valid ensemble of the particles that were run."""

import numpy as np
import pytest

import fastrev as fr

PROCESS = fr.OrnsteinUhlenbeck(1.0, 0.7, 0.2)


def square(x, t, p):
    return x * x


def never(x, t, p):
    return 1.0 if x > 100.0 else 0.0


def make(**options):
    options = {
        "n": 1_000_000, "steps": 20, "seed": 3, "frames": 3, "observe": {"phi": fr.Mean(square)},
        "until": fr.StandardError("phi", 4e-3),
    } | options  # fmt: skip
    return fr.simulate(PROCESS, fr.Gaussian(1.0, 1.0), **options)


def test_the_error_is_reached_within_a_fifth():
    run = make()
    phi = run.observables["phi"]
    assert 0.8 * 4e-3 < phi.stderr.max() <= 4e-3
    assert run.n < 0.9e6 and (phi.n == run.n).all() and run.specification.n == run.n
    again = make(n=run.n, until=None)
    np.testing.assert_array_equal(again.frames, run.frames)
    np.testing.assert_allclose(again.observables["phi"].mean, phi.mean, rtol=1e-12)
    assert run.trace(run.n - 1)[-1, 0] == run.x[-1]
    with pytest.raises(fr.InputError, match="ids must lie between"):
        run.trace(run.n)
    finer = make(until=fr.StandardError("phi", 2.5e-3, relative=True))
    relative = (finer.observables["phi"].stderr / finer.observables["phi"].mean).max()
    assert 0.8 * 2.5e-3 < relative <= 2.5e-3


def test_what_is_not_reached_runs_to_the_end():
    assert make(n=5000).n == 5000
    unseen = make(n=20_000, observe={"phi": fr.Mean(never)})
    assert unseen.n == 20_000 and unseen.observables["phi"].mean.max() == 0.0


def test_a_file_holds_what_was_run(tmp_path, monkeypatch):
    memory, path = make(), tmp_path / "a.h5"
    run = make(out=path)
    assert run.n == memory.n and run.frames.committed().all() and not list(tmp_path.glob("*.part"))
    np.testing.assert_array_equal(run.frames[:], memory.frames)
    wanted = memory.observables["phi"].mean
    assert fr.open(path).observables["phi"].mean.tobytes() == wanted.tobytes()
    bytes_of_a_row = 3 * 4
    assert path.stat().st_size < 1.5 * run.n * bytes_of_a_row + 200_000
    from fastrev.engine.program import Program

    real, count = Program.run_shard, []

    def interrupted(self, *args, **kwargs):
        count.append(1)
        if len(count) == 9:
            raise KeyboardInterrupt
        return real(self, *args, **kwargs)

    monkeypatch.setattr(Program, "run_shard", interrupted)
    with pytest.raises(KeyboardInterrupt):
        make(out=tmp_path / "b.h5")
    monkeypatch.setattr(Program, "run_shard", real)
    assert not fr.open(tmp_path / "b.h5").frames.committed().all()
    ended = fr.resume(tmp_path / "b.h5", {"observe.phi.kernel": square})
    assert ended.observables["phi"].stderr.max() <= 4e-3 and ended.n < 0.9e6
    np.testing.assert_array_equal(ended.frames[:], make(n=ended.n, until=None).frames)


def test_given_states_and_kept_particles():
    x0 = np.random.default_rng(1).normal(1.0, 1.0, (100_000, 1)).astype(np.float32)
    run = fr.simulate(
        PROCESS, x0, steps=20, seed=1, observe=fr.Moments(), keep=10,
        until=fr.StandardError("moments", 1e-2),
    )  # fmt: skip
    counted = int(run.observables["moments"].n[0])
    assert counted < 50_000 and run.frames.shape[1] == -(-counted // 10)
    np.testing.assert_array_equal(run.frames[0], x0[:counted:10])


@pytest.mark.parametrize(
    ("until", "message"),
    [
        ((lambda: fr.StandardError("phi", 0.0)), "StandardError.target must be positive"),
        ((lambda: fr.StandardError(3, 1e-3)), "observable must be a name"),
        ((lambda: fr.StandardError("phi", 1e-3, 2)), "relative must be a bool"),
        ((lambda: fr.StandardError("phj", 1e-3)), "'phj' is not known: did you mean 'phi'"),
        ((lambda: 1e-3), "until"),
    ],
)
def test_bad_requests(until, message):
    with pytest.raises(fr.InputError, match=message):
        make(until=until())
