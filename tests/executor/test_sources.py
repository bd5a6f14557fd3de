"""What a study takes from others: the best run again, all of them learned from, once and for all."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from rung.api.errors import InvalidStudy
from rung.api.facts import TrialFacts
from rung.api.study import StartedFrom, Study, StudyStatus
from rung.api.trial import Trial
from rung.brain import Plan, StudyRecord, Trials, decide
from rung.brain.decisions import Create, created
from rung.executor.record import facts_of, trial_of
from rung.executor.sources import Past, mark_of, started_from, why_wait
from rung.search.protocol import Proposal, Request, Told
from rung.simulate.engine import simulate
from rung.simulate.sources import simulated_past
from tests.executor.contract import CHECKPOINTS, ReplayedCurves, a_population, a_study, told

Document = dict[str, Any]
X: Document = {"name": "x", "type": "Double", "min": "0", "max": "1"}
LOSS: Document = {"metric": "loss", "direction": "Minimize"}


def ended(name: str = "round-1", *, numbers: int = 9, **spec: Any) -> Study:
    """A study that has ended, as its object says."""
    study = a_study(name, **spec)
    status = {
        "conditions": [{"type": "Succeeded", "status": "True", "reason": "TrialsCompleted"}],
        "startedAt": "2026-01-01T00:00:00Z",
        "trials": {"created": numbers},
    }
    return study.model_copy(update={"status": StudyStatus.model_validate(status)})


def record(number: int, parameters: Document, values: Document | None = None, **status: Any) -> Trial:
    """A finished trial of another study."""
    state = {"state": "Succeeded" if values else "Failed", "finished": True, "values": values or {}, **status}
    spec = {"study": "round-1", "number": number, "parameters": {k: str(v) for k, v in parameters.items()}}
    metrics = [
        {"name": n, "last": v, "min": v, "max": v, "sum": v, "count": 1, "step": 1} for n, v in (values or {}).items()
    ]
    return Trial.model_validate(
        {"metadata": {"name": f"round-1-{number}"}, "spec": spec, "status": {"metrics": metrics, **state}}
    )


def past(*trials: Trial, **spec: Any) -> Past:
    study = ended(numbers=len(trials), **spec)
    return Past(mark_of(study), study, trials)


def plan(*pasts: Past, use: str = "Enqueue", top: int | None = None, **spec: Any) -> Plan:
    """A study that starts from the given ones."""
    entry: Document = {"use": use} | ({} if top is None else {"top": top})
    names = [p.mark.name for p in pasts]
    study = a_study("round-2", warmStart={"studies": [{"name": name, **entry} for name in names]}, **spec)
    return started_from(Plan.of(study), pasts)


def first(of: Plan, n: int, *known: TrialFacts) -> list[Create]:
    """The first n trials, or those that come to mind beside the known ones."""
    limits = of.spec.limits.model_copy(update={"parallelism": n})
    study = of.study.model_copy(update={"spec": of.spec.model_copy(update={"limits": limits})})
    decided = decide(replace(of, study=study), StudyRecord(started_at=0.0), Trials(of, known), 0.0)
    return [d for d in decided.decisions if isinstance(d, Create)]


LOSSES = past(*(record(n, {"x": x}, {"loss": loss}) for n, (x, loss) in enumerate([(0.1, 3), (0.2, 1), (0.3, 2)])))


class TestEnqueue:
    @pytest.mark.parametrize(("top", "want"), [(None, [0.2, 0.3, 0.1]), (2, [0.2, 0.3]), (9, [0.2, 0.3, 0.1])])
    def test_the_best_come_first_and_then_the_sampler(self, top: int | None, want: list[float]) -> None:
        made = first(plan(LOSSES, top=top), 5)
        assert [c.parameters["x"] for c in made[: len(want)]] == want
        assert [c.enqueued for c in made] == [f"round-1-{n}" for n in (1, 2, 0)][: len(want)] + [None] * (5 - len(want))
        assert [c.number for c in made] == [0, 1, 2, 3, 4]

    def test_points_of_the_spec_come_before_them(self) -> None:
        start = {"points": [{"parameters": {"x": "0.9"}}], "studies": [{"name": "round-1", "use": "Enqueue"}]}
        of = started_from(Plan.of(a_study("round-2", warmStart=start)), [LOSSES])
        assert [c.enqueued for c in first(of, 3)] == [0, "round-1-1", "round-1-2"]

    def test_what_was_served_is_read_from_the_facts(self) -> None:
        of = plan(LOSSES)
        served = [c for c in first(of, 3) if c.number != 1]
        known = [facts_of(trial_of(created(c), of, None, 0.0), of) for c in served]
        (again,) = first(of, 3, *known)
        assert (again.number, again.enqueued) == (1, "round-1-2")
        assert [facts.enqueued for facts in known] == ["round-1-1", "round-1-0"]

    def test_the_list_sampler_runs_exactly_them(self) -> None:
        made = first(plan(LOSSES, top=2, sampler={"type": "List"}), 9)
        assert [c.parameters["x"] for c in made] == [0.2, 0.3]

    def test_numbers_move_into_the_ranges_words_and_unknowns_are_filled_in(self) -> None:
        parameters = [
            {**X, "min": "0.5"},
            {"name": "width", "type": "Int", "min": 8, "max": 64, "step": 8},
            {"name": "act", "type": "Categorical", "values": ["gelu", "silu"]},
            {"name": "depth", "type": "Int", "value": 6},
            {"name": "twice", "type": "Derived", "expression": "2 * width"},
            {"name": "fresh", "type": "Double", "min": 0, "max": 1},
        ]
        there = {"x": 0.1, "width": 30, "act": "relu", "depth": 4, "twice": 60, "momentum": 0.9}
        (made,) = first(plan(past(record(0, there, {"loss": 1})), parameters=parameters), 1)
        assert {**made.parameters, "act": "", "fresh": 0} == {
            "x": 0.5,
            "width": 32,
            "act": "",
            "depth": 6,
            "twice": 64,
            "fresh": 0,
        }
        assert made.parameters["act"] in {"gelu", "silu"}

    def test_what_is_the_same_here_is_run_once_and_counts_once(self) -> None:
        trials = [record(n, {"x": x, "lost": n}, {"loss": n}) for n, x in enumerate([0.2, 0.2, 0.4, 0.6])]
        assert [c.parameters["x"] for c in first(plan(past(*trials), top=2), 2)] == [0.2, 0.4]

    def test_what_constraints_forbid_here_is_passed_over(self) -> None:
        of = plan(LOSSES, top=1, parameterConstraints=["x > 0.25"])
        assert first(of, 1)[0].enqueued == "round-1-2"

    def test_its_own_objectives_and_constraints_say_what_is_best(self) -> None:
        spec = {
            "objectives": [{"metric": "accuracy", "direction": "Maximize"}],
            "constraints": [{"metric": "ms", "max": 9}],
        }
        rows = [(0.1, 0.5, 5), (0.2, 0.9, 20), (0.3, 0.7, 5)]
        trials = [record(n, {"x": x}, {"accuracy": a, "ms": ms}) for n, (x, a, ms) in enumerate(rows)]
        assert [c.parameters["x"] for c in first(plan(past(*trials, **spec)), 3)] == [0.3, 0.1, 0.2]

    def test_of_several_objectives_the_pareto_front_comes_first(self) -> None:
        two = {"objectives": [LOSS, {"metric": "ms", "direction": "Minimize"}]}
        rows = [(0.1, 5, 5), (0.2, 1, 9), (0.3, 9, 1), (0.4, 6, 6)]
        trials = [record(n, {"x": x}, {"loss": a, "ms": b}) for n, (x, a, b) in enumerate(rows)]
        made = first(plan(past(*trials, **two), top=3), 3)
        assert {c.parameters["x"] for c in made} == {0.1, 0.2, 0.3}

    def test_what_repeats_have_confirmed_goes_before_what_may_be_luck(self) -> None:
        spec = {"repeats": {"count": 2, "of": "Leaders"}}
        lucky, good = record(0, {"x": 0.1}, {"loss": 1}), record(1, {"x": 0.2}, {"loss": 2})
        again = record(2, {"x": 0.2}, {"loss": 4})
        again = again.model_copy(update={"spec": again.spec.model_copy(update={"repeat_of": 1, "repeat": 1})})
        created = first(plan(past(lucky, good, again, **spec)), 3)
        assert [c.enqueued for c in created] == ["round-1-1", "round-1-0", None]
        assert [t.objectives for t in plan(past(lucky, good, again, **spec), use="Model").told] == [(1.0,), (3.0,)]

    def test_trials_without_a_result_are_not_run_again(self) -> None:
        of = plan(past(record(0, {"x": 0.1}), record(1, {"x": 0.2}, {"loss": 1})), sampler={"type": "List"})
        assert [c.parameters["x"] for c in first(of, 9)] == [0.2]

    def test_nothing_to_run_is_said_instead_of_an_empty_study(self) -> None:
        with pytest.raises(InvalidStudy, match="List runs exactly the points"):
            plan(past(record(0, {"x": 0.1})), sampler={"type": "List"})


class Spy:
    """A sampler that keeps what it is asked."""

    learns = True

    def __init__(self) -> None:
        self.histories: list[list[Told]] = []

    def propose(self, request: Request) -> Proposal:
        self.histories.append(list(request.history))
        return Proposal({"x": 0.5})


def history(of: Plan) -> list[tuple[str, int, Any, Any]]:
    """What a sampler sees of others when it is first asked."""
    spy = Spy()
    first(replace(of, sampler=spy), 1)
    return [(t.source, t.number, t.parameters.get("x"), t.objectives) for t in spy.histories[0]]


class TestModel:
    def test_its_trials_are_facts_of_the_past(self) -> None:
        assert history(plan(LOSSES, use="Model")) == [
            ("round-1", 0, 0.1, (3.0,)),
            ("round-1", 1, 0.2, (1.0,)),
            ("round-1", 2, 0.3, (2.0,)),
        ]

    def test_only_the_best_if_so_many_are_asked_for(self) -> None:
        assert [seen[1] for seen in history(plan(LOSSES, use="Model", top=2))] == [1, 2]

    def test_they_do_not_count_as_trials_of_this_study(self) -> None:
        trials = Trials(plan(LOSSES, use="Model"))
        assert (trials.counted, trials.incumbent, trials.next_number) == (0, None, 0)

    @pytest.mark.parametrize(
        ("parameter", "want"),
        [
            pytest.param({**X, "min": "0.15"}, [0.2, 0.3], id="a range that was narrowed"),
            pytest.param({**X, "value": "0.2"}, [0.2], id="a value that was fixed"),
            pytest.param({**X, "step": "0.25"}, [0.0, 0.25, 0.25], id="a step: the nearest value"),
            pytest.param({**X, "max": "1e-2"}, [], id="another range altogether"),
            pytest.param(
                {"name": "x", "type": "Categorical", "values": ["0.1", "0.3"]}, ["0.1", "0.3"], id="words of a list"
            ),
        ],
    )
    def test_what_has_no_place_here_is_left_out(self, parameter: Document, want: list[object]) -> None:
        assert [seen[2] for seen in history(plan(LOSSES, use="Model", parameters=[parameter]))] == want

    def test_parameters_that_only_one_of_them_has_are_no_obstacle(self) -> None:
        other = past(record(0, {"x": 0.1, "old": "adam"}, {"loss": 1}))
        of = plan(other, use="Model", parameters=[X, {"name": "new", "type": "Int", "min": 1, "max": 9}])
        assert [t.parameters for t in of.told] == [{"x": 0.1}]

    def test_figures_are_computed_as_this_study_computes_them(self) -> None:
        other = past(
            record(0, {"x": 0.1}, {"accuracy": 0.75}), objectives=[{"metric": "accuracy", "direction": "Maximize"}]
        )
        here = [{"metric": "error", "direction": "Minimize", "expression": "1 - accuracy"}]
        assert history(plan(other, use="Model", objectives=here)) == [("round-1", 0, 0.1, (0.25,))]

    def test_a_best_value_is_not_taken_for_a_last_one(self) -> None:
        summary = {"name": "loss", "last": 4, "min": 1, "max": 9, "sum": 14, "count": 3, "step": 3}
        other = past(record(0, {"x": 0.1}, {"loss": 4}, metrics=[summary]))
        assert history(plan(other, use="Model", objectives=[{**LOSS, "reduce": "Min"}]))[0][3] == (1.0,)

    def test_failures_are_knowledge_too(self) -> None:
        assert history(plan(past(record(0, {"x": 0.1})), use="Model")) == [("round-1", 0, 0.1, None)]

    def test_given_values_are_learned_from(self) -> None:
        known = record(0, {"x": 0.1}, {"loss": 2}, state="Known", metrics=[])
        assert history(plan(past(known), use="Model"))[0][3] == (2.0,)

    @pytest.mark.parametrize(
        ("objective", "words"),
        [
            pytest.param(
                {"metric": "loss", "direction": "Maximize"}, "direction Minimize in study round-1", id="turned"
            ),
            pytest.param(
                {"metric": "score", "direction": "Minimize"}, "no trial of study round-1 has score", id="unknown"
            ),
        ],
    )
    def test_what_cannot_be_learned_from_is_refused_with_its_field(self, objective: Document, words: str) -> None:
        with pytest.raises(InvalidStudy, match=words) as caught:
            plan(LOSSES, use="Model", objectives=[objective])
        assert caught.value.field == "spec.warmStart.studies[0].name"


class TestOnceAndForAll:
    def test_trials_that_came_later_do_not_count(self) -> None:
        study = ended(numbers=2)
        reopened = Past(StartedFrom(name="round-1", trials=2), study, LOSSES.trials)
        assert first(plan(reopened, use="Enqueue", top=1), 1) == first(
            plan(replace(LOSSES, mark=reopened.mark), top=1), 1
        )
        assert [t.number for t in plan(reopened, use="Model").told] == [0, 1]

    def test_one_that_was_deleted_since_contributes_nothing_more(self) -> None:
        gone = Past(StartedFrom(name="round-1", uid="a", trials=3))
        of = plan(gone, use="Model")
        assert (of.told, of.marks) == ((), (gone.mark,))
        assert len(first(of, 3)) == 3

    def test_not_even_a_study_that_ran_nothing_else_is_refused_for_it(self) -> None:
        gone = Past(StartedFrom(name="round-1", uid="a", trials=3))
        assert first(plan(gone, sampler={"type": "List"}), 3) == []

    async def test_the_same_studies_one_after_the_other_end_the_same(self) -> None:
        runs = []
        for _ in range(2):
            source = Plan.of(a_study("round-1"))
            done = await simulate(source, ReplayedCurves())
            records = tuple(trial_of(facts, source, None, 0.0) for facts in done.trials)
            other = Past(mark_of(ended()), ended(), records)
            following = await simulate(plan(other, use="Model", sampler={"type": "TPE"}), ReplayedCurves())
            runs.append(told(following.trials, order=True))
        assert runs[0] == runs[1]


@pytest.mark.parametrize(
    ("conditions", "spec", "reason", "words"),
    [
        pytest.param({"Succeeded": "True"}, {}, None, "", id="succeeded"),
        pytest.param({"Failed": "True", "Succeeded": "False"}, {}, None, "", id="failed: what it found counts"),
        pytest.param({"Running": "True", "Succeeded": "False"}, {}, "WaitingForStudy", "has not ended", id="running"),
        pytest.param({"Accepted": "False"}, {}, "WaitingForStudy", "is refused", id="refused"),
        pytest.param({"Running": "False"}, {"suspend": True}, "WaitingForStudy", "is suspended", id="suspended"),
    ],
)
def test_a_study_is_waited_for_until_it_has_ended(
    conditions: dict[str, str], spec: Document, reason: str | None, words: str
) -> None:
    study = a_study("round-1", **spec)
    status = {"conditions": [{"type": kind, "status": value, "reason": "R"} for kind, value in conditions.items()]}
    found = why_wait("round-1", study.model_copy(update={"status": StudyStatus.model_validate(status)}))
    assert (found is None) is (reason is None)
    if found is not None:
        assert found[0] == reason
        assert words in found[1]


def test_one_that_does_not_exist_is_said_plainly() -> None:
    reason, message = why_wait("round-1", None) or ("", "")
    assert reason == "StudyNotFound"
    assert "there is no study round-1" in message


def test_one_whose_limits_were_raised_has_not_ended() -> None:
    study = ended()
    newer = study.metadata.model_copy(update={"generation": 2})
    assert why_wait("round-1", study.model_copy(update={"metadata": newer})) is not None


async def test_of_a_population_the_best_are_run_again_and_the_members_learned_from() -> None:
    other = a_study("round-1", scheduler=a_population(6), limits={"parallelism": 6}, trial=CHECKPOINTS)
    found = await simulated_past(Plan.of(other), ReplayedCurves())
    assert any(trial.spec.parent for trial in found.trials)
    members = [trial.spec.parameters["x"] for trial in found.trials if trial.spec.parent is None]
    assert [str(t.parameters["x"]) for t in plan(found, use="Model", sampler={"type": "TPE"}).told] == members
    assert found.study is not None
    assert found.study.status is not None
    assert found.study.status.best is not None
    (again,) = first(plan(found, top=1, sampler={"type": "List"}), 1)
    assert again.enqueued == found.study.status.best.trial
