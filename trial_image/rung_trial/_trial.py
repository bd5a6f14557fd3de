"""One trial as its own process sees it: what it was told, what it has said, and whether it is to stop.

All that was said is a deque of observations `(n, step, time, values)`, n from 0. An append is its only change, so the
SIGTERM handler, which may run between any two lines of the main thread, always finds it whole.
"""

from __future__ import annotations

import atexit
import json
import math
import os
import signal
import sys
import threading
import time
from collections import deque
from itertools import islice

from rung_trial._words import last_words, plain, plain_values, prometheus_text

TYPE_CHECKING = False  # typing and pathlib cost a third of a short trial's start: only when needed
if TYPE_CHECKING:
    from pathlib import Path
    from types import FrameType, TracebackType
    from typing import Any, Iterator, Mapping, SupportsFloat

    from rung_trial._checkpoint import Checkpoint
    from rung_trial._words import Observation

    Metrics = Mapping[str, SupportsFloat]

BAD_CONFIGURATION = 78  # EX_CONFIG of sysexits.h: these parameters can never work, so the trial is not tried again
INFEASIBLE = 65  # EX_DATAERR: this point of the space cannot be evaluated, where the Study lists the code
STOPPED = 143  # 128 + SIGTERM: what shells and Kubernetes call a process that was asked to leave

REMEMBERED = 100_000  # kept for an operator that starts anew and asks from 0: some 40 MB, then the oldest go
PER_REPLY, VALUES_PER_REPLY = 1000, 10_000  # the second keeps a reply of long metric names below 1 MiB
OUTPUTS, OUTPUT_LENGTH = 8, 256  # what a Trial's status.outputs holds
RANKS = ("RANK", "OMPI_COMM_WORLD_RANK")  # torchrun, mpirun: of many equal processes only the first speaks


class Trial:
    """What Rung told this process (attributes) and what the process may say (methods). `rung_trial.start()` gives it.

    study, name, number, attempt   who it is; `name` is empty without an operator
    parameters, seed               the assignment, numbers as numbers; the seed
    counter, target                name of the step counter; train up to this step (None: the program's own default)
    checkpoint_dir, keep           where checkpoints go (None: nowhere); how many stay (0: all)
    """

    def __init__(self, environ: Mapping[str, str]) -> None:
        def number(name: str, default: int) -> int:
            try:
                return int(float(environ.get(name) or default))
            except (ValueError, OverflowError):
                raise ValueError(f"{name} must be a whole number, got {environ[name]!r}") from None

        self.study = environ.get("RUNG_STUDY", "")
        self.name = environ.get("RUNG_TRIAL", "")
        self.number = number("RUNG_TRIAL_NUMBER", 0)
        self.attempt = number("RUNG_ATTEMPT", 1)
        self.seed = number("RUNG_SEED", 0)
        self.parameters: dict[str, Any] = json.loads(environ.get("RUNG_PARAMETERS") or "{}")
        self.counter = environ.get("RUNG_RESOURCE_METRIC") or "step"
        self.target = number("RUNG_RESOURCE_TARGET", 0) or None
        self.checkpoint_dir = _path(environ.get("RUNG_CHECKPOINT_DIR"))
        self.keep = number("RUNG_CHECKPOINT_KEEP", 2)  # the newest, and one should its reader still be at work
        self._environ = environ
        self._observations: deque[Observation] = deque(maxlen=REMEMBERED)
        self._outputs: dict[str, str] = {}
        self._last: dict[str, float] = {}
        self._step: float = 0
        self._checkpoint_step: int | None = None
        self._acknowledged = 0
        self._speaks = all(environ.get(rank, "0") == "0" for rank in RANKS)
        self._started = self._done = self._stop = False
        self._lock = threading.RLock()  # re-entrant: the SIGTERM handler may interrupt its holder
        self._sigterm_before: Any = signal.SIG_DFL
        self._server: Any = None

    def start(self) -> Trial:
        """Serve, and listen for SIGTERM; the first report does it too. Returns the trial itself, for `with`."""
        if threading.current_thread() is threading.main_thread() and not self._listens():
            self._sigterm_before = signal.signal(signal.SIGTERM, self._on_sigterm)
        if not self._started:
            self._started = True
            atexit.register(self._say_last_words)
            if hasattr(os, "register_at_fork"):
                os.register_at_fork(after_in_child=self._fall_silent)
            if self.name and self._speaks:
                from rung_trial._server import serve

                self._server = serve(self._environ, self._answer)
        return self

    def report(self, metrics: Metrics | None = None, *, step: float | None = None, **more: SupportsFloat) -> None:
        """One observation: `report(step=3, val_loss=0.31)`, or `report({"mAP@0.5": 0.4}, step=3)` for names with signs.

        A value under the counter's own name is the step, else `step` is, else one more than the last. NaN and infinity
        are passed on. In processes of a rank above 0 and in forked workers nothing happens.
        Raises TypeError for what is not a number, ValueError for a step below 0 or not finite.
        """
        values = {name: _float(name, value) for name, value in {**(metrics or {}), **more}.items()}
        at = values.pop(self.counter, _float("step", self._step + 1 if step is None else step))
        if not math.isfinite(at) or at < 0:
            raise ValueError(f"{self.counter} must be a finite number of at least 0, got {at!r}")
        self._observe(at, values)

    def output(self, name: str, text: str) -> None:
        """A fact that is no number, for the Trial's status.outputs: a model's URI, a link. 8 of 256 characters."""
        if not self._started:
            self.start()
        if name not in self._outputs and len(self._outputs) == OUTPUTS:
            complain(f"output {name!r} left out: a trial has at most {OUTPUTS}")
            return
        if len(text) > OUTPUT_LENGTH:
            complain(f"output {name!r} cut to {OUTPUT_LENGTH} characters")
        with self._lock:
            self._outputs[name] = text[:OUTPUT_LENGTH]
        if self._speaks:
            _print({"outputs": {name: text[:OUTPUT_LENGTH]}})

    def should_stop(self) -> bool:
        """Whether SIGTERM has come: write a checkpoint and leave the `with` block, which then exits with 143."""
        return self._stop

    def steps(self, default: int, after: int = 0) -> Iterator[int]:
        """`after` + 1 up to the target (`default` without one), ending early once `should_stop()`."""
        for step in range(after + 1, (self.target or default) + 1):
            if self._stop:
                return
            yield step

    def checkpoint(self, step: int) -> Checkpoint:
        """`with trial.checkpoint(step) as folder:` write into `folder`; it counts, whole, when the block has ended.

        Raises FileNotFoundError where `checkpoint_dir` is None.
        """
        from rung_trial._checkpoint import Checkpoint

        if self.checkpoint_dir is None:
            raise FileNotFoundError("RUNG_CHECKPOINT_DIR is not set: look at trial.checkpoint_dir before a checkpoint")
        return Checkpoint(self.checkpoint_dir, step, self.keep, self._checkpointed)

    def resume(self) -> tuple[int, Path] | None:
        """Step and path to go on from: RUNG_RESUME_FROM, or the latest complete checkpoint of an earlier attempt.

        Raises FileNotFoundError if RUNG_RESUME_FROM names nothing: starting anew would pass for the resumed training.
        """
        if not self.checkpoint_dir and not self._environ.get("RUNG_RESUME_FROM"):
            return None
        from rung_trial._checkpoint import complete, step_of

        named = _path(self._environ.get("RUNG_RESUME_FROM"))
        if named is None:
            found = complete(self.checkpoint_dir) if self.checkpoint_dir else []
            return found[-1] if found else None
        step = step_of(named)
        if step is None or not named.exists():
            raise FileNotFoundError(f"RUNG_RESUME_FROM must name an existing checkpoint step-<n>, got {named}")
        return step, named

    def __enter__(self) -> Trial:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self.finish(error)

    def finish(self, error: BaseException | None = None) -> None:
        """Say the last word; leaving `with` does it.

        After SIGTERM it raises SystemExit(143), unless the target was reached (all is there) or `error` says worse.
        """
        self._say_last_words()
        if self._listens():
            signal.signal(signal.SIGTERM, self._sigterm_before)
        left_well = error is None or (isinstance(error, SystemExit) and not error.code)
        if self._stop and left_well and (self.target is None or self._step < self.target):
            raise SystemExit(STOPPED)

    def _observe(self, step: float, values: dict[str, float]) -> None:
        if not self._started:
            self.start()
        if not self._speaks:
            return
        with self._lock:
            n = self._observations[-1][0] + 1 if self._observations else 0
            self._observations.append((n, step, time.time(), values))
            self._step, self._done = step, False
            self._last.update(values)
        _print({self.counter: plain(step), **plain_values(values)})

    def _checkpointed(self, step: int) -> None:
        self._checkpoint_step = step
        self._observe(max(step, self._step), {"checkpoint_step": float(step)})

    def _answer(self, path: str, since: int) -> str | None:
        """The body of /observations or /metrics, None for another path. Asking from n acknowledges all below n."""
        with self._lock:
            if path == "/metrics":
                return prometheus_text({self.counter: self._step, **self._last})
            if path != "/observations":
                return None
            first, end = (self._observations[0][0], self._observations[-1][0] + 1) if self._observations else (0, 0)
            self._acknowledged = max(self._acknowledged, min(since, end))
            skipped = max(since - first, 0)
            batch = list(islice(self._observations, skipped, skipped + PER_REPLY))
            while len(batch) > 1 and sum(len(values) for _, _, _, values in batch) > VALUES_PER_REPLY:
                del batch[len(batch) // 2 :]
            reply = {
                "trial": self.name,
                "attempt": self.attempt,
                "next": batch[-1][0] + 1 if batch else end,
                "observations": [
                    {"n": n, "step": plain(step), "time": at, "values": plain_values(values)}
                    for n, step, at, values in batch
                ],
                "outputs": self._outputs,
                "done": self._done,
            }
            return json.dumps(reply, allow_nan=False)

    def _say_last_words(self) -> None:
        """Write the termination message: what the operator has not fetched, and always the last observation."""
        log = self._environ.get("RUNG_TERMINATION_LOG") or "/dev/termination-log"
        if not self._speaks or (log == "/dev/termination-log" and not os.access(log, os.W_OK)):
            return
        with self._lock:
            self._done = True
            unread = [seen for seen in self._observations if seen[0] >= self._acknowledged]
            message = last_words(unread or list(self._observations)[-1:], self._outputs, self._checkpoint_step)
        try:
            with open(log, "wb") as file:
                file.write(message)
        except OSError as error:
            complain(f"no termination message: {error}")

    def _listens(self) -> bool:
        return bool(signal.getsignal(signal.SIGTERM) == self._on_sigterm)

    def _on_sigterm(self, number: int, frame: FrameType | None) -> None:
        self._stop = True
        self._say_last_words()  # now as well: the training may not come to its end within the grace period
        self._done = False
        if callable(self._sigterm_before):
            self._sigterm_before(number, frame)

    def _fall_silent(self) -> None:
        """In a forked child (a data loader's worker): no report, no last word, the port let go, SIGTERM as it was."""
        self._lock, self._speaks = threading.RLock(), False
        if self._server is not None:
            self._server.close()
        if self._listens():
            signal.signal(signal.SIGTERM, self._sigterm_before)


def complain(what: str) -> None:
    """One line on stderr, for what must not end a training."""
    print(f"rung_trial: {what}", file=sys.stderr, flush=True)


def _print(line: Mapping[str, object]) -> None:
    try:
        sys.stdout.write(json.dumps(line) + "\n")  # one write: the lines of two threads don't mix
        sys.stdout.flush()
    except (OSError, ValueError):
        pass  # a closed stdout is no reason to lose the training


def _path(text: str | None) -> Path | None:
    if not text:
        return None
    from pathlib import Path

    return Path(text)


def _float(name: str, value: SupportsFloat) -> float:
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError) as error:
        raise TypeError(f"{name} must be a number, got {value!r}: {error}") from None
