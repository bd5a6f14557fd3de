"""A token bucket: `rate` writes per second on average, `burst` at once.

Callers are served in the order in which they came. The clock and the sleep are arguments, so that an hour of waiting is
tested in a millisecond. Tokens may be owed: a caller reserves its token at once and sleeps until that token exists,
which keeps the order without a queue.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

Sleep = Callable[[float], Awaitable[None]]


class TokenBucket:
    """Limits how fast requests are sent."""

    def __init__(
        self,
        rate: float,
        burst: int,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        if rate <= 0 or burst < 1:
            raise ValueError(f"a token bucket needs a rate above 0 and a burst of at least 1, got {rate} and {burst}")
        self._rate = rate
        self._burst = float(burst)
        self._clock = clock
        self._sleep = sleep
        self._tokens = float(burst)
        self._at = clock()
        self._closed_until = self._at

    async def take(self) -> float:
        """Wait for a token; returns the seconds waited."""
        now = self._clock()
        self._fill(now)
        self._tokens -= 1
        wait = max(-self._tokens / self._rate, self._closed_until - now, 0.0)
        if wait > 0:
            try:
                await self._sleep(wait)
            except asyncio.CancelledError:
                self._tokens += 1  # it was not used: whoever comes next may have it
                raise
        return wait

    def close_for(self, seconds: float) -> None:
        """Hand out nothing for a while: the server has asked for it."""
        self._closed_until = max(self._closed_until, self._clock() + seconds)

    def _fill(self, now: float) -> None:
        self._tokens = min(self._burst, self._tokens + (now - self._at) * self._rate)
        self._at = now
