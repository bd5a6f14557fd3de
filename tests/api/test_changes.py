"""What may change once trials exist, by the Python face."""

from __future__ import annotations

import copy

import pytest

from rung.api.frozen import frozen_changes
from rung.api.study import StudySpec, parse_study
from tests.api.changes import FREE, FROZEN, Change, with_points


def before_and_after(change: Change) -> tuple[StudySpec, StudySpec]:
    before = with_points("s")
    after = copy.deepcopy(before)
    change(after["spec"])
    return parse_study(before).spec, parse_study(after).spec


@pytest.mark.parametrize(("change", "field"), FROZEN)
def test_what_decisions_rest_on_is_frozen(change: Change, field: str) -> None:
    (changed,) = frozen_changes(*before_and_after(change))
    assert changed.startswith(field) or field.startswith(changed)


@pytest.mark.parametrize("change", FREE)
def test_the_rest_stays_free(change: Change) -> None:
    assert frozen_changes(*before_and_after(change)) == []
