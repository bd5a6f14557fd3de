"""The benchmark's own arithmetic: a figure that is published must not rest on a slip in the harness."""

from __future__ import annotations

import itertools
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.search import clock, environments, figures, report, synthetic
from bench.search.methods import METHODS
from bench.search.methods import rung as ours
from bench.search.methods.protocol import Asked, Plain, Task, Word
from bench.search.methods.uniform import Uniform
from bench.search.problem import Config, Outcome, Parameter, Problem, reference_of
from bench.search.problems import fits
from bench.search.work import SUITES, kept, path_of

PROBLEMS = {p.name: p for p in synthetic.problems()}


class Curves(Problem):
    """Ten epochs that fall to x; slow ones are good."""

    def __init__(self) -> None:
        super().__init__("curves", (Parameter("x"),), epochs=10)

    def truth(self, config: Config) -> Outcome:
        return Outcome((config["x"],))

    def curve(self, config: Config, random: np.random.Generator) -> tuple[Any, Any]:
        x = config["x"]
        return x + 1 / np.arange(1, 11) - 0.1, np.full(10, 2 - x)


class Given(Plain):
    """Asks for what it is given, and keeps what it hears."""

    def __init__(self, xs: list[float], stop_at: int | None = None) -> None:
        self._coming = list(enumerate(xs))
        self._stop_at = stop_at
        self.told: list[int] = []
        self.asked_after: list[int] = []

    def ask(self) -> Asked | None:
        self.asked_after.append(len(self.told))
        if not self._coming:
            return None
        number, x = self._coming.pop(0)
        return Asked(number, {"x": x})

    def report(self, number: int, epoch: int, value: float) -> Word:
        return Word.STOP if epoch == self._stop_at else Word.GO_ON

    def tell(self, number: int, outcome: Outcome) -> None:
        self.told.append(number)


class TestClock:
    def test_one_worker_tells_before_it_asks(self) -> None:
        method = Given([0.1 * i for i in range(5)])
        trace = clock.evaluations(method, Task(Curves(), 0, 5))
        assert method.asked_after == [0, 1, 2, 3, 4]
        assert trace.times == [1, 2, 3, 4, 5]

    def test_eight_workers_keep_eight_running(self) -> None:
        method = Given([0.01 * i for i in range(40)])
        trace = clock.evaluations(method, Task(Curves(), 0, 40, workers=8))
        assert method.asked_after[:8] == [0] * 8
        assert method.asked_after[8:] == list(range(1, 33))
        assert sorted(method.told) == list(range(40))
        assert method.told != sorted(method.told)
        assert trace.times == sorted(trace.times)

    def test_the_same_seed_takes_the_same_time(self) -> None:
        times = [clock.evaluations(Given([0.5] * 20), Task(Curves(), seed, 20, workers=4)).times for seed in (1, 1, 2)]
        assert times[0] == times[1] != times[2]

    def test_training_ends_with_the_budget_and_the_stopped_free_their_workers(self) -> None:
        problem = Curves()
        whole, short = Given([0.5] * 10_000), Given([0.5] * 10_000, stop_at=1)
        full = clock.trainings(whole, Task(problem, 0, 0, 8, 10))
        cut = clock.trainings(short, Task(problem, 0, 0, 8, 10))
        assert full.budget == cut.budget == pytest.approx(50 * clock.whole_training(problem) / 8)
        epochs = int(full.budget / 1.5) * 8
        assert full.epochs == cut.epochs == epochs
        assert (full.trials, cut.trials) == ((epochs // 80 + 1) * 8, epochs + 8)

    def test_the_best_is_by_what_was_observed_and_counts_what_it_comes_to(self) -> None:
        problem = Curves()
        progress = clock.trainings(Given([0.9, 0.2, 0.5]), Task(problem, 0, 0, 1, 10))
        assert [final for _, _, final in progress.best][-1] == 0.2
        assert [time for time, _, _ in progress.best] == sorted(time for time, _, _ in progress.best)

    def test_a_method_with_nothing_to_ask_ends_the_study(self) -> None:
        assert len(clock.evaluations(Given([0.1, 0.2]), Task(Curves(), 0, 50)).times) == 2


class TestProblems:
    @pytest.mark.parametrize("name", sorted(PROBLEMS))
    def test_nothing_beats_the_optimum(self, name: str) -> None:
        problem = PROBLEMS[name]
        random = np.random.default_rng(3)
        for _ in range(300):
            outcome = problem.truth(problem.sample(random))
            assert len(outcome.objectives) == problem.objectives
            assert len(outcome.violations) == problem.constraints
            if problem.objectives == 1 and outcome.feasible:
                assert outcome.objectives[0] >= problem.best - 1e-9

    @pytest.mark.parametrize("name", sorted(n for n, p in PROBLEMS.items() if fits(p, "sequential")))
    def test_ten_random_trials_have_a_regret_of_about_one(self, name: str) -> None:
        problem, random = PROBLEMS[name], np.random.default_rng(4)
        values = [problem.truth(problem.sample(random)).objectives[0] for _ in range(1_500)]
        assert problem.regret(reference_of(values, random)) == pytest.approx(1, abs=0.2)

    def test_the_beam_of_the_literature_costs_what_it_says(self) -> None:
        h, length, t, b = 0.205730, 3.470489, 9.036624, 0.205730
        outcome = synthetic.beam(np.array([(h - 0.1) / 1.9, (length - 0.1) / 9.9, (t - 0.1) / 9.9, (b - 0.1) / 1.9]))
        assert outcome.objectives[0] == pytest.approx(1.7249, abs=1e-3)
        assert max(outcome.violations) == pytest.approx(0, abs=1e-3)

    @pytest.mark.parametrize(
        "parameter",
        [
            pytest.param(Parameter("x", "float", 1e-5, 1.0, log=True), id="a logarithm"),
            pytest.param(Parameter("x", "int", 1, 200, log=True), id="whole numbers on a logarithm"),
            pytest.param(Parameter("x", "int", 0, 6), id="whole numbers from 0"),
            pytest.param(Parameter("x", "cat", choices=("a", "b", "c")), id="choices"),
        ],
    )
    def test_values_come_back_from_the_unit_interval(self, parameter: Parameter) -> None:
        for u in np.linspace(0, 1, 41):
            value = parameter.decode(float(u))
            assert parameter.decode(parameter.encode(value)) == pytest.approx(value)


class TestFigures:
    def test_regret_is_of_the_best_observed(self) -> None:
        row = {"observed": [[3.0], [1.0], [2.0]], "truths": [[0.3], [0.9], [0.1]]}
        assert figures.regrets(row, Curves(), (1, 2, 3)).tolist() == [0.3, 0.9, 0.9]

    def test_hypervolume_is_the_union_of_rectangles(self) -> None:
        points = np.array([[0.1, 0.9], [0.5, 0.5], [0.6, 0.6], [0.9, 0.1], [2.0, 0.0]])
        union = 1.0 * 0.2 + 0.6 * 0.4 + 0.2 * 0.4
        assert figures.hypervolume(points) == pytest.approx(union)

    def test_a_difference_has_the_error_of_its_pairs(self) -> None:
        found = {
            "a": {"p": {0: np.array([1.0]), 1: np.array([3.0])}, "q": {0: np.array([0.0]), 1: np.array([0.0])}},
            "b": {
                "p": {0: np.array([0.0]), 1: np.array([0.0]), 2: np.array([9.0])},
                "q": {0: np.array([1.0]), 1: np.array([1.0])},
            },
        }
        difference = figures.difference(found, "a", "b", ["p", "q"], 0)
        assert difference is not None
        assert difference.mean == pytest.approx(0.5)  # of 2 and -1
        assert difference.error == pytest.approx(math.sqrt(1.0) / 2)  # variance of 1 and 3, over 2, once
        assert difference.pairs == 4

    @pytest.mark.parametrize(
        ("b", "apart"),
        [
            pytest.param({"p": {0: [1.0]}, "q": {0: [2.0], 7: [9.0]}}, [1.0, 3.0], id="one seed in common"),
            pytest.param({"p": {"0-4": [1.0]}, "q": {"0-4": [2.0]}}, [2.0, 4.0], id="only a mean over seeds"),
        ],
    )
    def test_without_two_pairs_a_difference_has_the_error_over_problems(self, b: Any, apart: list[float]) -> None:
        a = {"p": {0: [2.0], 1: [4.0]}, "q": {0: [5.0], 1: [7.0]}}
        found = {
            name: {p: {s: np.array(v) for s, v in each.items()} for p, each in by.items()}
            for name, by in {"a": a, "b": b}.items()
        }
        difference = figures.difference(found, "a", "b", ["p", "q"], 0)
        assert difference is not None
        assert difference.mean == pytest.approx(np.mean(apart))
        assert difference.error == pytest.approx(np.std(apart, ddof=1) / math.sqrt(2))
        assert difference.pairs == 0
        assert figures.difference(found, "a", "b", ["p"], 0) is None

    def test_a_mean_counts_as_its_seeds(self) -> None:
        one = np.array([0.0])
        assert figures.seeds({0: one, 3: one}) == 2
        assert figures.seeds({"0-4": one}) == 5

    def test_ties_share_their_rank(self) -> None:
        one = {"p": {0: np.array([0.5])}}
        assert figures.ranks({"a": one, "b": one, "c": {"p": {0: np.array([0.1])}}}, ["a", "b", "c"], ["p"], 0) == {
            "a": 2.5,
            "b": 2.5,
            "c": 1.0,
        }

    def test_before_the_first_word_regret_is_the_worst(self) -> None:
        row = {"best": [[3.0, 0.8, 0.7], [8.0, 0.3, 0.2]], "budget": 10.0}
        assert figures.regrets_in_time(row, Curves(), (0.2, 0.5, 1.0)).tolist() == [2.0, 0.7, 0.2]


class TestOurs:
    @pytest.mark.parametrize("name", ["pipeline", "beam", "zdt3", "noisy_rosenbrock4", "cells"])
    def test_every_kind_of_problem_can_be_asked(self, name: str) -> None:
        problem = PROBLEMS[name]
        trace = clock.evaluations(ours.make("Sobol", Task(problem, 1, 12)), Task(problem, 1, 12))
        assert len(trace.truths) == 12

    def test_a_scheduler_stops_trainings(self) -> None:
        task = Task(Curves(), 0, 0, 8, 10)
        progress = clock.trainings(ours.make("Sobol+ASHA", task), task)
        assert progress.stopped > progress.trials // 2

    def test_a_filled_method_knows_what_it_was_told(self) -> None:
        task = Task(Curves(), 0, 50)
        method = ours.make("Sobol", task)
        method.fill([({"x": 0.25}, Outcome((0.5,))), ({"x": 0.75}, Outcome((0.1,)))])
        asked = method.ask()
        assert asked is not None
        assert asked.number == 2


class TestEnvironments:
    def test_one_that_broke_off_is_not_available(self, tmp_path: Path) -> None:
        interpreter = environments.python("smac", tmp_path)
        interpreter.parent.mkdir(parents=True)
        interpreter.touch()
        assert not environments.available("smac", tmp_path)
        assert environments.available("ours", tmp_path)

    def test_every_peer_has_one(self) -> None:
        assert {e.environment for e in METHODS.values()} == {"ours", *environments.PACKAGES}


class TestReport:
    def rows(self, cache: Path) -> None:
        for method, seed in itertools.product(["random", "rung-random"], range(3)):
            row = {"suite": "sequential", "problem": "griewank4", "method": method, "seed": seed}
            task = Task(PROBLEMS["griewank4"], seed, 100)
            path = path_of(cache, row)
            path.parent.mkdir(parents=True, exist_ok=True)
            trace = clock.evaluations(Uniform(task), task).document()
            version = ours.version("Random") if method.startswith("rung") else "1"
            path.write_text(json.dumps({**row, **trace, "version": version, "protocol": 1}), encoding="utf-8")

    def test_tables_hold_what_was_measured(self, tmp_path: Path) -> None:
        self.rows(tmp_path)
        document = report.build(tmp_path, list(PROBLEMS.values()))
        table = document["suites"]["sequential"]["tables"]["own"]
        assert {line["method"]: line["seeds"] for line in table} == {"random": 3, "rung-random": 3}
        assert table[0]["mean"] == table[1]["mean"]
        against = next(line["against"] for line in table if line["method"] == "rung-random")
        assert against["random"] == [[0, 0, 3]] * 3

    def test_a_method_on_some_of_the_problems_is_shown_beside_ours_on_the_same_studies(self) -> None:
        ours = {"p": {0: np.array([0.1]), 1: np.array([0.3])}, "q": {0: np.array([0.9])}}
        found = {"rung-gp": ours, "slow": {"p": {1: np.array([0.5]), 7: np.array([9.0])}}}
        content = report.compare(found, ["p", "q"])
        assert [line["method"] for line in content["table"]] == ["rung-gp"]
        (line,) = content["partly"]
        assert line == {"method": "slow", "problems": ["p"], "studies": 1, "mean": [0.5], "rung-gp": [0.3]}

    def test_the_figures_of_every_seed_are_published_on_one_line_each(self, tmp_path: Path) -> None:
        self.rows(tmp_path)
        document = report.build(tmp_path, list(PROBLEMS.values()))
        seeds = document["suites"]["sequential"]["seeds"]["random"]["griewank4"]
        assert {len(marks) for marks in seeds.values()} == {3}
        text = report.text_of(document)
        assert json.loads(text) == json.loads(json.dumps(document))
        assert f'"2": {json.dumps(seeds[2])}' in text

    def test_what_the_cache_lacks_is_taken_over_where_it_still_holds(self, tmp_path: Path) -> None:
        problems = list(PROBLEMS.values())
        self.rows(tmp_path)
        published = json.loads(report.text_of(report.build(tmp_path, problems)))
        again = json.loads(report.text_of(report.build(tmp_path / "empty", problems, published=published)))
        assert again["suites"]["sequential"]["seeds"] == published["suites"]["sequential"]["seeds"]
        assert again["suites"]["sequential"]["tables"] == published["suites"]["sequential"]["tables"]
        published["versions"]["rung-random"] = ["older"]
        again = report.build(tmp_path / "empty", problems, published=published)
        assert again["suites"]["sequential"]["seeds"].keys() == {"random"}

    def test_a_suite_that_was_not_asked_for_stays_as_it_was(self, tmp_path: Path) -> None:
        self.rows(tmp_path)
        problems = list(PROBLEMS.values())
        published = json.loads(report.text_of(report.build(tmp_path, problems)))
        published["suites"]["sequential"]["tables"] = {"own": []}
        published["versions"]["rung-random"] = ["older"]
        document = report.build(tmp_path, problems, suites=["parallel"], published=published)
        assert document["suites"] == published["suites"]
        assert document["versions"] == published["versions"]

    def test_a_published_mean_gives_way_to_seeds(self, tmp_path: Path) -> None:
        self.rows(tmp_path)
        problems = list(PROBLEMS.values())
        published = json.loads(report.text_of(report.build(tmp_path, problems)))
        seeds = published["suites"]["sequential"]["seeds"]
        for known, stays in (({}, {"0-4"}), ({"1": [0.2, 0.2, 0.2], "2": [0.4, 0.4, 0.4]}, {1, 2})):
            seeds["random"]["griewank4"] = {"0-4": [0.5, 0.5, 0.5], **known}
            again = report.build(tmp_path / "empty", problems, published=published)
            assert again["suites"]["sequential"]["seeds"]["random"]["griewank4"].keys() == stays

    def test_a_row_of_older_sources_does_not_count(self, tmp_path: Path) -> None:
        self.rows(tmp_path)
        row = {"suite": "sequential", "problem": "griewank4", "method": "rung-random", "seed": 1}
        old = json.loads(path_of(tmp_path, row).read_text(encoding="utf-8"))
        path_of(tmp_path, row).write_text(json.dumps({**old, "version": "older"}), encoding="utf-8")
        assert kept(tmp_path, row, ours.version("Random")) is None
        assert kept(tmp_path, row) is not None

    def test_the_page_has_a_place_for_every_table(self) -> None:
        page = report.PAGE.read_text(encoding="utf-8")
        for suite in SUITES:
            assert f"<!-- begin: {suite} folder -->" in page
        assert "<!-- begin: latency -->" in page

    def test_every_method_says_where_it_comes_from(self) -> None:
        assert all(
            (Path(ours.__file__).parent / f"{e.module.rpartition('.')[2]}.py").exists() for e in METHODS.values()
        )
