"""The pod template on this machine: its container's command, arguments, environment and folder, for one attempt.

Placeholders are replaced by the same grammar as on a cluster, then Kubernetes' own references `$(VAR)` as the kubelet
would. The process sees this machine's environment with the container's on top (`variables.py`), and RUNG_* as
docs/trial-contract.md has it. What only makes sense on a cluster (image, volumes, other containers, envFrom) is left
out, and said once in `notes`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rung.api.checkpoints import at_step, folder, inherited
from rung.api.errors import InvalidStudy
from rung.api.names import ATTEMPT_LABEL, STUDY_LABEL, TRIAL_LABEL, job_name
from rung.api.trial import Trial
from rung.brain import Plan
from rung.kube.placeholders import TEMPLATE_FIELD, Substitution, render_template
from rung.kube.render import check_pod_template
from rung.kube.told import environment_of, substitution_of
from rung.local import variables
from rung.local.process import Launch
from rung.local.slots import VISIBLE
from rung.local.state import AttemptFolder

DEFAULT_GRACE_SECONDS = 30.0  # Kubernetes' own default
GPU = "nvidia.com/gpu"
TERMINATION_LOG = "RUNG_TERMINATION_LOG"

Container = Mapping[str, Any]


@dataclass(frozen=True)
class Template:
    """A study's template, looked through once."""

    plan: Plan
    container: Container
    where: str  # the container's field, for messages
    base: Mapping[str, str]  # this machine's environment, without anything of Rung's
    gpus: int
    cpus: int
    grace_seconds: float
    notes: tuple[str, ...]

    @staticmethod
    def of(plan: Plan, environment: Mapping[str, str]) -> Template:
        """Raises InvalidStudy naming the field where no process can be made of the template."""
        check_pod_template(plan.study)
        spec = (plan.spec.trial.pod_template or {})["spec"]
        containers = spec["containers"]
        index = _index(containers, plan.spec.metrics.container)
        container, where = containers[index], f"{TEMPLATE_FIELD}.spec.containers[{index}]"
        if not container.get("command"):
            raise InvalidStudy(
                f"{where}.command",
                "must be given for `rung run`: the entry point of an image is not known on this machine",
            )
        base = {name: value for name, value in environment.items() if not name.startswith("RUNG_")}
        base.setdefault(
            "PYTHONUNBUFFERED", "1"
        )  # what a Python program prints is to be read now, not when its buffer is full
        variables.check(container, base, where)
        grace = spec.get("terminationGracePeriodSeconds")
        return Template(
            plan=plan,
            container=container,
            where=where,
            base=base,
            gpus=_gpus(container, where),
            cpus=variables.cpus(container, where),
            grace_seconds=DEFAULT_GRACE_SECONDS if grace is None else float(grace),
            notes=tuple(_notes(spec, container)),
        )

    def launch(
        self,
        trial: Trial,
        folder: AttemptFolder,
        devices: Sequence[str],
        cores: Sequence[str] = (),
        *,
        target: int | None,
        port: int,
        checkpoints: Path,
    ) -> Launch:
        """One attempt of a trial. Raises InvalidStudy where its assignment cannot be put into the template."""
        study = self.plan.study
        directory, resume_from = self._checkpoint(trial, checkpoints, target)
        substitution = substitution_of(study, trial, target=target, resume_from=resume_from, checkpoint_dir=directory)
        rendered = render_template(self.container, substitution, where=self.where)
        given = environment_of(
            study, trial, attempt=folder.attempt, target=target, resume_from=resume_from, checkpoint_dir=directory
        )
        pod = self._pod(trial, folder.attempt, substitution)
        given = variables.values(rendered, pod, given=given, shell=self.base)
        given |= {  # only this machine knows them
            "RUNG_METRICS_HOST": variables.HOST,
            "RUNG_METRICS_PORT": str(port),
            TERMINATION_LOG: str(folder.termination),
        }
        if devices:
            given[VISIBLE] = ",".join(devices)
        command = [*rendered["command"], *(rendered.get("args") or ())]
        working_directory = rendered.get("workingDir")
        return Launch(
            arguments=tuple(variables.expanded(str(word), given) for word in command),
            environment={**self.base, **given},
            directory=Path(working_directory) if working_directory else None,
            log=folder.log,
            grace_seconds=self.grace_seconds,
            cores=tuple(int(core) for core in cores),
        )

    def _pod(self, trial: Trial, attempt: int, substitution: Substitution) -> variables.Pod:
        study = self.plan.study
        metadata = (self.plan.spec.trial.pod_template or {}).get("metadata") or {}
        said = render_template(metadata, substitution, where=f"{TEMPLATE_FIELD}.metadata", kubelet=False)
        ours = {STUDY_LABEL: study.metadata.name, TRIAL_LABEL: str(trial.spec.number), ATTEMPT_LABEL: str(attempt)}
        name = job_name(study.metadata.name, trial.spec.number, attempt)
        labels = {**(said.get("labels") or {}), **ours}
        return variables.Pod(name, study.key.namespace, labels, said.get("annotations") or {})

    def _checkpoint(self, trial: Trial, checkpoints: Path, target: int | None) -> tuple[str | None, str | None]:
        """The trial's folder, and the newest checkpoint that was reported complete and is there, or a clone's first one."""
        wanted = self.plan.spec.trial.checkpoint
        directory = folder(self.plan.study, trial.spec.number, target, str(checkpoints))
        if wanted is None or directory is None:
            return None, None
        if wanted.uri is None:
            Path(directory).mkdir(parents=True, exist_ok=True)
        step = trial.status.checkpoint_step if trial.status is not None else None
        first = inherited(self.plan.study, trial.spec, str(checkpoints))
        if step is None:
            return directory, first
        newest = at_step(directory, step)
        # at a URI nobody looks: there a run of its own (mode Restart) begins from nothing
        is_there = not self.plan.rung_by_rung if wanted.uri is not None else Path(newest).exists()
        return directory, newest if is_there else first


def _index(containers: Sequence[Container], name: str | None) -> int:
    """Of the container that is the trial: `metrics.container`, else the first."""
    names = [container.get("name") for container in containers]
    return names.index(name) if name in names else 0


def _gpus(container: Container, where: str) -> int:
    """Whole devices: of the limits, else of the requests, which Kubernetes wants to be equal."""
    resources = container.get("resources") or {}
    for kind in ("limits", "requests"):
        amount = (resources.get(kind) or {}).get(GPU)
        if amount is not None:
            if not str(amount).isdecimal():
                raise InvalidStudy(f"{where}.resources.{kind}[{GPU}]", f"must be a whole number, got {amount!r}")
            return int(amount)
    return 0


def _notes(spec: Mapping[str, Any], container: Container) -> list[str]:
    """What of the template has no meaning here."""
    left_out = []
    if container.get("image"):
        left_out.append(f"image {container['image']}")
    left_out += [f"{len(spec[kind])} {words}" for kind, words in _CLUSTER_ONLY if spec.get(kind)]
    others = len(spec["containers"]) - 1
    if others:
        left_out.append(f"{others} other containers")
    notes = [f"on this machine without {', '.join(left_out)}"] if left_out else []
    if container.get("envFrom"):
        notes.append("envFrom would come from the cluster; set those variables in this shell if the program needs them")
    return notes


_CLUSTER_ONLY = (("volumes", "volumes"), ("initContainers", "init containers"))
