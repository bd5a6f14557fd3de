"""`make demo`: a cluster on this machine, the operator in it, a real study from `kubectl apply` to its best trial.

With `--record` what was shown is also written into README.md, between its markers: the page shows what happened.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any  # a Kubernetes object is whatever JSON the server sends

from devcluster import Cluster
from devcluster.build import build

ROOT = Path(__file__).resolve().parent.parent
STUDY = ROOT / "examples" / "digits.yaml"
NAME = "digits"
LOOK_EVERY_SECONDS = 1.0
PATIENCE_SECONDS = 300.0
STOP_SECONDS = 10.0
SHOWN_TRIALS = 8


class Demo:
    """Says what it does, does it, and keeps what was shown."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.shown: list[str] = []
        self.started = time.monotonic()

    def say(self, text: str = "") -> None:
        """Show a line and keep it."""
        self.shown.append(text)
        sys.stdout.write(f"{text}\n")
        sys.stdout.flush()

    def kubectl(self, *args: str) -> str:
        """Show the command and what it prints."""
        self.say(f"$ kubectl {' '.join(args)}")
        text = self.cluster.kubectl(*args).stdout.rstrip()
        for line in text.splitlines():
            self.say(line)
        self.say()
        return text

    def study(self) -> dict[str, Any]:
        """The study as it is now."""
        found: dict[str, Any] = json.loads(self.cluster.kubectl("get", "study", NAME, "-o", "json").stdout)
        return found

    def watch(self) -> dict[str, Any]:
        """One line whenever the study has moved, until it is over. Raises TimeoutError."""
        last = ""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < deadline:
            study = self.study()
            status = study.get("status") or {}
            best = (status.get("best") or {}).get("value", "–")
            counts = status.get("trials") or {}
            line = (
                f"trials {status.get('progress', '0'):7} running {counts.get('running', 0)}  "
                f"stopped early {counts.get('stopped', 0):2}  best val_accuracy {best}"
            )
            if line != last:
                self.say(f"  {time.monotonic() - self.started:5.1f} s  {line}")
                last = line
            if status.get("state") in {"Succeeded", "Failed", "Refused"}:
                return study
            time.sleep(LOOK_EVERY_SECONDS)
        raise TimeoutError(
            f"the study was not over after {PATIENCE_SECONDS:g} s; operator log: {operator_log(self.cluster)}"
        )


def operator_log(cluster: Cluster) -> Path:
    """Where the operator of this cluster writes."""
    return cluster.logs / "operator.log"


def start_operator(cluster: Cluster) -> subprocess.Popen[bytes]:
    """The operator as a local process with the admin's kubeconfig; the chart runs it as a Deployment."""
    command = [
        sys.executable,
        "-m",
        "rung.cli",
        "operator",
        "--kubeconfig",
        str(cluster.kubeconfig),
        "--health-port",
        "0",
    ]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "operator")}
    with operator_log(cluster).open("wb") as log:
        return subprocess.Popen([*command, "--no-leader-election"], stderr=log, stdout=log, env=environment)


def stop(process: subprocess.Popen[bytes]) -> None:
    """SIGTERM, and SIGKILL where that was not enough."""
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def main() -> int:
    """Run the demo; 0 if the study succeeded."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--record", action="store_true", help="write what was shown into README.md")
    record = parser.parse_args().record
    sys.stdout.write(
        "==> a Kubernetes control plane on this machine (built from source the first time: about 5 minutes)\n"
    )
    build()
    started = time.monotonic()
    with Cluster() as cluster:
        cluster.add_process_node("node-1", gpus=8)
        demo = Demo(cluster)
        sys.stdout.write(f"==> up in {time.monotonic() - started:.1f} s: one node, 8 GPUs by its own account\n")
        cluster.kubectl("apply", "-f", str(ROOT / "crds"))
        cluster.kubectl("wait", "--for=condition=Established", "crd", "--all", "--timeout=30s")
        operator = start_operator(cluster)
        try:
            demo.started = time.monotonic()
            demo.kubectl("apply", "-f", str(STUDY.relative_to(ROOT)))
            study = demo.watch()
            demo.say()
            after = len(demo.shown)
            demo.kubectl("get", "studies")
            show_trials(demo)
            conclude(demo, study)
            described = cluster.kubectl("describe", "study", NAME).stdout
        finally:
            stop(operator)
    if record:
        write_readme(demo.shown[:after], demo.shown[after:], described)
    return 0 if (study.get("status") or {}).get("state") == "Succeeded" else 1


def show_trials(demo: Demo) -> None:
    """The first trials as kubectl prints them."""
    demo.say("$ kubectl get trials")
    lines = demo.cluster.kubectl("get", "trials", "--sort-by=.spec.number").stdout.splitlines()
    for line in lines[: SHOWN_TRIALS + 1]:
        demo.say(line.rstrip())
    if len(lines) > SHOWN_TRIALS + 1:
        demo.say(f"… and {len(lines) - SHOWN_TRIALS - 1} more")
    demo.say()


def conclude(demo: Demo, study: dict[str, Any]) -> None:
    """The best trial, what it took, and one decision explained."""
    status = study["status"]
    best = status.get("best") or {}
    trials = json.loads(demo.cluster.kubectl("get", "trials", "-o", "json").stdout)["items"]
    epochs = sum(trial.get("status", {}).get("step", 0) for trial in trials)
    full = 27 * len(trials)
    stopped = [t for t in trials if t["status"].get("outcome") == "StoppedAtRung"]
    demo.say(f"best trial: {best.get('trial')}  val_accuracy {best.get('value')}")
    demo.say("parameters: " + " ".join(f"{name}={value}" for name, value in best.get("parameters", {}).items()))
    demo.say(
        f"{len(stopped)} of {len(trials)} trials were stopped early; {epochs:.0f} epochs trained of {full} ({epochs / full:.0%})"
    )
    if stopped:
        example = max(stopped, key=lambda t: t["spec"]["number"])
        demo.say(f"why {example['metadata']['name']} was stopped: {example['status'].get('reason')}")


def write_readme(run: list[str], kubectl: list[str], described: str) -> None:
    """Replace what stands between the markers."""
    path = ROOT / "README.md"
    text = path.read_text()
    describe = "$ kubectl describe study digits\n" + described[described.find("Status:") :].rstrip()
    blocks = {"demo": "\n".join(run).rstrip(), "kubectl": "\n".join(kubectl).rstrip() + "\n\n" + describe}
    for name, block in blocks.items():
        pattern = rf"(<!-- begin: {name} [^\n]*-->\n).*?(<!-- end: {name} -->)"
        text = re.sub(pattern, lambda m, b=block: f"{m[1]}```console\n{b}\n```\n{m[2]}", text, flags=re.DOTALL)  # type: ignore[misc]
    path.write_text(text)


if __name__ == "__main__":
    raise SystemExit(main())
