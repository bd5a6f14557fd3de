"""Studies don't meet: neither namesakes in two namespaces nor a healthy study and its broken neighbours."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from tests.cluster.api import Api, Document
from tests.cluster.conftest import MakeNamespace
from tests.cluster.history import History, Moments, violations
from tests.cluster.studies import Running, program, shell, study, toy
from tests.cluster.waiting import wait_until

pytestmark = pytest.mark.usefixtures("operator")

TRIALS, PARALLELISM = 10, 2
COLLECTED_SECONDS = 40.0  # the garbage collector asks every 30 s which kinds there are
HARM_SECONDS = 1.0  # what a broken study may delay another by


def test_namesakes_in_two_namespaces_do_not_see_each_other(api: Api, make_namespace: MakeNamespace) -> None:
    one, other = (
        Running.apply(api, namespace, study("twin", toy(epochs=2, sleep=0.3), seed=seed, limits={"trials": trials}))
        for namespace, seed, trials in ((make_namespace("twin"), 1, 3), (make_namespace("twin"), 2, 5))
    )
    one.wait("Succeeded")
    uid = api.get(one.path)["metadata"]["uid"]
    assert {t["metadata"]["ownerReferences"][0]["uid"] for t in one.trials()} == {uid}
    api.delete(one.path)
    other.wait("Succeeded")
    trials = other.trials()
    assert [t["spec"]["number"] for t in trials] == [0, 1, 2, 3, 4]
    assert all(t["status"].get("attempt") == 1 for t in trials), "the namesake's end disturbed nobody"
    wait_until(
        "the garbage collector has taken the other's trials", lambda: not one.trials(), timeout=COLLECTED_SECONDS
    )


HANGS = (
    "import os, socket, time\n"
    "server = socket.create_server((os.environ['POD_IP'], int(os.environ['RUNG_METRICS_PORT'])))\n"
    "time.sleep(300)  # connections are accepted by the kernel and never answered\n"
)
FLOODS = (
    "import http.server, os\n"
    "class Flood(http.server.BaseHTTPRequestHandler):\n"
    "    def do_GET(self):\n"
    "        self.send_response(200); self.end_headers()\n"
    "        while True: self.wfile.write(b'loss 1\\n' * 9999)\n"
    "    def log_message(self, *_): pass\n"
    "http.server.ThreadingHTTPServer((os.environ['POD_IP'], int(os.environ['RUNG_METRICS_PORT'])), Flood).serve_forever()\n"
)
LIES = (
    "for i in 1 2 3 4 5 6; do echo \"step=-$i loss=nan\"; echo 'step=1e308 loss=-1e400'; sleep 1; done; exec sleep 300"
)


def broken_studies() -> Sequence[Document]:
    """What a neighbour may do wrong."""
    many = {"trials": 20, "parallelism": 4, "failedTrials": 19}
    refused = study("refused", program("pass"))
    refused["spec"]["trial"]["podTemplate"]["spec"]["containers"][0]["resources"] = {"limits": {"cpu": "a lot"}}
    return (
        refused,
        study("hangs", program(HANGS), limits=many, metrics={"source": "Prometheus", "intervalSeconds": 1}),
        study("floods", program(FLOODS), limits=many, metrics={"source": "Prometheus", "intervalSeconds": 1}),
        study("lies", shell(LIES), limits=many, metrics={"intervalSeconds": 1}),
        study("crashes", {**shell("exit 1"), "retries": 2}, limits=many),
    )


def refills(api: Api, namespace: str, name: str) -> list[float]:
    """Slot-refill times of a healthy study that runs to its end now."""
    limits = {"trials": TRIALS, "parallelism": PARALLELISM}
    with History(api, namespace) as history:
        Running.apply(api, namespace, study(name, toy(epochs=2, sleep=0.25), limits=limits)).wait(
            "Succeeded", timeout=60
        )
        changes = history.changes(name)
    assert violations(changes, PARALLELISM) == []
    found = Moments.of(changes).refills(PARALLELISM)
    assert len(found) == TRIALS - PARALLELISM
    return sorted(found)


def test_broken_studies_delay_no_other_by_more_than_a_second(
    api: Api, namespace: str, make_namespace: MakeNamespace
) -> None:
    calm = refills(api, namespace, "calm")
    neighbours = make_namespace("broken")
    broken = [Running.apply(api, neighbours, document) for document in broken_studies()]
    broken[0].wait("Accepted", "False")
    for running in broken[1:4]:
        running.wait_running(4)
    disturbed = refills(api, make_namespace("beside"), "disturbed")
    assert disturbed[-1] <= calm[-1] + HARM_SECONDS, (
        f"slot refills, undisturbed: {calm}, beside broken ones: {disturbed}"
    )
    for running in broken:
        api.delete(running.path)
    for running in broken:
        running.wait_no_pods()
