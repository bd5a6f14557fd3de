"""What a trial may do to its reader: whatever it is, it hurts that trial's own readings alone."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from rung.api.facts import Observation
from rung.api.study import MetricSource, MetricsSpec
from rung.local.reading import Reading, Source
from rung.observe.extract import Wanted
from rung.observe.target import Seen, Target
from tests.observe.hostile import KINDS, Kind
from tests.observe.servers import HonestTrial, a_target, serving
from tests.observe.test_scraper import World, a_world, closed_port

PAGE = Path(__file__).parents[2] / "docs" / "hostile-trials.md"


def holds(kind: Kind, found: tuple[Observation, ...]) -> bool:
    return kind.want(found) if callable(kind.want) else list(found) == kind.want


def bounded(seen: Seen) -> bool:
    texts = [*seen.names, *seen.problems, *seen.last_lines, *seen.looked, *(seen.outputs or {}).values()]
    return len(texts) <= 32 + 8 + 5 + 6 + 8 and all(len(t) <= 400 and t.isprintable() for t in texts)


async def visited(world: World, target: Target) -> None:
    """Its first visit is over."""
    watch = world.scraper._watches[target.key]
    async with asyncio.timeout(20):
        while watch.task is not None or not watch.probe.seen().looked:  # noqa: ASYNC110
            await asyncio.sleep(0.005)  # nobody tells of a visit that brought nothing


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.does)
async def test_a_trial_that(kind: Kind) -> None:
    good = HonestTrial(name="digits-1")
    good.report(1, loss=0.5)
    handler = kind.serves
    deadline = 0.3 if "timed out" in kind.said else 10.0
    async with serving(good) as good_port, a_world(deadline=deadline) as world:
        fine = a_target(good_port, number=1)
        if handler is None:
            bad = a_target(await closed_port(), source=MetricSource.LOG)
            seen = await last_words(world, bad, fine, kind)
        else:
            async with serving(handler) as port:
                seen = await last_words(world, a_target(port), fine, kind)
    assert holds(kind, seen.observations), seen.observations[:3]
    told = " ".join((*seen.problems, *seen.looked))
    assert kind.said in told, told
    assert bounded(seen)


async def last_words(world: World, bad: Target, fine: Target, kind: Kind) -> Seen:
    """Both are watched; the fine one is read beside the bad one, which then ends."""
    world.logs.text[3] = kind.log
    world.scraper.watch(bad)
    world.scraper.watch(fine)
    assert (await world.seen(fine)).step == 1
    if bad.spec.source is MetricSource.AUTO:
        await visited(world, bad)
        if kind.log:
            await world.seen(bad)
    return await world.scraper.final(bad, None)


async def test_all_of_them_side_by_side_leave_an_honest_trial_as_it_is() -> None:
    good = HonestTrial(name="digits-1000")
    async with serving(good) as good_port, a_world(deadline=0.3, concurrency=8) as world, asyncio.TaskGroup() as group:
        done = asyncio.Event()

        async def serve(number: int, kind: Kind) -> None:
            world.logs.text[number] = kind.log
            if kind.serves is None:
                world.scraper.watch(a_target(1, number=number, source=MetricSource.LOG))
                return
            async with serving(kind.serves) as port:
                world.scraper.watch(a_target(port, number=number))
                await done.wait()

        for number, kind in enumerate(KINDS):
            group.create_task(serve(number, kind))
        fine = a_target(good_port, number=1000)
        world.scraper.watch(fine)
        for step in (1, 2, 3):
            good.report(step, loss=1 / step)
            await world.until(lambda step=step: (world.scraper.collect(fine.key) or Seen(fine.key)).step == step)  # type: ignore[misc]
        done.set()
        assert (world.scraper.collect(fine.key) or Seen(fine.key)).problems == ()


@pytest.mark.parametrize("kind", [k for k in KINDS if k.log and k.serves is None], ids=lambda kind: kind.does)
def test_on_this_machine_a_trial_that(kind: Kind, tmp_path: Path) -> None:
    source = Source(MetricsSpec(source=MetricSource.LOG), Wanted.of(None, ("loss",), "epoch"), "default", "digits")
    log = tmp_path / "log"
    log.write_bytes(kind.log)
    reading = Reading(source, 3, 1, log, tmp_path / "termination", 1, lambda: 0.0)
    while not reading.finish():
        pass
    sight = reading.sight()
    assert holds(kind, tuple(sight.observations))
    assert kind.said in " ".join(reading.sightings.problems)


def test_the_page_in_the_docs_is_this_table() -> None:
    rows = [f"| {kind.does} | {kind.read} |" for kind in KINDS]
    table, _, _ = PAGE.read_text(encoding="utf-8").partition("## Bounds")
    assert [line for line in table.splitlines() if line.startswith("| ")][1:] == rows
