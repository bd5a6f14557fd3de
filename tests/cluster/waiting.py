"""Waiting for a state, with a deadline. Polling costs one small request; nothing waits longer than the state takes."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

PAUSE_SECONDS = 0.05


def wait_until(what: str, probe: Callable[[], T], *, timeout: float, show: Callable[[], object] | None = None) -> T:
    """The first truthy answer of `probe`. Raises AssertionError, with what `show` says, when the time is over."""
    deadline = time.monotonic() + timeout
    while True:
        found = probe()
        if found:
            return found
        if time.monotonic() >= deadline:
            shown = "" if show is None else f"\n{show()}"
            raise AssertionError(f"not within {timeout:g} s: {what} (the last answer was {found!r}){shown}")
        time.sleep(PAUSE_SECONDS)
