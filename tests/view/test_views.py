"""The two views over the same run: plain lines, and a picture that fits its terminal."""

from __future__ import annotations

import asyncio
import io
import re
from collections.abc import Iterator
from functools import cache

import pytest
from rich.console import Console

from rung.api.facts import TrialFacts
from rung.brain import Decision, Plan, StudyRecord, Trials
from rung.executor.reconcile import reconcile
from rung.simulate.engine import SimulatedBody
from rung.view.live import LiveView
from rung.view.plain import PlainView
from rung.view.shown import Look, Pace
from tests.executor.contract import CHECKPOINTS, ReplayedCurves, a_population, a_study, scheduled


@cache
def looks(
    study_name: str = "replayed", *, trials: int = 9, parallelism: int = 3, leaders: int = 1, members: int = 0
) -> list[Look]:
    """What a watcher is shown of a simulated run, round by round. The last look's trials are all finished."""

    async def run() -> list[Look]:
        limits = {"trials": trials, "parallelism": parallelism}
        repeats = {} if leaders == 1 else {"repeats": {"count": leaders, "of": "Leaders"}}
        scheduler = a_population(members) if members else scheduled("ASHA")
        trial = CHECKPOINTS if members else {}
        plan = Plan.of(a_study(study_name, scheduler=scheduler, limits=limits, trial=trial, **repeats))
        body, known, found = SimulatedBody(plan, ReplayedCurves(noise=leaders > 1)), Trials(plan), []
        sights: object = {}
        while sights is not None:
            outcome = await reconcile(plan, StudyRecord(started_at=0.0), known, sights, body, body.now)  # type: ignore[arg-type]
            decided = tuple(d for d in outcome.decided if isinstance(d, Decision))
            found.append(Look(plan, Trials(plan, _copies(known)), outcome.verdict, decided, body.now))
            if outcome.verdict.over and not known.live:
                break
            sights = body.next_sights()
        return found

    return asyncio.run(run())


def _copies(trials: Trials) -> Iterator[TrialFacts]:
    return iter(sorted(trials, key=lambda facts: facts.number))


def plain(shown: list[Look], *, quiet: bool = False) -> list[str]:
    out = io.StringIO()
    view = PlainView(out, quiet=quiet)
    view.note("a note")
    for look in shown:
        view.look(look)
    view.close()
    view.conclude()
    return out.getvalue().splitlines()


def test_of_an_assignment_that_is_repeated_the_runs_behind_its_value_are_told() -> None:
    shown = looks(trials=14, parallelism=1, leaders=3)
    best = shown[-1].trials.incumbent
    assert best is not None
    assert best.runs == 3
    assert best.errors[0] is not None
    lines = plain(shown)
    assert any(f"started (repeat 2 of trial {best.number}): x=" in line for line in lines)
    assert any(f"(trial {best.number} is best so far)" in line for line in lines)
    (said,) = [line for line in lines if line.startswith("best ")]
    assert said.endswith(f" (mean of 3 runs, standard error {best.errors[0]:.2g})")


def test_plain_lines_tell_each_event_once() -> None:
    lines = plain(looks())
    assert lines[0] == "a note"
    assert [sum(f"trial {n} started:" in line for line in lines) for n in range(9)] == [1] * 9
    assert sum(" · " in line for line in lines) == 9
    assert any("stopped at epoch" in line for line in lines)
    assert "best so far" in "".join(lines)
    assert any(line.startswith("replayed: Succeeded (TrialsCompleted): all 9 trials have ended") for line in lines)
    assert any(line.startswith("best    trial ") for line in lines)


def test_quiet_is_the_last_word_alone() -> None:
    lines = plain(looks(), quiet=True)
    assert lines[0].startswith("replayed: Succeeded")
    assert len(lines) == 5


def test_control_characters_of_a_trial_never_reach_the_terminal() -> None:
    out = io.StringIO()
    PlainView(out).note("bad \x1b[2J\x07 news\n")
    assert out.getvalue() == "bad [2J news\n"


@pytest.mark.parametrize("width", [60, 80, 120])
@pytest.mark.parametrize("parallelism", [1, 4, 40])
def test_the_picture_fits_its_terminal(width: int, parallelism: int) -> None:
    for look in looks("a-study-with-quite-a-name", trials=60, parallelism=parallelism)[::11]:
        console = Console(width=width, file=io.StringIO(), force_terminal=True, highlight=False)
        view = LiveView(console)
        with console.capture() as capture:
            view.look(look)
            console.print(view.picture(look))
        view.close()
        lines = console.render_lines(view.picture(look), console.options)
        assert all(sum(segment.cell_length for segment in line) <= width for line in lines)
        assert len(lines) < 40
        assert capture.get()


def test_the_picture_shows_the_study_its_trials_and_decisions() -> None:
    shown = looks(trials=12)
    console = Console(width=100, file=io.StringIO(), highlight=False)
    view = LiveView(console)
    middle = shown[: len(shown) // 2]
    with console.capture() as capture:
        for look in middle:
            view.look(look)
        view.close()
        console.print(view.picture(middle[-1]))
    text = capture.get()
    for words in ("replayed", "Running", "/12 trials", "loss", "Running", "/9", "last decisions", "goes on at epoch"):
        assert words in text


def test_the_estimate_needs_three_trials_and_follows_their_pace() -> None:
    shown = looks(trials=12, parallelism=1)
    pace = Pace(0.0, 0)
    estimates = [pace.left(look) for look in shown]
    ended = [look.trials.counted - len(look.trials.unfinished) for look in shown]
    assert all((estimate is None) == (done < 3) for estimate, done in zip(estimates, ended, strict=True))
    assert estimates[-1] == 0


def test_a_clone_says_where_it_comes_from() -> None:
    lines = plain(looks(trials=4, parallelism=4, members=4))
    begun = [line for line in lines if "started (from trial " in line]
    assert begun
    assert all(
        re.search(r"trial \d+ started \(from trial \d+ at epoch \d+, for trial \d+\): x=", line) for line in begun
    )
    assert any("'s clone takes its place)" in line for line in lines)
    assert any(line.startswith("trials  4 of 4 ended") for line in lines)
