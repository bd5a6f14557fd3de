"""The lease as a state machine, without a clock or a cluster: who may take it, when, and what is written.

Whole elections are held on an API server, in test_lease_on_cluster.py.
"""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rung.kube.lease import Act, Seen, Timing, next_act, taken

WALL = "2026-01-01T00:00:00.000000Z"


def a_lease(holder: str = "other", *, version: str = "1", duration: int = 15, **spec: Any) -> dict[str, Any]:
    return {
        "metadata": {"name": "l", "namespace": "n", "resourceVersion": version},
        "spec": {"holderIdentity": holder, "leaseDurationSeconds": duration, **spec},
    }


@pytest.mark.parametrize(
    ("lease", "seen", "now", "want"),
    [
        pytest.param(None, None, 0.0, Act.CREATE, id="there is none"),
        pytest.param(a_lease(""), None, 0.0, Act.TAKE, id="it was handed back"),
        pytest.param(a_lease("me"), None, 0.0, Act.TAKE, id="it is ours already"),
        pytest.param(a_lease(), None, 0.0, Act.WAIT, id="somebody holds it, seen for the first time"),
        pytest.param(a_lease(renewTime="2001-01-01T00:00:00Z"), None, 0.0, Act.WAIT, id="times of others say nothing"),
        pytest.param(a_lease(), Seen("1", 0.0), 14.9, Act.WAIT, id="unchanged for less than its duration"),
        pytest.param(a_lease(), Seen("1", 0.0), 15.0, Act.TAKE, id="unchanged for its duration"),
        pytest.param(a_lease(duration=60), Seen("1", 0.0), 15.0, Act.WAIT, id="the record's own duration counts"),
        pytest.param(a_lease(version="2"), Seen("1", 0.0), 100.0, Act.WAIT, id="renewed since we looked last"),
    ],
)
def test_who_may_take_the_lease(lease: dict[str, Any] | None, seen: Seen | None, now: float, want: Act) -> None:
    assert next_act(lease, seen, "me", now)[0] is want


@given(
    gaps=st.lists(st.floats(0.01, 14.9), min_size=1, max_size=40),
    looks=st.integers(1, 4),
    skew=st.floats(-1e6, 1e6),
)
def test_a_leader_that_renews_in_time_is_never_replaced(gaps: list[float], looks: int, skew: float) -> None:
    now, seen = skew, None
    for version, gap in enumerate(gaps):
        for _ in range(looks):
            act, seen = next_act(a_lease(version=str(version)), seen, "me", now)
            assert act is Act.WAIT
            now += gap / looks


@given(start=st.floats(-1e6, 1e6), retry=st.floats(0.1, 5.0))
def test_a_dead_leader_is_replaced_after_its_duration_and_one_retry_at_most(start: float, retry: float) -> None:
    now, seen = start, None
    act, seen = next_act(a_lease(), seen, "me", now)
    while act is Act.WAIT:
        now += retry
        act, seen = next_act(a_lease(), seen, "me", now)
    assert 15.0 - 1e-6 <= now - start <= 15.0 + retry + 1e-6


@pytest.mark.parametrize(
    ("lease", "transitions", "acquired"),
    [
        pytest.param(None, 0, WALL, id="the first holder ever"),
        pytest.param(a_lease("me", leaseTransitions=3, acquireTime="then"), 3, "then", id="a renewal"),
        pytest.param(a_lease("other", leaseTransitions=3, acquireTime="then"), 4, WALL, id="a new holder"),
        pytest.param(a_lease(""), 1, WALL, id="after it was handed back"),
    ],
)
def test_what_is_written(lease: dict[str, Any] | None, transitions: int, acquired: str) -> None:
    document = taken(lease, "l", "n", "me", 15.0, WALL)
    assert document["spec"] == {
        "holderIdentity": "me",
        "leaseDurationSeconds": 15,
        "acquireTime": acquired,
        "renewTime": WALL,
        "leaseTransitions": transitions,
    }


def test_a_write_carries_the_version_that_was_read_so_that_only_one_candidate_wins() -> None:
    assert taken(a_lease(version="7"), "l", "n", "me", 15.0, WALL)["metadata"]["resourceVersion"] == "7"


@pytest.mark.parametrize(
    "figures",
    [
        pytest.param((10.0, 10.0, 2.0), id="no time to stop before others start"),
        pytest.param((15.0, 2.0, 2.0), id="no second try"),
        pytest.param((15.0, 10.0, 0.0), id="no pause"),
    ],
)
def test_timings_that_would_let_two_lead_are_refused(figures: tuple[float, float, float]) -> None:
    with pytest.raises(ValueError, match="duration > renew_deadline > retry > 0"):
        Timing(*figures)
