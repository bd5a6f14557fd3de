"""A growing log, each line once: files by offset, Kubernetes' logs by time with an overlap."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rung.api.facts import Observation
from rung.observe.extract import Sightings, Wanted
from rung.observe.logtail import LogPosition, LogTail

WANTED = Wanted.of(None, ("loss",), "epoch")


class KubernetesLog:
    """As the kubelet gives it: from a time on with seconds as its grain, stamped, cut at the limit."""

    def __init__(self) -> None:
        self.lines: list[tuple[int, int, str]] = []  # seconds, nanoseconds, text

    def write(self, second: int, nano: int, text: str) -> None:
        self.lines.append((second, nano, text))

    def read(self, position: LogPosition) -> bytes:
        since = int(datetime.fromisoformat(position.time).timestamp()) if position.time else 0
        text = "".join(
            f"{datetime.fromtimestamp(s, UTC):%Y-%m-%dT%H:%M:%S}.{n:09}Z {t}\n" for s, n, t in self.lines if s >= since
        )
        return text.encode()[: position.limit]


def taken(tail: LogTail, chunk: bytes) -> list[Observation]:
    return [o for found in tail.read(chunk) for o in found]


def test_a_file_is_read_by_offset() -> None:
    tail = LogTail(WANTED, Sightings(), stamped=False)
    body = b"epoch=1 loss=1\nepoch=2 lo"
    assert taken(tail, body) == [Observation(1, {"loss": 1})]
    assert tail.position.offset == len(body)
    assert taken(tail, b"ss=2\nepoch=3 loss=3") == [Observation(2, {"loss": 2})]
    assert tail.finish() == [Observation(3, {"loss": 3})]


def test_an_overlap_is_taken_once_and_equal_times_are_told_apart() -> None:
    log, tail = KubernetesLog(), LogTail(WANTED, Sightings(), stamped=True)
    log.write(100, 5, "epoch=1 loss=1")
    log.write(100, 5, "epoch=2 loss=2")
    assert [o.step for o in taken(tail, log.read(tail.position))] == [1, 2]
    assert taken(tail, log.read(tail.position)) == []
    log.write(100, 5, "epoch=3 loss=3")
    log.write(100, 7, "epoch=4 loss=4")
    assert [o.step for o in taken(tail, log.read(tail.position))] == [3, 4]
    assert tail.position.time == "1970-01-01T00:01:40.000000007Z"


def test_a_torn_line_waits_and_counts_at_the_end() -> None:
    log, tail = KubernetesLog(), LogTail(WANTED, Sightings(), stamped=True)
    log.write(100, 1, "epoch=1 loss=1")
    whole = log.read(tail.position)
    assert taken(tail, whole[:-1]) == []
    assert tail.finish() == [Observation(1, {"loss": 1})]


def test_a_flood_within_one_second_does_not_stop_the_reading() -> None:
    sightings = Sightings()
    log, tail = KubernetesLog(), LogTail(WANTED, sightings, stamped=True, limit=1000)
    for i in range(100):
        log.write(100, i, f"epoch={i} loss=1")
    log.write(101, 0, "epoch=500 loss=5")
    found: list[Observation] = []
    for _ in range(4):
        found += taken(tail, log.read(tail.position))
    assert found[-1] == Observation(500, {"loss": 5})
    assert any("within one second" in problem for problem in sightings.problems)


MOMENTS = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 2)), max_size=40)


@given(MOMENTS, st.lists(st.integers(0, 40), max_size=6), st.integers(120, 400))
def test_every_line_is_taken_exactly_once(moments: list[tuple[int, int]], reads: list[int], limit: int) -> None:
    log, tail = KubernetesLog(), LogTail(WANTED, Sightings(), stamped=True, limit=10_000 + limit)
    steps: list[float] = []
    for count, (second, nano) in enumerate(sorted(moments)):
        if count in reads:
            steps += [o.step for o in taken(tail, log.read(tail.position))]
        log.write(second, nano, f"epoch={count} loss=1")
    steps += [o.step for o in taken(tail, log.read(tail.position))]
    assert steps == list(range(len(moments)))


def test_a_clock_that_jumps_back_within_what_is_read_loses_and_doubles_nothing() -> None:
    log, tail = KubernetesLog(), LogTail(WANTED, Sightings(), stamped=True)
    for step, second in enumerate((100, 105, 106, 101, 102)):
        log.write(second, step, f"epoch={step} loss=1")
    steps = [o.step for o in taken(tail, log.read(tail.position))]
    log.write(103, 0, "epoch=5 loss=1")
    steps += [o.step for o in taken(tail, log.read(tail.position))]
    assert steps == [0, 1, 2, 3, 4, 5]


def test_a_clock_that_jumps_back_between_two_looks_hides_lines_until_it_has_caught_up() -> None:
    log, tail = KubernetesLog(), LogTail(WANTED, Sightings(), stamped=True)
    log.write(106, 0, "epoch=0 loss=1")
    assert [o.step for o in taken(tail, log.read(tail.position))] == [0]
    log.write(101, 0, "epoch=1 loss=1")
    assert taken(tail, log.read(tail.position)) == []
    log.write(107, 0, "epoch=2 loss=1")
    assert [o.step for o in taken(tail, log.read(tail.position))] == [2]


def test_a_clock_that_jumps_ahead_changes_nothing() -> None:
    log, tail = KubernetesLog(), LogTail(WANTED, Sightings(), stamped=True)
    steps = []
    for step, second in enumerate((100, 90_000, 90_001)):
        log.write(second, 0, f"epoch={step} loss=1")
        steps += [o.step for o in taken(tail, log.read(tail.position))]
    assert steps == [0, 1, 2]


def test_a_log_that_was_rotated_is_read_on_by_its_stamps() -> None:
    log, tail = KubernetesLog(), LogTail(WANTED, Sightings(), stamped=True)
    log.write(100, 1, "epoch=1 loss=1")
    taken(tail, log.read(tail.position))
    log.lines.clear()
    log.write(100, 0, "epoch=0 loss=1")
    log.write(100, 2, "epoch=2 loss=1")
    assert [o.step for o in taken(tail, log.read(tail.position))] == [2]


def test_of_a_line_that_was_overwritten_without_end_the_last_state_counts() -> None:
    log, sightings = KubernetesLog(), Sightings()
    tail = LogTail(WANTED, sightings, stamped=True)
    log.write(100, 0, "\r".join(f"epoch={step} loss={step}" for step in range(30_000)))
    log.write(100, 1, "epoch=30000 loss=1")
    found = taken(tail, log.read(tail.position))
    steps = [o.step for o in found]
    assert steps[:2500] == list(range(2500))
    assert steps[-2:] == [29_999, 30_000]
    assert len(steps) < 6000
    assert ["overwritten too often" in problem for problem in sightings.problems] == [True]
    assert all(o.values["loss"] == o.step for o in found[:-1])  # no state was torn


def test_so_does_that_of_a_last_line_that_no_newline_ended() -> None:
    tail = LogTail(WANTED, Sightings(), stamped=True)
    states = "\r".join(f"epoch={step} loss={step}" for step in range(30_000))
    assert taken(tail, f"2026-01-01T00:00:00Z {states}".encode()) == []
    steps = [o.step for o in tail.finish()]
    assert steps[-1] == 29_999
    assert len(steps) < 6000


@pytest.mark.parametrize(
    "none", ["2026-99-01T00:00:00.000000002Z", "2026-01-01T00:00:01+99:99", "9999-12-31T23:59:59Z"]
)
def test_a_piece_is_known_by_its_last_stamp_that_is_a_time(none: str) -> None:
    tail = LogTail(WANTED, Sightings(), stamped=True)
    stamp = "2026-01-01T00:00:00.000000001Z"
    found = taken(tail, f"{stamp} epoch=1 loss=1\n{none} epoch=2 loss=1\nepoch=3 loss=1\n".encode())
    assert [o.step for o in found] == [1, 2, 3]
    assert tail.position.time == stamp
