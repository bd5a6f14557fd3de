"""The floor that a control plane sets: the same pods as bare Jobs, kept at a parallelism by a plain loop.

The loop knows nothing but Jobs: it creates while there is room and counts those that are not Complete, by LIST. With `watch` it
hears of completed Jobs from a watch instead, the fastest that a controller of Jobs alone can be.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from typing import Any

from rung.api.names import ATTEMPT_LABEL, STUDY_LABEL, TRIAL_LABEL
from tests.cluster.api import Api, Document, resource

POLL_SECONDS = 0.1
STUDY = "bare"


def job(number: int, pod_template: Mapping[str, Any]) -> Document:
    """One Job, labelled as an attempt is so that the same eyes can follow it."""
    labels = {STUDY_LABEL: STUDY, TRIAL_LABEL: str(number), ATTEMPT_LABEL: "1"}
    metadata = {**pod_template.get("metadata", {}), "labels": labels}
    spec = {**pod_template["spec"], "restartPolicy": "Never"}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": f"{STUDY}-{number}", "labels": labels},
        "spec": {"backoffLimit": 0, "template": {"metadata": metadata, "spec": spec}},
    }


def run_bare(
    api: Api, namespace: str, pod_template: Mapping[str, Any], *, jobs: int, parallelism: int, watch: bool = False
) -> float:
    """Run so many Jobs; returns the seconds from the first create to the last Complete."""
    began = time.monotonic()
    if watch:
        _by_watch(api, namespace, pod_template, jobs, parallelism)
    else:
        _by_list(api, namespace, pod_template, jobs, parallelism)
    return time.monotonic() - began


def _by_list(api: Api, namespace: str, pod_template: Mapping[str, Any], jobs: int, parallelism: int) -> None:
    created = complete = 0
    while complete < jobs:
        while created < jobs and created - complete < parallelism:
            api.create("jobs", namespace, job(created, pod_template))
            created += 1
        time.sleep(POLL_SECONDS)
        complete = sum(_complete(document) for document in api.items("jobs", namespace))


def _by_watch(api: Api, namespace: str, pod_template: Mapping[str, Any], jobs: int, parallelism: int) -> None:
    path = resource("jobs", namespace)
    watch = api.watch(path, api.get(path)["metadata"]["resourceVersion"])
    room = threading.Semaphore(parallelism)
    done: set[str] = set()
    all_done = threading.Event()

    def follow() -> None:
        for event in watch:
            name = event.object["metadata"]["name"]
            if name not in done and _complete(event.object):
                done.add(name)
                room.release()
                if len(done) == jobs:
                    all_done.set()
                    return

    thread = threading.Thread(target=follow, daemon=True)
    thread.start()
    for number in range(jobs):
        room.acquire()
        api.create("jobs", namespace, job(number, pod_template))
    all_done.wait()
    watch.close()
    thread.join(5)


def _complete(document: Document) -> bool:
    conditions = (document.get("status") or {}).get("conditions") or ()
    return any(c["type"] in {"Complete", "Failed"} and c["status"] == "True" for c in conditions)
