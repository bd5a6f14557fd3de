"""docs/messages.md says what the program says: each row of it is produced here, by the code that produces it for users."""

from __future__ import annotations

import asyncio
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rung.api.errors import InvalidStudy
from rung.api.facts import Attempt, AttemptEnd, AttemptPhase, MetricSummary, Observation, TrialFacts, TrialState
from rung.api.study import MetricSource, StudyStatus, parse_study
from rung.brain import StudyVerdict
from rung.brain.decisions import Conclude, Retry
from rung.brain.endings import MAX_DISRUPTIONS, after_end
from rung.controller import obstacles
from rung.controller.acceptance import check
from rung.executor.body import Sight
from rung.executor.sources import why_wait
from rung.executor.status import not_permitted_status
from rung.kube.errors import ClusterUnavailable, Forbidden
from rung.observe.target import Seen, TargetKey, explain_missing
from tests.brain.world import World, a_plan, a_study, loss

PAGE = Path(__file__).parents[1] / "docs" / "messages.md"
REFUSED, STARTS, WAITS, NOTES, ENDED, TRIAL, CLONE, AGAIN = (
    "The Study is refused: `Accepted=False`",
    "The study waits for another: `Accepted=Unknown`",
    "The study waits: condition `Running`",
    "The study waits: condition `Running`, note",
    "The study has ended",
    "A trial has ended",
    "A trial begins as a clone",
    "A trial is tried again",
)
TEMPLATE = {"podTemplate": {"spec": {"containers": [{"name": "t", "image": "i:1"}]}}}
Row = tuple[str, str]


def rows() -> dict[Row, str]:
    """(section, reason) -> pattern of the message, as the page has them."""
    found: dict[Row, str] = {}
    section = ""
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        if line.startswith("## "):
            section = line[3:]
        if line.startswith("| Note |"):
            section += ", note"
        cells = [cell.strip() for cell in line.strip("|").split(" | ")]
        says = re.fullmatch(r"`(.*)`", cells[1]) if len(cells) == 4 else None
        if says is not None:
            found[section, cells[0].strip("`")] = says[1]
    return found


def refused(**spec: Any) -> str:
    with pytest.raises(InvalidStudy) as caught:
        check(parse_study(a_study(**spec)))
    return f"{caught.value.reason}|{caught.value}"


def frozen() -> str:
    study = parse_study(a_study())
    with pytest.raises(InvalidStudy) as caught:
        check(study, StudyStatus.model_validate({"frozenHash": "another"}))
    return f"{caught.value.reason}|{caught.value}"


def of_study(*moves: Callable[[World], object], **spec: Any) -> str:
    """The verdict on a study after these moves."""
    world = World(a_plan(**spec))
    world.reconcile()
    for move in moves:
        move(world)
    outcome = world.reconcile()
    return _said(outcome.verdict)


def _said(verdict: StudyVerdict) -> str:
    return f"{verdict.reason}|{verdict.message}"


def train(number: int) -> Callable[[World], object]:
    return lambda world: world.advance(number, 27)


def crash(number: int) -> Callable[[World], object]:
    return lambda world: world.finish(number, AttemptEnd.BAD_CONFIGURATION, 78)


def later(seconds: float) -> Callable[[World], object]:
    def move(world: World) -> None:
        world.now += seconds

    return move


def changed(**spec: Any) -> Callable[[World], object]:
    def move(world: World) -> None:
        world.plan = a_plan(**spec)
        world.trials.plan = world.plan

    return move


def ended(end: AttemptEnd, code: int | None = 1, message: str = "ValueError: lr is negative") -> Attempt:
    return Attempt(
        1, AttemptPhase.ENDED, started_at=1.0, ended_at=2.0, end=end, exit_code=code, message=message, collected=True
    )


def of_trial(end: AttemptEnd, code: int | None = 1, *, suspended: bool = False, **facts: Any) -> str:
    """What follows from an attempt's end."""
    infeasible = {"exitCodes": [65], "outOfMemory": True}
    plan = a_plan(
        suspend=suspended,
        trial={**TEMPLATE, "timeoutSeconds": 60, "silenceSeconds": 30, "retries": 1, "infeasible": infeasible},
    )
    trial = TrialFacts(number=0, parameters={"x": 0.5}, state=TrialState.RUNNING, attempt=1, **facts)
    record = after_end(plan, trial, ended(end, code))
    assert isinstance(record, Conclude | Retry)
    return f"{record.reason}|{record.message}"


def saying(value: float) -> dict[str, Any]:
    return {"curve": (Observation(1.0, {"loss": value}),), "metrics": {"loss": MetricSummary.of(1.0, value)}}


def in_flight(number: int, *moves: Callable[[World], object], **spec: Any) -> str:
    """The last record of a trial after these moves."""
    world = World(a_plan(**spec))
    world.reconcile()
    for move in moves:
        move(world)
        world.reconcile()
    last = [facts for facts in world.written if facts.number == number][-1]
    return f"{last.reason}|{last.message}"


def stop_by_hand(world: World) -> None:
    world.trials.put(replace(world.trials[0], stop_requested=True))


def diverge(world: World) -> None:
    attempt, _ = world.running[0]
    world.reconcile({0: Sight(attempt, (Observation(1.0, {"loss": math.nan}),), last_observed_at=world.now)})


def missing_metric() -> str:
    seen = Seen(
        TargetKey("default", "s", 0, 1),
        looked=("the log of container t",),
        names=("val_loss", "accuracy"),
        last_lines=("epoch 3 val_loss=0.4 accuracy=0.9",),
        source=MetricSource.LOG,
    )
    return of_trial(AttemptEnd.COMPLETED, 0, missing=explain_missing(seen, ["loss"]))


def obstacle(job_age: float, said: str = "", pod: bool = False) -> str:
    """What is said of a trial that is queued."""
    now = 1_800_000_000.0
    live = Attempt(1, AttemptPhase.QUEUED, message="0/3 nodes are available: 3 Insufficient nvidia.com/gpu")
    trial = TrialFacts(number=0, parameters={"x": 0.5}, state=TrialState.QUEUED, attempt=1, live=live)
    made = {"metadata": {"creationTimestamp": "2027-01-15T07:59:00Z", "name": "s-0-1"}}

    async def failed_create(job: Mapping[str, Any]) -> str:
        return said

    pods = {(0, 1): {}} if pod else {}
    found = asyncio.run(obstacles.find([trial], {(0, 1): made}, pods, now + job_age, failed_create))
    return f"{'PodsRefused' if said else 'queued'}|{found.note}"


def starved() -> str:
    """What is said of a trial that runs without its server."""
    live = Attempt(1, AttemptPhase.RUNNING, started_at=0.0, starved="server")
    trial = TrialFacts(number=0, parameters={"x": 0.5}, state=TrialState.RUNNING, attempt=1, live=live)

    async def failed_create(job: Mapping[str, Any]) -> str:
        raise AssertionError("its pod is there")

    return f"starved|{asyncio.run(obstacles.find([trial], {}, {}, 100.0, failed_create)).note}"


def not_permitted() -> str:
    error = Forbidden("jobs.batch is forbidden", verb="list", resource="jobs", namespace="ml", name=None)
    status = not_permitted_status(1, None, str(error), 0.0)
    running = next(c for c in status.conditions if c.type == "Running")
    return f"{running.reason}|{running.message}"


def quota() -> str:
    said = 'jobs.batch "s-0-1" is forbidden: exceeded quota: few, requested: count/jobs.batch=1, used: 9, limited: 9'
    error = Forbidden(said, verb="create", resource="jobs", namespace="ml", name="s-0-1")
    return f"QuotaExceeded|{obstacles.of_failures([error])}"


def busy() -> str:
    error = ClusterUnavailable(
        "etcdserver: request timed out", verb="create", resource="jobs", namespace="ml", name="s-0-1"
    )
    return f"a failed action|{obstacles.of_failures([error])}"


def worst() -> int:
    """Of the first four trials at their first step."""
    return max(range(4), key=lambda n: loss(n, 1))


def clone(*, checkpoint_every: int) -> str:
    """Of two members the worse one is replaced."""
    world = World(a_plan(**PBT), checkpoint_every=checkpoint_every)
    world.reconcile()
    for number in (0, 1):
        world.advance(number, 3)
    world.let_end()
    facts = next(facts for facts in world.trials if facts.descent is not None)
    return f"{facts.reason}|{facts.message}"


def refused_job() -> str:
    plan = a_plan(trial=TEMPLATE)
    trial = TrialFacts(number=0, parameters={"x": 0.5}, state=TrialState.RUNNING, attempt=1)
    record = after_end(
        plan, trial, ended(AttemptEnd.REFUSED, None, "the Job was refused: spec.template: Invalid value")
    )
    assert isinstance(record, Conclude)
    return f"{record.reason}|{record.message}"


ONE = {"trials": 9, "parallelism": 1}
ASHA = {
    "scheduler": {"type": "ASHA", "resource": {"metric": "epoch", "max": 9}},
    "limits": {"trials": 9, "parallelism": 4},
}
PBT: dict[str, Any] = {
    "scheduler": {
        "type": "PBT",
        "resource": {"metric": "epoch", "max": 9},
        "pbt": {"population": 2, "intervalSteps": 3},
    },
    "trial": {**TEMPLATE, "checkpoint": {"persistentVolumeClaim": "runs"}},
}
MISSPELT = [
    {"name": "lr", "type": "Double", "min": 0, "max": 1},
    {"name": "d", "type": "Derived", "expression": "2 * rl"},
]

PRODUCED: dict[Row, Callable[[], str]] = {
    (REFUSED, "InvalidSpec"): lambda: refused(parameters=MISSPELT, trial=TEMPLATE),
    (REFUSED, "NotImplemented"): lambda: refused(
        scheduler={**ASHA["scheduler"], "mode": "Promote"}, trial=PBT["trial"]
    ),
    (REFUSED, "Frozen"): frozen,
    (STARTS, "WaitingForStudy"): lambda: "|".join(why_wait("round-1", parse_study(a_study())) or ()),
    (STARTS, "StudyNotFound"): lambda: "|".join(why_wait("round-1", None) or ()),
    (WAITS, "TrialsRunning"): lambda: of_study(limits=ONE),
    (WAITS, "SuspendedBySpec"): lambda: of_study(suspend=True),
    (WAITS, "NotPermitted"): not_permitted,
    (NOTES, "queued"): lambda: obstacle(1.0, pod=True),
    (NOTES, "starved"): starved,
    (NOTES, "PodsRefused"): lambda: obstacle(100.0, said="exceeded quota: gpus"),
    (NOTES, "QuotaExceeded"): quota,
    (NOTES, "a failed action"): busy,
    (ENDED, "TrialsCompleted"): lambda: of_study(train(0), train(1), limits={"trials": 2, "parallelism": 1}),
    (ENDED, "GoalReached"): lambda: of_study(
        train(0), limits=ONE, objectives=[{"metric": "loss", "direction": "Minimize", "goal": 9}]
    ),
    (ENDED, "SearchSpaceExhausted"): lambda: of_study(
        train(0), limits=ONE, parameters=[{"name": "x", "type": "Categorical", "values": ["only"]}]
    ),
    (ENDED, "GpuHoursSpent"): lambda: of_study(
        later(7200), lambda world: world.advance(0, 27), limits={"gpuHours": 1, "parallelism": 1}
    ),
    (ENDED, "DurationReached"): lambda: of_study(later(61), limits={"durationSeconds": 60, "parallelism": 1}),
    (ENDED, "PatienceExhausted"): lambda: of_study(
        train(0), train(1), limits={"trials": 9, "parallelism": 1, "patienceTrials": 1}
    ),
    (ENDED, "FinishedByHand"): lambda: of_study(changed(finish=True, limits=ONE), limits=ONE),
    (ENDED, "NothingWorks"): lambda: of_study(crash(0), limits=ONE),
    (ENDED, "TooManyFailures"): lambda: of_study(train(0), crash(1), limits={**ONE, "failedTrials": 0}),
    (ENDED, "NoResult"): lambda: of_study(
        crash(0), crash(1), limits={"trials": 2, "parallelism": 3, "failedTrials": 5}
    ),
    (TRIAL, "Completed"): lambda: of_trial(AttemptEnd.COMPLETED, 0, **saying(0.5)),
    (TRIAL, "GoalReached"): lambda: in_flight(
        0,
        lambda world: world.advance(0, 1),
        **{**ASHA, "objectives": [{"metric": "loss", "direction": "Minimize", "goal": 9}]},
    ),
    (TRIAL, "StoppedAtRung"): lambda: in_flight(
        worst(), *(lambda world, n=n: world.advance(n, 1) for n in sorted(range(4), key=lambda n: loss(n, 1))), **ASHA
    ),
    (TRIAL, "StudyEnded"): lambda: in_flight(0, changed(finish=True, limits=ONE), limits=ONE),
    (TRIAL, "StoppedByHand"): lambda: in_flight(0, stop_by_hand, limits=ONE),
    (TRIAL, "MetricMissing"): missing_metric,
    (TRIAL, "NotFinite"): lambda: of_trial(AttemptEnd.COMPLETED, 0, **saying(math.nan)),
    (TRIAL, "Diverged"): lambda: in_flight(0, diverge, **ASHA),
    (TRIAL, "OutOfMemory"): lambda: of_trial(AttemptEnd.OUT_OF_MEMORY, 137),
    (TRIAL, "InfeasibleExitCode"): lambda: of_trial(AttemptEnd.CRASHED, 65),
    (TRIAL, "Crashed"): lambda: of_trial(AttemptEnd.CRASHED, crashes=1),
    (TRIAL, "BadConfiguration"): lambda: of_trial(AttemptEnd.BAD_CONFIGURATION, 78),
    (TRIAL, "Refused"): refused_job,
    (TRIAL, "TimedOut"): lambda: of_trial(AttemptEnd.TIMED_OUT),
    (TRIAL, "Silent"): lambda: of_trial(AttemptEnd.SILENT, crashes=1),
    (TRIAL, "DisruptedTooOften"): lambda: of_trial(AttemptEnd.DISRUPTED, 143, disruptions=MAX_DISRUPTIONS),
    (CLONE, "Cloned"): lambda: clone(checkpoint_every=1),
    (CLONE, "NoCheckpoint"): lambda: clone(checkpoint_every=0),
    (AGAIN, "Disrupted"): lambda: of_trial(AttemptEnd.DISRUPTED, 143),
    (AGAIN, "Crashed"): lambda: of_trial(AttemptEnd.CRASHED),
    (AGAIN, "Suspended"): lambda: of_trial(AttemptEnd.DISRUPTED, 143, suspended=True),
}


@pytest.mark.parametrize("row", PRODUCED, ids=lambda row: f"{row[1]}: {row[0]}")
def test_the_program_says_what_the_page_says(row: Row) -> None:
    reason, _, message = PRODUCED[row]().partition("|")
    pattern = ".*".join(re.escape(part) for part in rows()[row].split("…"))
    assert reason == row[1]
    assert re.fullmatch(pattern, message, re.DOTALL), message
    assert "Traceback" not in message


def test_every_row_of_the_page_is_produced() -> None:
    assert set(rows()) == set(PRODUCED)


def test_the_page_has_every_reason_of_the_code() -> None:
    """A reason that is added to the program has to be explained."""
    code = "".join(
        path.read_text(encoding="utf-8")
        for folder in ("brain", "executor", "controller")
        for path in (PAGE.parents[1] / "operator" / "rung" / folder).glob("*.py")
    )
    reasons = set(re.findall(r'(?:succeeded|failed|StudyVerdict|Conclude|Retry)\([^()]*?"([A-Z][A-Za-z]+)"', code))
    assert reasons - {row[1] for row in rows()} == set()
