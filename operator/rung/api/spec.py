"""The spec of a Study, and the rules between its parts."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from rung.api.base import ApiModel, Keywords, rule
from rung.api.limits import Limits, Repeats
from rung.api.metrics import MetricsSpec
from rung.api.objectives import Objective, OutcomeConstraint
from rung.api.parameters import Parameter, ParameterType
from rung.api.sampler import SamplerSpec, SamplerType
from rung.api.scalars import MAX_SAFE_INT, Formula, NotNegative, Switch, Whole
from rung.api.scheduler import POPULATIONS, Mode, SchedulerSpec
from rung.api.template import TrialTemplate
from rung.api.warm_start import Use, WarmStart

MAX_PARAMETERS = 64
"""Rules run again on every status write: 64 parameters with conditions cost it about 0.1 s on two slow cores, 256 a second."""


class StudySpec(ApiModel):
    """What to search and how. Only objectives, parameters and trial are required."""

    objectives: Annotated[
        tuple[Objective, ...],
        Field(min_length=1, max_length=4),
        Keywords(x_kubernetes_list_type="map", x_kubernetes_list_map_keys=["metric"]),
    ] = Field(description="What to optimise: 1 to 4 figures. More than one gives a Pareto front.")
    constraints: Annotated[
        tuple[OutcomeConstraint, ...],
        Field(max_length=8),
        Keywords(x_kubernetes_list_type="map", x_kubernetes_list_map_keys=["metric"]),
    ] = Field(default=(), description="Bounds on outcomes; 8 at most. A trial beyond one is no candidate for the best.")
    parameters: Annotated[
        tuple[Parameter, ...],
        Field(min_length=1, max_length=MAX_PARAMETERS),
        Keywords(x_kubernetes_list_type="map", x_kubernetes_list_map_keys=["name"]),
    ] = Field(description=f"The search space: 1 to {MAX_PARAMETERS} parameters.")
    parameter_constraints: Annotated[tuple[Formula, ...], Field(max_length=16)] = Field(
        default=(),
        description='Expressions that must hold, such as "batch * width <= 32768"; 16 at most. One that names an inactive '
        "parameter holds.",
    )
    sampler: SamplerSpec = Field(default=SamplerSpec(), description="Who proposes assignments.")
    scheduler: SchedulerSpec = Field(default=SchedulerSpec(), description="Who stops, promotes or clones trials.")
    limits: Limits = Field(default=Limits(), description="When the study ends, and how much runs at the same time.")
    repeats: Repeats | None = Field(default=None, description="Runs each assignment several times.")
    # 0, not a random one: the same file gives the same study.
    seed: Annotated[Whole, Field(ge=0, le=MAX_SAFE_INT)] = Field(
        default=0, description="Of all random choices. The same seed gives the same study."
    )
    suspend: Switch = Field(
        default=False,
        description="Ends running trials and starts none until it is false again. May be changed at any time.",
    )
    finish: Switch = Field(
        default=False, description="Set to true by hand: end the study now, as Succeeded, with the best trial so far."
    )
    warm_start: WarmStart | None = Field(
        default=None, description="What is known before the first trial: other studies, points, results."
    )
    metrics: MetricsSpec = Field(default=MetricsSpec(), description="How the trials' metrics are read.")
    trial: TrialTemplate = Field(description="How a trial runs.")
    ttl_seconds_after_finished: NotNegative | None = Field(
        default=None, description="Delete the study, with its trials, so many seconds after its end. Never if absent."
    )

    @rule(
        # with arrays the names of elements are only known once the Study is accepted
        "self.parameters.exists(p, has(p.count)) || "
        "self.parameters.all(p, !has(p.when) || p.when.all(w, self.parameters.exists(q, q.name == w.parameter)))",
        "when refers to a parameter that does not exist",
        says="'when refers to parameters that do not exist, in the conditions of: %s'.format([self.parameters.filter(p, "
        "has(p.when) && p.when.exists(w, !self.parameters.exists(q, q.name == w.parameter))).map(p, p.name)])",
        at=".parameters",
    )
    def _parents_exist(self) -> str | None:
        if self._has_arrays:
            return None
        names = {p.name for p in self.parameters}
        lost = [p.name for p in self.parameters if any(w.parameter not in names for w in p.when)]
        return f"when refers to parameters that do not exist, in the conditions of: {listed(lost)}" if lost else None

    @rule(
        "self.parameters.exists(p, p.type != 'Derived')",
        "at least one parameter must not be Derived",
        at=".parameters",
    )
    def _something_to_search(self) -> str | None:
        if any(p.type is not ParameterType.DERIVED for p in self.parameters):
            return None
        return "at least one parameter must not be Derived"

    @rule(
        "self.sampler.type != 'Grid' || self.parameters.all(p, p.type != 'Double' || has(p.step) || has(p.value))",
        "sampler Grid needs a step on every Double parameter",
        says="'sampler Grid needs a step on every Double parameter; missing on: %s'"
        ".format([self.parameters.filter(p, p.type == 'Double' && !has(p.step) && !has(p.value)).map(p, p.name)])",
        at=".parameters",
    )
    def _grid_is_finite(self) -> str | None:
        if self.sampler.type is not SamplerType.GRID:
            return None
        endless = [
            p.name for p in self.parameters if p.type is ParameterType.DOUBLE and p.step is None and p.value is None
        ]
        return (
            f"sampler Grid needs a step on every Double parameter; missing on: {listed(endless)}" if endless else None
        )

    @rule(
        "self.sampler.type != 'List' || (has(self.warmStart) && "
        "((has(self.warmStart.points) && self.warmStart.points.size() > 0) || "
        "(has(self.warmStart.studies) && self.warmStart.studies.exists(s, s.use == 'Enqueue'))))",
        "sampler List runs the points of warmStart: give warmStart.points, or warmStart.studies with use Enqueue",
        at=".sampler",
    )
    def _list_has_points(self) -> str | None:
        start = self.warm_start
        if self.sampler.type is not SamplerType.LIST:
            return None
        if start is not None and (start.points or any(s.use is Use.ENQUEUE for s in start.studies)):
            return None
        return "sampler List runs the points of warmStart: give warmStart.points, or warmStart.studies with use Enqueue"

    @rule(
        "!has(self.warmStart) || !has(self.warmStart.points) || self.parameters.exists(p, has(p.count)) || "
        # a list of one list: CEL's way to compute the names once
        "[self.parameters.map(p, p.name)].all(names, self.warmStart.points.all(t, t.parameters.all(k, k in names)))",
        "warmStart.points names a parameter that does not exist",
        at=".warmStart",
    )
    def _points_of_this_space(self) -> str | None:
        if self.warm_start is None or self._has_arrays:
            return None
        names = {p.name for p in self.parameters}
        if all(name in names for point in self.warm_start.points for name in point.parameters):
            return None
        return "warmStart.points names a parameter that does not exist"

    @property
    def _has_arrays(self) -> bool:
        return any(p.count is not None for p in self.parameters)

    @rule(
        "!(self.scheduler.type in ['PBT', 'PB2'] || (has(self.scheduler.mode) && self.scheduler.mode == 'Promote')) || "
        "has(self.trial.checkpoint)",
        "PBT, PB2 and mode Promote resume trials from checkpoints: give trial.checkpoint",
        at=".trial",
    )
    def _can_resume(self) -> str | None:
        resumes = self.scheduler.type in POPULATIONS or self.scheduler.mode is Mode.PROMOTE
        if not resumes or self.trial.checkpoint is not None:
            return None
        return "PBT, PB2 and mode Promote resume trials from checkpoints: give trial.checkpoint"

    @rule(
        "!has(self.scheduler.pbt) || !has(self.scheduler.pbt.mutate) || "
        "self.scheduler.pbt.mutate.all(n, self.parameters.exists(p, p.name == n && p.type != 'Derived'))",
        "scheduler.pbt.mutate names a parameter that does not exist or is Derived",
        at=".scheduler",
    )
    def _mutated_exist(self) -> str | None:
        if self.scheduler.pbt is None:
            return None
        names = {p.name for p in self.parameters if p.type is not ParameterType.DERIVED}
        if all(name in names for name in self.scheduler.pbt.mutate):
            return None
        return "scheduler.pbt.mutate names a parameter that does not exist or is Derived"


def listed(names: list[str]) -> str:
    """As CEL's format() prints a list."""
    return "[" + ", ".join(f'"{name}"' for name in names) + "]"
