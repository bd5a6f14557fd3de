"""A trainer that plays any part: it reports the metrics that it is told to, at steps up to its target, and knows nothing of Rung.

Its values are positive, smooth in the parameters and falling with the steps, so that every objective, constraint and
expression of a user's Study has something to work on. It speaks JSON lines, in the words the Study reads (`extract`).
"""

from __future__ import annotations

import inspect
import json
import math
import os
import sys
import time
from typing import Any

POINTS = 12  # reports of a training, however many steps it has: rungs are reached by the first report behind them
SECONDS = 0.02  # between two reports


def act(step_name: str, names: list[str]) -> None:
    """Train. `names` are the metrics as the program calls them; `step_name` is "" for one that counts no steps."""
    target = float(os.environ.get("RUNG_RESOURCE_TARGET") or 9)
    parameters: dict[str, Any] = json.loads(os.environ["RUNG_PARAMETERS"])
    place = sum(hash_of(f"{name}={value}") for name, value in sorted(parameters.items())) / max(1, len(parameters))
    ratio = target ** (1 / POINTS)
    steps = sorted({min(target, math.ceil(ratio**k)) for k in range(POINTS + 1)} | {target})
    for step in steps if step_name else [target]:
        values = {name: 1.1 + place + math.exp(-3 * step / target) for name in names}
        print(json.dumps({step_name: step, **values} if step_name else values), flush=True)
        time.sleep(SECONDS)


def hash_of(text: str) -> float:
    """In [0, 1), the same in every process."""
    value = 2166136261
    for byte in text.encode():
        value = (value ^ byte) * 16777619 % 2**32
    return value / 2**32


def program(step_name: str, names: list[str]) -> list[str]:
    """The command of a container that acts. What else stands in `args` reaches it and is not looked at."""
    imports = "import json, math, os, sys, time\nfrom typing import Any"
    constants = f"POINTS, SECONDS = {POINTS}, {SECONDS}"
    parts = [imports, constants, inspect.getsource(hash_of), inspect.getsource(act), f"act({step_name!r}, {names!r})"]
    return [sys.executable, "-E", "-S", "-c", "\n".join(parts)]
