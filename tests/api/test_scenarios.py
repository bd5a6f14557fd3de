"""43 Studies as users would write them: each is a valid Study, and what does not work yet is refused by name.

Those that run do so on a cluster (tests/cluster/test_scenarios.py); those that need other kinds of workload, or a reader
beside the program, in simulation (tests/simulate/test_scenarios.py).
"""

from __future__ import annotations

import pytest

from rung.api.errors import InvalidStudy
from rung.api.implemented import not_implemented
from rung.api.study import parse_study
from rung.controller.acceptance import check
from tests.api.runnable import IN_SIMULATION, NOT_YET, ON_A_CLUSTER
from tests.api.studies import scenarios

TO_COME: dict[str, tuple[str, ...]] = {
    "k07_median_stop_json_file": ("spec.metrics.source",),
    "k08_tfjob_tensorboard": ("spec.metrics.source", "spec.trial.manifest", "spec.trial.pods"),
    "k09_trainjob": ("spec.trial.manifest",),
    "k10_mpijob_horovod": ("spec.trial.manifest", "spec.trial.pods"),
    "k11_xgboostjob_lightgbm": ("spec.trial.manifest",),
    "k12_tekton_pipeline": ("spec.trial.manifest", "spec.trial.pods", "spec.trial.succeeded", "spec.trial.failed"),
    "r2_multi_node_kueue": ("spec.trial.manifest",),
    "r4_pbt_ray_style": ("spec.trial.checkpoint.retain",),
    "r5_dear_final_metric": ("spec.scheduler.mode", "spec.trial.checkpoint.retain"),
    "r9_mpi_solver": ("spec.trial.manifest",),
    "s07a_halving_with_checkpoints": ("spec.scheduler.mode", "spec.trial.checkpoint.retain"),
    "s12b_dcgan_pbt": ("spec.trial.checkpoint.retain",),
}
"""What keeps a scenario from running in this version. All others run."""


def test_every_scenario_is_accounted_for() -> None:
    counts = {"run on a cluster": ON_A_CLUSTER, "run in simulation": IN_SIMULATION, "are refused by name": NOT_YET}
    print("; ".join(f"{len(names)} {what}" for what, names in counts.items()))
    assert sorted((*ON_A_CLUSTER, *IN_SIMULATION, *NOT_YET)) == sorted(scenarios())


@pytest.mark.parametrize("name", sorted(scenarios()))
def test_a_scenario_runs_or_says_what_is_to_come(name: str) -> None:
    study = parse_study(scenarios()[name], strict=True)
    assert not_implemented(study.spec) == TO_COME.get(name, ())
    if name not in TO_COME:
        check(study)
        return
    with pytest.raises(InvalidStudy) as caught:
        check(study)
    assert (caught.value.field, caught.value.reason) == (TO_COME[name][0], "NotImplemented")
    assert "not implemented yet; " in caught.value.message
