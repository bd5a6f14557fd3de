"""metav1 conditions: one of each type, dated from the last change of its status."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from rung.api.conditions import Condition, set_condition

NOON, ONE = "2026-01-01T12:00:00Z", "2026-01-01T13:00:00Z"


def running(status: str = "True", *, since: str = NOON, reason: str = "TrialsRunning") -> Condition:
    return Condition(
        type="Running",
        status=status,
        reason=reason,
        message="best trial 3",
        last_transition_time=since,
        observed_generation=1,
    )


def test_a_new_condition_comes_last_and_holds_from_now_on() -> None:
    first = set_condition((), "Accepted", "True", "Accepted", "it can run", NOON, 1)
    both = set_condition(first, "Running", "True", "TrialsRunning", "best trial 3", ONE, 1)
    assert both == (*first, running(since=ONE))


def test_a_changed_status_moves_the_transition_time() -> None:
    (changed,) = set_condition([running()], "Running", "False", "Suspended", "by spec", ONE, 2)
    assert (changed.status, changed.last_transition_time, changed.observed_generation) == ("False", ONE, 2)


def test_a_changed_reason_or_message_does_not() -> None:
    (changed,) = set_condition([running()], "Running", "True", "Other", "another best", ONE, 2)
    assert (changed.reason, changed.message, changed.last_transition_time) == ("Other", "another best", NOON)


def test_setting_what_is_already_said_changes_nothing() -> None:
    before = (running(),)
    assert set_condition(before, "Running", "True", "TrialsRunning", "best trial 3", ONE, 1) == before


def test_the_others_keep_their_place_and_the_argument_is_not_changed() -> None:
    before = [running(), Condition(type="Failed", status="False", last_transition_time=NOON)]
    after = set_condition(before, "Running", "False", "GoalReached", "done", ONE, 1)
    assert [c.type for c in after] == ["Running", "Failed"]
    assert after[1] is before[1]
    assert before[0].status == "True"


def test_a_condition_that_never_said_since_when_says_so_now() -> None:
    (mended,) = set_condition([running(since="")], "Running", "True", "TrialsRunning", "", ONE, 1)
    assert mended.last_transition_time == ONE


@given(st.lists(st.tuples(st.sampled_from("ABC"), st.sampled_from(["True", "False", "Unknown"]))))
def test_each_type_stands_once_and_dates_from_the_last_change_of_its_status(steps: list[tuple[str, str]]) -> None:
    conditions: tuple[Condition, ...] = ()
    since: dict[str, tuple[str, str]] = {}
    for moment, (kind, status) in enumerate(steps):
        conditions = set_condition(conditions, kind, status, "R", str(moment), f"t{moment}", 1)
        if kind not in since or since[kind][0] != status:
            since[kind] = (status, f"t{moment}")
    assert {c.type: (c.status, c.last_transition_time) for c in conditions} == since
    assert len(conditions) == len(since)
