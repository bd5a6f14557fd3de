"""What happened to the Trials, Jobs and pods of one namespace, from watches, and what guarantee 3 says about it.

Events of all kinds are put into the store's own order (the revision counts over all kinds), so a property such as "never more
active attempts than parallelism" is checked at every single write and not at moments that happened to be looked at.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

from rung.api.names import ATTEMPT_LABEL, STUDY_LABEL, TRIAL_LABEL
from tests.cluster.api import Api, Document, Watch, WatchEvent, resource

KINDS = ("trials", "jobs", "pods")
ENDED = frozenset({"Succeeded", "Failed"})


@dataclass(frozen=True, slots=True)
class Change:
    """One event of one kind."""

    kind: str
    event: WatchEvent

    @property
    def study(self) -> str:
        """The study that the object belongs to; "" if to none."""
        return str((self.event.object["metadata"].get("labels") or {}).get(STUDY_LABEL, ""))

    @property
    def attempt(self) -> tuple[int, int]:
        """Trial number and attempt, from the labels; attempt 0 for a Trial."""
        labels = self.event.object["metadata"]["labels"]
        return int(labels[TRIAL_LABEL]), int(labels.get(ATTEMPT_LABEL, 0))


class History:
    """`with History(api, namespace) as history:` records until the block is left; `changes()` may be asked at any time."""

    def __init__(self, api: Api, namespace: str) -> None:
        self._api = api
        self._namespace = namespace
        self._lock = threading.Lock()
        self._changes: list[Change] = []
        self._watches: list[Watch] = []
        self._threads: list[threading.Thread] = []
        self._closing = False
        self._failure: Exception | None = None

    def __enter__(self) -> Self:
        for kind in KINDS:
            listed = self._api.get(resource(kind, self._namespace))
            if listed["items"]:
                raise RuntimeError(f"{kind} exist in {self._namespace} already: their history is not known")
            watch = self._api.watch(resource(kind, self._namespace), listed["metadata"]["resourceVersion"])
            thread = threading.Thread(target=self._follow, args=(kind, watch), name=f"watch {kind}", daemon=True)
            self._watches.append(watch)
            self._threads.append(thread)
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing = True
        for watch in self._watches:
            watch.close()
        for thread in self._threads:
            thread.join(10)
        if self._failure is not None and error is None:
            raise self._failure

    def __len__(self) -> int:
        """Changes seen so far."""
        return len(self._changes)

    def changes(self, study: str | None = None) -> list[Change]:
        """All so far, in the store's order; of one study or of all."""
        with self._lock:
            found = sorted(self._changes, key=lambda change: change.event.revision)
        return [change for change in found if change.study and (study is None or change.study == study)]

    def _follow(self, kind: str, watch: Watch) -> None:
        try:
            for event in watch:
                with self._lock:
                    self._changes.append(Change(kind, event))
        except Exception as error:  # noqa: BLE001 - raised where the block is left
            self._failure = self._failure or error
        else:
            if not self._closing:
                self._failure = RuntimeError(f"the server ended the watch of {kind}: the history has a hole")


@dataclass(slots=True)
class Attempts:
    """A replay of changes: which attempts exist, and which of them are active (their pod has not ended)."""

    jobs: dict[tuple[int, int], str] = field(default_factory=dict)  # those that exist now: uid
    pods: dict[tuple[int, int], bool] = field(default_factory=dict)  # every pod that ever was: still running?

    def apply(self, change: Change) -> None:
        """One more change."""
        gone = change.event.type == "DELETED"
        if change.kind == "jobs":
            if gone:
                self.jobs.pop(change.attempt, None)
            else:
                self.jobs[change.attempt] = change.event.object["metadata"]["uid"]
        elif change.kind == "pods":
            ended = gone or (change.event.object.get("status") or {}).get("phase") in ENDED
            self.pods[change.attempt] = not ended

    @property
    def active(self) -> set[tuple[int, int]]:
        """Attempts that take a slot."""
        return {key for key, runs in self.pods.items() if runs} | {key for key in self.jobs if key not in self.pods}


def violations(changes: Iterable[Change], parallelism: int) -> list[str]:
    """What contradicts guarantee 3 in the history of one study. [] if nothing does."""
    found: list[str] = []
    attempts = Attempts()
    uids: dict[tuple[str, tuple[int, int]], str] = {}
    trials: dict[str, Document] = {}
    for change in changes:
        metadata = change.event.object["metadata"]
        attempts.apply(change)
        where = f"at revision {change.event.revision}"
        known = uids.setdefault((change.kind, change.attempt), metadata["uid"])
        if known != metadata["uid"]:
            found.append(f"{where}: two {change.kind} for (trial, attempt) {change.attempt}")
            uids[change.kind, change.attempt] = metadata["uid"]
        if len(attempts.active) > parallelism:
            found.append(
                f"{where}: {len(attempts.active)} active attempts {sorted(attempts.active)}, parallelism {parallelism}"
            )
        if change.kind == "jobs" and change.event.type == "ADDED":
            owner = next((o for o in metadata.get("ownerReferences") or () if o.get("controller")), None)
            if owner is None or owner["kind"] != "Trial" or owner["uid"] not in trials:
                found.append(f"{where}: Job {metadata['name']} has no owner that exists: {owner}")
        if change.kind == "trials":
            before = trials.get(metadata["uid"])
            found += [f"{where}: trial {metadata['name']}: {said}" for said in _lost(before, change.event.object)]
            trials[metadata["uid"]] = change.event.object
    return found


def _lost(before: Document | None, after: Document) -> Iterator[str]:
    """What a Trial said once and says no longer, or says differently."""
    if before is None:
        return
    if before["spec"]["parameters"] != after["spec"]["parameters"]:
        yield f"parameters changed from {before['spec']['parameters']} to {after['spec']['parameters']}"
    rungs: dict[int, Document] = {r["step"]: r for r in _status(after).get("rungs") or ()}
    for old in _status(before).get("rungs") or ():
        new = rungs.get(old["step"])
        if new is None:
            yield f"the record of rung {old['step']} is gone"
        elif (new["value"], new["order"]) != (old["value"], old["order"]):
            yield f"the record of rung {old['step']} changed from {old} to {new}"
        elif old["verdict"] != "Open" and new["verdict"] != old["verdict"]:
            yield f"the verdict at rung {old['step']} changed from {old['verdict']} to {new['verdict']}"
    if _status(before).get("finished") and not _status(after).get("finished"):
        yield "it was finished and is not any more"
    if int(_status(before).get("attempt") or 0) > int(_status(after).get("attempt") or 0):
        yield "its attempt went down"


def _status(document: Document) -> dict[str, Any]:
    return document.get("status") or {}


@dataclass(frozen=True, slots=True)
class Moments:
    """When pods were seen to run and to end, in the order seen (seconds on the monotonic clock)."""

    starts: tuple[float, ...]
    ends: tuple[float, ...]

    @staticmethod
    def of(changes: Iterable[Change]) -> Moments:
        """From a history of pods: the first sight of each phase counts."""
        starts: dict[str, float] = {}
        ends: dict[str, float] = {}
        for change in changes:
            if change.kind != "pods":
                continue
            name = change.event.object["metadata"]["name"]
            phase = (change.event.object.get("status") or {}).get("phase")
            if phase == "Running" or phase in ENDED:
                starts.setdefault(name, change.event.at)
            if phase in ENDED or (change.event.type == "DELETED" and name in starts):
                ends.setdefault(name, change.event.at)
        return Moments(tuple(sorted(starts.values())), tuple(sorted(ends.values())))

    def refills(self, parallelism: int) -> list[float]:
        """Seconds from the i-th end to the start that fills the slot it freed: the (parallelism + i)-th."""
        return [start - end for end, start in zip(self.ends, self.starts[parallelism:], strict=False)]
