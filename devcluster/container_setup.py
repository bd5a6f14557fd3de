"""From a container in a pod's spec to a process: arguments, environment, and paths that are mounts.

A process on the process node has no mount namespace of its own. A volume is a real folder somewhere, and wherever the
container's command, arguments, working directory or environment name a path at or below a `mountPath`, the real
folder's path is put in its place: `--dir=/data/x` becomes `--dir=<real>/x`. What a program has built in cannot be
found that way. The termination log is treated like a mount, too.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from devcluster.node_api import Object

SERVICE_ACCOUNT_FOLDER = "/var/run/secrets/kubernetes.io/serviceaccount"
_REFERENCE = re.compile(r"\$\$|\$\(([^()\s]*)\)")


@dataclass(frozen=True)
class Mount:
    """A path that the container sees, and the one where it really is."""

    path: str
    real: Path


@dataclass(frozen=True)
class ProcessPlan:
    """Everything that is needed to start a container's process."""

    argv: tuple[str, ...]
    env: dict[str, str]
    folder: Path


def expand(text: str, variables: Mapping[str, str]) -> str:
    """Replace `$(NAME)` as Kubernetes does: an unknown name stays as it is, `$$` is a dollar sign.

    Source: k8s.io/kubernetes/third_party/forked/golang/expansion.
    """

    def value(found: re.Match[str]) -> str:
        return "$" if found.group() == "$$" else variables.get(found.group(1), found.group())

    return _REFERENCE.sub(value, text)


def rewrite(text: str, mounts: Sequence[Mount]) -> str:
    """Put real paths where mounted ones stand; a path is left alone inside a longer word or path."""
    longest_first = sorted(mounts, key=lambda mount: -len(mount.path))
    real = {mount.path.rstrip("/"): str(mount.real) for mount in longest_first if mount.path.strip("/")}
    if not real:
        return text
    # One pass over all of them: the real path of one mount may contain the path of another.
    pattern = rf"(?<![\w./-])({'|'.join(re.escape(path) for path in real)})(?=/|$|[^\w.-])"
    return re.sub(pattern, lambda found: real[found.group(1)], text)


def field_value(pod: Object, path: str, *, pod_ip: str, host_ip: str) -> str:
    """What a `fieldRef` names. Raises KeyError for a field that the downward API does not have."""
    if found := re.fullmatch(r"metadata\.(labels|annotations)\['([^']+)'\]", path):
        return str((pod["metadata"].get(found.group(1)) or {}).get(found.group(2), ""))
    if found := re.fullmatch(r"metadata\.(labels|annotations)", path):
        pairs = pod["metadata"].get(found.group(1)) or {}
        return "\n".join(f'{name}="{value}"' for name, value in sorted(pairs.items()))
    fields: dict[str, Callable[[], str]] = {
        "metadata.name": lambda: pod["metadata"]["name"],
        "metadata.namespace": lambda: pod["metadata"]["namespace"],
        "metadata.uid": lambda: pod["metadata"]["uid"],
        "spec.nodeName": lambda: pod["spec"]["nodeName"],
        "spec.serviceAccountName": lambda: pod["spec"].get("serviceAccountName", "default"),
        "status.podIP": lambda: pod_ip,
        "status.podIPs": lambda: pod_ip,
        "status.hostIP": lambda: host_ip,
        "status.hostIPs": lambda: host_ip,
    }
    return fields[path]()


def resource_value(container: Object, reference: Mapping[str, str]) -> str:
    """What a `resourceFieldRef` names: limits and requests as they stand, "0" when not set."""
    section, _, name = reference["resource"].partition(".")
    return str((container.get("resources", {}).get(section) or {}).get(name, "0"))


def arguments(container: Object, entrypoint: Sequence[str], default: Sequence[str]) -> list[str]:
    """The argument list: `command` replaces the image's ENTRYPOINT and CMD, `args` the CMD."""
    command, args = container.get("command"), container.get("args")
    if command:
        return [*command, *(args or [])]
    return [*entrypoint, *(args if args is not None else default)]


def exit_code(returncode: int) -> int:
    """The container's exit code: death by signal n is 128 + n."""
    return 128 - returncode if returncode < 0 else returncode


def gpus_wanted(container: Object, resource: str) -> int:
    """How many GPUs a container asks for."""
    return int((container.get("resources", {}).get("limits") or {}).get(resource, 0))
