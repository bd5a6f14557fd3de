"""The scraper: what is read from where, when, for whom, and that a bad target hurts itself alone."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from itertools import pairwise

import pytest
from aiohttp import web

from rung.api.errors import ClusterUnavailable
from rung.api.facts import Observation
from rung.api.study import MetricSource
from rung.observe.extract import Wanted
from rung.observe.http import open_session
from rung.observe.logtail import LogPosition
from rung.observe.probe import Probe
from rung.observe.scraper import Scraper
from rung.observe.target import Seen, Target, TargetKey, explain_missing
from tests.observe.servers import HOSTILE, HonestTrial, a_target, hang, serving


@dataclass
class Logs:
    """Logs as files, by trial number."""

    text: dict[int, bytes] = field(default_factory=dict)
    failing: Exception | None = None
    reads: int = 0

    async def __call__(self, target: Target, position: LogPosition) -> bytes:
        self.reads += 1
        if self.failing is not None:
            raise self.failing
        return self.text.get(target.key.trial, b"")[position.offset : position.offset + position.limit]


@dataclass
class World:
    """A scraper, its logs, and the news that it has told."""

    scraper: Scraper
    logs: Logs
    news: list[tuple[TargetKey, Seen]]
    told: asyncio.Event

    async def until(self, condition: Callable[[], bool], seconds: float = 20.0) -> None:
        """Wait until news have made `condition` true."""
        async with asyncio.timeout(seconds):
            while not condition():
                self.told.clear()
                await self.told.wait()

    async def seen(self, target: Target, metric: str = "loss") -> Seen:
        await self.until(lambda: metric in ((self.scraper.collect(target.key) or Seen(target.key)).summaries or {}))
        seen = self.scraper.collect(target.key)
        assert seen is not None
        return seen


@contextlib.asynccontextmanager
async def a_world(**options: object) -> AsyncIterator[World]:
    logs, news, told = Logs(), [], asyncio.Event()

    def on_news(key: TargetKey, seen: Seen) -> None:
        news.append((key, seen))
        told.set()

    async with (
        open_session() as session,
        Scraper(session=session, read_log=logs, on_news=on_news, **options) as scraper,  # type: ignore[arg-type]
    ):
        yield World(scraper, logs, news, told)


async def closed_port() -> int:
    async with serving(hang) as port:
        return port


async def test_the_sdk_is_read_and_its_cursor_moves_on() -> None:
    trial = HonestTrial()
    trial.report(1, loss=0.5, other=1)
    async with serving(trial) as port, a_world() as world:
        target = a_target(port)
        world.scraper.watch(target)
        seen = await world.seen(target)
        assert seen.observations == (Observation(1, {"loss": 0.5}),)
        assert (seen.source, seen.outputs, seen.problems) == (MetricSource.HTTP, {"model": "s3://m"}, ())
        trial.report(2, loss=0.25)
        await world.until(lambda: len(world.news[-1][1].observations) == 2)
        assert trial.asked[:2] == [0, 1]
        assert seen.observations == (Observation(1, {"loss": 0.5}),)  # a snapshot stays what it was
        assert world.logs.reads == 0


async def test_a_long_history_is_caught_up_with_page_by_page_at_once() -> None:
    trial = HonestTrial()
    for step in range(2500):
        trial.report(step, loss=step)
    async with serving(trial) as port, a_world() as world:
        target = a_target(port, interval=60)
        world.scraper.watch(target)
        assert (await world.seen(target)).step == 2499
        assert trial.asked == [0, 1000, 2000]
        assert len(world.news) == 1


async def test_a_prometheus_page_is_read_where_there_is_no_sdk() -> None:
    async def page(request: web.BaseRequest) -> web.StreamResponse:
        return web.Response(text="epoch 3\nloss 0.5\n") if request.path == "/metrics" else web.Response(status=404)

    async with serving(page) as port, a_world() as world:
        target = a_target(port)
        world.scraper.watch(target)
        seen = await world.seen(target)
        assert (seen.source, seen.observations) == (MetricSource.PROMETHEUS, (Observation(3, {"loss": 0.5}),))


async def test_the_log_is_read_where_no_port_answers_and_why_is_said_in_one_line() -> None:
    async with a_world() as world:
        target = a_target(await closed_port())
        world.logs.text[3] = b"epoch=1 loss=0.5\n"
        world.scraper.watch(target)
        seen = await world.seen(target)
        assert (seen.source, seen.step) == (MetricSource.LOG, 1)
        [why] = seen.problems
        assert why.startswith("the log is read, because no port has the metric: http://127.0.0.1:")
        assert "connection refused" in why
        world.logs.text[3] += b"epoch=2 loss=0.25\n"
        await world.until(lambda: world.news[-1][1].step == 2)


async def test_a_trial_that_starts_slowly_is_found_long_before_the_interval_ends() -> None:
    port = await closed_port()
    trial = HonestTrial()
    trial.report(1, loss=0.5)
    async with a_world() as world:
        target = a_target(port, interval=3600)
        world.scraper.watch(target)
        await asyncio.sleep(0.5)  # it imports its libraries
        runner = web.ServerRunner(web.Server(trial))
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", port).start()
        try:
            assert (await world.seen(target)).source is MetricSource.HTTP
        finally:
            await runner.cleanup()


@pytest.mark.parametrize("kind", HOSTILE)
async def test_a_bad_target_hurts_itself_alone(kind: str) -> None:
    good = HonestTrial(name="digits-1")
    good.report(1, loss=0.5)
    async with (
        serving(HOSTILE[kind]) as bad_port,
        serving(good) as good_port,
        a_world(deadline=0.3, concurrency=2) as world,
    ):
        bad, fine = a_target(bad_port), a_target(good_port, number=1)
        world.scraper.watch(bad)
        world.scraper.watch(fine)
        assert (await world.seen(fine)).step == 1
        good.report(2, loss=0.25)
        world.logs.text[3] = b"epoch=7 loss=0.125\n"  # Auto: what the port does not say, the log may
        seen = await world.seen(bad)
        await world.until(lambda: (world.scraper.collect(fine.key) or Seen(fine.key)).step == 2)
        assert (seen.source, seen.observations) == (MetricSource.LOG, (Observation(7, {"loss": 0.125}),))


async def test_another_trial_at_the_address_is_named_and_nothing_of_it_is_taken() -> None:
    async with serving(HOSTILE["is another trial"]) as port, a_world() as world:
        target = a_target(port, source=MetricSource.HTTP)
        world.scraper.watch(target)
        probe = world.scraper._watches[target.key].probe
        await probe.visit()
        seen = probe.seen()
        assert seen.observations == ()
        assert any("expected trial digits-3, but 'digits-99' answers" in problem for problem in seen.problems)


async def test_many_hanging_targets_do_not_starve_the_others() -> None:
    good = HonestTrial(name="digits-1000")
    async with serving(hang) as bad_port, serving(good) as good_port, a_world(deadline=0.2, concurrency=8) as world:
        for number in range(40):
            world.scraper.watch(a_target(bad_port, number=number, source=MetricSource.HTTP))
        target = a_target(good_port, number=1000)
        world.scraper.watch(target)
        good.report(1, loss=0.5)
        assert (await world.seen(target)).step == 1


async def test_a_fault_while_one_is_read_is_that_trials_alone() -> None:
    good = HonestTrial(name="digits-1")
    good.report(1, loss=0.5)
    async with serving(good) as port, a_world() as world:
        faulty, fine = a_target(1, source=MetricSource.LOG), a_target(port, number=1)
        world.logs.failing = ZeroDivisionError("of Rung's own")
        world.scraper.watch(faulty)
        world.scraper.watch(fine)
        await world.seen(fine)
        seen = await world.scraper.final(faulty, None)
        assert seen.problems == ("what it said could not be read, a fault of Rung's: ZeroDivisionError: of Rung's own",)
        good.report(2, loss=0.25)
        await world.until(lambda: (world.scraper.collect(fine.key) or Seen(fine.key)).step == 2)


async def test_those_that_were_slow_once_share_their_own_slots() -> None:
    good = HonestTrial(name="digits-1000")
    async with serving(hang) as bad_port, serving(good) as good_port, a_world(deadline=0.2, concurrency=8) as world:
        hanging = [a_target(bad_port, number=number, source=MetricSource.HTTP) for number in range(40)]
        for target in hanging:
            world.scraper.watch(target)
        watches = [world.scraper._watches[target.key] for target in hanging]
        async with asyncio.timeout(30):
            while not all(watch.slow for watch in watches):  # noqa: ASYNC110 - nobody tells of a visit without news
                await asyncio.sleep(0.01)
        target = a_target(good_port, number=1000)
        good.report(1, loss=0.5)
        world.scraper.watch(target)
        await world.seen(target)
        assert not world.scraper._slots.locked()


class TestFinal:
    async def test_last_words_are_added_to_what_was_scraped_without_doubling(self) -> None:
        trial = HonestTrial()
        trial.report(1, loss=0.5)
        async with serving(trial) as port, a_world() as world:
            target = a_target(port)
            world.scraper.watch(target)
            await world.seen(target)
            words = '{"since": 1, "observations": [[1, {"loss": 0.5}], [2, {"loss": 0.25}]], "checkpoint_step": 2}'
            seen = await world.scraper.final(target, words)
            assert [o.step for o in seen.observations] == [1, 2]
            assert seen.summaries is not None
            assert seen.summaries["loss"].count == 2
            assert seen.checkpoint_step == 2
            assert world.logs.reads == 0
            assert await world.scraper.final(target, words) == seen

    async def test_a_trial_that_was_killed_before_its_last_word_is_completed_from_the_log(self) -> None:
        trial = HonestTrial()
        trial.report(1, loss=0.5)
        async with serving(trial) as port, a_world() as world:
            target = a_target(port)
            world.scraper.watch(target)
            await world.seen(target)
            world.logs.text[3] = b'{"epoch": 1, "loss": 9}\n{"epoch": 2, "loss": 0.25}'
            seen = await world.scraper.final(target, None)
            assert seen.observations == (Observation(1, {"loss": 0.5}), Observation(2, {"loss": 0.25}))

    async def test_what_was_fetched_by_a_reader_before_this_one_is_found_in_the_log_in_its_order(self) -> None:
        async with a_world() as world:
            target = a_target(1, host="")
            world.logs.text[3] = b'{"epoch": 1, "loss": 0.5}\n{"epoch": 2, "loss": 0.4}\n{"epoch": 3, "loss": 9}\n'
            seen = await world.scraper.final(target, '{"since": 2, "observations": [[3, {"loss": 0.3}]]}')
            assert [(o.step, o.values["loss"]) for o in seen.observations] == [(1, 0.5), (2, 0.4), (3, 0.3)]
            assert (seen.source, world.logs.reads) == (MetricSource.HTTP, 1)

    async def test_an_attempt_that_was_never_watched_is_read_from_what_is_left(self) -> None:
        async with a_world() as world:
            target = a_target(1, host="")
            world.logs.text[3] = b"epoch=1 loss=0.5\nepoch=2 loss=0.25"
            seen = await world.scraper.final(target, "")
            assert (seen.source, seen.step) == (MetricSource.LOG, 2)

    async def test_a_missing_metric_is_explained(self) -> None:
        async with a_world() as world:
            target = a_target(await closed_port())
            world.logs.text[3] = b"Epoch 3\nLoss: 0.5\n"
            seen = await world.scraper.final(target, "Killed")
            said = explain_missing(seen, target.wanted.names)
            assert said.startswith("loss was never reported; looked at the termination message (read); the log (read)")
            assert "was Loss meant?" in said
            assert said.endswith("last lines: Killed ⏎ Epoch 3 ⏎ Loss: 0.5")

    @pytest.mark.parametrize(
        ("error", "words"),
        [
            pytest.param(ClusterUnavailable("pods/log: 500"), "the log (cannot be read: pods/log: 500)", id="an error"),
            pytest.param(TimeoutError(), "the log (timed out after 5 s)", id="a time-out"),
        ],
    )
    async def test_a_log_that_cannot_be_read_is_said_so(self, error: Exception, words: str) -> None:
        async with a_world() as world:
            world.logs.failing = error
            seen = await world.scraper.final(a_target(1, host=""), None)
            assert words in seen.looked

    async def test_source_termination_reads_nothing_else(self) -> None:
        async with a_world() as world:
            target = a_target(1, source=MetricSource.TERMINATION)
            world.scraper.watch(target)
            seen = await world.scraper.final(target, "epoch=27 loss=0.5")
            assert (seen.source, seen.step, world.logs.reads) == (MetricSource.TERMINATION, 27, 0)

    async def test_a_log_larger_than_one_chunk_is_read_to_its_end(self) -> None:
        async with a_world() as world:
            world.logs.text[3] = b"x" * 70 + b"\n" + b"noise, nothing but noise\n" * 100_000 + b"epoch=5 loss=0.5\n"
            seen = await world.scraper.final(a_target(1, host=""), None)
            assert seen.step == 5
            assert world.logs.reads == 3


class TestTasks:
    async def test_leaving_cancels_every_visit_and_leaves_no_task(self) -> None:
        before = asyncio.all_tasks()
        asked, count = asyncio.Event(), 0

        async def tenth(request: web.BaseRequest) -> web.StreamResponse:
            nonlocal count
            count += 1
            if count == 10:
                asked.set()
            return await hang(request)

        async with serving(tenth) as port:
            async with a_world(deadline=3600.0) as world:
                for number in range(10):
                    world.scraper.watch(a_target(port, number=number))
                await asyncio.wait_for(asked.wait(), 20)
            left = [t for t in asyncio.all_tasks() - before if t.get_name().startswith("scrape")]
            assert left == []

    async def test_unwatching_ends_the_visit_under_way_and_forgets(self) -> None:
        asked = asyncio.Event()

        async def first(request: web.BaseRequest) -> web.StreamResponse:
            asked.set()
            return await hang(request)

        async with serving(first) as port, a_world(deadline=3600.0) as world:
            target = a_target(port)
            world.scraper.watch(target)
            await asyncio.wait_for(asked.wait(), 20)
            task = world.scraper._watches[target.key].task
            assert task is not None
            world.scraper.unwatch(target.key)
            await asyncio.wait({task})
            assert task.cancelled()
            assert world.scraper.collect(target.key) is None

    async def test_a_fault_in_the_callback_is_not_kept_quiet(self) -> None:
        trial = HonestTrial()
        trial.report(1, loss=0.5)

        def faulty(key: TargetKey, seen: Seen) -> None:
            raise ZeroDivisionError

        async with serving(trial) as port, open_session() as session:
            scraper = Scraper(session=session, read_log=Logs(), on_news=faulty)
            scraper.watch(a_target(port))
            with pytest.raises(ExceptionGroup) as group:
                await scraper.run()
            assert group.group_contains(ZeroDivisionError)


@dataclass
class VirtualTime:
    """A clock that jumps to wherever the scraper wants to wait for; it notes the moments."""

    now: float = 1000.0
    moments: list[float] = field(default_factory=list)

    def __call__(self) -> float:
        return self.now

    async def pause(self, event: asyncio.Event, seconds: float | None) -> None:
        for _ in range(20):  # visits under way go first: they need no time
            await asyncio.sleep(0)
            if event.is_set():
                return
        assert seconds is not None
        self.now += seconds
        self.moments.append(self.now)


async def moments_of(targets: list[Target], count: int, speaks: bool) -> dict[TargetKey, list[float]]:
    """When each target's log is read in virtual time, the first `count` times."""
    time = VirtualTime()
    read: dict[TargetKey, list[float]] = {target.key: [] for target in targets}
    enough = asyncio.Event()

    async def read_log(target: Target, position: LogPosition) -> bytes:
        read[target.key].append(time.now)
        if all(len(moments) >= count for moments in read.values()):
            enough.set()
        return b"loss=1\n" if speaks else b""

    async with (
        open_session() as session,
        Scraper(session=session, read_log=read_log, clock=time, pause=time.pause) as scraper,
    ):
        for target in targets:
            scraper.watch(target)
        await enough.wait()
    return {key: moments[:count] for key, moments in read.items()}


def a_logging_target(number: int, interval: int = 5) -> Target:
    target = a_target(1, number=number, source=MetricSource.LOG, interval=interval)
    return Target(target.key, target.trial, "", target.spec, Wanted.of(None, ("loss",)))


async def test_visits_stand_on_a_grid_of_the_interval_shifted_by_the_key() -> None:
    targets = [a_logging_target(number) for number in range(200)]
    moments = await moments_of(targets, 4, speaks=True)
    for read in moments.values():
        assert read[0] == 1000.2
        assert read[1] - read[0] <= 5
        assert [later - earlier for earlier, later in pairwise(read[1:])] == pytest.approx([5, 5])
    phases = sorted(read[1] % 5 for read in moments.values())
    assert max(later - earlier for earlier, later in pairwise(phases)) < 0.3  # no herd
    assert await moments_of(targets[:3], 4, speaks=True) == {t.key: moments[t.key] for t in targets[:3]}


async def test_while_nobody_answers_the_visits_come_quickly_and_then_more_slowly() -> None:
    time = VirtualTime()
    port = await closed_port()
    async with open_session() as session:
        scraper = Scraper(session=session, read_log=Logs(), clock=time)
        watch_me = a_target(port, interval=5, source=MetricSource.HTTP)
        scraper.watch(watch_me)
        watch = scraper._watches[watch_me.key]
        waits = []
        for _ in range(6):
            scraper._due.clear()
            await scraper._visit(watch)
            waits.append(scraper._due[0][0] - time.now)
    assert waits[:4] == pytest.approx([0.4, 0.8, 1.6, 3.2])
    assert max(waits) <= 5


async def test_a_target_that_keeps_timing_out_is_read_more_seldom() -> None:
    time = VirtualTime()
    async with serving(hang) as port, open_session() as session:
        scraper = Scraper(session=session, read_log=Logs(), clock=time, deadline=0.01)
        target = a_target(port, interval=5, source=MetricSource.HTTP)
        scraper.watch(target)
        watch = scraper._watches[target.key]
        watch.early = -1
        gaps = []
        for _ in range(12):
            scraper._due.clear()
            await scraper._visit(watch)
            time.now = scraper._due[0][0]
            gaps.append(time.now)
    apart = [later - earlier for earlier, later in pairwise(gaps)]
    assert apart[-1] == pytest.approx(30)  # six times the interval, and no more


async def test_a_look_at_a_flood_of_reports_is_bounded_and_the_rest_follows() -> None:
    logs = Logs({3: b"".join(b"epoch=%d loss=1\n" % i for i in range(6000))})
    async with open_session() as session:
        probe = Probe(a_target(1, source=MetricSource.LOG), session=session, read_log=logs, clock=VirtualTime())
        steps = []
        for _ in range(3):
            await probe.visit()
            steps.append(probe.seen().step or 0)
    assert 2000 <= steps[0] < 4000
    assert steps[0] < steps[1] <= steps[2] == 5999
