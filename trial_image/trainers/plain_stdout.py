"""A training that knows nothing of Rung and prints what it measures: `epoch=1 val_loss=0.5`.

Run: `python -m trainers.plain_stdout --x=0.2 --epochs=9 --sleep=0.1`
"""

import argparse
import time


def main() -> None:
    """Print val_loss = (x - 0.3)² + 1 / epoch, one line per epoch."""
    parser = argparse.ArgumentParser(prog="trainers.plain_stdout", description="Prints name=value lines.")
    parser.add_argument("--x", type=float, default=0.5)
    parser.add_argument("--epochs", type=int, default=9)
    parser.add_argument("--sleep", type=float, default=0.0, help="seconds per epoch")
    given = parser.parse_args()
    for epoch in range(1, given.epochs + 1):
        time.sleep(given.sleep)
        print(f"epoch={epoch} val_loss={(given.x - 0.3) ** 2 + 1 / epoch:.6g}", flush=True)


if __name__ == "__main__":
    main()
