"""PersistentVolumes on demand: a folder for each PersistentVolumeClaim of the cluster's own class.

One node of the cluster does this (the first process node). A volume's folder goes with its claim, unless its reclaim
policy is Retain.
"""

from __future__ import annotations

import asyncio
import logging
import shutil
from pathlib import Path

from devcluster.errors import ApiError
from devcluster.names import PROVISIONER, STORAGE_CLASS
from devcluster.node_api import NodeApi, Object

VOLUMES = "/api/v1/persistentvolumes"
log = logging.getLogger(__name__)


async def provide_volumes(api: NodeApi, folder: Path) -> None:
    """Serve claims for ever."""
    async for kind, claim in api.watch("/api/v1/persistentvolumeclaims", {}):
        if claim["spec"].get("storageClassName") != STORAGE_CLASS:
            continue
        try:
            if kind == "DELETED":
                await _remove(api, claim, folder)
            elif not claim["spec"].get("volumeName") and "deletionTimestamp" not in claim["metadata"]:
                await _make(api, claim, folder)
        except (ApiError, OSError) as error:
            log.warning("volume for claim %s: %s", claim["metadata"]["name"], error)


async def _make(api: NodeApi, claim: Object, folder: Path) -> None:
    meta = claim["metadata"]
    name = f"pvc-{meta['uid']}"
    path = folder / name
    path.mkdir(parents=True, exist_ok=True)
    reference = {key: meta[key] for key in ("name", "namespace", "uid")}
    volume = {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": name, "annotations": {"pv.kubernetes.io/provisioned-by": PROVISIONER}},
        "spec": {
            "storageClassName": STORAGE_CLASS,
            "capacity": {"storage": claim["spec"]["resources"]["requests"]["storage"]},
            "accessModes": claim["spec"]["accessModes"],
            # Retain for the volume controller, which knows no plug-in that could delete it; done here instead.
            "persistentVolumeReclaimPolicy": "Retain",
            "hostPath": {"path": str(path)},
            "claimRef": {"kind": "PersistentVolumeClaim", "apiVersion": "v1", **reference},
        },
    }
    try:
        await api.request("POST", VOLUMES, volume)
    except ApiError as error:
        if error.status != 409:
            raise


async def _remove(api: NodeApi, claim: Object, folder: Path) -> None:
    name = f"pvc-{claim['metadata']['uid']}"
    try:
        await api.request("DELETE", f"{VOLUMES}/{name}")
    except ApiError as error:
        if error.status != 404:
            raise
    await asyncio.to_thread(shutil.rmtree, folder / name, ignore_errors=True)
