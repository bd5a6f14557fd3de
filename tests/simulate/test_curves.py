from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import spearmanr

from rung.api.facts import Assignment, Observation
from rung.simulate.curves import (
    FLOOR,
    Array,
    CurvesError,
    CurveSource,
    Family,
    Recorded,
    RecordedCurve,
    Synthetic,
    read_curves,
)


def encode(assignment: Assignment) -> Array:
    return np.array([float(assignment["x"]), float(assignment["y"])])


def parse(strings: Mapping[str, str]) -> Assignment:
    return {name: float(value) for name, value in strings.items()}


def synthetic(**settings_: object) -> Synthetic:
    return Synthetic(encode, {"loss": False, "accuracy": True}, **settings_)  # type: ignore[arg-type]


def series(source: Synthetic, point: Assignment, seed: int, steps: int, metric: str) -> Array:
    column: Array = source.values(point, seed, steps)[:, list(source.metrics).index(metric)]
    return column


points = st.fixed_dictionaries({"x": st.floats(0, 1), "y": st.floats(0, 1)})
families = st.sampled_from(Family)


@given(point=points, seed=st.integers(0, 1_000), steps=st.integers(1, 40), more=st.integers(0, 20), family=families)
@settings(max_examples=50)
def test_asked_for_more_steps_a_curve_says_the_same_and_goes_on(
    point: Assignment, seed: int, steps: int, more: int, family: Family
) -> None:
    source: CurveSource = synthetic(family=family)
    curve = source.curve(point, seed, steps)
    assert [o.step for o in curve] == list(range(1, steps + 1))
    assert source.curve({"y": point["y"], "x": point["x"]}, seed, steps + more)[:steps] == curve


def test_seeds_differ_in_their_noise_alone() -> None:
    point = {"x": 0.3, "y": 0.6}
    assert synthetic().curve(point, 1, 5) != synthetic().curve(point, 2, 5)
    assert synthetic(noise=0.0).curve(point, 1, 5) == synthetic(noise=0.0).curve(point, 2, 5)
    assert synthetic(seed=1, noise=0.0).curve(point, 1, 5) != synthetic(noise=0.0).curve(point, 1, 5)


@given(point=points, family=families)
@settings(max_examples=50)
def test_without_noise_a_loss_falls_towards_its_floor_and_an_accuracy_rises(point: Assignment, family: Family) -> None:
    source = synthetic(noise=0.0, family=family)
    loss, accuracy = (series(source, point, 0, 50, name) for name in ("loss", "accuracy"))
    assert np.all(np.diff(loss) < 0)
    assert np.all(loss > FLOOR)
    assert np.all(np.diff(accuracy) > 0)
    assert np.all((accuracy > 0) & (accuracy < 1))


def ends(source: Synthetic, step: int) -> list[float]:
    grid = np.linspace(0, 1, 15)
    return [float(series(source, {"x": x, "y": y}, 0, 200, "loss")[step - 1]) for x in grid for y in grid]


def test_some_assignment_is_good_and_the_far_corner_is_not() -> None:
    final = ends(synthetic(noise=0.0), 200)
    assert min(final) < 0.12
    assert max(final) > 1.5


def agreement(source: Synthetic, steps: tuple[int, int], best: int) -> float:
    """Rank correlation of two steps, over the assignments that are best in the end."""
    order = np.argsort(ends(source, 200))[:best]
    early, late = (np.array(ends(source, step))[order] for step in steps)
    return float(spearmanr(early, late).statistic)


def test_power_laws_keep_their_ranks() -> None:
    assert agreement(synthetic(noise=0.0), (1, 200), 225) > 0.999


def test_where_curves_cross_the_early_ranks_of_the_good_ones_mislead() -> None:
    source = synthetic(noise=0.0, family=Family.CROSSING)
    assert agreement(source, (3, 200), 30) < -0.9
    assert agreement(source, (27, 200), 30) > 0.9
    assert agreement(source, (3, 200), 225) > 0.5, "the bad ones are bad from the start"


def test_the_share_that_diverges_is_a_region_of_the_space() -> None:
    random = np.random.default_rng(1)
    source = synthetic(divergence=0.3)
    cube = [{"x": x, "y": y} for x, y in random.random((600, 2))]
    diverged = [bool(np.isnan(series(source, point, 0, 10, "loss")[-1])) for point in cube]
    assert sum(diverged) == pytest.approx(0.3 * 600, abs=40)
    assert not any(np.isnan(series(synthetic(), point, 0, 10, "loss")).any() for point in cube)
    best = min((p for p, gone in zip(cube, diverged, strict=True) if not gone), key=lambda p: ends_at(source, p))
    assert ends_at(synthetic(), best) == min(ends_at(synthetic(), point) for point in cube)


def ends_at(source: Synthetic, point: Assignment) -> float:
    return float(series(source, point, 0, 60, "loss")[-1])


def test_a_diverged_trial_stays_diverged() -> None:
    corners = [{"x": x, "y": y} for x in (0.0, 1.0) for y in (0.0, 1.0)]
    curves = [series(synthetic(divergence=0.3), corner, 0, 27, "loss") for corner in corners]
    diverged = [np.isnan(curve) for curve in curves if np.isnan(curve).any()]
    assert len(diverged) == 2
    assert all(np.all(gone[np.argmax(gone) :]) for gone in diverged)


def test_the_pace_belongs_to_the_assignment() -> None:
    paces = [synthetic(step_seconds=10.0).seconds_per_step({"x": x, "y": 0.5}, 0) for x in np.linspace(0, 1, 200)]
    assert len(set(paces)) == 200
    assert np.median(paces) == pytest.approx(10.0, rel=0.1)
    assert paces[0] == synthetic(step_seconds=10.0).seconds_per_step({"x": 0.0, "y": 0.5}, 99)


def test_objectives_beyond_the_first_trade_off() -> None:
    source = Synthetic(encode, {"loss": False, "latency": False}, noise=0.0)
    random = np.random.default_rng(2)
    cube = [{"x": x, "y": y} for x, y in random.random((300, 2))]
    figures = [(series(source, p, 0, 50, "loss")[-1], series(source, p, 0, 50, "latency")[-1]) for p in cube]
    assert min(figures)[0] < min(figures, key=lambda f: f[1])[0]


def test_a_study_without_searched_parameters_has_a_curve_too() -> None:
    source = Synthetic(lambda _: np.empty(0), {"loss": False}, divergence=0.3)
    assert all(math.isfinite(o.values["loss"]) for o in source.curve({}, 0, 5))


@pytest.mark.parametrize(
    "wrong", [{"noise": -1.0}, {"divergence": 2.0}, {"step_seconds": 0.0}], ids=lambda w: next(iter(w))
)
def test_settings_that_make_no_curve_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="divergence between 0 and 1"):
        synthetic(**wrong)
    with pytest.raises(ValueError, match="at least one metric"):
        Synthetic(encode, {})


TABLE = """x,y,trial,step,seconds,loss,accuracy
0.1,0.1,a,2,4,0.8,
0.1,0.1,a,1,2,0.9,0.5
0.9,0.9,b,1,10,nan,0.1
0.1,0.1,c,1,3,0.7,
"""
ROWS = [
    {"x": 0.1, "y": 0.1, "trial": "a", "step": 1, "seconds": 2, "loss": 0.9, "accuracy": 0.5},
    {"x": 0.1, "y": 0.1, "trial": "a", "step": 2, "seconds": 4, "loss": 0.8, "accuracy": None},
    {"x": "0.9", "y": "0.9", "trial": "b", "step": "1", "seconds": 10, "loss": math.nan, "accuracy": 0.1},
    {"x": 0.1, "y": 0.1, "trial": "c", "step": 1, "seconds": 3, "loss": 0.7},
]
TRIALS = [
    {
        "parameters": {"x": 0.1, "y": 0.1},
        "curve": [{"step": 2, "values": {"loss": 0.8}}, {"step": 1, "values": {"loss": 0.9, "accuracy": 0.5}}],
        "secondsPerStep": 2,
    },
    {"parameters": {"x": "0.9", "y": "0.9"}, "curve": [{"step": 1, "values": {"loss": math.nan, "accuracy": 0.1}}]},
    {"parameters": {"x": 0.1, "y": 0.1}, "curve": [{"step": 1, "values": {"loss": 0.7}}]},
]


def written(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("name", "text", "paces"),
    [
        pytest.param("curves.csv", TABLE, [2.0, 10.0, 3.0], id="a CSV table"),
        pytest.param("curves.CSV", "\ufeff" + TABLE.replace("\n", "\r\n"), [2.0, 10.0, 3.0], id="from a spreadsheet"),
        pytest.param("curves.json", json.dumps(ROWS), [2.0, 10.0, 3.0], id="the same rows as JSON"),
        pytest.param("curves.json", json.dumps(TRIALS), [2.0, None, None], id="whole trials as JSON"),
    ],
)
def test_recorded_curves_are_read(tmp_path: Path, name: str, text: str, paces: list[float | None]) -> None:
    curves = read_curves(written(tmp_path, name, text), ["x", "y"])
    assert [curve.parameters for curve in curves] == [{"x": v, "y": v} for v in ("0.1", "0.9", "0.1")]
    assert curves[0].curve == (Observation(1.0, {"loss": 0.9, "accuracy": 0.5}), Observation(2.0, {"loss": 0.8}))
    assert math.isnan(curves[1].curve[0].values["loss"])
    assert curves[2].curve == (Observation(1.0, {"loss": 0.7}),)
    assert [curve.seconds_per_step for curve in curves] == paces


@pytest.mark.parametrize(
    ("name", "text", "complaint"),
    [
        pytest.param("c.csv", "x,y,loss\n1,1,0.5\n", "row 1: column step is empty or missing", id="no step"),
        pytest.param("c.csv", "x,step,loss\n1,1,0.5\n1,2,low\n", "row 2, column loss: .*'low'", id="a word"),
        pytest.param(
            "c.csv", "x,step,loss\n1,nan,0.5\n", "column step: expected a finite step", id="a step that is none"
        ),
        pytest.param("c.csv", "x,step,loss\n1,-1,0.5\n", "of at least 0, got '-1'", id="a negative step"),
        pytest.param("c.json", "{", "is not JSON", id="broken JSON"),
        pytest.param("c.json", "{}", "expected a list of objects", id="an object alone"),
        pytest.param("c.json", "[1]", "expected a list of objects", id="a list of numbers"),
        pytest.param("c.json", '[{"curve": 1}]', 'trial 0: expected "parameters"', id="a trial without parameters"),
        pytest.param(
            "c.json", '[{"parameters": {}, "curve": [3]}]', r"trial 0, curve\[0\]: expected", id="a bad point"
        ),
        pytest.param(
            "c.json",
            '[{"parameters": {}, "curve": [{"step": 1, "values": {"loss": [1]}}]}]',
            r"curve\[0\].values.loss: expected a number, got \[1\]",
            id="a list as a value",
        ),
        pytest.param("c.json", '[{"step": 1, "loss": true}]', "column loss: expected a number, got True", id="a truth"),
        pytest.param("c.parquet", "", "from .csv and .json, not from .parquet", id="another format"),
    ],
)
def test_files_that_cannot_be_read_name_the_place(tmp_path: Path, name: str, text: str, complaint: str) -> None:
    with pytest.raises(CurvesError, match=complaint):
        read_curves(written(tmp_path, name, text), ["x", "y"])


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(CurvesError, match=r"nowhere\.csv: cannot be read"):
        read_curves(tmp_path / "nowhere.csv", [])


def recorded() -> Recorded:
    def curve(x: str, *losses: float) -> RecordedCurve:
        points = tuple(Observation(2.0 * i, {"loss": loss}) for i, loss in enumerate(losses, 1))
        return RecordedCurve({"x": x, "y": "0.5"}, points, None if x == "0.9" else 3.0)

    return Recorded([curve("0.1", 0.5, 0.4), curve("0.9", 0.9), curve("0.1", 0.6)], parse=parse, encode=encode)


@pytest.mark.parametrize(
    ("x", "seed", "losses"),
    [
        pytest.param(0.2, 0, [None, 0.5, 0.5, 0.4, 0.4], id="the nearest, at each step what was last said"),
        pytest.param(0.2, 1, [None, 0.6, 0.6, 0.6, 0.6], id="another seed, another repeat of it"),
        pytest.param(0.8, 1, [None, 0.9, 0.9, 0.9, 0.9], id="past its end the last value holds"),
    ],
)
def test_an_assignment_gets_the_curve_of_its_nearest_neighbour(x: float, seed: int, losses: list[float | None]) -> None:
    source: CurveSource = recorded()
    curve = source.curve({"x": x, "y": 0.5}, seed, 5)
    assert [o.step for o in curve] == [1, 2, 3, 4, 5]
    assert [o.values.get("loss") for o in curve] == losses


def test_a_recorded_pace_is_kept_and_a_missing_one_replaced() -> None:
    assert recorded().seconds_per_step({"x": 0.1, "y": 0.5}, 0) == 3.0
    assert recorded().seconds_per_step({"x": 0.9, "y": 0.5}, 0) == 60.0
    assert len(recorded()) == 3


def test_no_curve_at_all_is_refused() -> None:
    with pytest.raises(CurvesError, match="there is no recorded curve"):
        Recorded([], parse=parse, encode=encode)
