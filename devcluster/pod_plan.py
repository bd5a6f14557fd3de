"""The plan of each container's process: what its image, its pod, its node and its own spec say about it."""

from __future__ import annotations

import base64
import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from devcluster.container import Container
from devcluster.container_setup import (
    SERVICE_ACCOUNT_FOLDER,
    Mount,
    ProcessPlan,
    arguments,
    expand,
    field_value,
    resource_value,
    rewrite,
)
from devcluster.images import MISSING, Image, find_image, image_path
from devcluster.node import NodeOptions
from devcluster.node_api import NodeApi, Object
from devcluster.volumes import CannotStartError, fetch, mounts_of

INHERITED = ("LANG", "LC_ALL", "TZ", "LD_LIBRARY_PATH")  # of this machine; a container starts with next to nothing


@dataclass(frozen=True)
class PodPlanner:
    """Makes the plans of one pod's containers."""

    pod: Object
    ip: str
    options: NodeOptions
    api: NodeApi
    folder: Path
    volumes: Mapping[str, Path]

    async def plan(self, container: Container) -> ProcessPlan:
        """How to start a container. Raises CannotStartError when its image or something that it refers to is missing."""
        spec = container.spec
        image = find_image(spec["image"])
        if MISSING in spec["image"] or (image is None and not spec.get("command")):
            raise CannotStartError(
                "ErrImagePull", f"image {spec['image']}: not known to this node, which needs a command for it"
            )
        mounts = mounts_of(spec, dict(self.volumes))
        mounts.append(Mount(spec.get("terminationMessagePath", "/dev/termination-log"), container.termination_log))
        env = {**self._base_environment(container, image, mounts), **await self._environment(spec)}
        env = {name: rewrite(value, mounts) for name, value in env.items()}
        entrypoint, command = (image.entrypoint, image.command) if image else ((), ())
        argv = [rewrite(expand(word, env), mounts) for word in arguments(spec, entrypoint, command)]
        return ProcessPlan(tuple(argv), env, self._working_folder(spec, image, mounts))

    def _working_folder(self, spec: Object, image: Image | None, mounts: list[Mount]) -> Path:
        if named := spec.get("workingDir"):
            return Path(rewrite(named, mounts))
        if image and image.folder:
            return image.folder
        folder = self.folder / "work"
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def _base_environment(self, container: Container, image: Image | None, mounts: list[Mount]) -> dict[str, str]:
        server = urlsplit(self.options.server)
        home, temporary = self.folder / "home", self.folder / "tmp"
        for made in (home, temporary):
            made.mkdir(parents=True, exist_ok=True)
        env = {name: os.environ[name] for name in INHERITED if name in os.environ}
        env |= {
            "PATH": image_path(image),
            "HOME": str(home),
            "TMPDIR": str(temporary),
            "HOSTNAME": self.pod["spec"].get("hostname") or self.pod["metadata"]["name"],
            "KUBERNETES_SERVICE_HOST": server.hostname or "",
            "KUBERNETES_SERVICE_PORT": str(server.port),
            "KUBERNETES_SERVICE_PORT_HTTPS": str(server.port),
            "POD_IP": self.ip,
            "RUNG_METRICS_HOST": self.ip,  # pods share the machine: each listens on its own address
            "RUNG_TERMINATION_LOG": str(container.termination_log),
            "CUDA_VISIBLE_DEVICES": ",".join(map(str, container.gpus)),
        }
        for mount in mounts:
            if mount.path.rstrip("/") == SERVICE_ACCOUNT_FOLDER:
                env["RUNG_SERVICEACCOUNT_DIR"] = str(mount.real)
        return {**env, **(image.env if image else {})}

    async def _environment(self, spec: Object) -> dict[str, str]:
        """`envFrom`, then `env`, each of which may use the ones before it."""
        env: dict[str, str] = {}
        for source in spec.get("envFrom") or []:
            prefix = source.get("prefix", "")
            for kind, resource in (("configMapRef", "configmaps"), ("secretRef", "secrets")):
                if reference := source.get(kind):
                    found = await self._content(resource, reference)
                    env |= {f"{prefix}{name}": value for name, value in found.items()}
        known = {"POD_IP": self.ip, "HOSTNAME": socket.gethostname()}
        for variable in spec.get("env") or []:
            if "valueFrom" in variable:
                value = await self._value_from(spec, variable["name"], variable["valueFrom"])
            else:
                value = expand(variable.get("value") or "", {**known, **env})
            if value is not None:
                env[variable["name"]] = value
        return env

    async def _value_from(self, spec: Object, name: str, source: Object) -> str | None:
        if reference := source.get("fieldRef"):
            try:
                return field_value(self.pod, reference["fieldPath"], pod_ip=self.ip, host_ip=self.options.address)
            except KeyError as error:
                raise CannotStartError("CreateContainerConfigError", f"env {name}: no such field {error}") from error
        if reference := source.get("resourceFieldRef"):
            return resource_value(spec, reference)
        for kind, resource in (("configMapKeyRef", "configmaps"), ("secretKeyRef", "secrets")):
            if reference := source.get(kind):
                found = await self._content(resource, reference)
                if reference["key"] in found:
                    return found[reference["key"]]
                if reference.get("optional"):
                    return None
                missing = f"env {name}: no key {reference['key']} in {resource[:-1]} {reference['name']}"
                raise CannotStartError("CreateContainerConfigError", missing)
        raise CannotStartError("CreateContainerConfigError", f"env {name}: a process node knows no {', '.join(source)}")

    async def _content(self, resource: str, reference: Object) -> dict[str, str]:
        optional = bool(reference.get("optional", False))
        found = await fetch(self.api, self.pod, resource, reference["name"], optional=optional)
        data: dict[str, str] = found.get("data") or {}
        if resource == "secrets":
            return {key: base64.b64decode(value).decode(errors="replace") for key, value in data.items()}
        return data
