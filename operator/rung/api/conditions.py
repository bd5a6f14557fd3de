"""Conditions as metav1 wants them: a list with one entry per type, whose lastTransitionTime moves only when its status does.

Source: k8s.io/apimachinery, pkg/api/meta/conditions.go, SetStatusCondition.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

from pydantic import Field

from rung.api.base import ApiModel, Keywords
from rung.api.scalars import Moment, Tally


class Condition(ApiModel):
    """One statement on the object, and since when it holds."""

    type: Annotated[str, Keywords(min_length=1, max_length=63)] = Field(
        description="What is stated. There is one condition of each type."
    )
    status: Annotated[str, Keywords(enum=["True", "False", "Unknown"])] = Field(
        description="Whether it holds: True, False or Unknown."
    )
    reason: Annotated[str, Keywords(min_length=1, max_length=128)] = Field(
        default="", description="Why, in one CamelCase word for programs."
    )
    message: Annotated[str, Keywords(max_length=4096)] = Field(default="", description="Why, in a line for people.")
    last_transition_time: Moment = Field(default="", description="When the status last changed.")
    observed_generation: Tally | None = Field(
        default=None, description="The generation of the spec that was looked at."
    )


def set_condition(
    conditions: Iterable[Condition], kind: str, status: str, reason: str, message: str, now: str, generation: int
) -> tuple[Condition, ...]:
    """The conditions with the one of type `kind` set; the order of the others is kept, a new one comes last.

    lastTransitionTime becomes `now` (RFC 3339) when the status changes, and stays otherwise, whatever reason and message
    say. Setting a condition to what it is changes nothing, so that a status written twice is written once.
    """
    kept = list(conditions)
    index = next((i for i, condition in enumerate(kept) if condition.type == kind), None)
    before = kept[index] if index is not None else None
    since = before.last_transition_time if before is not None and before.status == status else now
    updated = Condition(
        type=kind,
        status=status,
        reason=reason,
        message=message,
        last_transition_time=since or now,
        observed_generation=generation,
    )
    if index is None:
        kept.append(updated)
    else:
        kept[index] = updated
    return tuple(kept)
