"""What every executor promises: inherit `ExecutorContract` and say how it runs a study.

    class TestLocal(ExecutorContract):
        async def run(self, study: Study) -> Result: …

The reference is the simulated body over the curves of `replay.py`, which is also the program that the trials of a real executor run.
Where observations come in the same order (one trial at a time) everything must be equal, to the last bit of every value.
"""

from __future__ import annotations

import sys
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from rung.api.facts import Assignment, Observation, TrialFacts, TrialState, Verdict
from rung.api.study import Study, parse_study
from rung.brain import Plan, StudyState, StudyVerdict
from rung.brain.replay import contradictions
from rung.executor.sources import started_from
from rung.simulate.engine import simulate
from rung.simulate.sources import simulated_past
from tests.executor.replay import loss

PROGRAM = Path(__file__).with_name("replay.py")
Document = dict[str, Any]


@dataclass(frozen=True)
class Result:
    """How a study ended: its trials by number, and why it was over."""

    trials: Sequence[TrialFacts]
    verdict: StudyVerdict


@dataclass(frozen=True)
class ReplayedCurves:
    """What `replay.py` will say. A simulation tells the trial's seed where assignments are repeated."""

    noise: bool = False

    def curve(self, parameters: Assignment, seed: int, steps: int) -> tuple[Observation, ...]:
        """All steps."""
        x, seed = float(parameters["x"]), seed if self.noise else 0
        return tuple(Observation(float(step), {"loss": loss(x, step, seed)}) for step in range(1, steps + 1))

    def seconds_per_step(self, parameters: Assignment, seed: int) -> float:
        """The same for all."""
        return 1.0


def a_study(
    name: str = "replayed", *, arguments: Iterable[str] = (), trial: Document | None = None, **spec: Any
) -> Study:
    """A study of x in [0, 1], whose trials run `replay.py`."""
    container = {"name": "trial", "image": "replay", "command": [sys.executable, "-E", "-S", str(PROGRAM), *arguments]}
    document: Document = {
        "apiVersion": "rung.dev/v1alpha1",
        "kind": "Study",
        "metadata": {"name": name},
        "spec": {
            "objectives": [{"metric": "loss", "direction": "Minimize"}],
            "parameters": [{"name": "x", "type": "Double", "min": "0", "max": "1"}],
            "sampler": {"type": "Random"},
            "limits": {"trials": 9, "parallelism": 1},
            "seed": 5,
            **spec,
            "trial": {
                "podTemplate": {"spec": {"containers": [container], "terminationGracePeriodSeconds": 5}},
                **(trial or {}),
            },
        },
    }
    return parse_study(document, strict=True)


CONDITIONAL = [
    {"name": "x", "type": "Double", "min": 0, "max": 1},
    {"name": "k", "type": "Int", "value": 7, "role": "Scientific"},
    {"name": "kind", "type": "Categorical", "values": ["a", "b"]},
    {"name": "m", "type": "Double", "min": 0, "max": 1, "when": [{"parameter": "kind", "in": ["a"]}]},
    {"name": "depth", "type": "Int", "min": 1, "max": 8},
    {"name": "drop", "type": "Double", "min": 0, "max": "0.5", "when": [{"parameter": "depth", "min": 4}]},
    {"name": "rate", "type": "Double", "min": 0, "max": 1, "when": [{"parameter": "drop", "max": "0.25"}]},
    {"name": "either", "type": "Derived", "expression": "coalesce(m, drop, 0.5) * k"},
]
"""A fixed value, a choice, a range that opens another, one that opens a third, and what follows from them."""


def scheduled(kind: str, **more: Any) -> Document:
    """A scheduler over 9 epochs, rungs at 1, 3 and 9 where it has rungs."""
    rungs = {} if kind in {"None", "MedianStop"} else {"eta": 3}
    return {"type": kind, "resource": {"metric": "epoch", "min": 1, "max": 9}, **rungs, **more}


CHECKPOINTS = {"checkpoint": {"uri": "replay://nowhere"}}
"""Of programs that need none, since each step follows from the parameters alone."""


def a_population(members: int, kind: str = "PBT", **more: Any) -> Document:
    """A scheduler over 9 epochs that compares at 2, 4, 6 and 8."""
    options = {"population": members, "intervalSteps": 2, **more}
    return {"type": kind, "resource": {"metric": "epoch", "max": 9}, "pbt": options}


def told(trials: Iterable[TrialFacts], *, order: bool) -> list[tuple[object, ...]]:
    """All that a decision left on each trial. Without `order` what hangs on the order of arrival is left out."""
    return [
        (
            facts.number,
            dict(facts.parameters),
            facts.seed,
            facts.repeat_of,
            facts.repeat,
            facts.descent,
            facts.bracket,
            facts.state,
            dict(facts.values),
            [(r.step, r.value, r.others, r.verdict, *((r.order, r.reason) if order else ())) for r in facts.rungs],
        )
        for facts in sorted(trials, key=lambda facts: facts.number)
    ]


class ExecutorContract(ABC):
    """Inherit it and implement `run`."""

    @abstractmethod
    async def run(self, study: Study) -> Result:
        """Run the study to its end, on the real thing."""

    @abstractmethod
    async def run_after(self, study: Study, other: Study) -> Result:
        """The same of a study that starts from the other one, which is run too."""

    @pytest.mark.parametrize(
        "study",
        [
            pytest.param(
                a_study(sampler={"type": "Sobol"}, scheduler=scheduled("None")), id="Sobol without a scheduler"
            ),
            pytest.param(a_study(scheduler=scheduled("ASHA")), id="ASHA"),
            pytest.param(
                a_study(scheduler=scheduled("SuccessiveHalving")), id="SuccessiveHalving, one trial at a time"
            ),
            pytest.param(a_study(scheduler=scheduled("MedianStop")), id="MedianStop"),
            pytest.param(
                a_study(
                    scheduler=scheduled("ASHA"),
                    objectives=[
                        {"metric": "loss", "direction": "Minimize"},
                        {"metric": "off", "direction": "Maximize", "expression": "-abs(loss - 1)"},
                    ],
                    limits={"trials": 5, "parallelism": 1},
                ),
                id="ASHA by two objectives",
            ),
            pytest.param(
                a_study(parameters=CONDITIONAL, parameterConstraints=["m + x <= 1.2", 'kind == "b" or depth < 7']),
                id="conditions on conditions, and constraints on what may be inactive",
            ),
            pytest.param(a_study(scheduler=scheduled("ASHA", mode="Restart")), id="ASHA, every rung from nothing"),
            pytest.param(
                a_study(
                    arguments=("--noise",), scheduler=scheduled("None"), repeats={"count": 3, "aggregate": "Median"}
                ),
                id="every assignment three times",
            ),
            pytest.param(
                a_study(
                    arguments=("--noise",),
                    scheduler=scheduled("None"),
                    repeats={"count": 2, "of": "Leaders"},
                    limits={"trials": 8, "parallelism": 1},
                ),
                id="leaders twice",
            ),
            pytest.param(
                a_study(scheduler=a_population(5), limits={"parallelism": 1}, trial=CHECKPOINTS, seed=6),
                id="a population whose worst give way to clones of its best",
            ),
            pytest.param(
                a_study(
                    scheduler=a_population(6, "PB2", quantile="0.5"),
                    limits={"parallelism": 1},
                    trial=CHECKPOINTS,
                    seed=6,
                ),
                id="a population whose clones are proposed by a model",
            ),
            pytest.param(
                a_study(scheduler=scheduled("ASHA"), limits={"trials": 12, "parallelism": 1, "patienceTrials": 4}),
                id="ASHA until four trials in a row bring nothing",
            ),
        ],
    )
    async def test_one_trial_at_a_time_everything_is_as_simulated(self, study: Study) -> None:
        want = await simulate(Plan.of(study), ReplayedCurves(noise=study.spec.repeats is not None))
        got = await self.run(study)
        assert told(got.trials, order=True) == told(want.trials, order=True)
        assert got.verdict == want.verdict

    @pytest.mark.parametrize(
        ("kind", "mode"), [("SuccessiveHalving", "Stop"), ("Hyperband", "Stop"), ("Hyperband", "Restart")]
    )
    async def test_synchronous_rungs_decide_the_same_whatever_comes_first(self, kind: str, mode: str) -> None:
        study = a_study(scheduler=scheduled(kind, mode=mode), limits={"trials": 9, "parallelism": 3})
        want = await simulate(Plan.of(study), ReplayedCurves())
        got = await self.run(study)
        assert told(got.trials, order=False) == told(want.trials, order=False)
        assert got.verdict == want.verdict

    @pytest.mark.parametrize(
        ("arguments", "trial", "state", "reason", "attempts"),
        [
            pytest.param(
                ("--exit=1",), {"retries": 1}, TrialState.FAILED, "Crashed", 2, id="a crash uses up the retries"
            ),
            pytest.param(
                ("--exit=78",), {"retries": 3}, TrialState.FAILED, "BadConfiguration", 1, id="78 is never retried"
            ),
            pytest.param(
                ("--exit=65",),
                {"infeasible": {"exitCodes": [65]}},
                TrialState.INFEASIBLE,
                "InfeasibleExitCode",
                1,
                id="a listed exit code is infeasible",
            ),
            pytest.param(("--silent",), {}, TrialState.FAILED, "MetricMissing", 1, id="no metric, no result"),
            pytest.param(
                ("--sleep=30",),
                {"timeoutSeconds": 1},
                TrialState.FAILED,
                "TimedOut",
                1,
                id="timeoutSeconds ends the program",
            ),
            pytest.param(
                ("--sleep=30",),
                {"silenceSeconds": 1, "retries": 1},
                TrialState.FAILED,
                "Silent",
                2,
                id="a program that says nothing for silenceSeconds has crashed",
            ),
        ],
    )
    async def test_how_an_attempt_ends_decides_what_follows(
        self, arguments: tuple[str, ...], trial: Document, state: TrialState, reason: str, attempts: int
    ) -> None:
        study = a_study(arguments=arguments, trial=trial, limits={"trials": 1})
        got = await self.run(study)
        (facts,) = got.trials
        assert (facts.state, facts.reason, facts.attempt) == (state, reason, attempts)
        assert facts.message

    async def test_a_clone_trains_on_from_its_parents_checkpoint(self) -> None:
        study = a_study(
            arguments=("--sleep=0.3",), scheduler=a_population(4), limits={"parallelism": 4}, trial=CHECKPOINTS
        )
        got = await self.run(study)
        stopped = [facts.number for facts in got.trials if any(r.verdict is Verdict.STOP for r in facts.rungs)]
        clones = {facts.descent.replaces: facts for facts in got.trials if facts.descent is not None}
        assert sorted(clones) == sorted(stopped)
        assert len(got.trials) - len(clones) == 4
        assert contradictions(Plan.of(study), got.trials) == []
        trained = [f for f in clones.values() if f.descent and f.descent.step and f.state is TrialState.SUCCEEDED]
        assert trained
        for facts in trained:
            assert facts.descent is not None
            assert facts.metrics["loss"].count == 9 - (facts.descent.step or 0)

    async def test_a_retried_trial_ends_well(self, tmp_path: Path) -> None:
        once = tmp_path / "came"
        study = a_study(arguments=("--exit=1", f"--once={once}"), limits={"trials": 2, "parallelism": 1})
        got = await self.run(study)
        assert [facts.state for facts in got.trials] == [TrialState.SUCCEEDED] * 2
        assert [(facts.crashes, facts.attempt) for facts in got.trials] == [(1, 2), (0, 1)]

    async def test_a_goal_that_is_reached_ends_the_study(self) -> None:
        goal = [{"metric": "loss", "direction": "Minimize", "goal": "10"}]
        study = a_study(arguments=("--sleep=0.05",), objectives=goal, limits={"trials": 50, "parallelism": 2})
        got = await self.run(study)
        assert (got.verdict.state, got.verdict.reason) == (StudyState.SUCCEEDED, "GoalReached")
        assert len(got.trials) < 50
        assert all(facts.finished for facts in got.trials)

    async def test_points_of_a_warm_start_come_first_and_known_ones_never_run(self) -> None:
        points = [{"parameters": {"x": "0.25"}}, {"parameters": {"x": "0.5"}, "values": {"loss": "0.9"}}]
        study = a_study(warmStart={"points": points}, limits={"trials": 3, "parallelism": 1})
        want = await simulate(Plan.of(study), ReplayedCurves())
        got = await self.run(study)
        assert told(got.trials, order=True) == told(want.trials, order=True)
        assert {facts.state for facts in got.trials} == {TrialState.SUCCEEDED, TrialState.KNOWN}

    @pytest.mark.parametrize(
        ("entry", "spec"),
        [
            pytest.param({"use": "Enqueue", "top": 3}, {"sampler": {"type": "List"}}, id="its best run again"),
            pytest.param({"use": "Model"}, {"sampler": {"type": "TPE"}}, id="all of it learned from"),
        ],
    )
    async def test_a_study_starts_from_what_another_one_found(self, entry: Document, spec: Document) -> None:
        other = a_study("round-1", scheduler=scheduled("ASHA"), limits={"trials": 12, "parallelism": 1})
        start = {"studies": [{"name": "round-1", **entry}]}
        study = a_study("round-2", warmStart=start, limits={"trials": 5, "parallelism": 1}, **spec)
        past = await simulated_past(Plan.of(other), ReplayedCurves())
        want = await simulate(started_from(Plan.of(study), [past]), ReplayedCurves())
        got = await self.run_after(study, other)
        assert told(got.trials, order=True) == told(want.trials, order=True)
        assert got.verdict == want.verdict
