"""Decisions as lines for people: what happened to which trial, and why. One event, one line."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rung.api.facts import TrialState, Verdict
from rung.brain import Decision, Plan, Trials
from rung.brain.decisions import Conclude, Create, End, Judge, Retry, Start, Wait
from rung.view.wording import parameters


def events(plan: Plan, trials: Trials, decided: Sequence[Decision]) -> Iterator[tuple[str, str]]:
    """Kind (a trial's state in lower case, or `started`, `rung`, `retry`) and text of each decision that people care
    about.
    """
    for decision in decided:
        facts = trials[decision.number]
        match decision:
            case Start(attempt=1):
                of = "" if facts.repeat_of is None else f" (repeat {facts.repeat} of trial {facts.repeat_of})"
                if facts.descent is not None:
                    since = facts.descent.step or 0
                    of = f" (from trial {facts.descent.parent} at {plan.resource_name} {since:g}, for trial {facts.descent.replaces})"
                yield "started", f"trial {facts.number} started{of}: {parameters(plan, facts)}"
            case Start():
                yield "started", f"trial {facts.number} started again (attempt {decision.attempt})"
            case Create() if decision.values is not None:
                yield "known", f"trial {facts.number} is known: {parameters(plan, facts)}"
            case Judge() if decision.stop:
                yield "stopped", f"trial {facts.number} {_lower(decision.message)}"
            case Judge():
                told = [r for r in decision.rungs if r.verdict is not Verdict.OPEN]
                if told:
                    yield "rung", f"trial {facts.number} {_lower(told[-1].reason) or 'goes on'}"
            case Conclude():
                yield decision.state.value.lower(), f"trial {facts.number} {_concluded(decision)}"
            case Wait():
                yield "rung", f"trial {facts.number} {_lower(decision.message)}"
            case Retry():
                yield (
                    "retry",
                    f"trial {facts.number}, attempt {decision.attempt}: {decision.reason}: {decision.message}",
                )
            case End() | Create():
                continue


def _concluded(decision: Conclude) -> str:
    said = decision.message or decision.reason
    if decision.state is TrialState.SUCCEEDED:
        return f"succeeded: {said}"
    return f"{decision.state.value.lower()} ({decision.reason}): {said}"


def _lower(text: str) -> str:
    """A reason as the rest of a sentence. Names that begin with two capitals stay."""
    return text[:1].lower() + text[1:] if text[1:2].islower() else text
