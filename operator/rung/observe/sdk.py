"""The SDK's `GET /observations?since=N`: every report since number N, and who is speaking.

    {"trial": "digits-3", "attempt": 1, "next": 12, "done": false, "outputs": {"model": "s3://…"},
     "observations": [{"n": 11, "step": 12, "time": 1.7e9, "values": {"val_loss": 0.31, "grad": "NaN"}}, …]}

`next` is the cursor of the following request, which acknowledges all below it. Strict JSON: what is no finite number is
a word. A page that is not of this shape, or that another trial or attempt speaks, is refused whole (`BadObservation`):
an address may have passed on to another pod. Within a page of the right shape one senseless report is left out and
named, the rest counts. A report without a step is one further than the last. Fields that are not named here are passed
over: a newer SDK may say more.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Final

from rung.api.errors import BadObservation
from rung.api.facts import Observation
from rung.observe.extract import CHECKPOINT_STEP, PROBLEMS_KEPT, Sightings, StepCounter, Wanted, number_of

PATH: Final = "/observations"
PAGE_FULL: Final = 1000  # reports in one reply of rung_trial: a page of so many has a successor
REPORTS: Final = 5 * PAGE_FULL  # in one page: a server of somebody's own may count otherwise, but not without end
NAMES: Final = 256  # per report
PARTS: Final = 60_000  # of a page: a MiB of names with numbers has 50,000; a MiB of [] would be 30 MB of objects


class WrongSpeaker(BadObservation):
    """Another trial or another attempt answers at this address: nothing that it serves is ours."""


@dataclass(frozen=True, slots=True)
class SdkPage:
    """What one page said. `reports` counts those without a wanted value too."""

    next: int
    observations: tuple[Observation, ...] = ()
    reports: int = 0
    done: bool = False  # the program has said its last word

    @property
    def full(self) -> bool:
        """There may be more at once."""
        return self.reports >= PAGE_FULL


@dataclass(slots=True)
class SdkReader:
    """Reads the pages of one attempt, one after the other, and keeps the cursor."""

    wanted: Wanted
    trial: str
    attempt: int
    sightings: Sightings = field(default_factory=Sightings)
    since: int = 0
    _steps: StepCounter | None = None
    _told: int = 0  # problems of this page

    def read(self, body: bytes) -> SdkPage:
        """One page. Raises BadObservation if it is not the SDK's, WrongSpeaker if it is another's."""
        document = _document(body)
        self._speaker(document)
        following = document.get("next")
        if not isinstance(following, int) or isinstance(following, bool) or following < 0:
            raise BadObservation(f"{PATH}: next must be a whole number of at least 0, got {_shown(following)}")
        reports = document.get("observations")
        if not isinstance(reports, list) or len(reports) > REPORTS:
            raise BadObservation(
                f"{PATH}: observations must be a list of at most {REPORTS} reports, got {_shown(reports)}"
            )
        self._told = 0
        found = [o for index, report in enumerate(reports) if (o := self._report(index, report)) is not None]
        self.sightings.output(document.get("outputs"))
        self.since = following
        return SdkPage(following, tuple(found), len(reports), document.get("done") is True)

    def _speaker(self, document: Mapping[str, object]) -> None:
        trial, attempt = document.get("trial"), document.get("attempt")
        if trial != self.trial:
            raise WrongSpeaker(
                f"{PATH}: expected trial {self.trial}, but {_shown(trial)} answers; is the port shared (hostNetwork)?"
            )
        if attempt != self.attempt or isinstance(attempt, bool):
            raise WrongSpeaker(
                f"{PATH}: expected attempt {self.attempt} of trial {self.trial}, but attempt {_shown(attempt)} answers"
            )

    def _report(self, index: int, report: object) -> Observation | None:
        values = report.get("values") if isinstance(report, dict) else None
        if not isinstance(report, dict) or not isinstance(values, dict):
            raise BadObservation(
                f'{PATH}: observations[{index}] must be {{"step": …, "values": {{…}}}}, got {_shown(report)}'
            )
        numbers: dict[str, float] = {}
        for name, value in islice(values.items(), NAMES):
            number = number_of(value)
            if number is not None:
                numbers[name] = number
            else:
                self._problem(index, name, 'must be a number, "NaN" or "Infinity"', value)
        self.sightings.saw(numbers)
        self.sightings.checkpoint(numbers.get(CHECKPOINT_STEP))
        if self._steps is None:
            self._steps = StepCounter(self.wanted)
        picked = self.wanted.pick(numbers)
        step = report.get("step")
        said = number_of(step)
        if said is None and step is not None:
            self._problem(index, "step", "must be a number for the report to count", step)
            return None
        try:
            at = self._steps.place(said, picked)
        except ValueError:
            self._problem(index, "step", "must be finite and at least 0 for the report to count", said)
            return None
        return Observation(at, picked) if picked and at is not None else None

    def _problem(self, index: int, name: str, must: str, got: object) -> None:
        """The first ones of a page are enough for a person; putting all of them into words is what takes long."""
        self._told += 1
        if self._told <= PROBLEMS_KEPT:
            self.sightings.problem(f"{PATH}: observations[{index}]: {_shown(name)} {must}, got {_shown(got)}")


def _document(body: bytes) -> Mapping[str, object]:
    if body.count(b",") + body.count(b"[") + body.count(b"{") > PARTS:
        raise BadObservation(f"{PATH}: the reply has more than {PARTS} parts, which no page of reports has")
    try:
        document = json.loads(body)
    except RecursionError:
        raise BadObservation(f"{PATH}: the reply is nested too deeply to be the SDK's") from None
    except ValueError as error:  # JSON and UTF-8 errors are both
        raise BadObservation(f"{PATH}: expected the SDK's JSON, got {_shown(body[:60])} ({error})") from None
    if not isinstance(document, dict):
        raise BadObservation(f"{PATH}: expected a JSON object, got {_shown(document)}")
    return document


def _shown(value: object) -> str:
    """A value as a person may see it: never more than 60 characters, whatever was sent."""
    if isinstance(value, bytes):
        value = value.decode(errors="replace")
    if isinstance(value, (dict, list)):
        return f"{'an object' if isinstance(value, dict) else 'a list'} of {len(value)}"
    if isinstance(value, int) and abs(value) > 10**30:
        return "a huge number"
    text = repr(value) if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= 60 else text[:59] + "…"
