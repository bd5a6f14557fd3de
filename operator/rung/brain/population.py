"""Populations: whose place is taken by a clone, from whose checkpoint it goes on, and who may begin besides.

member    a trial that a sampler has proposed, or a clone in the place of one. At most `population` are unfinished, places
          that wait for their clone included
clone     of the trial that the scheduler names, by the records before the verdict; its parameters are that trial's,
          changed: as chance has it (`rung.search.pbt`), or as a model of what it brought so far proposes (`rung.search.pb2`, told
          by `intervals`). A member that proves infeasible leaves its place too, at the rung that it was to reach,
          to one of the best at the nearest step; one that fails does not, for failures are to be counted
begins    with the newest checkpoint that the parent was known to have up to that rung when the clone was made; it is
          written into the clone's record, and later attempts begin with it too. Where the parent had none of its own, with
          the one that it had begun with itself; where there is none at all, from nothing
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

from rung.api.facts import Assignment, Descent, TrialFacts
from rung.brain.decisions import Create, created
from rung.brain.plan import Plan
from rung.brain.trials import Trials
from rung.search.pbt import explore
from rung.search.randomness import generator


def clones(plan: Plan, trials: Trials, numbers: Iterator[int], most: int) -> Iterator[Create]:
    """The clones that are to come, at most so many; each takes the next of the numbers."""
    population, options = plan.population, plan.spec.scheduler.pbt
    if population is None or options is None:
        return
    begun: dict[int, TrialFacts] = {}
    for stopped in trials.vacant[: max(most, 0)]:
        number = next(numbers)
        descent, model = _descent(trials, trials[stopped])
        parameters = _proposed(plan, trials, begun, number, descent, model)
        if parameters is None:
            random = generator(plan.spec.seed, number, "clone")
            resample = float(options.resample_probability)
            parameters = explore(plan.space, model.parameters, options.mutate, resample, random)
        create = Create(
            number=number,
            parameters=parameters,
            seed=plan.trial_seed(number),
            bracket=population.bracket(number, trials.table),
            descent=descent,
            message=_explained(plan, descent, model, parameters),
        )
        begun[number] = created(create)
        yield create


def _proposed(
    plan: Plan, trials: Trials, begun: Mapping[int, TrialFacts], number: int, descent: Descent, model: TrialFacts
) -> Assignment | None:
    """What a model of what changes brought so far proposes; None: there is none, or it knows too little."""
    if plan.bandit is None:
        return None
    from rung.brain.intervals import Look  # noqa: PLC0415 - scipy: 0.2 s that others need not pay

    look = Look(plan, trials, begun, number, descent.replaces)
    beginning = look.beginning(descent, model)
    if beginning is None:
        return None
    return plan.bandit.propose(look.intervals(), beginning, generator(plan.spec.seed, number, "bandit"))


def places(plan: Plan, trials: Trials) -> float:
    """How many further members may begin."""
    if plan.population is None:
        return math.inf
    return plan.population.population - len(trials.unfinished) - len(trials.vacant)


def remark(plan: Plan) -> str:
    """What the author of a study should know of its population; "": nothing."""
    population, limit = plan.population, plan.trial_limit
    if population is None or limit is None or limit >= population.population:
        return ""
    members = "1 member" if limit == 1 else f"{limit} members"
    return f"limits.trials leaves the population of {population.population} with {members}"


def lineage(trials: Trials, number: int) -> list[int]:
    """A trial and those whose weights it has, the eldest first."""
    found = [number]
    while found[-1] in trials:
        descent = trials[found[-1]].descent
        if descent is None or descent.step is None:
            break
        found.append(descent.parent)
    return found[::-1]


def _descent(trials: Trials, stopped: TrialFacts) -> tuple[Descent, TrialFacts]:
    """For a clone in the place of `stopped`; and the trial whose parameters it has, changed."""
    rung, named = trials.place_of(stopped), trials.model_of(stopped.number)
    if rung is None or named is None:
        raise AssertionError(f"trial {stopped.number} left no place")
    model = trials[named]
    parent, step = _newest_checkpoint(model, rung)
    return Descent(stopped.number, rung, parent, step), model


def _newest_checkpoint(model: TrialFacts, rung: int) -> tuple[int, float | None]:
    own = [step for step in model.checkpoints if step <= rung]
    if own:
        return model.number, own[-1]
    if model.descent is not None and model.descent.step is not None:
        return model.descent.parent, model.descent.step
    return model.number, None


def _explained(plan: Plan, descent: Descent, model: TrialFacts, parameters: Assignment) -> str:
    """In one line."""
    if descent.step is None:
        begins = f"begins from nothing, since trial {descent.parent} has no checkpoint up to {plan.resource_name} {descent.rung},"
    else:
        begins = f"goes on from trial {descent.parent} at {plan.resource_name} {descent.step:g}"
    before, after = plan.space.shown(model.parameters), plan.space.shown(parameters)
    changes = [f"{name} {before.get(name, '–')} → {text}" for name, text in after.items() if before.get(name) != text]
    changed = ", ".join(changes) or "nothing"
    return f"{begins} in the place of trial {descent.replaces}; changed of trial {model.number}: {changed}"
