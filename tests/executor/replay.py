"""A training that costs nothing and says the same wherever it runs: a program, and the curve source that predicts it.

    loss(t) = (x - 0.3)² + 1 / t          for the parameter x and the steps t = 1, 2, …

Run as a trial it reads RUNG_PARAMETERS and RUNG_RESOURCE_TARGET and prints `{"epoch": t, "loss": …}`. Arguments change its ways:
`--exit=65` leaves with that code after its last line, `--silent` says nothing, `--sleep=0.1` waits before each step,
at a URI it says that each step has a checkpoint, and goes on from the one that it is told: `RUNG_CHECKPOINT_DIR`, `RUNG_RESUME_FROM`.
`--noise` adds a little that hangs on RUNG_SEED, `--once=FILE` makes only the first process that comes leave with the given code. Standard library only: it starts in 20 ms.
"""

import json
import os
import sys
import time

STEPS = 27  # where the study has no resource


def loss(x: float, step: int, seed: int = 0) -> float:
    """The curve; another one for each seed but 0."""
    return (x - 0.3) ** 2 + 1 / step + seed % 97 / 97


def main() -> int:
    """One trial. Returns its exit code."""
    given = dict(argument.lstrip("-").partition("=")[::2] for argument in sys.argv[1:])
    parameters = json.loads(os.environ["RUNG_PARAMETERS"])
    code = int(given.get("exit", "0"))
    if "once" in given:
        try:
            os.close(os.open(given["once"], os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            code = 0
    seed = int(os.environ["RUNG_SEED"]) if "noise" in given else 0
    begins = int(os.environ.get("RUNG_RESUME_FROM", "").rpartition("step-")[2] or 0)
    for step in range(begins + 1, int(os.environ.get("RUNG_RESOURCE_TARGET", STEPS)) + 1):
        time.sleep(float(given.get("sleep", "0")))
        said = {"epoch": step, "loss": loss(parameters["x"], step, seed)}
        if "RUNG_CHECKPOINT_DIR" in os.environ:
            said["checkpoint_step"] = step
        if "silent" not in given:
            print(json.dumps(said), flush=True)
    return code


if __name__ == "__main__":
    sys.exit(main())
