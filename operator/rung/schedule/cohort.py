"""One cohort of trials through one round of successive halving: the part that SuccessiveHalving and Hyperband share.

    n_0    planned trials of the cohort: its numbers without those that never take part
    n_i    floor(n_0 * eta**-i), planned at the i-th rung;  keep_i = max(1, n_(i+1)) of them go on

A rung is judged when each of its survivors (members that no lower rung stopped) has an entry there or is gone, and no
further member can come. Then the best keep_i go on, by (value, number) or by all objectives (`table.best_first`), and the
others stop: a function of the cohort's values, so the order of arrival is irrelevant. A member that is gone without an
entry ranks behind everybody, as if its loss were infinite: planned sizes stay, fewer compete. One with an entry competes
even if it failed later, or the verdict would hang on *when* it failed. Trials run on while they wait (mode Stop), so a
verdict may come when a trial is far beyond the rung, or has ended; with fewer workers than members in the cohort the first
ones always are. ASHA does not wait, and is the better choice there.

A cohort may grow after it was judged (limits.trials raised). Verdicts stand; a later member goes on if it is among
the best keep_i of all, by the larger plan: the verdict it would have had if the limit had been the higher one from
the start. Source: Li et al. 2018 (Hyperband), Algorithm 1, lines 6 to 9.
"""

from __future__ import annotations

from dataclasses import dataclass

from rung.schedule.protocol import Entry, Expected, Judgement, Membership, RungTable, Verdict
from rung.schedule.rungs import keep
from rung.schedule.table import best_first
from rung.schedule.wording import Wording


@dataclass(frozen=True, slots=True)
class Cohort:
    """The numbers that compete with each other, and where."""

    members: range
    rungs: tuple[int, ...]


def arrived(table: RungTable, entry: Entry, *, bracket: int, rungs: tuple[int, ...], wording: Wording) -> Judgement:
    """The word on a new entry: open until its cohort is complete; at the last rung there is nothing to decide.

    Raises ValueError where the entry's rung is none of the bracket's.
    """
    if entry.rung not in rungs:
        raise ValueError(f"trial {entry.number}: {entry.rung} is none of the rungs {rungs} of bracket {bracket}")
    if entry.rung == rungs[-1]:
        return Judgement(entry.number, entry.rung, Verdict.CONTINUE, wording.last(entry.rung, entry.value))
    there = table.at(bracket, entry.rung).compare(entry).n
    return Judgement(entry.number, entry.rung, Verdict.OPEN, wording.waits(entry.rung, entry.value, of=there))


def settled(table: RungTable, cohort: Cohort, expected: Expected, *, eta: int, wording: Wording) -> list[Judgement]:
    """Verdicts that have become possible, rung by rung upwards: one rung's losers may complete the next one."""
    found: list[Judgement] = []
    survivors = _members(cohort, expected)
    planned = len(survivors)
    for index, rung in enumerate(cohort.rungs[:-1]):
        there: list[Entry] = []
        for number in survivors:
            entry = table.entry(number, rung)
            if entry is not None:
                there.append(entry)
            elif expected(number) is not Membership.GONE:
                return found
        judgements = _judged(table, there, rung=rung, places=keep(planned, eta, index), wording=wording)
        found += judgements
        losers = {j.number for j in judgements if j.verdict is Verdict.STOP}
        survivors = [
            e.number for e in there if e.number not in losers and table.verdict(e.number, rung) is not Verdict.STOP
        ]
    return found


def _members(cohort: Cohort, expected: Expected) -> list[int]:
    """Numbers that take part, ascending; none while one is still to come, since no rung can be complete before.

    From the highest number down, because that one comes last: an incomplete cohort is seen at the first look.
    """
    members = []
    for number in reversed(cohort.members):
        membership = expected(number)
        if membership is Membership.COMING:
            return []
        if membership is not Membership.NEVER:
            members.append(number)
    members.reverse()
    return members


def _judged(table: RungTable, there: list[Entry], *, rung: int, places: int, wording: Wording) -> list[Judgement]:
    """Verdicts on the open entries of a complete rung, by number. Those judged before keep their word and rank."""
    ranked = best_first(there)
    places, several = min(places, len(ranked)), any(entry.others for entry in ranked)
    judgements = []
    for rank, entry in enumerate(ranked, 1):
        if table.verdict(entry.number, rung) is not Verdict.OPEN:
            continue
        verdict = Verdict.CONTINUE if rank <= places else Verdict.STOP
        reason = wording.ranked(
            verdict,
            rung,
            entry.value,
            ranked[places - 1].value,
            rank=rank,
            keep=places,
            of=len(ranked),
            others=entry.others if several else None,
        )
        judgements.append(Judgement(entry.number, rung, verdict, reason))
    return sorted(judgements, key=lambda judgement: judgement.number)
