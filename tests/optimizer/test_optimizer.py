"""Ask and tell: what a caller gets, and that saving, restoring and the order of tells change nothing."""

from __future__ import annotations

import itertools
import json
import math
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rung import Optimizer
from rung.api.errors import BadObservation, InvalidStudy
from rung.optimizer import Continue, Stop, Trial

X = {"name": "x", "type": "Double", "min": 0, "max": 1}
LOSS = {"metric": "loss", "direction": "Minimize"}
EPOCHS = {"type": "ASHA", "resource": {"metric": "epoch", "min": 1, "max": 9}}


def make(**spec: Any) -> Optimizer:
    """The smallest, with what matters to a test on top; its clock counts calls."""
    ticks = itertools.count(1_000)
    given = {"parameters": [X], "objectives": [LOSS], "sampler": {"type": "Sobol"}, "clock": lambda: float(next(ticks))}
    return Optimizer(**{**given, **spec})


def asked(optimizer: Optimizer) -> Trial:
    trial = optimizer.ask()
    assert trial is not None
    return trial


def curve(trial: Trial) -> Iterator[tuple[int, float]]:
    """Falling, at a height that x says; some cross their neighbours."""
    x = float(trial.parameters["x"])
    for epoch in range(1, 10):
        yield epoch, x + (1 + math.sin(50 * x)) / epoch


def stripped(facts: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Without times, which are another matter."""
    timed = {"seconds", "started_at", "ended_at", "last_observed_at", "live", "lost_seconds"}
    return [{name: value for name, value in f.items() if name not in timed} for f in facts]


class TestAskAndTell:
    def test_the_loop_of_the_documentation_ends_with_the_best(self) -> None:
        optimizer = make(limits={"trials": 8})
        losses = {}
        while (trial := optimizer.ask()) is not None:
            losses[trial.number] = (float(trial.parameters["x"]) - 0.3) ** 2
            assert optimizer.tell(trial.number, losses[trial.number]) == "Succeeded"
        best = optimizer.best
        assert best is not None
        assert best.number == min(losses, key=lambda number: losses[number])
        assert best.values == {"loss": losses[best.number]}
        assert best.complete
        assert optimizer.verdict.reason == "TrialsCompleted"

    def test_every_ask_is_one_free_worker_whatever_parallelism_says(self) -> None:
        optimizer = make(limits={"trials": 20, "parallelism": 2})
        trials = [asked(optimizer) for _ in range(20)]
        assert [t.number for t in trials] == list(range(20))
        assert optimizer.ask() is None
        assert optimizer.running == tuple(trials)
        assert optimizer.verdict.state == "Running"

    def test_a_finite_space_that_is_used_up_ends_the_study(self) -> None:
        optimizer = make(parameters=[{"name": "x", "type": "Int", "min": 1, "max": 3}], limits={"trials": 50})
        seen = set()
        while (trial := optimizer.ask()) is not None:
            seen.add(trial.parameters["x"])
            optimizer.tell(trial.number, 1.0)
        assert seen == {1, 2, 3}
        assert optimizer.verdict.reason == "SearchSpaceExhausted"

    def test_bounds_may_be_floats_and_numbers_of_numpy(self) -> None:
        x = {"name": "x", "type": "Double", "min": np.float64(1e-5), "max": 0.1, "scale": "Log"}
        assert 1e-5 <= float(asked(make(parameters=[x])).parameters["x"]) <= 0.1

    def test_known_points_are_recorded_and_not_given_out(self) -> None:
        points = [{"parameters": {"x": 0.25}, "values": {"loss": 0.5}}, {"parameters": {"x": 0.75}}]
        trial = asked(make(warm_start={"points": points}))
        assert (trial.number, trial.parameters["x"]) == (1, 0.75)

    def test_constraints_decide_who_is_best(self) -> None:
        optimizer = make(constraints=[{"metric": "memory", "max": 10}])
        first, second = asked(optimizer), asked(optimizer)
        optimizer.tell(first.number, {"loss": 0.1, "memory": 11})
        optimizer.tell(second.number, [0.9, 9.0])
        assert optimizer.best is not None
        assert optimizer.best.number == second.number

    def test_several_objectives_have_a_front(self) -> None:
        optimizer = make(objectives=[LOSS, {"metric": "speed", "direction": "Maximize"}])
        for values in ((1, 1), (2, 2), (3, 1), (1.5, 3)):
            optimizer.tell(asked(optimizer).number, values)
        assert [r.values for r in optimizer.front] == [{"loss": 1, "speed": 1}, {"loss": 1.5, "speed": 3}]

    def test_a_goal_ends_the_study_and_its_other_trials(self) -> None:
        optimizer = make(objectives=[{**LOSS, "goal": 0.1}])
        first, second = asked(optimizer), asked(optimizer)
        optimizer.tell(first.number, 0.05)
        word = optimizer.report(second.number, 1, 0.7)
        assert isinstance(word, Stop)
        assert word.reason == "the study has ended: GoalReached"
        assert optimizer.ask() is None
        assert optimizer.tell(second.number, 0.6) == "Stopped"
        assert optimizer.verdict.reason == "GoalReached"

    @pytest.mark.parametrize(
        ("values", "state", "stands"),
        [
            pytest.param(0.5, None, "Succeeded", id="a value is a result"),
            pytest.param(None, None, "Failed", id="nothing is a failure"),
            pytest.param(math.nan, None, "Infeasible", id="a value that is not finite is infeasible"),
            pytest.param(None, "Infeasible", "Infeasible", id="told to be infeasible"),
            pytest.param(0.5, "Stopped", "Stopped", id="stopped by the caller"),
            pytest.param(0.5, "Failed", "Failed", id="failed although it said something"),
        ],
    )
    def test_states(self, values: float | None, state: str | None, stands: str) -> None:
        optimizer = make()
        number = asked(optimizer).number
        assert optimizer.tell(number, values, state) == stands
        assert optimizer.facts()[0]["state"] == stands
        assert not optimizer.running

    def test_time_is_the_clock_s(self) -> None:
        now = [5.0]
        optimizer = make(limits={"durationSeconds": 60}, clock=lambda: now[0])
        trial = asked(optimizer)
        now[0] = 66.0
        assert isinstance(optimizer.report(trial.number, 1, 0.5), Stop)
        assert optimizer.verdict.reason == "DurationReached"


class TestReports:
    def test_asha_stops_those_that_fall_behind_and_says_why(self) -> None:
        optimizer = make(scheduler=EPOCHS, limits={"trials": 30})
        words: dict[str, int] = {"Continue": 0, "Stop": 0}
        while (trial := optimizer.ask()) is not None:
            for epoch, loss in curve(trial):
                word = optimizer.report(trial.number, epoch, loss)
                words[type(word).__name__] += 1
                if isinstance(word, Stop):
                    assert f"stopped at epoch {epoch}" in word.reason
                    break
            else:
                assert optimizer.tell(trial.number, loss) == "Succeeded"
        assert words["Stop"] > 10
        assert words["Continue"] > 10

    def test_what_was_reported_last_is_the_result(self) -> None:
        optimizer = make()
        number = asked(optimizer).number
        assert optimizer.report(number, 1, {"loss": 3.0}) == Continue()
        assert optimizer.report(number, 2, {"loss": 2.0}) == Continue()
        assert optimizer.tell(number, state="Succeeded") == "Succeeded"
        assert optimizer.best is not None
        assert optimizer.best.values == {"loss": 2.0}

    def test_a_last_word_counts_once(self) -> None:
        optimizer = make(objectives=[{**LOSS, "reduce": "Mean"}])
        number = asked(optimizer).number
        optimizer.report(number, 1, 3.0)
        optimizer.report(number, 2, 1.0)
        optimizer.tell(number, 1.0)
        assert optimizer.facts()[0]["values"] == {"loss": 2.0}

    def test_a_long_curve_is_kept_short(self) -> None:
        optimizer = make()
        number = asked(optimizer).number
        for step in range(1, 1_000):
            optimizer.report(number, step, 1 / step)
        points = optimizer.facts()[0]["curve"]
        assert len(points) <= 128
        assert (points[0]["step"], points[-1]["step"]) == (1.0, 999.0)

    def test_of_repeats_the_result_is_what_the_runs_make_together(self) -> None:
        optimizer = make(repeats={"count": 2, "aggregate": "Worst"}, limits={"trials": 4})
        runs = []
        while (trial := optimizer.ask()) is not None:
            runs.append((trial.parameters["x"], trial.seed))
            optimizer.tell(trial.number, [3.0, 4.0, 1.0, 5.0][trial.number])
        (first, again, other, once_more) = runs
        assert (first[0], other[0]) == (again[0], once_more[0])
        assert (first[1], again[1]) == (other[1], once_more[1])
        best = optimizer.best
        assert best is not None
        assert (best.number, best.values) == (0, {"loss": 4.0})

    def test_in_mode_restart_each_rung_is_a_run_of_its_own(self) -> None:
        scheduler = {"type": "ASHA", "mode": "Restart", "resource": {"min": 1, "max": 9}}
        objective = {**LOSS, "reduce": "Mean"}
        optimizer = make(objectives=[objective], scheduler=scheduler, limits={"trials": 1})
        targets = []
        while (trial := optimizer.ask()) is not None:
            targets.append((trial.target, trial.resume_from))
            assert isinstance(optimizer.report(0, 1, 3.0), Continue)
            assert isinstance(optimizer.report(0, 2, 2.0), Continue)
            optimizer.tell(0, 1.0)
        assert targets == [(1, None), (3, None), (9, None)]
        best = optimizer.best
        assert best is not None
        assert (best.values, best.complete) == ({"loss": 2.0}, True)

    def test_a_synchronous_rung_judges_once_all_are_heard(self) -> None:
        optimizer = make(
            scheduler={"type": "SuccessiveHalving", "resource": {"metric": "epoch", "min": 1, "max": 3}},
            limits={"trials": 3},
        )
        trials = [asked(optimizer) for _ in range(3)]
        words = [optimizer.report(t.number, 1, float(t.parameters["x"])) for t in trials]
        assert isinstance(words[0], Continue)
        after = [optimizer.report(t.number, 2, float(t.parameters["x"])) for t in trials]
        assert sorted(type(w).__name__ for w in after) == ["Continue", "Stop", "Stop"]


class TestLaws:
    @settings(max_examples=25, deadline=None)
    @given(cut=st.integers(0, 40), shuffled=st.randoms(use_true_random=False), seed=st.integers(0, 3))
    def test_a_restored_one_continues_identically(self, cut: int, shuffled: Any, seed: int) -> None:
        spec: dict[str, Any] = {"scheduler": EPOCHS, "seed": seed, "limits": {"trials": 14}}
        one = make(**spec)
        for turn in range(60):
            if turn == cut:
                saved = json.loads(json.dumps(one.facts(), allow_nan=False))
                shuffled.shuffle(saved)
                other = Optimizer.restore(saved, [X], [LOSS], sampler={"type": "Sobol"}, clock=lambda: 9e9, **spec)
                assert other.facts() == one.facts()
            done = _step(one, turn)
            if turn >= cut:
                assert _step(other, turn) == done
                assert stripped(other.facts()) == stripped(one.facts())

    @settings(max_examples=25, deadline=None)
    @given(order=st.permutations(range(5)))
    def test_without_a_scheduler_the_order_of_tells_changes_nothing(self, order: list[int]) -> None:
        def run(numbers: list[int]) -> Optimizer:
            optimizer = make(limits={"trials": 9})
            trials = [asked(optimizer) for _ in range(5)]
            for number in numbers:
                optimizer.tell(number, float(trials[number].parameters["x"]))
            return optimizer

        plain, permuted = run(list(range(5))), run(order)
        assert stripped(permuted.facts()) == stripped(plain.facts())
        assert permuted.best == plain.best
        assert permuted.ask() == plain.ask()

    def test_figures_that_are_not_finite_survive_json(self) -> None:
        one = make()
        number = asked(one).number
        one.report(number, 1, math.inf)
        saved = json.loads(json.dumps(one.facts(), allow_nan=False))
        other = Optimizer.restore(saved, [X], [LOSS], sampler={"type": "Sobol"})
        assert other.facts() == one.facts()
        assert other.tell(number, state="Succeeded") == one.tell(number, state="Succeeded") == "Infeasible"


def _step(optimizer: Optimizer, turn: int) -> object:
    """One move of a caller with three workers, that depends on the turn and on what is known alone."""
    running = optimizer.running
    if len(running) < 3:
        return optimizer.ask()
    trial = running[turn % 3]
    said = optimizer.facts()[trial.number]["curve"]
    epoch = int(said[-1]["step"]) + 1 if said else 1
    loss = dict(curve(trial))[epoch]
    if epoch == 9:
        return optimizer.tell(trial.number, loss)
    return optimizer.report(trial.number, epoch, loss)


def test_many_threads_share_one() -> None:
    optimizer = make(limits={"trials": 200, "parallelism": 8}, scheduler=EPOCHS)
    seen: list[int] = []
    errors: list[BaseException] = []

    def work() -> None:
        try:
            while (trial := optimizer.ask()) is not None:
                seen.append(trial.number)
                for epoch, loss in curve(trial):
                    if isinstance(optimizer.report(trial.number, epoch, loss), Stop):
                        break
                else:
                    optimizer.tell(trial.number, loss)
        except BaseException as error:  # noqa: BLE001 - shown by the assertion below
            errors.append(error)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not errors
    assert sorted(seen) == list(range(200))
    assert optimizer.verdict.reason == "TrialsCompleted"
    orders = [record["order"] for facts in optimizer.facts() for record in facts["rungs"]]
    assert sorted(orders) == list(range(1, len(orders) + 1))


class TestBadInput:
    @pytest.mark.parametrize(
        ("spec", "field"),
        [
            pytest.param({"parameters": []}, "spec.parameters", id="nothing to search"),
            pytest.param({"parameters": [{**X, "min": 2}]}, "spec.parameters[0].min", id="bounds cross"),
            pytest.param({"parameters": [{**X, "type": "Float"}]}, "spec.parameters[0].type", id="no such type"),
            pytest.param({"parameters": [X, {**X, "scael": "Log"}]}, "spec.parameters[1].scael", id="a misspelt field"),
            pytest.param({"objectives": [{"metric": "loss"}]}, "spec.objectives[0].direction", id="no direction"),
            pytest.param({"sampler": {"type": "Magic"}}, "spec.sampler.type", id="no such sampler"),
            pytest.param({"scheduler": {"type": "ASHA"}}, "spec.scheduler", id="a scheduler without a resource"),
            pytest.param({"limits": {"trials": 2.5}}, "spec.limits.trials", id="half a trial"),
            pytest.param({"parameter_constraints": ["x >"]}, "spec.parameterConstraints[0]", id="a broken expression"),
            pytest.param({"seed": -1}, "spec.seed", id="a negative seed"),
        ],
    )
    def test_a_bad_study_names_its_field(self, spec: dict[str, Any], field: str) -> None:
        with pytest.raises(InvalidStudy) as caught:
            make(**spec)
        assert caught.value.field.startswith(field)

    @pytest.mark.parametrize(
        ("values", "state", "says"),
        [
            pytest.param({"lss": 1.0}, None, "values lack loss; told: lss", id="a misspelt metric"),
            pytest.param([1.0, 2.0], None, "reads loss; give values by name", id="too many values"),
            pytest.param("0.5", None, "must be a number", id="a text"),
            pytest.param({"loss": True}, None, "must be a number", id="a truth value"),
            pytest.param(0.5, "Done", "state must be one of", id="no such state"),
            pytest.param(None, "Running", "state must be one of", id="a state that is no end"),
        ],
    )
    def test_a_bad_word_harms_nothing(self, values: Any, state: str | None, says: str) -> None:
        optimizer = make()
        number = asked(optimizer).number
        before = optimizer.facts()
        with pytest.raises(BadObservation, match=says):
            optimizer.tell(number, values, state)
        assert optimizer.facts() == before
        assert optimizer.tell(number, 0.5) == "Succeeded"

    @pytest.mark.parametrize("step", [-1, math.nan, math.inf, True, "1"])
    def test_a_step_is_a_number_from_0_on(self, step: Any) -> None:
        optimizer = make()
        with pytest.raises(BadObservation, match="a step must be a number"):
            optimizer.report(asked(optimizer).number, step, 0.5)

    def test_only_trials_that_run_have_a_say(self) -> None:
        optimizer = make()
        with pytest.raises(BadObservation, match="trial 3 was never asked for"):
            optimizer.tell(3, 0.5)
        number = asked(optimizer).number
        optimizer.tell(number, 0.5)
        with pytest.raises(BadObservation, match="trial 0 does not run: it is Succeeded already"):
            optimizer.tell(number, 0.4)
        with pytest.raises(BadObservation, match="does not run"):
            optimizer.report(number, 1, 0.4)

    def test_facts_that_are_none_say_where(self) -> None:
        with pytest.raises(BadObservation, match="facts of trial 0: state"):
            Optimizer.restore([{"number": 0, "parameters": {}, "state": "Odd"}], [X], [LOSS])
