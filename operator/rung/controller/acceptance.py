"""Whether a Study can run: everything that a schema cannot see, each refusal naming the field.

the plan          grammar, names, cycles, an empty region, what is not implemented yet (pure: `Plan.of`)
the template      placeholders (pure)
the frozen fields as they were when the first trial was made
the cluster       a dry run of the first trial's Job: unknown fields, bad quantities, Pod Security warnings
"""

from __future__ import annotations

import logging
from typing import Any

from rung.api.errors import InvalidStudy
from rung.api.implemented import check_runnable
from rung.api.study import Study, StudyStatus
from rung.api.trial import Trial
from rung.brain import Plan
from rung.controller.memory import frozen_hash
from rung.kube.client import Kube
from rung.kube.errors import Forbidden, Invalid
from rung.kube.placeholders import TEMPLATE_FIELD
from rung.kube.render import check_pod_template, render_job

log = logging.getLogger("rung.controller")


def check(study: Study, previous: StudyStatus | None = None) -> Plan:
    """Everything that needs no cluster. Raises InvalidStudy."""
    plan = Plan.of(study)
    check_runnable(study.spec)
    check_pod_template(study)
    if previous is not None and previous.frozen_hash and previous.frozen_hash != frozen_hash(study):
        raise InvalidStudy(
            "spec",
            "parameters, objectives (but not goals), constraints, sampler, scheduler, seed and the trial's template cannot change once "
            "trials exist; change them back, or create a new Study and use warmStart to carry results over",
            reason="Frozen",
        )
    return plan


async def accept(kube: Kube, study: Study, previous: StudyStatus | None) -> Plan:
    """All of it. Raises InvalidStudy for what the author can mend, ClusterUnavailable where the cluster cannot be asked."""
    plan = check(study, previous)
    # attempt 0: a dry run must not meet a Job that exists, and attempts count from 1
    document = render_job(study, _sample(plan), 0, resume_from=None, target=plan.target)
    try:
        warnings = await kube.dry_run_job(study.key.namespace, document)
    except Invalid as error:
        raise InvalidStudy(TEMPLATE_FIELD, f"the API server refuses the trial's Job: {error}") from error
    except Forbidden as error:
        # a full quota or a missing right is no fault of the Study: it is seen again, with its reason, when a trial starts
        log.warning("dry run not permitted", extra={"study": "/".join(study.key), "error": str(error)})
        return plan
    for warning in warnings:
        log.warning("dry run warned", extra={"study": "/".join(study.key), "warning": warning})
        if "would violate PodSecurity" in warning:
            raise InvalidStudy(TEMPLATE_FIELD, f"pods would be refused in this namespace: {warning}")
    return plan


def _sample(plan: Plan) -> Trial:
    """A trial as the first one will be, for the dry run. Its owner need not exist: the garbage collector never sees it."""
    parameters = plan.space.witness
    study = plan.study
    document: dict[str, Any] = {
        "metadata": {"name": f"{study.metadata.name}-0", "namespace": study.key.namespace, "uid": study.metadata.uid},
        "spec": {
            "study": study.metadata.name,
            "number": 0,
            "parameters": plan.space.render(parameters),
            "seed": plan.trial_seed(0),
        },
    }
    return Trial.model_validate(document)
