"""The GP sampler: under the contract, and what it is for."""

from __future__ import annotations

from collections.abc import Callable, Hashable

import numpy as np
import pytest

from rung.api.facts import Assignment, TrialState
from rung.pareto import hypervolume
from rung.search import Request, Sampler, Setting, Told
from rung.search.gp.sampler import GPSampler
from rung.search.sobol import SobolSampler
from rung.space.space import Space
from tests.search.contract import LearnerContract
from tests.search.problems import branching, mixed
from tests.space.strategies import parameter

pytestmark = pytest.mark.filterwarnings("error::RuntimeWarning")

SQUARE = Space.of([parameter("x", "Double", min=0, max=1), parameter("y", "Double", min=0, max=1)])

Outcome = tuple[tuple[float, ...] | None, tuple[float, ...]]


def study(
    setting: Setting,
    outcome: Callable[[Assignment], Outcome],
    trials: int,
    *,
    seed: int = 0,
    start: tuple[Told, ...] = (),
) -> list[Told]:
    """One trial after the other."""
    sampler, history, taken = GPSampler(setting), list(start), set[Hashable]()
    for number in range(trials):
        proposal = sampler.propose(Request(setting.space, number, seed, history, taken))
        assert proposal is not None
        objectives, violations = outcome(proposal.parameters)
        state = TrialState.FAILED if objectives is None else TrialState.SUCCEEDED
        history.append(Told(number, proposal.parameters, state, objectives, violations))
        taken.add(setting.space.key(proposal.parameters))
    return [told for told in history if not told.source]


def best(history: list[Told]) -> float:
    return min(t.value for t in history if t.value is not None and not any(v > 0 for v in t.violations))


def number(value: object) -> float:
    assert isinstance(value, int | float)
    return float(value)


def bowl(p: Assignment) -> float:
    return (number(p["x"]) - 0.3) ** 2 + (number(p["y"]) - 0.7) ** 2


class TestGP(LearnerContract):
    def learner(self, setting: Setting) -> Sampler:
        return GPSampler(setting)


@pytest.mark.parametrize("seed", [0, 1])
def test_a_bowl_is_minimised_in_twenty_trials(seed: int) -> None:
    assert best(study(Setting(SQUARE), lambda p: ((bowl(p),), ()), 20, seed=seed)) < 1e-4


def test_a_mixed_space_is_searched_along_all_of_its_axes() -> None:
    def outcome(p: Assignment) -> Outcome:
        wrong = {"sgd": 0.4, "adam": 0.0, "lamb": 0.2}[str(p["optimizer"])]
        lr, width, batch = np.log10(number(p["lr"])), number(p["width"]) / 512, np.log2(number(p["batch"])) / 7
        return ((lr + 3) ** 2 / 4 + (width - 0.5) ** 2 + (batch - 5 / 7) ** 2 + wrong,), ()

    assert best(study(Setting(mixed), outcome, 35)) < 0.01


def test_the_best_branch_is_found_and_its_own_parameters_with_it() -> None:
    space = Space.of([
        parameter("model", "Categorical", values=["a", "b"]),
        *(parameter(f"{m}{i}", "Double", min=0, max=1, when=[{"parameter": "model", "in": [m]}]) for m in "ab" for i in (1, 2)),
    ])  # fmt: skip

    def outcome(p: Assignment) -> Outcome:
        m = str(p["model"])
        return ((m == "a") * 0.2 + (number(p[f"{m}1"]) - 0.8) ** 2 + (number(p[f"{m}2"]) - 0.1) ** 2,), ()

    assert best(study(Setting(space), outcome, 30)) < 0.005


def test_an_optimum_on_the_border_of_the_feasible_is_found() -> None:
    def outcome(p: Assignment) -> Outcome:
        return (number(p["x"]) + number(p["y"]),), (1.0 - 4 * number(p["x"]) * number(p["y"]),)

    history = study(Setting(SQUARE, constraints=1), outcome, 30)
    assert best(history) == pytest.approx(1.0, abs=5e-3)


def test_regions_where_trials_fail_are_kept_away_from() -> None:
    history = study(Setting(SQUARE), lambda p: (None if number(p["x"]) < 0.5 else (bowl(p),), ()), 30)
    assert best(history) == pytest.approx(0.04, abs=2e-3)
    assert sum(t.value is None for t in history[10:]) <= 12  # 15 without caution at the border, where the best is


@pytest.mark.parametrize("reference", [None, 1.2])
def test_a_front_of_two_objectives_is_spread_out(reference: float | None) -> None:
    def outcome(p: Assignment) -> Outcome:
        x, y = number(p["x"]), number(p["y"])
        return (x, (1 + y) * (1 - np.sqrt(x / (1 + y)))), ()

    history = study(Setting(SQUARE, 2, (reference, reference)), outcome, 30)
    front = np.array([t.objectives for t in history if t.objectives is not None])
    assert hypervolume(front, np.full(2, 1.1)) > 0.95 * (0.1 + 2 / 3 + 0.11)


def test_what_another_study_found_is_used_where_it_is_alike_and_outgrown_where_it_is_not() -> None:
    rng = np.random.default_rng(0)
    points = [SQUARE.decode(u) for u in rng.random((30, 2))]
    alike = tuple(Told(i, p, TrialState.SUCCEEDED, (5 + 3 * bowl(p),), source="old") for i, p in enumerate(points))
    misleading = tuple(Told(i, p, TrialState.SUCCEEDED, (-bowl(p),), source="old") for i, p in enumerate(points))
    assert best(study(Setting(SQUARE), lambda p: ((bowl(p),), ()), 4, start=alike)) < 0.01
    assert best(study(Setting(SQUARE), lambda p: ((bowl(p),), ()), 25, start=misleading)) < 0.01


def test_parallel_trials_go_to_different_places() -> None:
    history = study(Setting(SQUARE), lambda p: ((bowl(p),), ()), 12)
    sampler, places = GPSampler(Setting(SQUARE, parallelism=8)), []
    for n in range(12, 20):
        taken = {SQUARE.key(t.parameters) for t in history}
        proposal = sampler.propose(Request(SQUARE, n, 0, history, taken))
        assert proposal is not None
        history.append(Told(n, proposal.parameters, TrialState.RUNNING))
        places.append(SQUARE.encode(proposal.parameters))
    apart = np.linalg.norm(np.array(places)[:, None] - np.array(places), axis=2) + np.eye(8)
    assert np.median(apart.min(axis=1)) > 0.01


def test_trials_stopped_early_are_known_to_be_bad_and_unstopped_ones_count_more() -> None:
    """At step 1 all values are ten times too high; taken at face value, stopped trials would look terrible everywhere."""
    setting = Setting(SQUARE, target=9.0)
    rng = np.random.default_rng(3)
    history = []
    for i in range(40):
        p = SQUARE.decode(rng.random(2))
        curve = tuple((float(s), bowl(p) + 1.0 / s) for s in range(1, 10))
        whole = bowl(p) < 0.1
        kept = curve if whole else curve[:1]
        state = TrialState.SUCCEEDED if whole else TrialState.STOPPED
        history.append(Told(i, p, state, (kept[-1][1],), curve=kept))
    sampler = GPSampler(setting)
    proposal = sampler.propose(Request(SQUARE, 40, 0, history, {SQUARE.key(t.parameters) for t in history}))
    assert proposal is not None
    assert bowl(proposal.parameters) < 0.02


@pytest.mark.parametrize(
    ("setting", "spread"),
    [
        pytest.param(Setting(SQUARE, target=9.0, parallelism=8), 20, id="two and a half for each worker"),
        pytest.param(Setting(SQUARE, target=9.0, parallelism=8, trials=36), 12, id="a third of few trials"),
        pytest.param(Setting(SQUARE, target=9.0, parallelism=2), 7, id="as many as without stops"),
        pytest.param(Setting(SQUARE, target=9.0, parallelism=8, startup=5), 5, id="as the study says"),
    ],
)
def test_where_trials_are_stopped_more_points_are_spread_out_first(setting: Setting, spread: int) -> None:
    sampler, sobol, history = GPSampler(setting), SobolSampler(), list[Told]()
    follows = []
    for i in range(24):
        ask = Request(SQUARE, i, 0, history, {SQUARE.key(t.parameters) for t in history})
        proposal = sobol.propose(ask)
        assert proposal is not None
        follows.append(sampler.propose(ask) == proposal)
        p = proposal.parameters
        curve = tuple((float(s), bowl(p) + 1.0 / s) for s in range(1, 10))
        kept, state = (curve, TrialState.SUCCEEDED) if i % 4 == 3 else (curve[:3], TrialState.STOPPED)
        history.append(Told(i, p, state, (kept[-1][1],), curve=kept))
    assert follows == [i < spread for i in range(24)]


@pytest.mark.parametrize(("slope", "on_faces"), [(0.0, False), (1.0, True)])
def test_a_plain_is_searched_inside_and_not_along_its_faces(slope: float, *, on_faces: bool) -> None:
    """Where nothing explains what trials say. With a slope the search goes to the face that it leads down to."""
    space = Space.of([parameter(f"x{i}", "Double", min=0, max=1) for i in range(6)])
    rng = np.random.default_rng(1)

    def outcome(p: Assignment) -> Outcome:
        return (slope * number(p["x0"]) + 0.02 * rng.random(),), ()

    tried = study(Setting(space), outcome, 60)
    everywhere = np.array([space.encode(t.parameters) for t in tried[40::2]])
    share = float(((everywhere < 0.01) | (everywhere > 0.99)).any(axis=1).mean())
    assert (share > 0.5) is on_faces


def test_trials_of_a_branching_space_become_better() -> None:
    def outcome(p: Assignment) -> Outcome:
        return ({"svm": 1.0, "forest": 0.0, "linear": 2.0}[str(p["model"])] + abs(number(p.get("depth", 0)) - 3),), ()

    assert best(study(Setting(branching, startup=3), outcome, 7)) == 0.0
