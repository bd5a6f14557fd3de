"""What was recorded at the rungs of one study, kept sorted while it grows.

An `Entry` is one trial's value at one rung, with its place in the order in which the study recorded them. Smaller is
better here (the brain turns signs) and values are finite. A `Rung` is all entries of one bracket at one step count,
best first: by value, then by trial number, so nothing ties and arrival order never decides. A `RungTable` is all
rungs of a study. Where entries have further objectives, `Rung.rank` and `best_first` go by all of them (`rung.pareto`), what
was not said counting as the worst that was; `compare` and the rung's own order go by the first alone.

    add, put, record   O(log n) comparisons           compare   O(log n), for the newest entry of a rung
    rank               sorts all n, front by front
    copy               O(trials): rungs are shared between copies until one of them writes

The table is an index over the record, never a memory of its own: built again from the entries it is the same.
"""

from __future__ import annotations

import math
from bisect import bisect_left, insort
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from rung.api.facts import Verdict
from rung.pareto import front_by_front


@dataclass(frozen=True, slots=True)
class Entry:
    """One trial's value at one rung; `order` counts the study's entries as they were recorded."""

    number: int
    rung: int
    value: float
    order: int
    best: float | None = None  # the best value up to this rung, where the scheduler's statistic is the mean
    others: tuple[float, ...] = ()  # the further objectives, all of them; (): there are none, or not all were said

    def __post_init__(self) -> None:
        """Raises ValueError on a value that cannot be ranked."""
        figures = (self.value, *self.others) if self.best is None else (self.value, self.best, *self.others)
        if not all(map(math.isfinite, figures)):
            raise ValueError(
                f"trial {self.number} at rung {self.rung}: {self.value!r} (best {self.best!r}, others {self.others!r}) "
                "has no rank"
            )


@dataclass(frozen=True, slots=True)
class Judgement:
    """A scheduler's word on one trial at one rung, with the figures behind it in one line."""

    number: int
    rung: int
    verdict: Verdict
    reason: str


class Rung:
    """Entries of one bracket at one step count, best first. To be read; a RungTable alone writes it."""

    __slots__ = ("_best_first", "_by_number", "_newest", "_several", "_verdicts")

    def __init__(self) -> None:
        self._by_number: dict[int, Entry] = {}
        self._best_first: list[tuple[float, int]] = []  # (value, number)
        self._newest = 0  # the highest order
        self._several = 0  # entries with further objectives
        self._verdicts: dict[int, Verdict] = {}

    def __len__(self) -> int:
        return len(self._best_first)

    def __iter__(self) -> Iterator[Entry]:
        return (self._by_number[number] for _, number in self._best_first)

    def entry(self, number: int) -> Entry | None:
        """What this trial recorded here."""
        return self._by_number.get(number)

    def verdict(self, number: int) -> Verdict | None:
        """The recorded word on this trial; None where it has no entry here."""
        return self._verdicts.get(number)

    def compare(self, entry: Entry) -> Comparison:
        """The entry among those recorded before it, whether the rung holds it or not. O(log n) for the newest."""
        best_first = self._best_first
        held = self.entry(entry.number) is not None
        if entry.order < self._newest:
            best_first = [place for place in best_first if self._by_number[place[1]].order <= entry.order]
        return Comparison(entry, best_first, held=held)

    def has_several(self, entry: Entry) -> bool:
        """Whether the entry, or one recorded before it, has further objectives."""
        if entry.others or not self._several:
            return bool(entry.others)
        return any(other.others for other in self._by_number.values() if other.order <= entry.order)

    def rank(self, entry: Entry) -> int:
        """Its place among those recorded before it, 1 being the best, by all objectives."""
        before = [e for e in self._by_number.values() if e.order <= entry.order and e.number != entry.number]
        return best_first([*before, entry]).index(entry) + 1

    def clone(self) -> Rung:
        """The same entries, to be written without this one noticing."""
        twin = Rung()
        twin._by_number = dict(self._by_number)
        twin._best_first = list(self._best_first)
        twin._newest = self._newest
        twin._several = self._several
        twin._verdicts = dict(self._verdicts)
        return twin

    def insert(self, entry: Entry, verdict: Verdict) -> None:
        """Take in an entry of a trial that has none here."""
        self._by_number[entry.number] = entry
        self._verdicts[entry.number] = verdict
        insort(self._best_first, (entry.value, entry.number))
        self._newest = max(self._newest, entry.order)
        self._several += bool(entry.others)

    def remove(self, number: int) -> None:
        """As if this trial had never been here."""
        entry = self._by_number.pop(number)
        del self._verdicts[number]
        self._several -= bool(entry.others)
        del self._best_first[bisect_left(self._best_first, (entry.value, number))]
        self._newest = max((other.order for other in self._by_number.values()), default=0)

    def write(self, number: int, verdict: Verdict) -> None:
        """The word on an entry that is here."""
        self._verdicts[number] = verdict


class Comparison:
    """One entry among those recorded before it at its rung: the smallest view that every rule can be said in.

    n       entries, its own included                others   the rest, best first
    rank    1 for the best of n; ties go to the lower number
    """

    __slots__ = ("_entry", "_others", "_own", "n", "rank")

    def __init__(self, entry: Entry, best_first: Sequence[tuple[float, int]], *, held: bool) -> None:
        self._entry = entry
        self._others = best_first
        place = bisect_left(best_first, (entry.value, entry.number))
        self._own = place if held else None  # the index to leave out of the list
        self.n = len(best_first) + (0 if held else 1)
        self.rank = place + 1

    def ranked(self, rank: int) -> float:
        """The value of this rank among all n, 1 being the best. Raises IndexError where there are fewer."""
        if not 1 <= rank <= self.n:
            raise IndexError(f"rank {rank} of {self.n}")
        if rank == self.rank:
            return self._entry.value
        return self._other(rank - 1 if rank < self.rank else rank - 2)

    @property
    def median_of_others(self) -> float | None:
        """The true median: of an even number the mean of the two in the middle. None if there are no others."""
        others = self.n - 1
        if not others:
            return None
        upper = self._other(others // 2)
        return upper if others % 2 else self._other(others // 2 - 1) / 2 + upper / 2  # halved first: no overflow

    def _other(self, index: int) -> float:
        left_out = self._own is not None and index >= self._own
        return self._others[index + 1 if left_out else index][0]


def best_first(entries: Iterable[Entry]) -> list[Entry]:
    """The entries by all objectives; by number where they are equally good."""
    found = sorted(entries, key=lambda entry: (entry.value, entry.number))
    wide = max((len(entry.others) for entry in found), default=0)
    if not wide:
        return found
    unsaid = (math.inf,) * wide
    y = np.array([(entry.value, *(entry.others or unsaid)) for entry in found])
    worst = np.where(np.isfinite(y), y, -math.inf).max(axis=0)
    return [found[i] for i in front_by_front(np.minimum(y, worst)).tolist()]


_EMPTY = Rung()


class RungTable:
    """All entries of one study with their verdicts. Grows by `add`; `record` writes a verdict onto an open entry."""

    __slots__ = ("_brackets", "_open", "_rungs", "_shared", "_stopped")

    def __init__(self) -> None:
        self._rungs: dict[tuple[int, int], Rung] = {}  # by bracket and step count
        self._shared: set[tuple[int, int]] = set()  # rungs that a copy of this table reads too
        self._brackets: dict[int, int] = {}  # by trial number
        self._open: dict[int, dict[int, int]] = {}  # bracket -> trial number -> its open entries; never empty inside
        self._stopped: set[int] = set()

    @staticmethod
    def of(records: Iterable[tuple[Entry, int, Verdict]]) -> RungTable:
        """The table of (entry, bracket, verdict), in any order. Raises ValueError as `add` does."""
        table = RungTable()
        for entry, bracket, verdict in records:
            table.add(entry, bracket, verdict)
        return table

    def copy(self) -> RungTable:
        """A table that may grow on its own: neither sees what is added to the other."""
        twin = RungTable()
        twin._rungs = dict(self._rungs)
        twin._brackets = dict(self._brackets)
        twin._open = {bracket: dict(numbers) for bracket, numbers in self._open.items()}
        twin._stopped = set(self._stopped)
        twin._shared = set(self._rungs)
        self._shared = set(self._rungs)
        return twin

    def at(self, bracket: int, rung: int) -> Rung:
        """The entries of this bracket at this step count, best first; empty where nothing was recorded."""
        return self._rungs.get((bracket, rung), _EMPTY)

    def rungs(self) -> Iterator[tuple[int, int, Rung]]:
        """Bracket, step count and entries of every rung, in that order."""
        return ((bracket, step, self._rungs[bracket, step]) for bracket, step in sorted(self._rungs))

    def entry(self, number: int, rung: int) -> Entry | None:
        """What this trial recorded at this rung."""
        bracket = self._brackets.get(number)
        return None if bracket is None else self.at(bracket, rung).entry(number)

    def verdict(self, number: int, rung: int) -> Verdict | None:
        """The recorded word on this trial at this rung; None where it has no entry there."""
        bracket = self._brackets.get(number)
        return None if bracket is None else self.at(bracket, rung).verdict(number)

    def stopped(self, number: int) -> bool:
        """Whether a verdict stopped this trial at any rung."""
        return number in self._stopped

    def waits(self, number: int) -> bool:
        """Whether a verdict on this trial is still open: its program may have ended, its place is not known yet."""
        bracket = self._brackets.get(number)
        return bracket is not None and number in self._open.get(bracket, {})

    def open_brackets(self) -> tuple[int, ...]:
        """Brackets with entries that wait for a verdict: those that are worth a `settle`."""
        return tuple(sorted(self._open))

    def add(self, entry: Entry, bracket: int, verdict: Verdict = Verdict.OPEN) -> None:
        """Record an entry. Raises ValueError if the trial has one at this rung, or others in another bracket."""
        known = self._brackets.setdefault(entry.number, bracket)
        if known != bracket:
            raise ValueError(f"trial {entry.number} is recorded in bracket {known}, not {bracket}")
        if self.at(bracket, entry.rung).entry(entry.number) is not None:
            raise ValueError(f"trial {entry.number} has an entry at rung {entry.rung} already")
        self._writable(bracket, entry.rung).insert(entry, verdict)
        if verdict is Verdict.STOP:
            self._stop(entry.number, bracket)
        elif verdict is Verdict.OPEN and entry.number not in self._stopped:
            waiting = self._open.setdefault(bracket, {})
            waiting[entry.number] = waiting.get(entry.number, 0) + 1

    def put(self, entry: Entry, bracket: int, verdict: Verdict) -> None:
        """Make the table agree with a record: adds what is new, takes over a verdict on what was open, else changes
        nothing.

        Raises ValueError where the record contradicts the table: another value or order, or another verdict than was
        given.
        """
        known = self.entry(entry.number, entry.rung)
        if known is None:
            self.add(entry, bracket, verdict)
            return
        if known != entry or self._brackets[entry.number] != bracket:
            raise ValueError(f"trial {entry.number} at rung {entry.rung} was recorded as {known}, not {entry}")
        if verdict is not self.verdict(entry.number, entry.rung):
            self.record(Judgement(entry.number, entry.rung, verdict, "the record's verdict"))

    def drop(self, number: int) -> None:
        """Forget a trial whose record was deleted by hand: the table is the one that the remaining records build."""
        bracket = self._brackets.pop(number, None)
        if bracket is None:
            return
        self._stopped.discard(number)
        if number in self._open.get(bracket, {}):
            self._forget(number, bracket)
        for key in [k for k, rung in self._rungs.items() if k[0] == bracket and rung.entry(number) is not None]:
            self._writable(*key).remove(number)
            if not len(self._rungs[key]):
                del self._rungs[key]

    def record(self, judgement: Judgement) -> None:
        """Write a verdict onto its entry; one that stays open changes nothing.

        Raises ValueError where there is no such entry, or where it was judged before: no trial is judged twice.
        """
        found = self.verdict(judgement.number, judgement.rung)
        if found is not Verdict.OPEN:
            what = "has no entry" if found is None else f"was judged ({found.value})"
            raise ValueError(f"trial {judgement.number} {what} at rung {judgement.rung}: {judgement.reason}")
        if judgement.verdict is Verdict.OPEN:
            return
        bracket = self._brackets[judgement.number]
        self._writable(bracket, judgement.rung).write(judgement.number, judgement.verdict)
        if judgement.verdict is Verdict.STOP:
            self._stop(judgement.number, bracket)
        elif judgement.number not in self._stopped:
            self._close(judgement.number, bracket)

    def _writable(self, bracket: int, rung: int) -> Rung:
        key = (bracket, rung)
        if key not in self._rungs:
            self._rungs[key] = Rung()
        elif key in self._shared:
            self._rungs[key] = self._rungs[key].clone()
            self._shared.discard(key)
        return self._rungs[key]

    def _close(self, number: int, bracket: int) -> None:
        waiting = self._open[bracket]
        waiting[number] -= 1
        if not waiting[number]:
            self._forget(number, bracket)

    def _stop(self, number: int, bracket: int) -> None:
        """Nothing waits for a stopped trial, whatever it said at higher rungs before its cohort was complete."""
        self._stopped.add(number)
        if number in self._open.get(bracket, {}):
            self._forget(number, bracket)

    def _forget(self, number: int, bracket: int) -> None:
        del self._open[bracket][number]
        if not self._open[bracket]:
            del self._open[bracket]
