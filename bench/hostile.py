"""What 200 hostile trials cost the process that reads them, and what the honest ones beside them feel of it.

All kinds of `tests/observe/hostile.py` in turn, each with a log of 8 MB where it prints; 10 honest trials beside them report
every second. The hostile are served by one process, the honest by another, and logs are files: the reader's memory is the
reader's alone.

    baseline   resident memory of the reader before it watches anybody: its imports, a session, a scraper
    peak       the most that the kernel has seen (VmHWM) while they were read and their last words were collected
    delay      from an honest trial's report to the reader's news of it; looks at them are 1 s apart, at the hostile the usual 5 s

Run: `nice python -m bench.hostile`
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from aiohttp import web

from bench.report import ROOT, finish, quick, summary, table
from rung.api.study import MetricSource, MetricsSpec
from rung.observe.extract import Wanted
from rung.observe.http import open_session
from rung.observe.logtail import LogPosition
from rung.observe.scraper import Scraper
from rung.observe.target import Seen, Target, TargetKey
from tests.observe.hostile import KINDS
from tests.observe.servers import Handler, HonestTrial

HOSTILE = 200
HONEST = 10
SECONDS = 60.0
LOG_BYTES = 8 << 20
NO_LOG = 1000  # numbers of trials whose log is no file
WANTED = Wanted.of(None, ("loss",), "epoch")


async def serve(who: str) -> None:
    """The other processes: a port for each kind, or for each honest trial; prints them, and ends with its input."""
    async with contextlib.AsyncExitStack() as stack:
        ports = []
        honest = [HonestTrial(name=f"honest-{i}") for i in range(HONEST)] if who == "honest" else []
        handlers: list[Handler | None] = [*honest] or [kind.serves for kind in KINDS]
        for handler in handlers:
            if handler is None:
                ports.append(1)
                continue
            runner = web.ServerRunner(web.Server(handler), shutdown_timeout=0.1)
            await runner.setup()
            stack.push_async_callback(runner.cleanup)
            site = web.TCPSite(runner, "127.0.0.1", 0)
            await site.start()
            ports.append(runner.addresses[0][1])
        print(*ports, flush=True)
        ended = asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
        while not ended.done():
            for trial in honest:
                trial.reports.append({"step": len(trial.reports), "values": {"loss": 0.5, "at": time.time()}})
            await asyncio.wait({ended}, timeout=1.0)


def target(study: str, number: int, trial: str, port: int, source: MetricSource) -> Target:
    """One attempt."""
    spec = MetricsSpec(source=source, port=port, interval_seconds=1 if study == "honest" else 5)
    wanted = WANTED if trial == "digits-3" else Wanted.of(None, ("loss", "at"), "epoch")
    return Target(TargetKey("default", study, number, 1), trial, "127.0.0.1", spec, wanted)


def memory(field: str) -> float:
    """VmRSS or VmHWM of this process in MB."""
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith(field):
            return int(line.split()[1]) * 1024 / 1e6
    raise RuntimeError(f"no {field} in /proc/self/status")


def forget_peak() -> None:
    """VmHWM counts from here."""
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


class Readings:
    """The reader's side: logs from files, and the delays of the honest."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.delays: list[float] = []
        self.log_bytes = 0
        self._steps: dict[TargetKey, float] = {}

    async def read_log(self, target: Target, position: LogPosition) -> bytes:
        """A piece of the kind's log."""
        file = self.folder / str(target.key.trial)
        if not file.exists():
            return b""
        with file.open("rb") as log:
            chunk = os.pread(log.fileno(), position.limit, position.offset)
        self.log_bytes += len(chunk)
        return chunk

    def news(self, key: TargetKey, seen: Seen) -> None:
        """Of an honest trial: how long ago its last report was made."""
        last = seen.observations[-1] if seen.observations else None
        if key.study == "honest" and last is not None and last.step > self._steps.get(key, -1):
            if key in self._steps:  # the first look finds what was reported before it
                self.delays.append(time.time() - last.values["at"])
            self._steps[key] = last.step


async def read(ports: list[int], folder: Path, hostile: int, seconds: float) -> dict[str, float]:
    """Read them all for so long, and then their last words."""
    readings = Readings(folder)
    async with open_session() as session:
        scraper = Scraper(session=session, read_log=readings.read_log, on_news=readings.news)
        baseline = memory("VmRSS")
        forget_peak()
        begin, cpu = time.monotonic(), time.process_time()
        async with scraper:
            targets = []
            for i in range(hostile):
                kind = KINDS[i % len(KINDS)]
                source = MetricSource.LOG if kind.serves is None else MetricSource.AUTO
                targets.append(target(f"h{i}", i % len(KINDS), "digits-3", ports[i % len(KINDS)], source))
            targets += [
                target("honest", NO_LOG + i, f"honest-{i}", ports[len(KINDS) + i], MetricSource.AUTO)
                for i in range(HONEST)
            ]
            for one in targets:
                scraper.watch(one)
            await asyncio.sleep(seconds)
            busy = (time.process_time() - cpu) / (time.monotonic() - begin)
            while_running = memory("VmHWM")
            ending = time.monotonic()
            seen = await asyncio.gather(*(scraper.final(one, None) for one in targets))
        return {
            "baseline_mb": round(baseline, 1),
            "peak_while_running_mb": round(while_running, 1),
            "peak_mb": round(memory("VmHWM"), 1),
            "at_the_end_mb": round(memory("VmRSS"), 1),
            "over_baseline_mb": round(memory("VmHWM") - baseline, 1),
            "cpu_share": round(busy, 2),
            "last_words_seconds": round(time.monotonic() - ending, 1),
            "log_mb_read": round(readings.log_bytes / 1e6),
            "steps_held": sum(len(s.observations) for s in seen),
            **{f"delay_{key}": value for key, value in summary(readings.delays or [math.nan]).items()},
        }


@contextlib.contextmanager
def serving(who: str) -> Iterator[list[int]]:
    """A process that serves them; gives its ports. The hostile are to starve nobody but their reader."""
    command = ["nice", "-n", "5" if who == "hostile" else "0", sys.executable, "-m", "bench.hostile", "--serve", who]
    environment = {**os.environ, "PYTHONPATH": f"{ROOT / 'operator'}:{ROOT}"}
    server = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment, cwd=ROOT
    )
    try:
        assert server.stdout is not None
        yield [int(port) for port in server.stdout.readline().split()]
    finally:
        server.communicate("")


def main() -> None:
    """Measure, print, write."""
    if sys.argv[1:2] == ["--serve"]:
        asyncio.run(serve(sys.argv[2]))
        return
    small = quick(__doc__)
    hostile, seconds = (len(KINDS), 5.0) if small else (HOSTILE, SECONDS)
    with tempfile.TemporaryDirectory() as name:
        for i, kind in enumerate(KINDS):
            if kind.log:
                Path(name, str(i)).write_bytes(kind.log * (LOG_BYTES // len(kind.log) + 1))
        with serving("hostile") as bad, serving("honest") as good:
            result = asyncio.run(read([*bad, *good], Path(name), hostile, seconds))
    print(table(f"{hostile} hostile trials, {HONEST} honest ones", list(result.items()), ("", "")))
    finish("hostile", {"hostile": hostile, "honest": HONEST, "kinds": len(KINDS), **result}, small=small)


if __name__ == "__main__":
    main()
