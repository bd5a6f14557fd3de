"""rung-trial: what a training in any language says, one short process per call and nothing in between.

    rung-trial report step=3 val_loss=0.2   one observation; without a step, one further than the last
    rung-trial output model=s3://models/1   facts that are no numbers
    rung-trial steps 27                     the steps left to train, a line each: after the checkpoint, up to the target
    rung-trial resume                       path of the checkpoint to go on from; nothing where there is none
    rung-trial checkpoint 3 PATH            copies PATH into $RUNG_CHECKPOINT_DIR/step-3, whole or not at all
    rung-trial sigterm                      for a script's trap: SIGTERM has come
    rung-trial should-stop                  exit code 0 once SIGTERM has come, else 1
    rung-trial finish                       a script's last command: exit code 143 if stopped short of the target

A report is a line on stdout, which therefore has to be the container's. The memory from one call to the next is the
termination message, under a lock: it can be written in every pod, belongs to one attempt, and brings the end of the
curve even where the log is lost. Where there is none (no operator), nothing is remembered: a report is only printed.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from rung_trial._trial import BAD_CONFIGURATION, TERMINATION_LOG, Trial, complain, number


class WrongCallError(Exception):
    """The call can never work, so a script that ends with it should not be tried again."""


def main() -> int:
    """Run the command that stands on the command line; returns its exit code."""
    name, given = (sys.argv[1:2] or ["help"])[0], sys.argv[2:]
    if name in {"help", "--help", "-h"}:
        print(__doc__, end="")
        return 0
    if name not in COMMANDS:
        complain(f"no command {name!r}: {', '.join(COMMANDS)}, or help")
        return BAD_CONFIGURATION
    try:
        return COMMANDS[name](Trial({**os.environ, "RUNG_TRIAL": ""}), given)  # without a name it listens on no port
    except (WrongCallError, TypeError, ValueError) as error:
        complain(str(error))
        return BAD_CONFIGURATION
    except OSError as error:
        complain(str(error))
        return 1


def report(trial: Trial, given: Sequence[str]) -> int:
    """Say the pairs as one observation. Who remembers no step leaves the counting to whoever reads the line."""
    values = {name: float(number(name, text)) for name, text in _pairs(given).items()}
    if _remember(trial) or trial.counter in values or "step" in values:
        trial.report(step=values.pop("step", None), metrics=values)
    else:
        print(json.dumps({name: number(name, value) for name, value in values.items()}), flush=True)
    return 0


def output(trial: Trial, given: Sequence[str]) -> int:
    """Say the pairs as outputs."""
    _remember(trial)
    for name, text in _pairs(given).items():
        trial.output(name, text)
    return 0


def steps(trial: Trial, given: Sequence[str]) -> int:
    """Print what `trial.steps` gives."""
    default = int(number("steps", _one(given, "how many steps, where nobody says a target")))
    found = trial.resume()
    print(*trial.steps(default, after=found[0] if found else 0), sep="\n")
    return 0


def resume(trial: Trial, given: Sequence[str]) -> int:
    """Print the path of the checkpoint to go on from."""
    _none(given)
    found = trial.resume()
    if found:
        print(found[1])
    return 0


def checkpoint(trial: Trial, given: Sequence[str]) -> int:
    """Copy a file or folder into a checkpoint."""
    if len(given) != 2:
        raise WrongCallError("checkpoint: expected a step and the path of what to keep")
    step, source = int(number("step", given[0])), Path(given[1])
    _remember(trial)
    with trial.checkpoint(step) as folder:
        if source.is_dir():
            shutil.copytree(source, folder, dirs_exist_ok=True)
        else:
            shutil.copy2(source, folder)
    return 0


def sigterm(trial: Trial, given: Sequence[str]) -> int:
    """Remember that SIGTERM came."""
    _none(given)
    if not _remember(trial):
        complain("sigterm: without RUNG_TERMINATION_LOG nothing can be remembered")
        return 1
    trial.start().said.stopping = True
    return 0


def should_stop(trial: Trial, given: Sequence[str]) -> int:
    """Whether SIGTERM came, as an exit code for `if`."""
    _none(given)
    _remember(trial)
    return 0 if trial.should_stop() else 1


def finish(trial: Trial, given: Sequence[str]) -> int:
    """Leave with the exit code that the protocol wants."""
    _none(given)
    _remember(trial)
    trial.finish()
    return 0


COMMANDS: dict[str, Callable[[Trial, Sequence[str]], int]] = {
    "report": report,
    "output": output,
    "steps": steps,
    "resume": resume,
    "checkpoint": checkpoint,
    "sigterm": sigterm,
    "should-stop": should_stop,
    "finish": finish,
}


def _remember(trial: Trial) -> bool:
    """Take up what the calls before this one said, under a lock until this process ends; False where nothing can be."""
    log = os.environ.get("RUNG_TERMINATION_LOG", "")
    try:
        memory = os.open(log or TERMINATION_LOG, os.O_RDWR | (os.O_CREAT if log else 0), 0o644)
    except OSError:  # no operator, or a file system that is all read-only: what is said counts all the same
        return False
    fcntl.flock(memory, fcntl.LOCK_EX)
    try:
        words = json.loads(os.read(memory, 1 << 16))
        for step, values in words["observations"]:
            trial.said.add(step, dict(values))
        trial.said.outputs.update(words["outputs"])
        trial.said.stopping = "stopping" in words
        if words["checkpoint_step"] is not None:
            trial.said.last["checkpoint_step"] = words["checkpoint_step"]
    except (ValueError, TypeError, KeyError):
        pass  # empty at first, or somebody else's words, which this call's replace
    return True


def _pairs(given: Sequence[str]) -> dict[str, str]:
    pairs = [text.partition("=") for text in given]
    if not pairs or not all(name and equals for name, equals, _ in pairs):
        raise WrongCallError(f"expected name=value, one or more, got {' '.join(given) or 'nothing'}")
    return {name: text for name, _, text in pairs}


def _one(given: Sequence[str], what: str) -> str:
    if len(given) != 1:
        raise WrongCallError(f"expected {what}, got {' '.join(given) or 'nothing'}")
    return given[0]


def _none(given: Sequence[str]) -> None:
    if given:
        raise WrongCallError(f"expected no arguments, got {' '.join(given)}")


if __name__ == "__main__":
    sys.exit(main())
