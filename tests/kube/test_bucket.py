"""The token bucket with a virtual clock: never faster than the rate, never slower than it either."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rung.kube.bucket import TokenBucket


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.now += seconds


def bucket_of(clock: Clock, rate: float, burst: int) -> TokenBucket:
    return TokenBucket(rate, burst, clock=clock, sleep=clock.sleep)


async def test_a_burst_goes_at_once_and_the_rest_at_the_rate() -> None:
    clock = Clock()
    bucket = bucket_of(clock, 10.0, 3)
    waited = [await bucket.take() for _ in range(6)]
    assert waited == pytest.approx([0, 0, 0, 0.1, 0.1, 0.1])


async def test_what_was_not_used_is_not_saved_beyond_the_burst() -> None:
    clock = Clock()
    bucket = bucket_of(clock, 10.0, 3)
    clock.now = 100.0
    assert [await bucket.take() for _ in range(4)] == pytest.approx([0, 0, 0, 0.1])


async def test_nothing_goes_out_while_the_server_asks_for_patience() -> None:
    clock = Clock()
    bucket = bucket_of(clock, 10.0, 3)
    bucket.close_for(2.0)
    assert await bucket.take() == pytest.approx(2.0)
    assert await bucket.take() == 0


@given(rate=st.floats(0.5, 100), burst=st.integers(1, 20), pauses=st.lists(st.floats(0, 5), min_size=1, max_size=60))
async def test_in_no_stretch_of_time_more_than_burst_and_rate_allow(
    rate: float, burst: int, pauses: list[float]
) -> None:
    clock = Clock()
    bucket = bucket_of(clock, rate, burst)
    times = []
    for pause in pauses:
        clock.now += pause
        await bucket.take()
        times.append(clock.now)
    for first in range(len(times)):
        for last in range(first, len(times)):
            assert last - first + 1 <= burst + rate * (times[last] - times[first]) + 1e-6


@pytest.mark.parametrize(("rate", "burst"), [pytest.param(0, 1, id="no rate"), pytest.param(1, 0, id="no burst")])
def test_a_bucket_that_would_never_give_is_refused(rate: float, burst: int) -> None:
    with pytest.raises(ValueError, match="token bucket"):
        TokenBucket(rate, burst)
