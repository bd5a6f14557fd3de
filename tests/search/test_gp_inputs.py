"""What the GP makes of a history: places, features, targets, forecasts."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from rung.api.facts import TrialState
from rung.search import Setting, Told
from rung.search.gp.beliefs import Modeller
from rung.search.gp.encoding import Encoding
from rung.search.gp.forecast import forecast
from rung.search.gp.knowledge import Reader
from rung.search.gp.outputs import Violations, Warp
from rung.search.gp.scores import situation
from rung.space.space import Space
from tests.search.problems import CONTINUOUS, FINITE, branching, mixed
from tests.space.strategies import parameter

pytestmark = pytest.mark.filterwarnings("error::RuntimeWarning")

X = parameter("x", "Double", min=0, max=1)
WIDTH = parameter("width", "Int", min=1, max=900, scale="Log")
odd = Space.of([
    WIDTH,
    parameter("normal", "Double", min=0, max=1, step="0.1", prior={"mean": "0.3", "deviation": "0.1"}),
    parameter("kind", "Categorical", values=["only"]),
    parameter("deep", "Int", min=0, max=5, when=[{"parameter": "width", "min": 32}]),
    parameter("deeper", "Double", min=0, max=1, when=[{"parameter": "deep", "max": 2}, {"parameter": "kind", "in": ["only"]}]),
    parameter("never", "Double", min=0, max=1, when=[{"parameter": "kind", "in": ["only"]}, {"parameter": "deeper", "min": "0.5"}]),
    parameter("double", "Derived", expression="2 * width"),
    parameter("last", "Double", min=0, max=1, when=[{"parameter": "double", "max": 100}]),
])  # fmt: skip


class TestEncoding:
    @pytest.mark.parametrize("space", [*FINITE, *CONTINUOUS, pytest.param(odd, id="conditions of every kind")])
    def test_a_snapped_point_is_where_its_assignment_lies(self, space: Space) -> None:
        encoding = Encoding(space)
        u = np.random.default_rng(0).random((60, space.d))
        u[0], u[1] = 0.0, 1.0
        assignments = [space.decode(row) for row in u]
        snapped = encoding.snapped(u)
        want = np.array([space.encode(assignment) for assignment in assignments]).reshape(u.shape)
        assert snapped == pytest.approx(want, abs=2e-3)  # reals are rounded to four digits
        discrete = ~encoding.continuous
        assert snapped[:, discrete] == pytest.approx(want[:, discrete], abs=1e-12)
        names = [dimension.name for dimension in space.dimensions]
        active = [[name in assignment for name in names] for assignment in assignments]
        assert encoding.active(snapped).tolist() == active

    def test_choices_are_at_distance_one_and_numbers_where_they_are(self) -> None:
        encoding = Encoding(mixed)
        phi = encoding.features(encoding.snapped(np.random.default_rng(1).random((40, 4))))
        choice = phi[:, encoding.axes[3].group]
        apart = ((choice[:, None] - choice) ** 2).sum(axis=2)
        assert np.unique(apart.round(12)).tolist() == [0.0, 1.0]
        assert encoding.groups.tolist() == [0, 1, 2, 3, 3, 3]

    def test_inactive_parameters_make_no_difference(self) -> None:
        encoding = Encoding(branching)
        u = np.random.default_rng(2).random((200, 4))
        phi = encoding.features(encoding.snapped(u))
        keys = [branching.key(branching.decode(row)) for row in u]
        for i in range(20):
            same = [key == keys[i] for key in keys]
            assert ((phi == phi[i]).all(axis=1) == same).all()


class TestTargets:
    @given(arrays(np.float64, st.integers(1, 30), elements=st.floats(-1e300, 1e300)), st.sampled_from([0.0, 5.0]))
    def test_a_warp_is_finite_standardised_and_keeps_the_order(self, y: np.ndarray, straight: float) -> None:
        warp = Warp.of(y, straight)
        t = warp(y)
        assert np.isfinite(t).all()
        assert (np.diff(t[np.argsort(y, kind="stable")]) >= 0).all()
        assert abs(t.mean()) < 1e-6
        assert t.std() < 1 + 1e-6

    def test_a_warp_and_its_inverse_and_slope_belong_together(self) -> None:
        y = np.array([1.0, 2.0, 4.0, 8.0, 16.0, 1000.0])
        for straight in (0.0, 2.0):
            warp = Warp.of(y, straight)
            assert warp.inverse(warp(y)) == pytest.approx(y)
            assert warp.slope(y) == pytest.approx((warp(y + 1e-5) - warp(y - 1e-5)) / 2e-5, rel=1e-4)

    @given(arrays(np.float64, st.integers(1, 30), elements=st.floats(-1e300, 1e300)))
    def test_violations_keep_their_zero(self, c: np.ndarray) -> None:
        bend = Violations.of(c)
        limit = float(bend(np.zeros(1))[0])
        assert ((bend(c) > limit + 1e-12) <= (c > 0)).all()
        assert ((bend(c) < limit - 1e-12) <= (c < 0)).all()


class TestForecast:
    def curves(self, n: int, seed: int = 0) -> tuple[list[tuple[tuple[float, float], ...]], np.ndarray]:
        """Learning curves that fall as a + b / step; and their values at step 27."""
        rng = np.random.default_rng(seed)
        a, b = rng.random(n), 0.5 + 0.3 * rng.random(n)
        return [tuple((float(s), a[i] + b[i] / s) for s in (1, 3, 9, 27)) for i in range(n)], a + b / 27

    def test_stopped_curves_go_on_as_others_did(self) -> None:
        curves, finals = self.curves(40)
        kept = [curve if i < 12 else curve[: 1 + i % 3] for i, curve in enumerate(curves)]
        known = np.where(np.arange(40) < 12, finals, np.nan)
        value, error = forecast(kept, known, 27.0)
        lasts = np.array([curve[-1][1] for curve in kept])
        stopped = slice(12, None)
        assert value[:12].tolist() == finals[:12].tolist()
        assert (error[:12] == 0).all()
        assert np.abs(value - finals)[stopped].mean() < 0.3 * np.abs(lasts - finals)[stopped].mean()
        assert np.mean(np.abs(value - finals)[stopped] < 2 * error[stopped]) > 0.85
        ends = np.array([len(curve) for curve in kept])
        assert error[ends == 1].mean() > error[ends == 3].mean()

    def test_the_first_of_all_curves_is_known_as_far_as_it_goes(self) -> None:
        value, error = forecast([((1.0, 5.0),), ((1.0, 4.0), (3.0, 2.0)), ()], np.full(3, np.nan), 9.0)
        assert value[0] > value[1]
        assert (error[:2] > 0).all()
        assert np.isnan(value[2])

    def test_a_diverged_curve_is_bad_and_nothing_more(self) -> None:
        curves, finals = self.curves(20)
        diverged = [*curves[:-1], ((1.0, 1e300),)]
        value, _ = forecast(diverged, np.append(finals[:-1], np.nan), 27.0)
        assert value[-1] > finals[:-1].max()
        assert value[:-1].tolist() == finals[:-1].tolist()

    def test_ends_at_many_different_steps(self) -> None:
        rng = np.random.default_rng(1)
        curves = [tuple((float(s), 1 / s + x) for s in range(1, rng.integers(2, 100))) for x in rng.random(60)]
        value, error = forecast(curves, np.full(60, np.nan), 100.0)
        assert np.isfinite(value).all()
        assert (error > 0).all()


class TestKnowledge:
    def test_what_a_history_says(self) -> None:
        space = Space.of([X])
        at = [{"x": k / 10} for k in range(8)]
        full = ((1.0, 0.9), (9.0, 0.3))
        history = [
            Told(0, at[0], TrialState.SUCCEEDED, (0.3,), (-1.0,), curve=full),
            Told(1, at[1], TrialState.STOPPED, (0.8,), (2.0,), curve=full[:1]),
            Told(2, at[2], TrialState.FAILED),
            Told(3, at[3], TrialState.RUNNING, curve=((1.0, 0.5),)),
            Told(4, at[4], TrialState.PENDING),
            Told(5, at[5], TrialState.STOPPED),
            Told(0, at[6], TrialState.SUCCEEDED, (7.0,), source="old"),
            Told(6, at[7], TrialState.SUCCEEDED, (0.4,), (float("nan"),), deviations=(0.2,)),
        ]
        known = Reader(Setting(space, constraints=1, target=9.0)).read(history[::-1])
        assert known.u[:, 0] == pytest.approx([0.6, 0.0, 0.1, 0.2, 0.3, 0.7])
        assert known.source.tolist() == [1, 0, 0, 0, 0, 0]
        assert known.failed.tolist() == [False, False, False, True, False, False]
        assert known.measured.tolist() == [True, True, True, False, True, True]
        assert known.feasible.tolist() == [False, True, False, False, True, True]
        assert known.y[[1, 5, 0], 0].tolist() == [0.3, 0.4, 7.0]
        assert 0.1 < known.y[2, 0] < 0.8  # a forecast, not what it had come to
        assert known.errors[5, 0] == 0.2
        assert (known.errors[[2, 4], 0] > 0).all()
        assert known.pending[:, 0] == pytest.approx([0.3, 0.4])

    def test_a_stopped_trial_is_hardly_better_than_the_best_whole_run(self) -> None:
        """Those that went on fell by 0.5, so what was stopped at 0.3 would have come below 0."""
        space = Space.of([X])
        went_on = [((1.0, 0.8 + k / 100), (9.0, 0.3 + k / 100)) for k in range(12)]
        history = [
            Told(k, {"x": k / 100}, TrialState.SUCCEEDED, (curve[-1][1],), curve=curve)
            for k, curve in enumerate(went_on)
        ]
        promising = ((1.0, 0.3),)
        history += [
            Told(12, {"x": 0.5}, TrialState.STOPPED, (0.3,), curve=promising),
            Told(13, {"x": 0.6}, TrialState.RUNNING, curve=promising),
            Told(14, {"x": 0.7}, TrialState.STOPPED, (0.9,), curve=((1.0, 0.9),)),
        ]
        known = Reader(Setting(space, target=9.0)).read(history)
        assert known.stopped.tolist() == [False] * 12 + [True, False, True]
        assert known.pruned
        value, error = known.y[:, 0], known.errors[:, 0]
        assert value[12] == pytest.approx(0.3)
        assert value[13] < 0.3  # nobody has given up on it
        assert 0 < error[14] <= (value[14] - 0.3) / 1.6

    def test_thousands_of_trials_make_a_model_of_some_hundreds_with_the_best_among_them(self) -> None:
        space = Space.of([parameter(f"x{i}", "Double", min=0, max=1) for i in range(3)])
        points = np.random.default_rng(0).random((3000, 3))
        values = ((points - 0.4) ** 2).sum(axis=1)
        history = [
            Told(i, space.decode(u), TrialState.SUCCEEDED, (float(v),)) for i, (u, v) in enumerate(zip(points, values, strict=True))
        ]  # fmt: skip
        setting = Setting(space)
        beliefs = Modeller(Encoding(space), 1, forecasts=False).beliefs(Reader(setting).read(history))
        assert len(beliefs.rows) <= 300
        assert set(np.argsort(values)[:50]) <= set(beliefs.rows)
        at = np.random.default_rng(1).random((50, 3))
        target = beliefs.warps[0](((at - 0.4) ** 2).sum(axis=1))
        assert np.abs(beliefs.objectives[0].mean(at) - target).mean() < 0.1


def test_where_trials_are_stopped_one_has_to_promise_clearly_more_than_the_incumbent() -> None:
    space = Space.of([X])
    setting = Setting(space, target=9.0)
    curves = [((1.0, 1.0 + k / 10), (9.0, k / 10)) for k in range(8)]
    history = [Told(k, {"x": k / 10}, TrialState.SUCCEEDED, (k / 10,), curve=curve) for k, curve in enumerate(curves)]
    stopped = Told(8, {"x": 0.9}, TrialState.STOPPED, (1.8,), curve=((1.0, 1.8),))
    goals = []
    for told in (history, [*history, stopped]):
        known = Reader(setting).read(told)
        beliefs = Modeller(Encoding(space), 1, forecasts=True).beliefs(known)
        score = situation(known, beliefs, (None,), wide=True).score
        least = beliefs.objectives[0].mean(beliefs.phi[beliefs.rows]).min()
        goals.append((score.best, least))
    assert goals[0][0] == pytest.approx(goals[0][1])
    assert goals[1][0] == pytest.approx(goals[1][1] - 0.1)
