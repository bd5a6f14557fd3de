"""Waiting for a state, with a deadline. A poll costs a request or more, so they come less often the longer it takes: nothing waits a
twentieth longer than the state takes."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

PAUSE_SECONDS = 0.05  # at first
PAUSE_SHARE = 0.05  # of the time waited so far


def wait_until(what: str, probe: Callable[[], T], *, timeout: float, show: Callable[[], object] | None = None) -> T:
    """The first truthy answer of `probe`. Raises AssertionError, with what `show` says, when the time is over."""
    began = time.monotonic()
    while True:
        found = probe()
        if found:
            return found
        waited = time.monotonic() - began
        if waited >= timeout:
            shown = "" if show is None else f"\n{show()}"
            raise AssertionError(f"not within {timeout:g} s: {what} (the last answer was {found!r}){shown}")
        time.sleep(max(PAUSE_SECONDS, PAUSE_SHARE * waited))
