"""The local body: trials are processes of this machine, their records are files.

It keeps one `Run` per attempt that is of interest: queued for a GPU, running, or ended and not yet seen through to its
last word. `sights` says what is new of them since it was asked last. Everything happens on the event loop's thread;
whatever has an end (a process, the log's next line) is asked for and never waited for, except by `news`.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from rung.api.errors import InvalidStudy, RungError
from rung.api.facts import Attempt, AttemptEnd, AttemptPhase, TrialFacts
from rung.api.trial import Trial
from rung.brain import Plan
from rung.executor.body import Sight, keeps_attempt
from rung.executor.record import trial_of
from rung.local import guard
from rung.local.process import CannotStartError, Process
from rung.local.reading import Reading, Source
from rung.local.slots import Slots
from rung.local.state import AttemptFolder, State
from rung.local.template import Template
from rung.local.variables import HOST
from rung.observe.extract import Wanted

LOOK_SECONDS = 0.05  # between two looks at the logs: a tenth of a second is what a person takes for "at once"
REAP_SECONDS = 5.0  # a killed process is gone within milliseconds
RECORD_SECONDS = 1.0  # between two writes of a running trial's curve: its log holds everything anyway


class MachineError(RungError):
    """This machine cannot run a trial at the moment, for no fault of the study's. What is known stays on disk."""


@dataclass(slots=True)
class Run:
    """One attempt of one trial."""

    trial: Trial
    target: int | None
    folder: AttemptFolder
    reading: Reading
    process: Process | None = None
    attempt: Attempt = field(default_factory=lambda: Attempt(0, AttemptPhase.QUEUED))
    asking: asyncio.Task[None] | None = None
    ending: bool = False

    @property
    def key(self) -> tuple[int, int]:
        """Trial and attempt."""
        return self.folder.number, self.folder.attempt


class LocalBody:
    """`rung.executor.body.Body` over processes and files."""

    def __init__(
        self,
        plan: Plan,
        state: State,
        template: Template,
        gpus: Slots,
        cores: Slots,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._plan = plan
        self._state = state
        self._template = template
        self._gpus = gpus
        self._cores = cores
        self._clock = clock
        self._records: dict[int, Trial] = {}
        self._runs: dict[tuple[int, int], Run] = {}
        self._changed: dict[tuple[int, int], Run] = {}
        self._written_at: dict[int, float] = {}
        self._untidy: dict[int, TrialFacts] = {}  # finished, and what keepJobs does not want is still there
        self._woken = asyncio.Event()
        self._guard: subprocess.Popen[bytes] | None = None
        spec, key = plan.spec, plan.study.key
        wanted = Wanted.of(spec.metrics, plan.measure.wanted, plan.counter)
        self._source = Source(spec.metrics, wanted, key.namespace, key.name)

    # What reconcile asks for.

    async def create(self, facts: TrialFacts) -> None:
        """Write the trial's first record."""
        await self.write(facts)

    async def write(self, facts: TrialFacts) -> None:
        """Write the trial's record. Raises StateError."""
        now = self._clock()
        trial = trial_of(facts, self._plan, self._records.get(facts.number), now)
        self._state.write_trial(trial)
        if facts.finished:
            self._records.pop(facts.number, None)
            self._written_at.pop(facts.number, None)
            self._untidy[facts.number] = facts
        else:
            self._records[facts.number] = trial
            self._written_at[facts.number] = now

    async def start(self, facts: TrialFacts, attempt: int) -> TrialFacts:
        """Start the attempt, or queue it where its GPUs are taken. One that cannot start has ended, with the reason."""
        key = (facts.number, attempt)
        if key not in self._runs:
            folder = self._state.attempt(*key)
            reading = Reading(
                self._source, facts.number, attempt, folder.log, folder.termination, _free_port(), self._clock
            )
            run = Run(
                self._records[facts.number],
                self._plan.attempt_target(facts),
                folder,
                reading,
                attempt=Attempt(attempt, AttemptPhase.QUEUED),
            )
            self._runs[key] = run
            self._launch(run)
        return replace(facts, gpus=self._template.gpus)

    async def end(self, facts: TrialFacts, attempt: int, reason: str) -> None:  # noqa: ARG002 - the protocol's
        """SIGTERM now, SIGKILL after the grace period. A queued attempt is over at once."""
        run = self._runs.get((facts.number, attempt))
        if run is None or run.ending:
            return
        run.ending = True
        run.attempt = replace(run.attempt, ending=True)
        if run.process is None:
            self._over(run, AttemptEnd.DISRUPTED, None, "ended before it had started", collected=True)
        else:
            run.process.tell_to_end()

    # What the loop asks for.

    def known(self, trial: Trial) -> None:
        """A record that an earlier run has written."""
        if not (trial.status and trial.status.finished):
            self._records[trial.spec.number] = trial

    def tidy(self, facts: TrialFacts) -> None:
        """Remove what is left of a finished trial and keepJobs does not want."""
        for attempt in range(1, facts.attempt + 1):
            if not keeps_attempt(self._plan, facts, attempt):
                self._state.forget(self._state.attempt(facts.number, attempt))

    def recovered(self, folder: AttemptFolder, started_at: float | None) -> Sight:
        """An attempt of a run that has died: over, and everything that it said."""
        reading = Reading(self._source, folder.number, folder.attempt, folder.log, folder.termination, 0, self._clock)
        while not reading.finish():
            pass
        moments = [path.stat().st_mtime for path in (folder.log, folder.termination) if path.exists()]
        ended_at = max(moments, default=started_at)
        attempt = Attempt(
            folder.attempt,
            AttemptPhase.ENDED,
            started_at=started_at,
            ended_at=ended_at,
            end=AttemptEnd.DISRUPTED,
            message="the `rung run` that had started it ended",
            collected=True,
        )
        return replace(reading.sight(), attempt=attempt, last_observed_at=ended_at)

    def look(self) -> None:
        """Look at every attempt once: new lines, ends, grace periods that are over."""
        for run in list(self._runs.values()):
            if run.attempt.phase is AttemptPhase.ENDED:
                self._finish(run)
            elif run.process is not None:
                if run.reading.look():
                    self._changed[run.key] = run
                if run.process.ended():
                    self._ended(run)
        for run in self._runs.values():
            if run.attempt.phase is AttemptPhase.QUEUED:
                self._launch(run)
        busy = {number for number, _ in self._runs}
        for number in self._untidy.keys() - busy:
            self.tidy(self._untidy.pop(number))

    def sights(self) -> dict[int, Sight]:
        """What is new since the last call, by trial."""
        changed, self._changed = self._changed, {}
        seen = {}
        newest = dict(sorted(self._runs))  # the highest attempt comes last
        for key, run in changed.items():
            number, attempt = key
            if attempt == newest[number]:  # of an older one nobody wants to know any more
                seen[number] = replace(run.reading.sight(), attempt=run.attempt)
            if run.attempt.collected:
                self._runs.pop(key, None)
        return seen

    async def news(self, until: float, *, at_least: float) -> None:
        """Wait until there is news, or until the moment `until` (by the clock).

        A new line may wait `at_least` seconds, so that a chatty trial does not keep us busy; an end or a wake-up does
        not.
        """
        await self._wait(at_least)
        while True:
            self.look()
            left = until - self._clock()
            if self._changed or left <= 0:
                return
            if await self._wait(min(LOOK_SECONDS, left) if self._runs else left):
                self.look()
                return

    async def _wait(self, seconds: float) -> bool:
        """True if something woke us before the time was over."""
        woken = self._woken.is_set()
        if not woken:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    woken = await self._woken.wait()
        self._woken.clear()
        return woken

    def wake(self) -> None:
        """Make `news` look again at once."""
        self._woken.set()

    def due(self, facts: TrialFacts) -> bool:
        """The record of a running trial is old enough to be written again."""
        return self._clock() - self._written_at.get(facts.number, 0.0) >= RECORD_SECONDS

    def kill(self) -> None:
        """End every process at once."""
        for run in self._runs.values():
            if run.process is not None:
                run.process.kill()

    async def close(self) -> None:
        """Leave nothing behind: processes, tasks, the guard."""
        self.kill()
        tasks = [run.asking for run in self._runs.values() if run.asking is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for run in self._runs.values():
            if run.process is not None:
                self._stop_watching(run)
                with contextlib.suppress(subprocess.TimeoutExpired):  # in a system call that nothing interrupts
                    run.process.popen.wait(REAP_SECONDS)
                run.process.close()
        for facts in self._untidy.values():
            self.tidy(facts)
        if self._guard is not None and self._guard.stdin is not None:
            with contextlib.suppress(OSError):
                self._guard.stdin.close()
            self._guard.wait()

    # One attempt's life.

    def _launch(self, run: Run) -> None:
        """Start it, if the GPUs and cores that it asks for are free."""
        wanted = self._template.gpus
        if not self._gpus.could_ever_take(wanted):
            said = f"asks for {wanted} GPUs, and this machine has {len(self._gpus.all)} (see --gpus)"
            self._over(run, AttemptEnd.REFUSED, None, said, collected=True)
            return
        devices = self._gpus.take(run.key, wanted)
        cores = self._cores.take(run.key, min(self._template.cpus, len(self._cores.all)))
        if devices is None or cores is None:
            self._give_back(run)
            return
        try:
            run.folder.path.mkdir(parents=True, exist_ok=True)
            launch = self._template.launch(
                run.trial,
                run.folder,
                devices,
                cores,
                target=run.target,
                port=run.reading.port,
                checkpoints=self._state.checkpoints,
            )
            run.process = Process.start(launch)
        except (CannotStartError, InvalidStudy) as error:
            self._over(run, AttemptEnd.REFUSED, None, str(error), collected=True)
            return
        except OSError as error:
            raise MachineError(
                f"trial {run.folder.number} cannot be started: {error}; the machine is at its limits,"
                f" or cannot write {run.folder.path}"
            ) from error
        self._tell_guard(f"+ {run.process.pid} {run.process.ticks}")
        self._state.write_process(
            run.folder,
            {
                "pid": run.process.pid,
                "ticks": run.process.ticks,
                "boot": boot_id(),
                "startedAt": run.process.started_at,
            },
        )
        run.attempt = Attempt(
            run.folder.attempt, AttemptPhase.RUNNING, started_at=run.process.started_at, node=_node(), ending=run.ending
        )
        if run.process.pidfd is not None:
            asyncio.get_running_loop().add_reader(run.process.pidfd, self._exited, run)
        if self._source.may_ask_port:
            self._ask_port(run)
        self._news(run)

    def _ask_port(self, run: Run) -> None:
        run.asking = asyncio.get_running_loop().create_task(
            run.reading.ask_port(functools.partial(self._news, run)), name=f"port of trial {run.folder.number}"
        )

    def _ended(self, run: Run) -> None:
        process = run.process
        if process is None:
            raise AssertionError("an attempt without a process cannot end")
        self._stop_watching(run)
        process.close()
        self._tell_guard(f"- {process.pid}")
        if run.asking is not None:
            run.asking.cancel()
        end, code, message = process.end()
        self._over(run, end, code, message, collected=False)
        self._finish(run)

    def _finish(self, run: Run) -> None:
        """Read the rest of what an ended attempt said."""
        if run.attempt.collected:
            return
        if run.reading.finish():
            run.attempt = replace(run.attempt, collected=True)
            self._news(run)
        else:
            self._woken.set()  # there is more: go on as soon as the others have had their turn

    def _give_back(self, run: Run) -> None:
        self._gpus.give_back(run.key)
        self._cores.give_back(run.key)

    def _over(self, run: Run, end: AttemptEnd, code: int | None, message: str, *, collected: bool) -> None:
        self._give_back(run)
        run.attempt = replace(
            run.attempt,
            phase=AttemptPhase.ENDED,
            ended_at=self._clock(),
            end=end,
            exit_code=code,
            message=message,
            collected=collected,
        )
        self._news(run)

    def _news(self, run: Run) -> None:
        self._changed[run.key] = run
        self._woken.set()

    def _exited(self, run: Run) -> None:
        """Its process is over. The descriptor stays readable from now on: once is enough."""
        self._stop_watching(run)
        self._woken.set()

    def _stop_watching(self, run: Run) -> None:
        if run.process is not None and run.process.pidfd is not None:
            asyncio.get_running_loop().remove_reader(run.process.pidfd)

    def _tell_guard(self, line: str) -> None:
        if self._guard is None:
            self._guard = subprocess.Popen(
                [sys.executable, "-I", "-S", guard.__file__],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,  # Ctrl-C in the terminal is not meant for it
                bufsize=0,
            )
            self._tell_guard(f"grace {self._template.grace_seconds}")
        if self._guard.stdin is not None:
            with contextlib.suppress(
                OSError
            ):  # somebody has killed it: then trials of a killed run live until the next one
                self._guard.stdin.write(f"{line}\n".encode())


def boot_id() -> str:
    """Tells one start of the machine from the next; empty where nobody says."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""


def _free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as listener:
        listener.bind((HOST, 0))
        return int(listener.getsockname()[1])


@functools.cache
def _node() -> str:
    return socket.gethostname()
