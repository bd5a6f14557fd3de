"""Building the control plane: one Go program and Helm, from modules, into a cache folder.

The folder's name holds a hash of the sources and of the versions, so an old build is never taken for a new one, and
several checkouts share what is the same. The first build compiles about 1,500 packages: five minutes on two cores.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import platform
import queue
import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from devcluster.errors import BuildError
from devcluster.golang import find_go

SOURCES = Path(__file__).parent / "control-plane"
HELM = "helm.sh/helm/v3"
LINKS = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubectl")
QUIET_SECONDS = 900.0  # without a line from the compiler; linking on a loaded machine takes one of them
LINE_EVERY_SECONDS = 15.0  # between two progress lines where the output is no terminal


@dataclass(frozen=True)
class Binaries:
    """Where the programs are: links to one binary, and helm."""

    folder: Path

    def __getitem__(self, name: str) -> Path:
        return self.folder / name


def cache_folder() -> Path:
    """Rung's cache: RUNG_CACHE, or a `rung` folder in XDG_CACHE_HOME or ~/.cache."""
    if given := os.environ.get("RUNG_CACHE"):
        return Path(given).expanduser().absolute()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache").expanduser().absolute() / "rung"


def kubernetes_version() -> str:
    """The version that is built, as in "v1.35.4"."""
    return _go_mod(r"k8s\.io/kubernetes (v\S+)")


def build(*, force: bool = False) -> Binaries:
    """The built programs; compiles them, with progress on stderr, if this version is not in the cache yet.

    Two builds at once wait for each other. Raises BuildError with the compiler's last words.
    """
    cache = cache_folder()
    folder = cache / f"control-plane-{_fingerprint()}"
    if folder.exists() and not force:
        return Binaries(folder)
    cache.mkdir(parents=True, exist_ok=True)
    with _only_one(cache / "control-plane.lock"):
        if force:
            shutil.rmtree(folder, ignore_errors=True)
        if not folder.exists():
            _build_into(folder, cache)
    return Binaries(folder)


def _build_into(folder: Path, cache: Path) -> None:
    go = find_go(_go_mod(r"^go (\S+)"), cache)
    unfinished = folder.with_name(f"{folder.name}.{os.getpid()}")
    environment = {**os.environ, "CGO_ENABLED": "0", "GOFLAGS": "-mod=readonly", "GOTOOLCHAIN": "local"}
    started = time.monotonic()
    packages = [".", f"{HELM}/cmd/helm"]
    try:
        unfinished.mkdir(parents=True)
        progress = _Progress("fetching Go modules", started)
        listed = _run([str(go), "list", "-deps", *packages], environment, progress, counted="go: downloading")
        total = len([line for line in listed if "." in line or "/" in line])
        progress = _Progress("compiling the control plane", started, total=total)
        command = [str(go), "build", "-v", "-trimpath", "-buildvcs=false", "-ldflags", _link_flags()]
        _run([*command, "-o", f"{unfinished}/", *packages], environment, progress)
        for link in LINKS:
            (unfinished / link).symlink_to("control-plane")
        unfinished.rename(folder)
        progress.end(f"control plane built in {_duration(time.monotonic() - started)}: {folder}")
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _run(command: list[str], environment: dict[str, str], progress: _Progress, counted: str = "") -> list[str]:
    """Run Go and show how far it is: every line that starts with `counted` is one thing done."""
    process = subprocess.Popen(
        command, cwd=SOURCES, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    lines: list[str] = []
    try:
        for line in _lines(process):
            if line is not None:
                lines.append(line.rstrip())
                progress.done += line.startswith(counted)
            progress.show()
        code = process.wait()
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
    if code != 0:
        progress.end("the build failed")
        last = "\n".join(lines[-30:])
        raise BuildError(f"`{' '.join(command[:3])} …` in {SOURCES} failed with exit code {code}:\n{last}")
    return lines


def _lines(process: subprocess.Popen[str]) -> Iterator[str | None]:
    """The process's lines as they come; None about once a second, so that the clock on the screen goes on."""
    assert process.stdout is not None
    stream = process.stdout
    waiting: queue.SimpleQueue[str | None] = queue.SimpleQueue()

    def read() -> None:
        for line in stream:
            waiting.put(line)
        waiting.put(None)

    reader = threading.Thread(target=read, name="build output", daemon=True)
    reader.start()
    last = time.monotonic()
    while True:
        try:
            line = waiting.get(timeout=1.0)
        except queue.Empty:
            if time.monotonic() - last > QUIET_SECONDS:
                raise BuildError(f"the Go compiler said nothing for {QUIET_SECONDS:.0f} s and was ended") from None
            yield None
            continue
        if line is None:
            return
        last = time.monotonic()
        yield line


class _Progress:
    """One line that is rewritten on a terminal, and repeated now and then in a log file."""

    def __init__(self, what: str, started: float, total: int = 0) -> None:
        self.done = 0
        self._what = what
        self._started = started
        self._total = total
        self._terminal = sys.stderr.isatty()
        self._shown = 0.0

    def show(self) -> None:
        now = time.monotonic()
        if now - self._shown < (0.2 if self._terminal else LINE_EVERY_SECONDS):
            return
        self._shown = now
        count = f"{self.done:,}" + (f" of {self._total:,} packages" if self._total else "")
        line = f"==> {self._what}: {count}, {_duration(now - self._started)}"
        sys.stderr.write(f"\r\x1b[K{line}" if self._terminal else f"{line}\n")
        sys.stderr.flush()

    def end(self, line: str) -> None:
        sys.stderr.write(("\r\x1b[K" if self._terminal else "") + f"==> {line}\n")
        sys.stderr.flush()


def _duration(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"


def _link_flags() -> str:
    """Versions that the programs report: without them the server is v0.0.0 and Helm thinks it speaks to 1.20."""
    kubernetes, helm = kubernetes_version(), _go_mod(rf"{re.escape(HELM)} (v\S+)")
    major, minor = kubernetes.removeprefix("v").split(".")[:2]
    values = {
        "k8s.io/component-base/version.gitVersion": kubernetes,
        "k8s.io/component-base/version.gitMajor": major,
        "k8s.io/component-base/version.gitMinor": minor,
        f"{HELM}/internal/version.version": helm,
    }
    for package in ("chartutil", "lint/rules"):
        values[f"{HELM}/pkg/{package}.k8sVersionMajor"] = major
        values[f"{HELM}/pkg/{package}.k8sVersionMinor"] = minor
    return " ".join(["-s", "-w", *(f"-X {name}={value}" for name, value in values.items())])


def _go_mod(pattern: str) -> str:
    found = re.search(pattern, (SOURCES / "go.mod").read_text(), re.MULTILINE)
    if found is None:
        raise BuildError(f"{SOURCES / 'go.mod'} has no line that matches {pattern}")
    return found.group(1)


def _fingerprint() -> str:
    digest = hashlib.sha256(f"{platform.machine()} {_link_flags()}".encode())
    for source in sorted([SOURCES / "go.mod", SOURCES / "go.sum", *SOURCES.glob("*.go")]):
        digest.update(source.name.encode() + b"\0" + source.read_bytes() + b"\0")
    return digest.hexdigest()[:12]


@contextlib.contextmanager
def _only_one(lock: Path) -> Iterator[None]:
    with lock.open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            print("==> another build of the control plane is under way; waiting for it", file=sys.stderr, flush=True)
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
