"""One trial as its own process sees it: what it was told, what it says, and whether it is to stop."""

from __future__ import annotations

import atexit
import json
import math
import os
import re
import signal
import sys
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from itertools import takewhile

from rung_trial._said import Said, serve

TYPE_CHECKING = False  # typing and pathlib cost a third of a short trial's start: only when needed
if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any, SupportsFloat

BAD_CONFIGURATION = 78  # EX_CONFIG of sysexits.h: these parameters can never work, so the trial is not tried again
INFEASIBLE = 65  # EX_DATAERR: this point of the space cannot be evaluated, where the Study lists the code
STOPPED = 143  # 128 + SIGTERM: what shells and Kubernetes call a process that was asked to leave

PORT, TERMINATION_LOG = "9100", "/dev/termination-log"  # unless RUNG_METRICS_PORT, RUNG_TERMINATION_LOG say otherwise
OUTPUTS, OUTPUT_LENGTH = 8, 256  # what a Trial's status.outputs holds
RANKS = ("RANK", "OMPI_COMM_WORLD_RANK")  # torchrun, mpirun: of many equal processes only the first speaks


class Trial:
    """What Rung told this process (attributes) and what the process may say (methods). `rung_trial.start()` gives it.

    study, name, number, attempt   who it is; `name` is empty without an operator
    parameters, seed               the assignment, numbers as numbers; the seed
    counter, target                name of the step counter; train up to this step (None: the program's own default)
    checkpoint_dir, keep           where checkpoints go (empty: nowhere); how many stay (0: all)
    said                           all that this process has said
    """

    def __init__(self, environ: Mapping[str, str]) -> None:
        def whole(name: str, default: int) -> int:
            return int(number(name, environ.get(name) or default))

        self.study, self.name = environ.get("RUNG_STUDY", ""), environ.get("RUNG_TRIAL", "")
        self.number, self.attempt = whole("RUNG_TRIAL_NUMBER", 0), whole("RUNG_ATTEMPT", 1)
        self.seed = whole("RUNG_SEED", 0)
        self.parameters: dict[str, Any] = json.loads(environ.get("RUNG_PARAMETERS") or "{}")
        self.counter = environ.get("RUNG_RESOURCE_METRIC") or "step"
        self.target = whole("RUNG_RESOURCE_TARGET", 0) or None
        self.checkpoint_dir = environ.get("RUNG_CHECKPOINT_DIR", "")
        self.keep = whole("RUNG_CHECKPOINT_KEEP", 2)  # the newest, and one should its reader still be at work
        self._environ = environ
        self.said = Said()
        self._speaks = all(environ.get(rank, "0") == "0" for rank in RANKS)
        self._started = False
        self._sigterm_before: Any = signal.SIG_DFL
        self._server: Any = None

    def start(self) -> Trial:
        """Serve, and listen for SIGTERM; the first report does it too. Returns the trial itself, for `with`."""
        if threading.current_thread() is threading.main_thread() and not self._listens():
            self._sigterm_before = signal.signal(signal.SIGTERM, self._on_sigterm)
        if not self._started:
            self._started, environ = True, self._environ
            atexit.register(self._say_last_words)
            if hasattr(os, "register_at_fork"):
                os.register_at_fork(after_in_child=self._fall_silent)
            if self.name and self._speaks:
                host, port = environ.get("RUNG_METRICS_HOST", ""), environ.get("RUNG_METRICS_PORT") or PORT
                try:
                    self._server = serve(host, port, self._answer)
                except (OSError, ValueError, OverflowError) as error:
                    complain(f"cannot listen on {host or 'any address'} port {port} ({error}): only stdout is left")
        return self

    def report(
        self, metrics: Mapping[str, SupportsFloat] | None = None, *, step: float | None = None, **more: SupportsFloat
    ) -> None:
        """One observation: `report(step=3, val_loss=0.31)`, or `report({"mAP@0.5": 0.4}, step=3)` for names with signs.

        A value under the counter's own name is the step, else `step` is, else one more than the last. NaN and infinity
        are passed on. In processes of a rank above 0 and in forked workers nothing happens.
        Raises TypeError for what is not a number, ValueError for a step below 0 or not finite.
        """
        values = {name: number(name, value) for name, value in {**(metrics or {}), **more}.items()}
        at = values.pop(self.counter, number("step", self.said.step + 1 if step is None else step))
        if isinstance(at, str) or at < 0:
            raise ValueError(f"{self.counter} must be a finite number of at least 0, got {at}")
        if not self._started:
            self.start()
        if self._speaks:
            self.said.add(at, values)
            self._print({self.counter: at, **values})

    def output(self, name: str, text: str) -> None:
        """A fact that is no number, for the Trial's status.outputs: a model's URI, a link. 8 of 256 characters."""
        if not self._started:
            self.start()
        outputs = self.said.outputs
        if name not in outputs and len(outputs) == OUTPUTS:
            complain(f"output {name!r} left out: a trial has at most {OUTPUTS}")
            return
        outputs[name] = text[:OUTPUT_LENGTH]
        self._print({"outputs": {name: outputs[name]}})

    def should_stop(self) -> bool:
        """Whether SIGTERM has come: write a checkpoint and leave the `with` block, which then exits with 143."""
        return self.said.stopping

    def steps(self, default: int, after: int = 0) -> Iterator[int]:
        """`after` + 1 up to the target (`default` without one), ending early once `should_stop()`."""
        return takewhile(lambda _: not self.should_stop(), range(after + 1, (self.target or default) + 1))

    @contextmanager
    def checkpoint(self, step: int) -> Iterator[Path]:
        """`with trial.checkpoint(step) as folder:` write into `folder`; it counts, whole, when the block has ended.

        Made durable, then renamed: a trial killed at any moment leaves the old ones and one unfinished folder, which
        the next one sweeps away. One that is there is never overwritten, and an exception throws the new one away.
        Raises FileNotFoundError where `checkpoint_dir` is empty, ValueError where it is a URI.
        """
        from shutil import rmtree

        if not self.checkpoint_dir:
            raise FileNotFoundError("RUNG_CHECKPOINT_DIR is not set: look at trial.checkpoint_dir before a checkpoint")
        directory = folder_at(self.checkpoint_dir)
        path, unfinished = directory / f"step-{step:d}", directory / f".unfinished-step-{step:d}"
        for leftover in directory.glob(".unfinished-*"):
            rmtree(leftover)
        unfinished.mkdir(parents=True)
        try:
            yield unfinished
            if not path.exists():
                for written in [*unfinished.rglob("*"), unfinished]:
                    make_durable(written)
                unfinished.rename(path)
                make_durable(directory)
        finally:
            rmtree(unfinished, ignore_errors=True)
        self.report(step=max(step, self.said.step), checkpoint_step=step)
        for _, old in complete(directory.glob("*"))[: -self.keep] if self.keep else []:
            rmtree(old, ignore_errors=True)

    def resume(self) -> tuple[int, Path] | None:
        """Step and path to go on from: another trial's that RUNG_RESUME_FROM names, or the latest of an earlier attempt.

        Raises FileNotFoundError if RUNG_RESUME_FROM names nothing: starting anew would pass for the resumed training.
        """
        named, own = self._environ.get("RUNG_RESUME_FROM", ""), self.checkpoint_dir
        if not named and (not own or "://" in own):
            return None  # nobody can list what is at a URI: whoever knows of a checkpoint there names it
        others = named and os.path.dirname(named) != own.rstrip("/")  # of its own the latest, whichever Rung heard of
        found = complete([folder_at(named)] if others else folder_at(own).glob("*"))
        if named and not found:
            raise FileNotFoundError(f"RUNG_RESUME_FROM must name an existing checkpoint step-<n>, got {named}")
        return found[-1] if found else None

    __enter__ = start

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: object) -> None:
        self.finish(error)

    def finish(self, error: BaseException | None = None) -> None:
        """Say the last word; leaving `with` does it.

        After SIGTERM it raises SystemExit(143), unless the target was reached (all is there) or `error` says worse.
        """
        self.said.done = True
        self._say_last_words()
        if self._listens():
            signal.signal(signal.SIGTERM, self._sigterm_before)
        left_well = error is None or (isinstance(error, SystemExit) and not error.code)
        if self.said.stopping and left_well and (self.target is None or self.said.step < self.target):
            raise SystemExit(STOPPED)

    def _answer(self, path: str, since: int) -> tuple[str, str] | None:
        if path == "/observations":
            page = {"trial": self.name, "attempt": self.attempt, **self.said.page(since)}
            return "application/json", json.dumps(page, allow_nan=False)
        return ("text/plain; version=0.0.4", self.said.gauges(self.counter)) if path == "/metrics" else None

    def _print(self, line: Mapping[str, object]) -> None:
        if self._speaks:
            with suppress(OSError, ValueError):  # a closed stdout is no reason to lose the training
                print(json.dumps(line) + "\n", end="", flush=True)  # one write: the lines of two threads don't mix

    def _say_last_words(self) -> None:
        """Write the termination message: what the operator has not fetched, and always the last observation."""
        log = self._environ.get("RUNG_TERMINATION_LOG") or TERMINATION_LOG
        if self._speaks and (log != TERMINATION_LOG or os.access(log, os.W_OK)):
            try:
                with open(log, "wb") as file:
                    file.write(self.said.last_words())
            except OSError as error:
                complain(f"no termination message: {error}")

    def _listens(self) -> bool:
        return bool(signal.getsignal(signal.SIGTERM) == self._on_sigterm)

    def _on_sigterm(self, number: int, frame: object) -> None:
        self.said.stopping = True
        self._say_last_words()  # now as well: the training may not come to its end within the grace period
        if callable(self._sigterm_before):
            self._sigterm_before(number, frame)

    def _fall_silent(self) -> None:
        """In a forked child (a data loader's worker): no report, no last word, the port let go, SIGTERM as it was."""
        self.said, self._speaks = Said(), False
        if self._server is not None:
            self._server.close()
        if self._listens():
            signal.signal(signal.SIGTERM, self._sigterm_before)


def complain(what: str) -> None:
    """One line on stderr, for what must not end a training."""
    print(f"rung_trial: {what}", file=sys.stderr, flush=True)


def number(name: str, value: SupportsFloat | str) -> float | str:
    """A number as strict JSON has it: whole ones without `.0`, NaN and infinities as words. TypeError says the name."""
    try:
        real = float(value)
    except (TypeError, ValueError, OverflowError) as error:
        raise TypeError(f"{name} must be a number, got {value!r}: {error}") from None
    if not math.isfinite(real):
        return json.dumps(real)
    return int(real) if real.is_integer() and abs(real) < 2**53 else real


def complete(paths: Iterable[Path]) -> list[tuple[int, Path]]:
    """Step and path of those that are checkpoints, by step."""
    named = [(re.fullmatch(r"step-([0-9]+)", path.name), path) for path in paths if path.exists()]
    return sorted((int(step[1]), path) for step, path in named if step)


def folder_at(where: str) -> Path:
    """Raises ValueError for a URI: a folder of that name would be lost with the pod."""
    from pathlib import Path

    if "://" in where:
        raise ValueError(f"{where} is a URI: read and write it with its own client, then report checkpoint_step=<step>")
    return Path(where)


def make_durable(path: Path) -> None:
    """On the disk, whatever happens to the machine from now on."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
