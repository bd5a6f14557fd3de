"""What a study takes from others (`spec.warmStart.studies`), read from their records. Pure.

taken once   when the other study has ended and this one starts: its UID and how many trials it had are recorded in
             this study's status before anything rests on them. Finished trials never change, so whoever reads them
             again by that mark finds the same facts, whatever else the other study has done since. One that was
             deleted contributes nothing more
Model        its trials are facts for the sampler, in this study's space and by this study's measure. One with a
             value that has no place here is left out: at the nearest place it was not measured. So are clones
Enqueue      its best trials, by its own objectives and constraints, are run again. Numbers outside the ranges move to
             the nearest bound; what cannot be completed here is passed over, and so is what was taken already
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import islice

from rung.api.errors import InvalidStudy
from rung.api.facts import TrialFacts, TrialState
from rung.api.names import trial_name
from rung.api.study import StartedFrom, Study, Use, WarmStartStudy
from rung.api.trial import Trial
from rung.brain.measure import BUILT_IN, Figure, Measure
from rung.brain.plan import Plan, Source
from rung.brain.repeats import RESULTS, result_of, root_of
from rung.brain.trials import curve_of
from rung.executor.record import recorded
from rung.search.enqueued import EnqueuedPoint, check_point
from rung.search.protocol import Told
from rung.search.standing import best_first

ENDINGS = frozenset({"Succeeded", "Failed"})


@dataclass(frozen=True, slots=True)
class Past:
    """Another study and its trials. `study` is None where it was deleted after it had been taken from."""

    mark: StartedFrom
    study: Study | None = None
    trials: tuple[Trial, ...] = ()


def why_wait(name: str, study: Study | None) -> tuple[str, str] | None:
    """Reason and message for a study that cannot be taken from yet; None: it has ended."""
    if study is None:
        return "StudyNotFound", f"there is no study {name}; this one starts once a study of that name has ended"
    status = study.status
    conditions = {} if status is None else {c.type: c for c in status.conditions}
    is_seen = status is None or status.observed_generation == study.metadata.generation  # else it may be reopened
    if is_seen and any(kind in conditions and conditions[kind].status == "True" for kind in ENDINGS):
        return None
    accepted = conditions.get("Accepted")
    state = "is refused" if accepted is not None and accepted.status == "False" else "has not ended"
    if study.spec.suspend:
        state = "is suspended"
    return "WaitingForStudy", f"waits for the end of study {name}, which {state}"


def mark_of(study: Study) -> StartedFrom:
    """What is recorded of a study that is taken from. Without a cluster its first moment stands for the UID."""
    status = study.status
    created = status.trials.created if status is not None and status.trials is not None else 0
    identity = study.metadata.uid or (status.started_at if status is not None else "") or ""
    return StartedFrom(name=study.metadata.name, uid=identity, trials=created)


def started_from(plan: Plan, pasts: Sequence[Past]) -> Plan:
    """The plan with what the others found, in the order of `spec.warmStart.studies`.

    Raises InvalidStudy where a study cannot be learned from, or nothing is left to run.
    """
    start = plan.spec.warm_start
    entries = () if start is None else start.studies
    found = zip(entries, pasts, strict=True)
    sources = [_source(plan, entry, past, f"spec.warmStart.studies[{i}]") for i, (entry, past) in enumerate(found)]
    return plan.started_from(sources)


def _source(plan: Plan, entry: WarmStartStudy, past: Past, path: str) -> Source:
    if past.study is None:
        return Source(past.mark, gone=True)
    try:
        there = Plan.of(past.study)
    except InvalidStudy as error:
        raise InvalidStudy(f"{path}.name", f"study {entry.name}: {error}") from error
    _same_directions(plan, past.study, f"{path}.name")
    runs = _runs(past)
    if entry.use is Use.MODEL:  # what a clone reached is its ancestors' too
        runs = [each for each in runs if each[0][1].descent is None]
    order = _best_first(there, runs)
    if entry.use is Use.ENQUEUE:
        points = _points(plan, past.study, (runs[i][0][0] for i in order), path)
        return Source(past.mark, points=tuple(islice(points, entry.top)))
    if entry.top is not None:
        runs = [runs[i] for i in sorted(order[: entry.top])]
    told = _as_here(plan, there, entry.name, runs)
    if not any(t.objectives for t in told):
        _has_figures(plan, [facts for each in runs for _, facts in each], f"{path}.name", entry.name)
    return Source(past.mark, told=told)


Run = tuple[Trial, TrialFacts]


def _runs(past: Past) -> list[list[Run]]:
    """The finished trials that count, by assignment: each first run, and the repeats of it."""
    found: dict[int, list[Run]] = {}
    for trial in sorted(past.trials, key=lambda t: t.spec.number):
        facts = recorded(trial, {})
        if trial.spec.number < past.mark.trials and facts.finished:
            found.setdefault(root_of(facts), []).append((trial, facts))
    return [runs for root, runs in found.items() if runs[0][0].spec.number == root]


def _best_first(there: Plan, assignments: Sequence[Sequence[Run]]) -> list[int]:
    """By the other study's objectives; where it repeats, what it has confirmed goes before what may be luck."""
    runs = [[facts for _, facts in each] for each in assignments]
    order = best_first([_told(there, each) for each in runs], len(runs))
    return sorted(order, key=lambda i: not result_of(there, runs[i]).confirmed)  # stable


def _told(view: Plan, runs: Sequence[TrialFacts], source: str = "") -> Told:
    """An assignment as samplers see it, by the plan's measure."""
    measure, first, result = view.measure, runs[0], result_of(view, runs)
    return Told(
        number=first.number,
        parameters=first.parameters,
        state=result.state,
        objectives=measure.objectives(result.values) if result.values else None,
        violations=measure.violations(result.values),
        curve=curve_of(view, first),
        deviations=result.errors,
        source=source,
    )


def _points(plan: Plan, study: Study, best: Iterable[Trial], path: str) -> Iterable[EnqueuedPoint]:
    """Points to run again, the best first, each assignment once."""
    seen: set[frozenset[tuple[str, str]]] = set()
    for trial in best:
        parameters = plan.space.moved(trial.spec.parameters)
        key = frozenset(parameters.items())
        if not parameters or key in seen:
            continue
        seen.add(key)
        point = EnqueuedPoint(parameters, None, path, trial_name(study.metadata.name, trial.spec.number))
        try:
            check_point(point, plan.space)
        except InvalidStudy:
            continue  # no way to complete it here: constraints forbid it
        yield point


def _as_here(plan: Plan, there: Plan, name: str, assignments: Sequence[Sequence[Run]]) -> tuple[Told, ...]:
    """The assignments that have a place in this study's space, with the figures that this study reads."""
    view = replace(there, measure=plan.measure)
    same_curves = _definition(plan.measure.ranking.figure) == _definition(there.measure.ranking.figure)
    found = []
    for runs in assignments:
        parameters = plan.space.adopted(runs[0][0].spec.parameters)
        if parameters is None:
            continue
        seen = []
        for _, facts in runs:
            values = _figures(plan.measure, there.measure, facts)
            rungs = facts.rungs if same_curves else ()  # else other figures were compared there
            seen.append(replace(facts, parameters=parameters, values=values, rungs=rungs))
        found.append(_told(view, seen, name))
    return tuple(found)


def _figures(here: Measure, there: Measure, facts: TrialFacts) -> dict[str, float]:
    """This study's figures of another study's trial: as recorded where both mean the same, else from its metrics."""
    if facts.state in {TrialState.FAILED, TrialState.INFEASIBLE}:
        return {}
    if not facts.metrics:  # its values were given
        return dict(facts.values)
    mine, theirs = _definitions(here), _definitions(there)
    same = {name: value for name, value in facts.values.items() if name in mine and mine[name] == theirs.get(name)}
    return {**here.values(facts), **same}


def _definitions(measure: Measure) -> dict[str, tuple[str, str, str]]:
    figures = (*(goal.figure for goal in measure.goals), *(bound.figure for bound in measure.bounds))
    return {figure.name: _definition(figure) for figure in figures}


def _definition(figure: Figure) -> tuple[str, str, str]:
    """How a figure comes about: two that agree in it mean the same."""
    return figure.name, figure.reduce, "" if figure.expression is None else figure.expression.text


def _same_directions(plan: Plan, other: Study, path: str) -> None:
    theirs = {objective.metric: objective.direction for objective in other.spec.objectives}
    for objective in plan.spec.objectives:
        there = theirs.get(objective.metric, objective.direction)
        if there is not objective.direction:
            what = f"{objective.metric} has direction {there} in study {other.metadata.name}, and {objective.direction} here"
            raise InvalidStudy(path, f"{what}; mend one of them, or take the study out")


def _has_figures(plan: Plan, trials: Sequence[TrialFacts], path: str, name: str) -> None:
    """Raises InvalidStudy if there are results, and what this study optimises is in none of them."""
    if not any(facts.state in RESULTS for facts in trials):
        return
    known = sorted({figure for facts in trials for figure in (*facts.values, *facts.metrics)})
    wanted = {metric for goal in plan.measure.goals for metric in goal.figure.inputs} - BUILT_IN
    missing = sorted(wanted - set(known))
    if missing:
        what = f"no trial of study {name} has {', '.join(missing)}; there is {', '.join(known) or 'nothing'}"
        raise InvalidStudy(path, f"{what}. Record it there, or take the study out")
