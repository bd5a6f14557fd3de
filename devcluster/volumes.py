"""A pod's volumes as real folders below the pod's own: emptyDir, hostPath, configMap, secret, projected, downwardAPI, PVC."""

from __future__ import annotations

import asyncio
import base64
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from devcluster.container_setup import Mount, field_value
from devcluster.errors import ApiError
from devcluster.node_api import NodeApi, Object

MISSING_SECONDS = 10.0  # kube-root-ca.crt appears a moment after its namespace
MISSING_PAUSE = 0.1


class CannotStartError(Exception):
    """A pod cannot start; `reason` is the container's waiting reason, as a kubelet would write it."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message


@dataclass(frozen=True)
class Volumes:
    """Makes the volumes of one pod."""

    api: NodeApi
    pod: Object
    folder: Path
    pod_ip: str
    host_ip: str

    async def make_all(self) -> dict[str, Path]:
        """Every volume's folder, by name. Raises CannotStartError."""
        return {volume["name"]: await self._make(volume) for volume in self.pod["spec"].get("volumes", [])}

    async def _make(self, volume: Object) -> Path:
        makers: dict[str, Callable[[Path, Object], Awaitable[Path]]] = {
            "emptyDir": self._empty,
            "hostPath": self._host_path,
            "configMap": self._config_map,
            "secret": self._secret,
            "projected": self._projected,
            "downwardAPI": self._downward_api,
            "persistentVolumeClaim": self._claim,
            "ephemeral": self._ephemeral,
        }
        for kind, make in makers.items():
            if kind in volume:
                folder = self.folder / volume["name"]
                folder.mkdir(parents=True, exist_ok=True)
                try:
                    return await make(folder, {**volume[kind], "_volume": volume["name"]})
                except OSError as error:
                    raise CannotStartError("FailedMount", f"volume {volume['name']}: {error}") from error
        kinds = ", ".join(key for key in volume if key != "name")
        raise CannotStartError("FailedMount", f"volume {volume['name']}: a process node has no volumes of kind {kinds}")

    async def _empty(self, folder: Path, _: Object) -> Path:
        return folder

    async def _host_path(self, _: Path, source: Object) -> Path:
        return _host_folder(Path(source["path"]), source.get("type") or "")

    async def _config_map(self, folder: Path, source: Object) -> Path:
        found = await fetch(self.api, self.pod, "configmaps", source["name"], optional=source.get("optional", False))
        _write_items(folder, _config_map_content(found), source.get("items"))
        return folder

    async def _secret(self, folder: Path, source: Object) -> Path:
        name = source.get("secretName") or source["name"]
        found = await fetch(self.api, self.pod, "secrets", name, optional=source.get("optional", False))
        content = {key: base64.b64decode(value) for key, value in (found.get("data") or {}).items()}
        _write_items(folder, content, source.get("items"))
        return folder

    async def _projected(self, folder: Path, source: Object) -> Path:
        for part in source.get("sources") or []:
            if "serviceAccountToken" in part:
                await self._token(folder, part["serviceAccountToken"])
            elif "configMap" in part:
                await self._config_map(folder, part["configMap"])
            elif "secret" in part:
                await self._secret(folder, part["secret"])
            elif "downwardAPI" in part:
                await self._downward_api(folder, part["downwardAPI"])
        return folder

    async def _downward_api(self, folder: Path, source: Object) -> Path:
        for item in source.get("items") or []:
            if "fieldRef" in item:
                path = item["fieldRef"]["fieldPath"]
                value = field_value(self.pod, path, pod_ip=self.pod_ip, host_ip=self.host_ip)
                _write(folder / item["path"], value.encode())
        return folder

    async def _token(self, folder: Path, source: Object) -> None:
        """A token bound to this pod. Asked for with 3607 s, as admission does, the API server lets it live for long."""
        meta, spec = self.pod["metadata"], self.pod["spec"]
        wish: Object = {
            "expirationSeconds": source.get("expirationSeconds", 3600),
            "boundObjectRef": {"kind": "Pod", "apiVersion": "v1", "name": meta["name"], "uid": meta["uid"]},
        }
        if source.get("audience"):
            wish["audiences"] = [source["audience"]]
        account = spec.get("serviceAccountName", "default")
        path = f"/api/v1/namespaces/{meta['namespace']}/serviceaccounts/{account}/token"
        try:
            token = await self.api.request("POST", path, {"spec": wish})
        except ApiError as error:
            raise CannotStartError("FailedMount", f"no token for service account {account}: {error}") from error
        _write(folder / source["path"], token["status"]["token"].encode())

    async def _ephemeral(self, folder: Path, source: Object) -> Path:
        return await self._claim(folder, {"claimName": f"{self.pod['metadata']['name']}-{source['_volume']}"})

    async def _claim(self, _: Path, source: Object) -> Path:
        claim = await fetch(self.api, self.pod, "persistentvolumeclaims", source["claimName"], optional=False)
        name = claim["spec"].get("volumeName", "")
        try:
            volume = await self.api.request("GET", f"/api/v1/persistentvolumes/{name}")
        except ApiError as error:
            raise CannotStartError("FailedMount", f"claim {source['claimName']}: volume {name!r}: {error}") from error
        real = volume["spec"].get("hostPath") or volume["spec"].get("local")
        if not real:
            raise CannotStartError("FailedMount", f"volume {name} is neither hostPath nor local")
        return _host_folder(Path(real["path"]), "DirectoryOrCreate")


def mounts_of(container: Object, volumes: dict[str, Path]) -> list[Mount]:
    """A container's mounts as real paths. Raises CannotStartError for a subPath that cannot be made."""
    found = []
    for mount in container.get("volumeMounts") or []:
        real = volumes[mount["name"]]
        if sub_path := mount.get("subPath"):
            real /= sub_path
            if not real.exists():
                try:
                    real.mkdir(parents=True)
                except OSError as error:
                    raise CannotStartError("CreateContainerConfigError", f"subPath {sub_path}: {error}") from error
        found.append(Mount(mount["mountPath"], real))
    return found


async def fetch(api: NodeApi, pod: Object, resource: str, name: str, *, optional: bool) -> Object:
    """An object that a pod refers to; waits a little for one that is about to appear. Raises CannotStartError."""
    path = f"/api/v1/namespaces/{pod['metadata']['namespace']}/{resource}/{name}"
    deadline = time.monotonic() + (0.0 if optional else MISSING_SECONDS)
    while True:
        try:
            return await api.request("GET", path)
        except ApiError as error:
            if error.status != 404:
                raise CannotStartError("CreateContainerConfigError", f"{resource} {name}: {error}") from error
            if optional:
                return {}
            if time.monotonic() > deadline:
                raise CannotStartError("CreateContainerConfigError", f"{resource[:-1]} {name!r} not found") from error
        await asyncio.sleep(MISSING_PAUSE)


def _host_folder(path: Path, kind: str) -> Path:
    if kind == "DirectoryOrCreate":
        path.mkdir(parents=True, exist_ok=True)
    if kind and not path.exists():
        raise CannotStartError("FailedMount", f"hostPath {path} is not there (type {kind})")
    return path


def _config_map_content(found: Object) -> dict[str, bytes]:
    content = {key: value.encode() for key, value in (found.get("data") or {}).items()}
    return content | {key: base64.b64decode(value) for key, value in (found.get("binaryData") or {}).items()}


def _write_items(folder: Path, content: dict[str, bytes], items: list[Object] | None) -> None:
    chosen = {item["path"]: item["key"] for item in items} if items else {key: key for key in content}
    for path, key in chosen.items():
        if key in content:
            _write(folder / path, content[key])


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
