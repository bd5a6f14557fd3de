"""Every way in which a program may speak brings the objective, found out by Auto or named by the author."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.cluster.api import Api
from tests.cluster.studies import Running, program, shell, study, template

pytestmark = pytest.mark.usefixtures("operator")

LAST_WORD = {"observations": [[1, {"val_loss": 0.5}], [3, {"val_loss": 0.25}]], "outputs": {"model": "s3://m"}}


@dataclass(frozen=True)
class Source:
    """A program, the source that it speaks by, and what its objective must be."""

    name: str
    trial: dict[str, Any]
    value: float
    step: int = 3
    extract: list[dict[str, Any]] = field(default_factory=list)


def at_x(x: float) -> float:
    """Where trainers.plain_* end after 3 epochs."""
    return (x - 0.3) ** 2 + 1 / 3


HISTOGRAM = """
import http.server, os
PAGE = b'epoch 3\\nlatency_seconds_bucket{le="1"} 1\\nlatency_seconds_bucket{le="2"} 3\\nlatency_seconds_bucket{le="+Inf"} 4\\n'
asked = 0
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        global asked
        asked += self.path == "/metrics"
        self.send_response(200 if self.path == "/metrics" else 404)
        self.end_headers()
        self.wfile.write(PAGE if self.path == "/metrics" else b"")
address = os.environ.get("RUNG_METRICS_HOST", ""), int(os.environ["RUNG_METRICS_PORT"])
server = http.server.HTTPServer(address, Handler)
while asked < 2:
    server.handle_request()
"""

SOURCES = (
    Source("Log", template(["python", "-m", "trainers.plain_stdout"], ["--x=0.2", "--epochs=3"]), at_x(0.2)),
    Source("Log", shell("""echo '{"epoch": 3, "val_loss": 0.125}'; echo 'and a line without figures'"""), 0.125),
    Source(
        "Prometheus",
        template(
            ["python", "-m", "trainers.plain_prometheus"], ["--x=0.1", "--epochs=3", "--sleep=0.2", "--linger=2.5"]
        ),
        at_x(0.1),
    ),
    Source(
        "Http",
        program(
            "import rung_trial, time\n"
            "with rung_trial.start() as trial:\n"
            "    for epoch in range(1, 4):\n"
            "        trial.report(step=epoch, val_loss=1 / epoch)\n"
            "        time.sleep(0.2)\n"
        ),
        1 / 3,
    ),
    Source(
        "Termination",
        program(f"import os; open(os.environ['RUNG_TERMINATION_LOG'], 'w').write({json.dumps(LAST_WORD)!r})"),
        0.25,
    ),
    Source(
        "Log",
        shell("echo val_loss=9; echo '[3/3]  valid_1 loss : 0.0625 (best)'"),
        0.0625,
        extract=[{"metric": "val_loss", "line": "[<step>/<*>] valid_1 loss : <value>"}],
    ),
    Source(
        "Prometheus",
        program(HISTOGRAM),
        1.5,
        extract=[{"metric": "val_loss", "key": "latency_seconds", "quantile": "0.5"}],
    ),
)
CASES = [
    pytest.param(source, chosen, id=f"{source.name} ({i}), {'Auto' if chosen == 'Auto' else 'chosen'}")
    for i, source in enumerate(SOURCES)
    for chosen in ("Auto", source.name)
]


@pytest.fixture(scope="module")
def running(api: Api, operator: object, module_namespace: str) -> dict[tuple[int, str], Running]:
    """One study of one trial for each case, all at once."""
    started = {}
    for i, source in enumerate(SOURCES):
        for chosen in ("Auto", source.name):
            document = study(
                f"source-{i}-{chosen.lower()}",
                {**source.trial, "retries": 0},
                objectives=[{"metric": "val_loss", "direction": "Minimize"}],
                metrics={"source": chosen, "intervalSeconds": 1, "extract": source.extract},
                scheduler={"type": "None", "resource": {"metric": "epoch", "min": 1, "max": 3}},
                limits={"trials": 1, "parallelism": 1},
            )
            started[i, chosen] = Running.apply(api, module_namespace, document)
    return started


@pytest.mark.parametrize(("source", "chosen"), CASES)
def test_the_objective_arrives(running: dict[tuple[int, str], Running], source: Source, chosen: str) -> None:
    one = running[SOURCES.index(source), chosen]
    one.wait("Succeeded", reason="TrialsCompleted")
    trial = one.trial(0)
    assert trial["values"]["val_loss"] == pytest.approx(source.value, rel=1e-4)
    assert trial["step"] == source.step
    assert float(one.status["best"]["value"]) == pytest.approx(source.value, rel=1e-3)


def test_outputs_are_kept_on_the_trial(running: dict[tuple[int, str], Running]) -> None:
    one = running[4, "Termination"]
    one.wait("Succeeded")
    assert one.trial(0)["outputs"] == {"model": "s3://m"}


def test_every_step_of_the_sdk_is_on_the_curve(running: dict[tuple[int, str], Running]) -> None:
    one = running[3, "Http"]
    one.wait("Succeeded")
    assert [point["step"] for point in one.trial(0)["curve"]] == [1, 2, 3]
