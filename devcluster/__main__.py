"""The development cluster's command line: `python -m devcluster up`, and then `down`."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shlex
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any  # the state file is JSON

from devcluster.build import build
from devcluster.cluster import START_SECONDS, Cluster, describe
from devcluster.errors import DevclusterError
from devcluster.processes import clean_environment

STATE = Path(".devcluster")
ROOT = Path(__file__).resolve().parent.parent
STOP_SECONDS = 30.0
PROCESS_NODE, SIMULATED_NODE = "node", "simulated"


def main() -> int:
    """Run one command; the exit code is 0, 1 for a failure, 2 for a wrong command line."""
    arguments = _parser().parse_args()
    command: Callable[[argparse.Namespace], int] = arguments.command
    try:
        return command(arguments)
    except DevclusterError as error:
        print(f"devcluster: {error}", *getattr(error, "__notes__", ()), sep="\n", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m devcluster", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def add(name: str, command: Callable[[argparse.Namespace], int], text: str) -> argparse.ArgumentParser:
        one = commands.add_parser(name, help=text, description=text)
        one.set_defaults(command=command)
        return one

    for name, command in (("up", _up), ("serve", _serve)):
        up = add(name, command, "start a cluster that stays up" if name == "up" else "the same in the foreground")
        up.add_argument("--nodes", type=int, default=1, help="nodes that run pods as local processes (1)")
        up.add_argument("--gpus", type=int, default=8, help="GPUs that each of them says it has (8)")
        up.add_argument("--operator", action="store_true", help="also install the CRDs and run Rung's operator")
        up.add_argument("--simulated", type=int, default=0, help="nodes whose pods only pretend to run (0)")
    add("down", _down, "stop it")
    add("status", _status, "whether it runs, and where everything is")
    add("env", _env, "shell lines that point KUBECONFIG and PATH at it: eval $(python -m devcluster env)")
    add("kubectl", _kubectl, "run kubectl on it: kubectl -- get pods").add_argument("words", nargs=argparse.REMAINDER)
    add("helm", _helm, "run helm on it: helm -- list").add_argument("words", nargs=argparse.REMAINDER)
    add("build", _build, "build the control plane and helm, if they are not in the cache yet")
    return parser


def _up(arguments: argparse.Namespace) -> int:
    """Start `serve` in the background, wait until it is ready, and say how to use it."""
    if running := _running():
        print(f"a cluster is up already (process {running['pid']}); `python -m devcluster down` stops it")
        return 0
    build()  # here, where its progress can be seen
    STATE.mkdir(exist_ok=True)
    log = STATE / "cluster.log"
    command = [sys.executable, "-m", "devcluster", "serve"]
    command += [f"--{name}={getattr(arguments, name)}" for name in ("nodes", "gpus", "simulated")]
    command += ["--operator"] if arguments.operator else []
    path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    with log.open("w") as output:
        server = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env={**os.environ, "PYTHONPATH": path},
        )
    deadline = time.monotonic() + 3 * START_SECONDS
    while not (running := _running()):
        if server.poll() is not None or time.monotonic() > deadline:
            server.terminate()
            raise DevclusterError(f"the cluster did not come up:\n{log.read_text().strip()}")
        time.sleep(0.05)
    print(f"the cluster is up: {running['url']}")
    print("  eval $(python -m devcluster env)    # kubectl and helm for this shell")
    print(f"  logs: {running['logs']}")
    return 0


def _serve(arguments: argparse.Namespace) -> int:
    """Hold a cluster until SIGTERM or Ctrl-C."""
    if running := _running():
        raise DevclusterError(f"process {running['pid']} holds a cluster in this folder already")
    STATE.mkdir(exist_ok=True)
    ended = threading.Event()
    for which in (signal.SIGTERM, signal.SIGINT):
        signal.signal(which, lambda *_: ended.set())
    with Cluster(logs=STATE / "logs") as cluster:
        for number in range(arguments.nodes):
            cluster.add_process_node(f"{PROCESS_NODE}-{number + 1}", gpus=arguments.gpus)
        for number in range(arguments.simulated):
            cluster.add_simulated_node(f"{SIMULATED_NODE}-{number + 1}")
        if arguments.operator:
            _start_operator(cluster)
        state = {**json.loads(describe(cluster)), "pid": os.getpid(), "environment": _changes(cluster)}
        unfinished = STATE / "state.json.new"
        unfinished.write_text(json.dumps(state, indent=1))
        unfinished.rename(_state_file())
        try:
            ended.wait()
        finally:
            _state_file().unlink(missing_ok=True)
    return 0


def _start_operator(cluster: Cluster) -> None:
    """CRDs, and the operator as a local process with the admin's rights; the chart is the way to run it as a pod."""
    cluster.kubectl("apply", "-f", str(ROOT / "crds"))
    cluster.kubectl("wait", "--for=condition=Established", "crd", "--all", "--timeout=30s")
    command = [sys.executable, "-m", "rung.cli", "operator", "--kubeconfig", str(cluster.kubeconfig)]
    command += ["--health-port", "0", "--no-leader-election"]  # it is the only one
    cluster.start_process("operator", command, {"PYTHONPATH": str(ROOT / "operator")})


def _down(_: argparse.Namespace) -> int:
    running = _running()
    if not running:
        print("no cluster is up")
        return 0
    pid = int(running["pid"])
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + STOP_SECONDS
    while _alive(pid):
        if time.monotonic() > deadline:
            raise DevclusterError(f"process {pid} has not ended within {STOP_SECONDS:.0f} s of SIGTERM")
        time.sleep(0.05)
    print("the cluster is down")
    return 0


def _status(_: argparse.Namespace) -> int:
    running = _running()
    print(json.dumps(running, indent=1) if running else "no cluster is up")
    return 0 if running else 1


def _env(_: argparse.Namespace) -> int:
    running = _running()
    if not running:
        print("no cluster is up: `python -m devcluster up`", file=sys.stderr)
        return 1
    for name, value in running["environment"].items():
        print(f"export {name}={shlex.quote(value)}")
    return 0


def _kubectl(arguments: argparse.Namespace) -> int:
    return _tool("kubectl", arguments.words)


def _helm(arguments: argparse.Namespace) -> int:
    return _tool("helm", arguments.words)


def _tool(name: str, words: list[str]) -> int:
    running = _running()
    if not running:
        raise DevclusterError("no cluster is up: `python -m devcluster up`")
    environment = {**clean_environment(), **running["environment"]}
    program = str(Path(running["binaries"]) / name)
    os.execve(program, [name, *(words[1:] if words[:1] == ["--"] else words)], environment)


def _build(_: argparse.Namespace) -> int:
    print(build().folder)
    return 0


def _changes(cluster: Cluster) -> dict[str, str]:
    """What `environment()` sets beyond what was there."""
    before = clean_environment()
    return {name: value for name, value in cluster.environment().items() if before.get(name) != value}


def _running() -> dict[str, Any] | None:
    """The state that `serve` has written, if the process that wrote it lives."""
    try:
        state: dict[str, Any] = json.loads(_state_file().read_text())
    except (OSError, ValueError):
        return None
    return state if _alive(int(state["pid"])) else None


def _alive(pid: int) -> bool:
    """Whether that process is one of ours: a number may have been given to another program since."""
    try:
        return b"devcluster" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False


def _state_file() -> Path:
    return STATE / "state.json"


if __name__ == "__main__":
    sys.exit(main())
