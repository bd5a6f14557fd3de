"""Four trainings of one curve that share no line with Rung: what each speaks, and the command that an author would write.

val_loss(epoch) = (x - 0.3)² + 1 / epoch
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from devcluster.build import cache_folder
from devcluster.golang import find_go

ROOT = Path(__file__).resolve().parents[1]
SOURCES = ROOT / "examples" / "speakers"
GO = "1.21.0"  # the first that has `min` and `max`
EPOCHS, TRIALS, PARALLELISM = 9, 9, 3
PRINTED = 0.5  # seconds per epoch of those whose lines are read as they come
ASKED = 1.5  # of those that are asked every second: a busy machine comes late, and their page goes with the process


@dataclass(frozen=True)
class Speaker:
    """A trainer's command line up to its arguments, and how it spells them."""

    name: str
    command: tuple[str, ...]
    sleep: str = f"{PRINTED}"

    @property
    def arguments(self) -> list[str]:
        """The same for all but one unit."""
        return ["--x=$(params.x)", "--epochs=$(resource.target)", f"--sleep={self.sleep}"]

    def spec(self) -> dict[str, Any]:
        """A Study of it: ASHA over nine epochs, and metrics from wherever they come."""
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        env = [{"name": "PYTHONPATH", "value": str(ROOT / "trial_image")}, {"name": "PATH", "value": path}]
        container = {"name": "trial", "image": "rung-trial:dev", "command": list(self.command)}
        return {
            "objectives": [{"metric": "val_loss", "direction": "Minimize"}],
            "parameters": [{"name": "x", "type": "Double", "min": "0", "max": "1"}],
            "sampler": {"type": "Sobol"},
            "scheduler": {"type": "ASHA", "resource": {"metric": "epoch", "min": 1, "max": EPOCHS}, "eta": 3},
            "metrics": {"intervalSeconds": 1},
            "limits": {"trials": TRIALS, "parallelism": PARALLELISM},
            "seed": 4,
            "trial": {
                "keepJobs": "All",
                "podTemplate": {
                    "spec": {
                        "terminationGracePeriodSeconds": 5,
                        "containers": [{**container, "args": self.arguments, "env": env}],
                    }
                },
            },
        }


def speakers() -> list[Speaker]:
    """All four. The one in Go is compiled if it has not been yet, by the compiler that builds the development cluster."""
    return [
        Speaker("stdout", ("python", "-m", "trainers.plain_stdout")),
        Speaker("prometheus", ("python", "-m", "trainers.plain_prometheus"), f"{ASKED}"),
        Speaker("shell", ("sh", str(SOURCES / "train.sh"))),
        Speaker("go", (str(_compiled()),), f"{ASKED}s"),
    ]


def _compiled() -> Path:
    source = SOURCES / "train.go"
    cache = cache_folder()
    cache.mkdir(parents=True, exist_ok=True)
    program = cache / f"speaker-{hashlib.sha256(source.read_bytes()).hexdigest()[:16]}"
    with (cache / "speaker.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # of test processes side by side one compiles
        if not program.exists():
            environment = {
                **os.environ,
                "CGO_ENABLED": "0",
                "GOFLAGS": "",
                "GO111MODULE": "off",
                "GOTOOLCHAIN": "local",
            }
            command = [str(find_go(GO, cache)), "build", "-trimpath", "-o", f"{program}.new", str(source)]
            subprocess.run(command, env=environment, check=True, timeout=600)
            Path(f"{program}.new").rename(program)
    return program


def is_of_the_curve(name: str, x: float, rung: int, value: float) -> bool:
    """The value at a rung is the curve's there; of a Prometheus page that was read too late, at a later epoch."""
    last = EPOCHS if name == "prometheus" else rung
    return any(abs(value - ((x - 0.3) ** 2 + 1 / epoch)) < 1e-4 * value for epoch in range(rung, last + 1))


def stopped_in_mid_run(trials: list[dict[str, Any]]) -> list[int]:
    """Numbers of the trials that ASHA stopped and that had not come to their last epoch. Every trial has to have ended well.

    `trials` are Trial objects as JSON. On a machine that is very busy a stop may come too late for some, never for all.
    """
    states = {trial["spec"]["number"]: trial["status"]["state"] for trial in trials}
    assert sorted(states) == list(range(TRIALS))
    assert set(states.values()) <= {"Succeeded", "Stopped"}, [t["status"].get("message") for t in trials]
    assert "Succeeded" in states.values(), "the best were trained to the end"
    stopped = [trial for trial in trials if trial["status"]["state"] == "Stopped"]
    assert {trial["status"]["rungs"][-1]["verdict"] for trial in stopped} <= {"Stop"}
    return [trial["spec"]["number"] for trial in stopped if trial["status"]["step"] < EPOCHS]
