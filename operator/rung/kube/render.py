"""From a Trial to the Job of one attempt. Pure.

One Job = one pod = one attempt: the Job never retries, since a retry needs a new resume point and a new environment,
and the controller's own back-off is 10, 20, 40 s. Names are deterministic, so the write may be repeated. The Job is
owned by its Trial without `blockOwnerDeletion`, which would need rights on finalizers.

What the author wrote stays as it is, but for what makes the attempt: restart policy, labels, the RUNG_ variables (put
first, so that `$(RUNG_TRIAL)` works in the author's own; a variable that the author sets wins), the checkpoint volume.

Sources: https://kubernetes.io/docs/concepts/workloads/controllers/job/ ; pod failure policy: KEP-3329.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

from rung.api import checkpoints
from rung.api.errors import InvalidStudy
from rung.api.names import API_VERSION, ATTEMPT_LABEL, GROUP, STUDY_LABEL, STUDY_UID_LABEL, TRIAL_LABEL, job_name
from rung.api.study import Study
from rung.api.trial import Trial
from rung.kube.placeholders import TEMPLATE_FIELD, Substitution, check_template, render_template
from rung.kube.told import environment_of, parameters_json, substitution_of

Document = dict[str, Any]

BAD_CONFIGURATION_EXIT = 78  # EX_CONFIG of sysexits.h; docs/trial-contract.md
PARAMETERS_ANNOTATION = f"{GROUP}/parameters"
MANAGED_BY = {"app.kubernetes.io/managed-by": "rung"}
METADATA_FIELD = "spec.trial.metadata"
CHECKPOINT_VOLUME = "rung-checkpoints"

_GPU = re.compile(r"gpu|/mig-", re.IGNORECASE)
_NO_DEVICE = re.compile(r"mem|core|percent|monitoring|tile", re.IGNORECASE)
"""Shares of a device that some plugins count as resources of their own (memory in MiB, thousandths of cores): no GPUs.
"""


def check_pod_template(study: Study) -> None:
    """Refuse a template that no trial could run with. What the API server says of the Job itself is for a dry run.

    Raises InvalidStudy with the field's path.
    """
    trial = study.spec.trial
    template = trial.pod_template
    if template is None:
        raise InvalidStudy(TEMPLATE_FIELD, "is required: it says how a trial runs")
    spec = template.get("spec") or {}
    if not spec.get("containers"):
        raise InvalidStudy(f"{TEMPLATE_FIELD}.spec.containers", "needs at least one container")
    policy = spec.get("restartPolicy", "Never")
    if policy != "Never":
        raise InvalidStudy(
            f"{TEMPLATE_FIELD}.spec.restartPolicy",
            f"must be Never or left out, got {policy}: an attempt is one pod; spec.trial.retries says how many follow",
        )
    if trial.timeout_seconds is not None and spec.get("activeDeadlineSeconds") is not None:
        raise InvalidStudy(
            f"{TEMPLATE_FIELD}.spec.activeDeadlineSeconds",
            "is set from spec.trial.timeoutSeconds: leave one of them out",
        )
    wanted = study.spec.metrics.container
    names = [container.get("name") for container in spec["containers"]]
    if wanted is not None and wanted not in names:
        raise InvalidStudy(
            "spec.metrics.container", f"there is no container {wanted!r} in the template; it has {names}"
        )
    has_resource = study.spec.scheduler.resource is not None
    has_checkpoint = trial.checkpoint is not None
    parameters = study.spec.parameters
    check_template(template, parameters, has_resource=has_resource, has_checkpoint=has_checkpoint)
    if trial.metadata is not None:
        metadata = {"labels": dict(trial.metadata.labels), "annotations": dict(trial.metadata.annotations)}
        check_template(
            metadata, parameters, has_resource=has_resource, has_checkpoint=has_checkpoint, where=METADATA_FIELD
        )


def render_job(study: Study, trial: Trial, attempt: int, resume_from: str | None, target: int | None) -> Document:
    """The Job of attempt number `attempt`. Raises InvalidStudy where a placeholder has no value in this trial."""
    template = study.spec.trial
    if template.pod_template is None:
        raise InvalidStudy(TEMPLATE_FIELD, "is required: it says how a trial runs")
    directory = checkpoints.folder(study, trial.spec.number, target)
    substitution = substitution_of(study, trial, target=target, resume_from=resume_from, checkpoint_dir=directory)
    own = {
        STUDY_LABEL: study.metadata.name,
        TRIAL_LABEL: str(trial.spec.number),
        ATTEMPT_LABEL: str(attempt),
        STUDY_UID_LABEL: study.metadata.uid or "",
    }
    described = {PARAMETERS_ANNOTATION: parameters_json(study.spec.parameters, trial.spec.parameters)}
    pod: Document = render_template(template.pod_template, substitution)
    metadata = dict(pod.get("metadata") or {})
    metadata["labels"] = {**(metadata.get("labels") or {}), **own}
    metadata["annotations"] = {**(metadata.get("annotations") or {}), **described}
    pod["metadata"] = metadata
    environment = environment_of(
        study, trial, attempt=attempt, target=target, resume_from=resume_from, checkpoint_dir=directory
    )
    pod["spec"] = _pod_spec(study, dict(pod.get("spec") or {}), environment)
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": job_name(study.metadata.name, trial.spec.number, attempt),
            "namespace": study.key.namespace,
            **_job_metadata(study, substitution, own, described),
            "ownerReferences": [_owned_by(trial)],
        },
        "spec": {
            "backoffLimit": 0,
            "podReplacementPolicy": "Failed",
            "podFailurePolicy": {
                "rules": [
                    {
                        "action": "FailJob",
                        "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}],
                    },
                    {"action": "FailJob", "onExitCodes": {"operator": "In", "values": [BAD_CONFIGURATION_EXIT]}},
                ]
            },
            "template": pod,
        },
    }


def _job_metadata(
    study: Study, substitution: Substitution, own: Mapping[str, str], described: Mapping[str, str]
) -> Document:
    wanted = study.spec.trial.metadata
    labels = {} if wanted is None else dict(wanted.labels)
    annotations = {} if wanted is None else dict(wanted.annotations)
    rendered = render_template(
        {"labels": labels, "annotations": annotations}, substitution, where=METADATA_FIELD, kubelet=False
    )
    return {
        "labels": {**MANAGED_BY, **rendered["labels"], **own},
        "annotations": {**rendered["annotations"], **described},
    }


def _owned_by(trial: Trial) -> Document:
    return {
        "apiVersion": API_VERSION,
        "kind": "Trial",
        "name": trial.metadata.name,
        "uid": trial.metadata.uid,
        "controller": True,
    }


def _pod_spec(study: Study, spec: Document, environment: Mapping[str, str]) -> Document:
    spec["restartPolicy"] = "Never"
    spec.setdefault("automountServiceAccountToken", False)
    timeout = study.spec.trial.timeout_seconds
    if timeout is not None:
        spec["activeDeadlineSeconds"] = timeout  # of the pod, not of the Job: time in a queue does not count
    checkpoint = study.spec.trial.checkpoint
    mount: Document | None = None
    if checkpoint is not None and checkpoint.persistent_volume_claim is not None:
        claim = {"claimName": checkpoint.persistent_volume_claim}
        spec["volumes"] = [*(spec.get("volumes") or ()), {"name": CHECKPOINT_VOLUME, "persistentVolumeClaim": claim}]
        mount = {"name": CHECKPOINT_VOLUME, "mountPath": checkpoints.MOUNT, "subPath": checkpoints.study_folder(study)}
    for kind in ("initContainers", "containers"):
        if spec.get(kind):
            spec[kind] = [_container(container, environment, mount) for container in spec[kind]]
    return spec


def _container(container: Document, environment: Mapping[str, str], mount: Document | None) -> Document:
    """With our variables before the author's own, those left out that the author sets."""
    theirs = container.get("env") or []
    taken = {variable.get("name") for variable in theirs}
    ours: list[Document] = [
        {"name": name, "value": value.replace("$", "$$")} for name, value in environment.items() if name not in taken
    ]
    log = container.get("terminationMessagePath")
    if log and "RUNG_TERMINATION_LOG" not in taken:
        ours.append({"name": "RUNG_TERMINATION_LOG", "value": log})
    address = {"fieldRef": {"fieldPath": "status.podIP"}}
    ours += [{"name": name, "valueFrom": address} for name in ("POD_IP", "RUNG_METRICS_HOST") if name not in taken]
    made = {"terminationMessagePolicy": "FallbackToLogsOnError", **container, "env": [*ours, *theirs]}
    if mount is not None:
        made["volumeMounts"] = [*(container.get("volumeMounts") or ()), mount]
    return made


def gpus_of_job(job: Mapping[str, Any]) -> int:
    """GPUs that the Job's pod takes."""
    return gpus_of(job["spec"]["template"])


def gpus_of(pod_template: Mapping[str, Any]) -> int:
    """GPUs that a pod takes, a MIG slice or a time-sliced share counted as one.

    Containers add up, sidecars (init containers that go on) too; of the other init containers the greediest counts, as
    in the scheduler:
    https://kubernetes.io/docs/concepts/workloads/pods/init-containers/#resource-sharing-within-containers
    """
    spec: Mapping[str, Any] = pod_template.get("spec") or {}
    together = sum(_gpus_of_container(container) for container in spec.get("containers") or ())
    alone = 0
    for container in spec.get("initContainers") or ():
        gpus = _gpus_of_container(container)
        if container.get("restartPolicy") == "Always":
            together += gpus
        else:
            alone = max(alone, gpus)
    return max(together, alone)


def _gpus_of_container(container: Mapping[str, Any]) -> int:
    resources: Mapping[str, Any] = container.get("resources") or {}
    asked = {**(resources.get("requests") or {}), **(resources.get("limits") or {})}
    return sum(_whole(quantity) for name, quantity in asked.items() if _is_gpu(name))


def _is_gpu(resource: str) -> bool:
    """`nvidia.com/gpu`, `amd.com/gpu`, `gpu.intel.com/i915`, `nvidia.com/mig-1g.5gb`, `nvidia.com/gpu.shared`."""
    domain, slash, name = resource.partition("/")
    if not slash or _NO_DEVICE.search(name):
        return False
    return bool(_GPU.search(f"/{name}")) or domain.startswith("gpu.")


def _whole(quantity: object) -> int:
    """An extended resource's quantity: whole, by the API's rules. What is no number at all is left to the API server's
    dry run.
    """
    text = str(quantity).strip()
    factor = Decimal(1)
    if text.endswith("m"):
        text, factor = text[:-1], Decimal("0.001")
    elif text.endswith("k"):
        text, factor = text[:-1], Decimal(1000)
    try:
        return int(Decimal(text) * factor)
    except (InvalidOperation, ValueError, OverflowError):
        return 0
