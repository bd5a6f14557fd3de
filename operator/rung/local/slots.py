"""What of this machine an attempt may use for itself: whole GPUs and, where asked for, CPU cores; lowest first, given
back when it has ended.

A study's `nvidia.com/gpu` is counted as on a cluster. On a machine without GPUs it is a hint only: everything may
start, and CUDA_VISIBLE_DEVICES is left alone.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

VISIBLE = "CUDA_VISIBLE_DEVICES"
_DEVICE = re.compile(r"nvidia\d+")


def gpus(environment: Mapping[str, str], count: int | None = None, *, folder: Path = Path("/dev")) -> tuple[str, ...]:
    """Ids of the GPUs to share out: `count` of those that CUDA_VISIBLE_DEVICES names, else of those that /dev shows.

    More than are to be seen are believed: a driver may show its devices elsewhere.
    """
    visible = environment.get(VISIBLE)
    if visible is not None:
        found = [name.strip() for name in visible.split(",") if name.strip() not in {"", "-1", "none", "NoDevFiles"}]
    else:
        nodes = folder.iterdir() if folder.is_dir() else ()
        found = [str(i) for i in range(sum(1 for node in nodes if _DEVICE.fullmatch(node.name)))]
    if count is None:
        return tuple(found)
    found += [str(i) for i in range(count) if str(i) not in found] if len(found) < count else []
    return tuple(found[:count])


def cores() -> tuple[str, ...]:
    """Ids of the CPU cores that this process may use; none where processes cannot be bound to cores."""
    return tuple(str(core) for core in sorted(os.sched_getaffinity(0))) if hasattr(os, "sched_setaffinity") else ()


@dataclass(slots=True)
class Slots:
    """Things of one kind, and who has them. No two owners ever have the same one."""

    all: tuple[str, ...]
    taken: dict[object, tuple[str, ...]] = field(default_factory=dict)

    def could_ever_take(self, wanted: int) -> bool:
        """This many would fit if nothing else ran."""
        return not self.all or wanted <= len(self.all)

    def take(self, owner: object, wanted: int) -> tuple[str, ...] | None:
        """Some for the owner: none where none are wanted or the machine has none; None while too few are free."""
        if not self.all or not wanted:
            return ()
        busy = {one for held in self.taken.values() for one in held}
        free = [one for one in self.all if one not in busy]
        if len(free) < wanted:
            return None
        self.taken[owner] = tuple(free[:wanted])
        return self.taken[owner]

    def give_back(self, owner: object) -> None:
        """Free again. An owner that has none is no error."""
        self.taken.pop(owner, None)
