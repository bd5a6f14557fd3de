"""A training that costs nothing: a smooth curve over two parameters, to try out a cluster and to run by the thousand.

    loss(epoch) = (x - 0.3)² + (y - 0.7)² + exp(-epoch * (0.1 + x / 2)) + noise * N(0, 1)

The best point is near x = 0.3, y = 0.7, where the floor is 0. A larger x falls faster at first, so curves cross and a
scheduler that stops early can be wrong. Run: `python -m trainers.toy --x=0.2 --y=0.5 --epochs=9 --sleep=0.1`
"""

from __future__ import annotations

import argparse
import math
import sys
import time

import rung_trial


def loss_at(epoch: int, *, x: float, y: float) -> float:
    """The curve without noise."""
    return (x - 0.3) ** 2 + (y - 0.7) ** 2 + math.exp(-epoch * (0.1 + x / 2))


def main() -> None:
    """Train for as long as it was told, from where an earlier attempt was interrupted."""
    parser = argparse.ArgumentParser(prog="trainers.toy", description="A synthetic learning curve.", allow_abbrev=False)
    parser.add_argument("--x", type=float, default=0.5)
    parser.add_argument("--y", type=float, default=0.5)
    parser.add_argument("--epochs", type=int, help="RUNG_RESOURCE_TARGET or 9 unless given")
    parser.add_argument("--sleep", type=float, default=0.0, help="seconds per epoch")
    parser.add_argument(
        "--noise", type=float, default=0.0, help="deviation added to each loss, keyed by seed and epoch"
    )
    parser.add_argument("--fail-at", type=int, help="epoch before which to exit with --exit-code, to try out failures")
    parser.add_argument("--exit-code", type=int, default=1)
    try:
        given = parser.parse_args()
    except SystemExit as wrong:  # argparse would exit with 2, which Rung would take for a crash and try again
        sys.exit(rung_trial.BAD_CONFIGURATION if wrong.code else 0)

    with rung_trial.start() as trial:
        trial.target = given.epochs or trial.target
        resumed = trial.resume()
        for epoch in trial.steps(9, after=resumed[0] if resumed else 0):
            if epoch == given.fail_at:
                sys.exit(given.exit_code)
            if given.sleep:
                time.sleep(given.sleep)
            loss = loss_at(epoch, x=given.x, y=given.y)
            if given.noise:
                loss += given.noise * _normal(trial.seed, epoch)
            trial.report(step=epoch, loss=loss)
            if trial.checkpoint_dir:
                with trial.checkpoint(epoch) as folder:
                    (folder / "loss.txt").write_text(f"{loss}\n")


def _normal(seed: int, epoch: int) -> float:
    """Keyed, so that a resumed trial draws what an uninterrupted one would."""
    import random

    return random.Random(f"{seed} {epoch}").gauss(0.0, 1.0)


if __name__ == "__main__":
    main()
