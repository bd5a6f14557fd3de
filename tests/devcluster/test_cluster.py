"""The development cluster itself: real Jobs on nodes that run processes, and on one that only pretends."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import textwrap
import time
import urllib.request
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest

from devcluster import Cluster, Settings, StartError
from tests.devcluster.objects import (
    JOBS,
    PODS,
    a_job,
    a_pod,
    a_simulated_job,
    has_condition,
    is_gone,
    phases,
    pods_of,
    terminated,
)

pytestmark = pytest.mark.cluster
SOON = 20.0  # an event that takes a second on a quiet machine


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with Cluster() as running:
        running.add_process_node("node-1", gpus=8)
        running.add_simulated_node("simulated-1")
        yield running


def test_a_job_ends_with_its_exit_code_and_termination_message(cluster: Cluster) -> None:
    script = "echo $(WHO) has $CUDA_VISIBLE_DEVICES; echo 'the last word' > /dev/termination-log; exit 3"
    job = a_job(
        "ends",
        *["sh", "-c", script],
        gpus=2,
        env=[{"name": "WHO", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}],
    )
    cluster.api.request("POST", JOBS, job)
    cluster.wait_for("the Job to fail", has_condition(cluster, "ends", "Failed"), within=SOON)
    (pod,) = pods_of(cluster, "ends")
    assert pod["status"]["phase"] == "Failed"
    assert (terminated(pod)["exitCode"], terminated(pod)["reason"]) == (3, "Error")
    assert terminated(pod)["message"] == "the last word\n"
    assert pod["status"]["podIP"].startswith("127.")
    name = pod["metadata"]["name"]
    assert cluster.kubectl("logs", name).stdout == f"{name} has 0,1\n"


def test_a_followed_log_ends_with_its_container(cluster: Cluster) -> None:
    cluster.api.request("POST", PODS, a_pod("talks", "sh", "-c", "echo one; echo two; sleep 1.2; printf three"))
    cluster.wait_for("the pod to run", lambda: _phase(cluster, "talks") != "Pending", within=SOON)
    assert cluster.kubectl("logs", "-f", "talks").stdout == "one\ntwo\nthree"
    assert cluster.kubectl("logs", "talks", "--tail=2").stdout == "two\nthree"
    stamped = cluster.kubectl("logs", "talks", "--timestamps").stdout.splitlines()
    last = stamped[-1].split()[0]  # of which the API server passes on whole seconds
    assert cluster.kubectl("logs", "talks", f"--since-time={last}").stdout == "three"


@pytest.mark.parametrize(
    ("trap", "grace", "want"),
    [
        pytest.param("trap 'exit 143' TERM", 30, 143, id="a program that heeds SIGTERM ends with its own code"),
        pytest.param("trap '' TERM", 1, 137, id="one that doesn't is killed when the grace period is over"),
    ],
)
def test_a_deleted_pod_is_asked_to_end_first(cluster: Cluster, trap: str, grace: int, want: int) -> None:
    name = f"deleted-{want}"
    script = f"{trap}; touch /ready/yes; while :; do sleep 0.05; done"
    pod = a_pod(name, "sh", "-c", script, terminationGracePeriodSeconds=grace)
    pod["metadata"]["finalizers"] = ["example.org/look-at-it"]  # keeps the object, so that its end can be seen
    folder = Path(tempfile.mkdtemp(dir=cluster.data))
    pod["spec"]["volumes"] = [{"name": "ready", "hostPath": {"path": str(folder)}}]
    pod["spec"]["containers"][0]["volumeMounts"] = [{"name": "ready", "mountPath": "/ready"}]
    cluster.api.request("POST", PODS, pod)
    cluster.wait_for("the trap to be set", (folder / "yes").exists, within=SOON)
    cluster.api.request("DELETE", f"{PODS}/{name}")
    cluster.wait_for("the pod to end", lambda: _phase(cluster, name) == "Failed", within=SOON)
    assert terminated(cluster.api.request("GET", f"{PODS}/{name}"))["exitCode"] == want
    patch = {"metadata": {"finalizers": None}}
    cluster.api.request("PATCH", f"{PODS}/{name}", patch, content_type="application/merge-patch+json")
    cluster.wait_for("the pod to be gone", is_gone(cluster, f"{PODS}/{name}"), within=SOON)


def test_two_pods_that_want_five_of_eight_gpus_run_one_after_the_other(cluster: Cluster) -> None:
    cluster.api.request("POST", JOBS, a_job("wide", "sleep", "1", gpus=5, count=2))
    cluster.wait_for("both pods to be there", lambda: len(pods_of(cluster, "wide")) == 2, within=SOON)
    cluster.wait_for("one to run", lambda: phases(cluster, "wide") == ["Pending", "Running"], within=SOON)
    cluster.wait_for("the Job to complete", has_condition(cluster, "wide", "Complete"), within=SOON)
    ends = [terminated(pod) for pod in pods_of(cluster, "wide")]
    first, second = sorted(ends, key=lambda end: str(end["startedAt"]))
    assert datetime.fromisoformat(second["startedAt"]) >= datetime.fromisoformat(first["finishedAt"])


def test_deleting_a_job_ends_its_processes(cluster: Cluster) -> None:
    cluster.api.request("POST", JOBS, a_job("long", "sh", "-c", "sleep 4242 & sleep 4242", count=2, grace=1))
    cluster.wait_for("its pods to run", lambda: phases(cluster, "long") == ["Running"] * 2, within=SOON)
    assert len(_processes("4242")) == 4 + 2  # two sleeps each, and the shells that name them
    cluster.api.request("DELETE", f"{JOBS}/long", {"propagationPolicy": "Background"})
    cluster.wait_for("its pods to be gone", lambda: not pods_of(cluster, "long"), within=SOON)
    assert _processes("4242") == []


@pytest.mark.parametrize(
    ("container", "reason", "text"),
    [
        pytest.param({"image": "does-not-exist:1"}, "ErrImagePull", "not known", id="an image that nobody has"),
        pytest.param(
            {"env": [{"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "status.hostIP"}}}], "image": "some:1"},
            "ErrImagePull",
            "needs a command",
            id="an unknown image without a command",
        ),
    ],
)
def test_a_pod_that_cannot_start_waits_and_says_why(
    cluster: Cluster, container: dict[str, object], reason: str, text: str
) -> None:
    name = f"waits-{len(text)}"
    pod = a_pod(name)
    pod["spec"]["containers"][0] = {"name": "main", **container}
    cluster.api.request("POST", PODS, pod)

    def waiting() -> dict[str, str]:
        statuses = cluster.api.request("GET", f"{PODS}/{name}")["status"].get("containerStatuses", [])
        return dict(statuses[0]["state"]["waiting"]) if statuses else {}

    cluster.wait_for("the reason", lambda: waiting().get("reason") == reason, within=SOON)
    assert text in waiting()["message"]
    cluster.api.request("DELETE", f"{PODS}/{name}")
    cluster.wait_for("the pod to be gone", is_gone(cluster, f"{PODS}/{name}"), within=SOON)


def test_a_command_that_is_not_there_fails_the_pod(cluster: Cluster) -> None:
    cluster.api.request("POST", PODS, a_pod("nothing", "no-such-program"))
    cluster.wait_for("the pod to fail", lambda: _phase(cluster, "nothing") == "Failed", within=SOON)
    end = terminated(cluster.api.request("GET", f"{PODS}/nothing"))
    assert (end["exitCode"], end["reason"]) == (128, "StartError")
    assert "no-such-program" in end["message"]


def test_a_claims_folder_outlives_the_pod_that_wrote_into_it(cluster: Cluster) -> None:
    claim = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "runs"},
        "spec": {"accessModes": ["ReadWriteMany"], "resources": {"requests": {"storage": "1Gi"}}},
    }
    cluster.api.request("POST", "/api/v1/namespaces/default/persistentvolumeclaims", claim)
    for name, script in (("writes", "echo kept > /runs/x"), ("reads", "cat $PLACE/x")):
        pod = a_pod(name, "sh", "-c", script)
        pod["spec"]["volumes"] = [{"name": "v", "persistentVolumeClaim": {"claimName": "runs"}}]
        pod["spec"]["containers"][0] |= {
            "volumeMounts": [{"name": "v", "mountPath": "/runs"}],
            "env": [{"name": "PLACE", "value": "/runs"}],
        }
        cluster.api.request("POST", PODS, pod)
        cluster.wait_for(f"{name} to succeed", lambda name=name: _phase(cluster, name) == "Succeeded", within=SOON)  # type: ignore[misc]
    assert cluster.kubectl("logs", "reads").stdout == "kept\n"


def test_a_pod_speaks_to_the_api_server_as_its_service_account(cluster: Cluster) -> None:
    script = """
        import json, os, ssl, urllib.request
        folder = os.environ["RUNG_SERVICEACCOUNT_DIR"]
        host, port = os.environ["KUBERNETES_SERVICE_HOST"], os.environ["KUBERNETES_SERVICE_PORT"]
        url = f"https://{host}:{port}/apis/authentication.k8s.io/v1/selfsubjectreviews"
        head = {"Authorization": "Bearer " + open(folder + "/token").read(), "Content-Type": "application/json"}
        body = b'{"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}'
        context = ssl.create_default_context(cafile=folder + "/ca.crt")
        reply = urllib.request.urlopen(urllib.request.Request(url, body, head), context=context, timeout=5)
        print(json.load(reply)["status"]["userInfo"]["username"])
    """
    pod = a_pod("speaks", "python", "-c", textwrap.dedent(script), automountServiceAccountToken=True)
    cluster.api.request("POST", PODS, pod)
    cluster.wait_for("the pod to end", lambda: _phase(cluster, "speaks") in ("Succeeded", "Failed"), within=SOON)
    assert cluster.kubectl("logs", "speaks").stdout == "system:serviceaccount:default:default\n"


def test_a_deployments_pod_is_ready_when_it_answers_and_comes_back_when_it_ends(cluster: Cluster) -> None:
    container = {
        "name": "web",
        "image": "rung-trial:dev",
        "command": ["sh", "-c", "exec python -m http.server 8080 --bind $POD_IP --directory $TMPDIR"],
        "readinessProbe": {"httpGet": {"path": "/", "port": "web"}, "periodSeconds": 1},
        "ports": [{"name": "web", "containerPort": 8080}],
    }
    labels = {"app": "web"}
    deployment = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web"},
        "spec": {
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}},
        },
    }
    path = "/apis/apps/v1/namespaces/default/deployments"
    cluster.api.request("POST", path, deployment)
    cluster.wait_for(
        "it to be ready",
        lambda: cluster.api.request("GET", f"{path}/web")["status"].get("readyReplicas") == 1,
        within=SOON,
    )

    def status() -> dict[str, object]:
        (pod,) = cluster.api.request("GET", f"{PODS}?labelSelector=app%3Dweb")["items"]
        return dict(pod["status"]["containerStatuses"][0])

    os.kill(int(str(status()["containerID"]).removeprefix("process://")), signal.SIGKILL)
    cluster.wait_for("it to be back", lambda: (status()["restartCount"], status()["ready"]) == (1, True), within=SOON)
    cluster.api.request("DELETE", f"{path}/web", {"propagationPolicy": "Background"})


def test_the_simulated_node_runs_two_hundred_pods(cluster: Cluster) -> None:
    before = cluster.write_counts()
    cluster.api.request("POST", JOBS, a_simulated_job("many", '{"seconds": 0.1}', count=200))
    cluster.wait_for("the Job to complete", has_condition(cluster, "many", "Complete"), within=60.0)
    after = cluster.write_counts()
    key = ("PATCH", "pods/status")
    assert phases(cluster, "many") == ["Succeeded"] * 200
    # Two of the node for each pod, beside a few of the scheduler's "no room yet" and of earlier tests' pods.
    assert 400 <= after[key] - before.get(key, 0) <= 600
    cluster.api.request("DELETE", f"{JOBS}/many", {"propagationPolicy": "Background"})
    cluster.wait_for("its pods to be gone", lambda: not pods_of(cluster, "many"), within=60.0)


def test_a_simulated_pod_answers_with_its_curve_and_honours_deletion(cluster: Cluster) -> None:
    script = '{"curve": {"loss": [0.9, 0.7]}, "stepSeconds": 0.05, "seconds": 600}'
    cluster.api.request("POST", JOBS, a_simulated_job("curve", script))
    cluster.wait_for("it to run", lambda: phases(cluster, "curve") == ["Running"], within=SOON)
    (pod,) = pods_of(cluster, "curve")
    url = f"http://{pod['status']['podIP']}:9100/metrics"

    def last() -> bool:
        with urllib.request.urlopen(url, timeout=5.0) as reply:
            return b"loss 0.7\n" in reply.read()

    cluster.wait_for("the curve to be through", last, within=SOON)
    cluster.api.request("DELETE", f"{JOBS}/curve", {"propagationPolicy": "Background"})
    cluster.wait_for("its pod to be gone", lambda: not pods_of(cluster, "curve"), within=SOON)
    with pytest.raises(OSError, match="refused"):
        urllib.request.urlopen(url, timeout=5.0)


def test_two_clusters_stand_side_by_side_and_leave_nothing(cluster: Cluster) -> None:
    with Cluster() as other:
        other.add_process_node("node-1", gpus=1)
        assert other.url != cluster.url
        assert other.instance.number != cluster.instance.number
        other.api.request("POST", JOBS, a_job("elsewhere", "sleep", "5151"))
        other.wait_for("its pod to run", lambda: phases(other, "elsewhere") == ["Running"], within=SOON)
        assert pods_of(cluster, "elsewhere") == []
        pids, folder = list(other.pids.values()), other.data
    assert [pid for pid in pids if Path(f"/proc/{pid}").exists()] == []
    assert _processes("5151") == []
    assert not folder.exists()


def test_a_lost_node_is_noticed_by_the_control_plane() -> None:
    with Cluster(settings=Settings(node_monitor_grace_seconds=4)) as lossy:
        lossy.add_process_node("stays")
        lossy.add_process_node("goes")
        lossy.remove_node("goes")

        def ready() -> str:
            conditions = lossy.api.request("GET", "/api/v1/nodes/goes")["status"]["conditions"]
            return next(str(one["status"]) for one in conditions if one["type"] == "Ready")

        lossy.wait_for("the node to be unknown", lambda: ready() == "Unknown", within=30.0)
        with pytest.raises(StartError, match="0 s for what never comes"):
            lossy.wait_for("what never comes", lambda: False, within=0.0)


def test_a_failed_start_shows_why_and_leaves_only_the_logs() -> None:
    broken = Cluster(settings=Settings(apiserver_flags=("--no-such-flag",)))
    with pytest.raises(
        StartError, match=r"kube-apiserver ended with exit code 1(?s:.*)unknown flag: --no-such-flag"
    ) as why:
        broken.start()
    try:
        assert why.value.__notes__ == [f"all logs: {broken.logs}"]
        assert "no-such-flag" in (broken.logs / "kube-apiserver.log").read_text()
    finally:
        shutil.rmtree(broken.data)


def test_the_command_line_starts_and_stops_a_cluster(tmp_path: Path) -> None:
    root = str(Path(__file__).parents[2])

    def devcluster(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "devcluster", *words],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": root},
        )

    assert devcluster("status").returncode == 1
    try:
        assert "the cluster is up" in devcluster("up", "--gpus=3").stdout
        assert "is up already" in devcluster("up").stdout
        gpus = "jsonpath={.items[*].status.capacity.nvidia\\.com/gpu}"
        assert devcluster("kubectl", "--", "get", "nodes", "-o", gpus).stdout == "3"
        assert "export KUBECONFIG=" in devcluster("env").stdout
    finally:
        assert devcluster("down").stdout == "the cluster is down\n"
    assert devcluster("down").stdout == "no cluster is up\n"


def test_nothing_outlives_an_owner_that_is_killed(tmp_path: Path) -> None:
    program = """
        import time
        from devcluster import Cluster
        cluster = Cluster()
        cluster.start()
        cluster.add_process_node("node-1")
        cluster.kubectl("run", "sleeper", "--image=any", "--restart=Never", "--command", "--", "sleep", "6161")
        print(cluster.data, *cluster.pids.values(), flush=True)
        time.sleep(600)
    """
    root = str(Path(__file__).parents[2])
    owner = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(program)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": root},
    )
    assert owner.stdout is not None
    folder, *pids = owner.stdout.readline().split()
    owner.send_signal(signal.SIGKILL)
    owner.wait(10)
    owner.stdout.close()
    left = [*[Path(f"/proc/{pid}") for pid in pids], Path(folder)]
    deadline = time.monotonic() + SOON
    while any(path.exists() for path in left) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert [path for path in left if path.exists()] == []
    assert _processes("6161") == []


def _phase(cluster: Cluster, pod: str) -> str:
    return str(cluster.api.request("GET", f"{PODS}/{pod}")["status"]["phase"])


def _processes(word: str) -> list[str]:
    """Command lines, on this machine, that hold a word as `sleep WORD` does."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = entry.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if f"sleep {word}" in line and "devcluster" not in line:
            found.append(line)
    return found
