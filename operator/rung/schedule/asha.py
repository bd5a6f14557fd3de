"""ASHA, the stopping variant: at each rung a trial goes on if it is among the best 1/eta of those that came by before
it.

    n       entries of the bracket at the rung so far, its own included
    keep    ceil(n / eta); the trial goes on while its rank is at most that

With several objectives the rank is that of non-dominated sorting (`table.best_first`).

Nobody waits: each entry is judged when it arrives, so no worker is ever idle, and the verdict hangs on what came
before. With several brackets, bracket b starts at the (b + 1)-th rung: its trials are safe from a misleading first
rung. Trials get their bracket by their number, in the proportion of Hyperband's bracket sizes; `hyper_tune` learns it.

Which rule for small n? Li et al. compare with the best floor(n / eta), which stops the second trial of three however
good it is; Syne Tune lets the first eta - 1 pass; Ray interpolates a percentile of those before. Rounding up was
measured against them on 256 MLPs trained on scikit-learn's digits (27 epochs, 32 trials, 4 at a time, 200 draws, eta
3, ranked by validation loss):

    rule                     stopped   epochs, of full   95th percentile   loss given away, mean
    max(1, floor(n / eta))     89 %         18 %               28 %             0.0136
    ceil(n / eta)              84 %         23 %               38 %             0.0074
    Ray's percentile           83 %         23 %               36 %             0.0067
    Syne Tune's quantile       81 %         25 %               38 %             0.0062

(three TaskSet tables and noisy power laws order them alike). It halves the loss of the strict rule, is within the
spread of the two interpolating ones, and is a count that can be told in one line: no quantile between two trials that
nobody ran. Sources: Li et al. 2020 (ASHA), Algorithm 2; Li et al. 2018 for the brackets; Tiao et al. 2020 for
stopping instead of pausing.
"""

from __future__ import annotations

from rung.schedule.protocol import Entry, Expected, Judgement, RungTable, Statistic, Verdict
from rung.schedule.rungs import bracket_sizes, ladder, weighted_choice
from rung.schedule.wording import Wording


class Asha:
    """Asynchronous successive halving on the ladder low, low * eta, …, high."""

    statistic = Statistic.REDUCED
    synchronous = False

    def __init__(self, low: int, high: int, eta: int, *, brackets: int = 1, wording: Wording | None = None) -> None:
        """One bracket by default: more of them spend GPU time on a doubt about the first rung that few studies have.

        Raises ValueError for a ladder that does not exist, or more brackets than rungs.
        """
        self._ladder = ladder(low, high, eta)
        if not 1 <= brackets <= len(self._ladder):
            raise ValueError(f"{len(self._ladder)} rungs make 1 to {len(self._ladder)} brackets, got {brackets}")
        self._eta = eta
        self._rungs = tuple(self._ladder[bracket:] for bracket in range(brackets))
        self._weights = bracket_sizes(len(self._ladder), eta)[:brackets]
        self._wording = wording or Wording()

    @property
    def target(self) -> int:
        """The last rung."""
        return self._ladder[-1]

    def bracket(self, number: int, table: RungTable) -> int:  # noqa: ARG002 - for those who learn
        """In the proportion of Hyperband's bracket sizes, by the number alone."""
        return weighted_choice(number, self._weights)

    def rungs(self, bracket: int) -> tuple[int, ...]:
        """The ladder from the bracket's first rung on."""
        return self._rungs[bracket]

    def judge(self, table: RungTable, entry: Entry, bracket: int) -> Judgement:
        """Among the best ceil(n / eta) of those so far: go on. The best so far always does."""
        rungs = self.rungs(bracket)
        if entry.rung not in rungs:
            raise ValueError(f"trial {entry.number}: {entry.rung} is none of the rungs {rungs} of bracket {bracket}")
        if entry.rung == rungs[-1]:
            return Judgement(entry.number, entry.rung, Verdict.CONTINUE, self._wording.last(entry.rung, entry.value))
        rung = table.at(bracket, entry.rung)
        seen = rung.compare(entry)
        keep = self._places(table, entry, seen.n)
        several = rung.has_several(entry)
        rank = rung.rank(entry) if several else seen.rank
        verdict = Verdict.CONTINUE if rank <= keep else Verdict.STOP
        reason = self._wording.ranked(
            verdict,
            entry.rung,
            entry.value,
            seen.ranked(keep),
            rank=rank,
            keep=keep,
            of=seen.n,
            others=entry.others if several else None,
        )
        return Judgement(entry.number, entry.rung, verdict, reason)

    def _places(self, table: RungTable, entry: Entry, n: int) -> int:  # noqa: ARG002 - for those who count otherwise
        """How many of n may go on."""
        return -(-n // self._eta)

    def settle(self, table: RungTable, bracket: int, expected: Expected) -> list[Judgement]:  # noqa: ARG002
        """Nothing is ever open."""
        return []
