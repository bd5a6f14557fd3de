"""What a trial with the SDK says while it runs: on stdout, at /observations, at /metrics."""

from __future__ import annotations

import contextlib
import json
import math
import socket
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from rung_trial._said import CONNECTIONS
from tests.trial_image.processes import ended, free_port, get, observations, process, python

# Reports what it is told on stdin, `step value` per line, until stdin ends.
OBEDIENT = """
import sys, rung_trial
with rung_trial.start() as trial:
    for line in sys.stdin:
        step, loss = line.split()
        trial.report({"mAP@0.5": 0.25}, step=float(step), val_loss=float(loss))
"""


def report_once(call: str) -> list[dict[str, object]]:
    """The lines of a program that makes one call."""
    return ended(python(f"import rung_trial\n{call}"), RUNG_RESOURCE_METRIC="epoch").reports


@pytest.mark.parametrize(
    ("call", "want"),
    [
        pytest.param("rung_trial.report(step=3, val_loss=0.5)", [{"epoch": 3, "val_loss": 0.5}], id="step and value"),
        pytest.param("rung_trial.report(val_loss=0.5)", [{"epoch": 1, "val_loss": 0.5}], id="no step is the first"),
        pytest.param(
            "rung_trial.report(step=7, a=1); rung_trial.report(a=2)",
            [{"epoch": 7, "a": 1}, {"epoch": 8, "a": 2}],
            id="no step is one more than the last",
        ),
        pytest.param(
            "rung_trial.report(step=1200, epoch=3, a=1)",
            [{"epoch": 3, "a": 1}],
            id="the counter's own name says the step",
        ),
        pytest.param("rung_trial.report({'mAP@0.5': 1}, step=0.5)", [{"epoch": 0.5, "mAP@0.5": 1}], id="half an epoch"),
        pytest.param(
            "rung_trial.report(step=1, a=float('nan'), b=float('inf'), c=-float('inf'))",
            [{"epoch": 1, "a": "NaN", "b": "Infinity", "c": "-Infinity"}],
            id="what JSON has no number for is a word",
        ),
        pytest.param(
            "import numpy; rung_trial.report(step=numpy.int64(2), a=numpy.float32(0.5))",
            [{"epoch": 2, "a": 0.5}],
            id="numpy's numbers are numbers",
        ),
    ],
)
def test_a_report_is_one_line_of_strict_json(call: str, want: list[dict[str, object]]) -> None:
    assert report_once(call) == want


@pytest.mark.parametrize(
    ("call", "want"),
    [
        pytest.param("step=1, val_loss='low'", "TypeError: val_loss must be a number, got 'low'", id="a word"),
        pytest.param("step=1, val_loss=None", "TypeError: val_loss must be a number, got None", id="nothing"),
        pytest.param("step=-1, a=1", "ValueError: epoch must be a finite number of at least 0, got -1", id="below 0"),
        pytest.param("step=float('nan'), a=1", "ValueError: epoch must be a finite number", id="a step that is none"),
    ],
)
def test_what_is_no_report_is_an_error_in_the_program(call: str, want: str) -> None:
    got = ended(python(f"import rung_trial\nrung_trial.report({call})"), RUNG_RESOURCE_METRIC="epoch")
    assert (got.code, got.lines) == (1, [])
    assert want in got.stderr


def test_every_observation_can_be_fetched_and_asking_acknowledges() -> None:
    port = free_port()
    with process(python(OBEDIENT), RUNG_TRIAL="digits-7", RUNG_ATTEMPT="2", RUNG_METRICS_PORT=port) as trial:
        for told in ("1 0.5", "2 0.25", "3 nan"):
            trial.tell(told)
            trial.line()
        everything = observations(port)
        assert {key: everything[key] for key in ("trial", "attempt", "next", "outputs", "done")} == {
            "trial": "digits-7",
            "attempt": 2,
            "next": 3,
            "outputs": {},
            "done": False,
        }
        assert [(o["n"], o["step"], o["values"]) for o in everything["observations"]] == [
            (0, 1, {"mAP@0.5": 0.25, "val_loss": 0.5}),
            (1, 2, {"mAP@0.5": 0.25, "val_loss": 0.25}),
            (2, 3, {"mAP@0.5": 0.25, "val_loss": "NaN"}),
        ]
        times = [o["time"] for o in everything["observations"]]
        assert times == sorted(times)
        assert [o["n"] for o in observations(port, since=2)["observations"]] == [2]
        assert observations(port, since=3)["observations"] == []
        assert observations(port, since=99)["next"] == 3
        trial.tell("4 0.125")
        trial.line()
        assert [o["n"] for o in observations(port, since=3)["observations"]] == [3]


def test_a_long_backlog_comes_in_pieces_without_a_gap() -> None:
    port = free_port()
    program = """
import rung_trial
with rung_trial.start() as trial:
    for step in range(2500):
        trial.report(step=step, a=1)
    print("ready", flush=True)
    input()
"""
    with process(python(program), RUNG_TRIAL="t", RUNG_METRICS_PORT=port) as trial:
        while trial.line() != "ready":
            pass
        steps: list[int] = []
        sizes = []
        while batch := observations(port, since=len(steps))["observations"]:
            steps += [o["step"] for o in batch]
            sizes.append(len(batch))
    assert steps == list(range(2500))
    assert sizes == [1000, 1000, 500]


def test_metrics_hold_the_last_values_as_prometheus_reads_them() -> None:
    port = free_port()
    env = {"RUNG_TRIAL": "t", "RUNG_METRICS_PORT": port, "RUNG_RESOURCE_METRIC": "epoch"}
    with process(python(OBEDIENT), **env) as trial:
        for told in ("1 0.5", "2 inf"):
            trial.tell(told)
            trial.line()
        status, kind, text = get(port, "/metrics")
    assert (status, kind) == (200, "text/plain; version=0.0.4")
    families = {family.name: family for family in text_string_to_metric_families(text)}
    assert {name: family.samples[0].value for name, family in families.items()} == {
        "epoch": 2,
        "mAP_0_5": 0.25,
        "val_loss": math.inf,
    }
    assert {family.type for family in families.values()} == {"gauge"}


@pytest.mark.parametrize(
    ("request_bytes", "want"),
    [
        pytest.param(b"GET / HTTP/1.1\r\n\r\n", b"404", id="another path is not found"),
        pytest.param(b"GET /observations?since=x HTTP/1.1\r\n\r\n", b"200", id="since that is no number is 0"),
        pytest.param(b"GET /observations?since=-1 HTTP/1.1\r\n\r\n", b"200", id="so is one below 0"),
        pytest.param(b"GET /metrics?collect=all HTTP/1.1\r\n\r\n", b"200", id="another query is passed over"),
        pytest.param(b"POST /observations HTTP/1.1\r\n\r\n", b"404", id="only GET is answered"),
        pytest.param(b"\r\n\r\n", b"404", id="nonsense is answered"),
        pytest.param(
            b"GET /observations HTTP/1.1\r\n" + b"a: b\r\n" * 2000 + b"\r\n", b"200", id="headers don't matter"
        ),
    ],
)
def test_the_server_answers_whatever_comes(request_bytes: bytes, want: bytes) -> None:
    port = free_port()
    with process(python(OBEDIENT), RUNG_TRIAL="t", RUNG_METRICS_PORT=port) as trial:
        trial.tell("1 0.5")
        trial.line()
        with socket.create_connection(("127.0.0.1", int(port)), timeout=30) as connection:
            connection.sendall(request_bytes)
            assert connection.recv(1000).split(b" ")[1] == want
        assert observations(port)["next"] == 1


def test_clients_that_hang_delay_neither_the_training_nor_the_operator() -> None:
    port = free_port()
    with process(python(OBEDIENT), RUNG_TRIAL="t", RUNG_METRICS_PORT=port) as trial:
        trial.tell("1 0.5")
        trial.line()
        hanging = [socket.create_connection(("127.0.0.1", int(port)), timeout=30) for _ in range(5)]
        for connection in hanging:
            connection.sendall(b"GET /observ")
        trial.tell("2 0.25")
        trial.line()
        assert observations(port)["next"] == 2
        for connection in hanging:
            connection.close()


def test_a_training_that_ran_out_of_file_descriptors_is_heard_again_once_it_has_some() -> None:
    port = free_port()
    program = """
import resource, rung_trial
with rung_trial.start() as trial:
    trial.report(step=1, loss=0.5)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
    print("none left", flush=True)
    input()
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    input()
"""
    with process(python(program), RUNG_TRIAL="t", RUNG_METRICS_PORT=port) as trial:
        assert [json.loads(trial.line())["step"], trial.line()] == [1, "none left"]
        with contextlib.ExitStack() as several:  # accept(2) takes a descriptor before it waits: one more than it has
            for _ in range(CONNECTIONS + 1):
                last = several.enter_context(socket.create_connection(("127.0.0.1", int(port)), timeout=1))
                last.sendall(b"GET /observations HTTP/1.1\r\n\r\n")
            with pytest.raises(TimeoutError):
                last.recv(1)
            trial.tell("")
            last.settimeout(30)
            assert last.recv(1000).startswith(b"HTTP/1.1 200 OK")


@pytest.mark.parametrize(
    ("env", "host"),
    [
        pytest.param({"RUNG_METRICS_HOST": "127.7.0.1"}, "127.7.0.1", id="the address it is told"),
        pytest.param({}, "127.0.0.1", id="everywhere unless told"),
    ],
)
def test_where_it_listens(env: dict[str, str], host: str) -> None:
    port = free_port()
    with process(python(OBEDIENT), RUNG_TRIAL="t", RUNG_METRICS_PORT=port, **env) as trial:
        trial.tell("1 0.5")
        trial.line()
        assert get(port, "/observations", host)[0] == 200


def test_two_trials_of_one_node_have_the_same_port_on_an_address_each() -> None:
    port = free_port()
    with (
        process(python(OBEDIENT), RUNG_TRIAL="a", RUNG_METRICS_PORT=port, RUNG_METRICS_HOST="127.7.1.1") as a,
        process(python(OBEDIENT), RUNG_TRIAL="b", RUNG_METRICS_PORT=port, RUNG_METRICS_HOST="127.7.1.2") as b,
    ):
        for trial in (a, b):
            trial.tell("1 0.5")
            trial.line()
        assert json.loads(get(port, "/observations", "127.7.1.1")[2])["trial"] == "a"
        assert json.loads(get(port, "/observations", "127.7.1.2")[2])["trial"] == "b"


@pytest.mark.parametrize("port", [pytest.param(None, id="a port that is taken"), pytest.param("many", id="no number")])
def test_a_port_that_cannot_be_had_costs_one_line_and_not_the_training(port: str | None) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        taken = str(listener.getsockname()[1])
        with process(
            python(OBEDIENT), RUNG_TRIAL="t", RUNG_METRICS_PORT=port or taken, RUNG_METRICS_HOST="127.0.0.1"
        ) as trial:
            trial.tell("1 0.5")
            got = trial.end()
    assert got.code == 0
    assert got.reports == [{"step": 1, "mAP@0.5": 0.25, "val_loss": 0.5}]
    assert len(got.stderr.splitlines()) == 1
    assert f"cannot listen on 127.0.0.1 port {port or taken}" in got.stderr


def test_without_an_operator_it_prints_and_listens_nowhere() -> None:
    port = free_port()
    with process(python(OBEDIENT), RUNG_METRICS_PORT=port) as trial:
        trial.tell("1 0.5")
        assert json.loads(trial.line()) == {"step": 1, "mAP@0.5": 0.25, "val_loss": 0.5}
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", int(port)))
        got = trial.end()
    assert (got.code, got.stderr) == (0, "")


def test_a_closed_stdout_does_not_end_the_training() -> None:
    program = """
import os, sys, rung_trial
os.close(1)
rung_trial.report(step=1, a=1)
rung_trial.report(step=2, a=1)
sys.stderr.write("trained")
"""
    assert ended(python(program)).stderr.startswith("trained")


@pytest.mark.parametrize("variable", ["RANK", "OMPI_COMM_WORLD_RANK"])
@pytest.mark.parametrize(("rank", "lines"), [("0", 1), ("1", 0), ("12", 0)])
def test_of_many_equal_processes_only_the_first_speaks(variable: str, rank: str, lines: int) -> None:
    got = ended(python("import rung_trial; rung_trial.report(step=1, a=1)"), **{variable: rank})
    assert len(got.reports) == lines


def test_a_forked_worker_is_silent_and_dies_of_sigterm(tmp_path: Path) -> None:
    port, log = free_port(), tmp_path / "log"
    program = """
import os, signal, sys, rung_trial
trial = rung_trial.start()
trial.report(step=1, a=1)
ready, say_ready = os.pipe()
worker = os.fork()
if worker == 0:
    trial.report(step=1, a=666)
    os.write(say_ready, b"!")
    signal.pause()
os.read(ready, 1)
if os.fork() == 0:  # ends by itself: its last word would replace the trainer's
    sys.exit(0)
os.wait()
os.kill(worker, signal.SIGTERM)
print(os.waitpid(worker, 0)[1], trial.should_stop(), flush=True)
trial.report(step=2, a=1)
input()
"""
    with process(python(program), RUNG_TRIAL="t", RUNG_METRICS_PORT=port, RUNG_TERMINATION_LOG=str(log)) as trial:
        assert [json.loads(trial.line())["step"], trial.line()] == [1, "15 False"]
        assert json.loads(trial.line())["step"] == 2
        assert not log.exists()
        assert [o["values"] for o in observations(port)["observations"]] == [{"a": 1}, {"a": 1}]


def test_what_the_operator_tells_is_there_with_its_types() -> None:
    program = """
import json, rung_trial
t = rung_trial.start()
print(repr((t.study, t.name, t.number, t.attempt, t.seed, t.parameters, t.counter, t.target, list(t.steps(default=9)))))
"""
    got = ended(
        python(program),
        RUNG_STUDY="digits",
        RUNG_TRIAL="digits-7",
        RUNG_TRIAL_NUMBER="7",
        RUNG_ATTEMPT="2",
        RUNG_SEED="41935",
        RUNG_PARAMETERS='{"lr": 0.003, "width": 64, "optimizer": "adam"}',
        RUNG_RESOURCE_METRIC="epoch",
        RUNG_RESOURCE_TARGET="3",
        RUNG_METRICS_PORT=free_port(),
    )
    want = ("digits", "digits-7", 7, 2, 41935, {"lr": 0.003, "width": 64, "optimizer": "adam"}, "epoch", 3, [1, 2, 3])
    assert got.lines == [repr(want)]


def test_a_broken_environment_names_the_variable() -> None:
    got = ended(python("import rung_trial"), RUNG_SEED="lucky")
    assert "RUNG_SEED must be a number, got 'lucky'" in got.stderr


def test_outputs_are_few_and_short_and_never_an_error() -> None:
    port = free_port()
    program = """
import rung_trial
for i in range(9):
    rung_trial.output(f"o{i}", "x" * 300)
rung_trial.output("o0", "replaced")
input()
"""
    with process(python(program), RUNG_TRIAL="t", RUNG_METRICS_PORT=port) as trial:
        lines = [json.loads(trial.line()) for _ in range(9)]
        outputs = observations(port)["outputs"]
    assert list(outputs) == [f"o{i}" for i in range(8)]
    assert (outputs["o0"], len(outputs["o1"])) == ("replaced", 256)
    assert (lines[1], lines[8]) == ({"outputs": {"o1": "x" * 256}}, {"outputs": {"o0": "replaced"}})
