"""Studies for tests, with what matters to a test on top, and what a test wants to know of one that runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rung.api.names import API_VERSION, STUDY_LABEL
from tests.cluster.api import Api, Document, resource
from tests.cluster.waiting import wait_until

IMAGE = "rung-trial:dev"
TERMINATION_GRACE_SECONDS = 5


def container(command: Sequence[str], args: Sequence[str] = ()) -> dict[str, Any]:
    """The trial's container."""
    made: dict[str, Any] = {"name": "trial", "image": IMAGE, "command": list(command)}
    if args:
        made["args"] = list(args)
    return made


def template(command: Sequence[str], args: Sequence[str] = ()) -> dict[str, Any]:
    """The pod template of a trial with one container."""
    spec = {"terminationGracePeriodSeconds": TERMINATION_GRACE_SECONDS, "containers": [container(command, args)]}
    return {"podTemplate": {"spec": spec}}


def claim(api: Api, namespace: str, name: str = "runs") -> str:
    """The name of a claim that is there from now on: the cluster makes its volume."""
    document = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": name},
        "spec": {"accessModes": ["ReadWriteMany"], "resources": {"requests": {"storage": "1Gi"}}},
    }
    api.create("persistentvolumeclaims", namespace, document)
    return name


def toy(*args: str, epochs: int | None = None, sleep: float = 0.0) -> dict[str, Any]:
    """trainers.toy over x and y; `epochs` left out: as many as the study's resource says."""
    given = ["--x=$(params.x)", "--y=$(params.y)", f"--sleep={sleep}", *args]
    if epochs is not None:
        given.append(f"--epochs={epochs}")
    return template(["python", "-m", "trainers.toy"], given)


def program(text: str) -> dict[str, Any]:
    """A trial that is a few lines of Python."""
    return template(["python", "-c", text])


def shell(text: str) -> dict[str, Any]:
    """A trial that is a few lines of shell. The last one should be an `exec`, so that SIGTERM arrives."""
    return template(["sh", "-c", text])


def study(name: str, trial: Mapping[str, Any], **spec: Any) -> Document:
    """A Study of two parameters, scraped every second."""
    return {
        "apiVersion": API_VERSION,
        "kind": "Study",
        "metadata": {"name": name},
        "spec": {
            "objectives": [{"metric": "loss", "direction": "Minimize"}],
            "parameters": [
                {"name": "x", "type": "Double", "min": 0, "max": 1},
                {"name": "y", "type": "Double", "min": 0, "max": 1},
            ],
            "sampler": {"type": "Sobol"},
            "metrics": {"intervalSeconds": 1},
            "trial": dict(trial),
            **spec,
        },
    }


def rungs_of(scheduler: str, low: int, high: int, metric: str = "step") -> Document:
    """A scheduler over a resource."""
    return {"type": scheduler, "resource": {"metric": metric, "min": low, "max": high}, "eta": 3}


@dataclass(frozen=True, slots=True)
class Running:
    """One Study on a cluster."""

    api: Api
    namespace: str
    name: str

    @staticmethod
    def apply(api: Api, namespace: str, document: Document) -> Running:
        """Create it."""
        api.create("studies", namespace, document)
        return Running(api, namespace, document["metadata"]["name"])

    @property
    def path(self) -> str:
        """Of the Study."""
        return resource("studies", self.namespace, self.name)

    @property
    def status(self) -> dict[str, Any]:
        """As it stands; {} before the operator has seen it."""
        return self.api.get(self.path).get("status") or {}

    def condition(self, kind: str) -> dict[str, Any]:
        """One condition; {} if it is not there."""
        found: list[dict[str, Any]] = self.status.get("conditions") or []
        return next((c for c in found if c["type"] == kind), {})

    def wait(
        self, kind: str, status: str = "True", *, reason: str | None = None, timeout: float = 30
    ) -> dict[str, Any]:
        """Until a condition holds; returns it."""

        def holds() -> dict[str, Any]:
            found = self.condition(kind)
            good = found.get("status") == status and (reason is None or found["reason"] == reason)
            return found if good else {}

        wanted = f"{self.name}: {kind}={status}" + ("" if reason is None else f" ({reason})")
        return wait_until(wanted, holds, timeout=timeout, show=self.told)

    def patch(self, **spec: Any) -> None:
        """Change the spec."""
        self.api.patch(self.path, {"spec": spec})

    def trials(self) -> list[Document]:
        """Its Trials by number."""
        found = self.api.items("trials", self.namespace, labelSelector=f"{STUDY_LABEL}={self.name}")
        return sorted(found, key=lambda trial: trial["spec"]["number"])

    def trial(self, number: int) -> dict[str, Any]:
        """The status of one Trial; {} if there is none yet."""
        found = self.api.find(resource("trials", self.namespace, f"{self.name}-{number}"))
        return (found or {}).get("status") or {}

    def wait_trial(self, number: int, *states: str, attempt: int | None = None, timeout: float = 20) -> dict[str, Any]:
        """Until a Trial is in one of these states, and in that attempt if one is given; returns its status."""

        def there() -> dict[str, Any]:
            status = self.trial(number)
            good = status.get("state") in states and (attempt is None or status.get("attempt") == attempt)
            return status if good else {}

        wanted = f"trial {self.name}-{number}: {' or '.join(states)}" + (
            "" if attempt is None else f", attempt {attempt}"
        )
        return wait_until(wanted, there, timeout=timeout, show=self.told)

    def jobs(self) -> list[Document]:
        """Its Jobs."""
        return self.api.items("jobs", self.namespace, labelSelector=f"{STUDY_LABEL}={self.name}")

    def pods(self, *phases: str) -> list[Document]:
        """Its pods; those in the given phases if any is given."""
        found = self.api.items("pods", self.namespace, labelSelector=f"{STUDY_LABEL}={self.name}")
        return [pod for pod in found if not phases or (pod.get("status") or {}).get("phase") in phases]

    def live_pods(self) -> list[str]:
        """Names of those that have not ended."""
        return [pod["metadata"]["name"] for pod in self.pods("", "Pending", "Running", "Unknown")]

    def wait_running(self, count: int, timeout: float = 20) -> list[Document]:
        """Until so many of its pods run."""

        def enough() -> list[Document]:
            found = self.pods("Running")
            return found if len(found) >= count else []

        return wait_until(f"{count} pods of {self.name} run", enough, timeout=timeout, show=self.told)

    def wait_no_pods(self, timeout: float = 10) -> None:
        """Until no pod of it has not ended."""
        wait_until(f"no pod of {self.name} runs", lambda: not self.live_pods(), timeout=timeout, show=self.told)

    def told(self) -> str:
        """Everything that the cluster says of it in a few lines, for a failed test."""
        status = self.status
        lines = [f"study {self.name}: {status.get('state')} {status.get('progress')}"]
        lines += [f"  {c['type']}={c['status']} {c['reason']}: {c['message']}" for c in status.get("conditions") or ()]
        for trial in self.trials():
            s = trial.get("status") or {}
            lines.append(
                f"  trial {trial['spec']['number']}: {s.get('state')} attempt {s.get('attempt')} step {s.get('step')}"
                f" {s.get('outcome')}: {s.get('reason')}"
            )
        lines += [f"  job {job['metadata']['name']}: {job.get('status')}" for job in self.jobs()]
        for pod in self.pods():
            node = pod["spec"].get("nodeName")
            lines.append(f"  pod {pod['metadata']['name']} on {node}: {(pod.get('status') or {}).get('phase')}")
        return "\n".join(lines)
