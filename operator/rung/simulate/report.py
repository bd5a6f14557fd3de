"""What a simulated study found and what it would have cost, as figures for people and for scripts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from rung.api.facts import TrialState
from rung.brain import Plan
from rung.simulate.curves import CurveSource, Recorded, Synthetic, read_curves
from rung.simulate.engine import DEFAULT_STEPS, Simulated

SYNTHETIC = "synthetic"
NOTHING_READ = "value"  # what trials say where a study reads no metric, as one that minimises trial_seconds


@dataclass(frozen=True, slots=True)
class Best:
    """The best trial. `complete`: it was trained to its end."""

    trial: int
    values: Mapping[str, float]
    parameters: Mapping[str, str]
    complete: bool


@dataclass(frozen=True, slots=True)
class Report:
    """One simulated study."""

    study: str
    seed: int
    state: str
    reason: str
    message: str
    best: Best | None
    trials: int
    stopped: int  # by the scheduler
    steps: float  # trained in all
    full_steps: int  # if every trial had trained to its end
    virtual_seconds: float
    seconds: float  # of this machine's time
    trials_per_second: float

    @property
    def share(self) -> float:
        """Steps that were trained, of those that full training takes."""
        return self.steps / self.full_steps if self.full_steps else 1.0

    def document(self) -> dict[str, object]:
        """For JSON, in the words of the API: camelCase."""
        return {_camel(name): value for name, value in asdict(self).items()} | {"share": self.share}


def report_of(plan: Plan, simulated: Simulated, seconds: float) -> Report:
    """The figures of a simulated study that took `seconds` to decide."""
    trials, verdict = simulated.trials, simulated.verdict
    run = trials.counted
    return Report(
        study=plan.study.metadata.name,
        seed=plan.spec.seed,
        state=verdict.state.value,
        reason=verdict.reason,
        message=verdict.message,
        best=_best(plan, simulated),
        trials=run,
        stopped=trials.counts[TrialState.STOPPED],
        steps=simulated.steps,
        full_steps=run * (plan.target or DEFAULT_STEPS),
        virtual_seconds=simulated.seconds,
        seconds=seconds,
        trials_per_second=run / seconds if seconds > 0 else 0.0,
    )


def curve_source(plan: Plan, where: str) -> CurveSource:
    """Synthetic curves for the study's metrics, keyed by its seed, or those of a file. Raises UnreadableCurves."""
    if where != SYNTHETIC:
        return Recorded(read_curves(Path(where), plan.space.names), parse=plan.space.parse, encode=plan.space.encode)
    ranking = plan.measure.ranking
    turned = {goal.figure.name: not goal.minimize for goal in (ranking, *plan.measure.goals)}
    wanted = plan.measure.wanted
    first = [name for name in wanted if name in ranking.figure.inputs]
    ordered = dict.fromkeys((*first, *wanted))
    named = {name: turned.get(name, False) for name in ordered} or {NOTHING_READ: False}
    return Synthetic(plan.space.encode, named, plan.spec.seed)


def _best(plan: Plan, simulated: Simulated) -> Best | None:
    incumbent = simulated.trials.incumbent
    if incumbent is None:
        return None
    pairs = zip(plan.measure.goals, incumbent.objectives, strict=True)
    facts = simulated.trials[incumbent.number]
    return Best(
        incumbent.number,
        {goal.figure.name: goal.rank(value) for goal, value in pairs},
        plan.space.shown(facts.parameters),
        incumbent.complete,
    )


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)
