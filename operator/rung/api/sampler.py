"""Who proposes the assignments, with options of its own for each type that has any."""

from __future__ import annotations

from enum import StrEnum

from pydantic import Field

from rung.api.base import ApiModel, rule
from rung.api.scalars import Positive


class SamplerType(StrEnum):
    """An algorithm that proposes assignments."""

    RANDOM = "Random"
    GRID = "Grid"
    HALTON = "Halton"
    SOBOL = "Sobol"
    LATIN_HYPERCUBE = "LatinHypercube"
    GP = "GP"
    TPE = "TPE"
    RANDOM_FOREST = "RandomForest"
    CMAES = "CMAES"
    EVOLUTION = "Evolution"
    NSGA2 = "NSGA2"
    REINFORCE = "Reinforce"
    LIST = "List"
    AUTO = "Auto"


class Restarts(StrEnum):
    """How CMA-ES starts again once it has converged."""

    NONE = "None"
    IPOP = "IPOP"
    BIPOP = "BIPOP"


MODEL_BASED = frozenset(
    {
        SamplerType.GP,
        SamplerType.TPE,
        SamplerType.RANDOM_FOREST,
        SamplerType.CMAES,
        SamplerType.EVOLUTION,
        SamplerType.NSGA2,
        SamplerType.REINFORCE,
        SamplerType.AUTO,
    }
)
"""They begin with points that do not rest on results."""


class CmaesOptions(ApiModel):
    """Options of sampler CMAES."""

    # Without restarts the budget left after convergence would be spent in one spot.
    restarts: Restarts = Field(
        default=Restarts.IPOP,
        description="What follows convergence. None: nothing. IPOP: again with twice the population. BIPOP: large and small "
        "populations in turn.",
    )


class SamplerSpec(ApiModel):
    """Who proposes assignments."""

    # Auto: who does not care about the algorithm should not have to name one.
    type: SamplerType = Field(
        default=SamplerType.AUTO,
        description="Auto: Grid if all points fit into limits.trials; Sobol if no trial could learn from another; TPE for more "
        "than 10,000 trials, 200 parameters or 3 objectives; else GP. Random, Halton, Sobol, LatinHypercube: "
        "points that do not rest on results. Grid: every point of a finite space. List: exactly the points of warmStart. GP, "
        "TPE, RandomForest: models of the objective. CMAES, Evolution, NSGA2: populations. Reinforce: a policy gradient over "
        "choices.",
    )
    startup_trials: Positive | None = Field(
        default=None,
        description="Trials before a model is believed; if absent, for TPE and RandomForest 10, for GP 7, with several "
        "objectives 5, and once trials are stopped early at least 2.5 for each that runs at a time, but no more than a third of "
        "limits.trials. For GP, TPE, RandomForest, CMAES, Evolution, NSGA2, Reinforce and Auto.",
    )
    cmaes: CmaesOptions | None = Field(default=None, description="Options of sampler CMAES.")

    @rule(
        "self.type in ['GP', 'TPE', 'RandomForest', 'CMAES', 'Evolution', 'NSGA2', 'Reinforce', 'Auto'] || "
        "!has(self.startupTrials)",
        "startupTrials does not apply to samplers that do not learn",
        says="'startupTrials does not apply to sampler %s'.format([self.type])",
        at=".startupTrials",
    )
    def _startup_applies(self) -> str | None:
        if self.type in MODEL_BASED or self.startup_trials is None:
            return None
        return f"startupTrials does not apply to sampler {self.type}"

    @rule(
        "self.type == 'CMAES' || !has(self.cmaes)",
        "cmaes is only for sampler CMAES",
        says="'cmaes does not apply to sampler %s'.format([self.type])",
        at=".cmaes",
    )
    def _cmaes_applies(self) -> str | None:
        if self.type is SamplerType.CMAES or self.cmaes is None:
            return None
        return f"cmaes does not apply to sampler {self.type}"
