"""Log lines to observations: the forms, the step of each report, and chunks that end anywhere."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rung.api.facts import Observation
from rung.api.study import Extract, MetricsSpec
from rung.observe.extract import Wanted
from rung.observe.lines import LINE_BYTES, LineReader


def wanted(*metrics: str, counter: str | None = "epoch") -> Wanted:
    return Wanted.of(None, metrics or ("loss", "acc"), counter)


def read(text: str | bytes, what: Wanted | None = None) -> list[Observation]:
    reader = LineReader(what or wanted())
    body = text.encode() if isinstance(text, str) else text
    return [*reader.feed(body), *reader.finish()]


@pytest.mark.parametrize(
    ("line", "values"),
    [
        pytest.param('{"epoch": 3, "loss": 0.5}', {"loss": 0.5}, id="a JSON object"),
        pytest.param('{"epoch": 3, "loss": 1}', {"loss": 1.0}, id="a whole number in JSON"),
        pytest.param('2026-01-02T03:04:05Z {"epoch": 3, "loss": 0.5}', {"loss": 0.5}, id="JSON after a timestamp"),
        pytest.param('INFO:root:{"epoch": 3, "loss": 0.5} ok', {"loss": 0.5}, id="JSON inside a logging line"),
        pytest.param("{'loss': 0.5, 'epoch': 3}", {"loss": 0.5}, id="a Python dict, as Hugging Face prints it"),
        pytest.param("{'loss': np.float64(0.5), 'epoch': 3}", {"loss": 0.5}, id="a dict of numpy scalars"),
        pytest.param("{'loss': tensor(0.5, device='cuda:0'), 'epoch': 3}", {"loss": 0.5}, id="a dict of tensors"),
        pytest.param("{'a': [1, 2], 'ok': True, 'loss': .5, 'epoch': 3}", {"loss": 0.5}, id="a dict of mixed values"),
        pytest.param("Epoch 3: {'loss': 0.5}", {"loss": 0.5}, id="the counter before a dict"),
        pytest.param("epoch=3 loss=0.5", {"loss": 0.5}, id="a=b pairs"),
        pytest.param("epoch: 3, loss: 5e-1", {"loss": 0.5}, id="a: b pairs"),
        pytest.param("epoch = 3 | loss = +0.5 | acc = .25", {"loss": 0.5, "acc": 0.25}, id="pairs in a table"),
        pytest.param("Epoch 3/10 - 2s 12ms/step - loss: 0.5 - acc: 0.9000", {"loss": 0.5, "acc": 0.9}, id="Keras"),
        pytest.param("Epoch [3/10], Step [100/600], loss: 0.5", {"loss": 0.5}, id="the PyTorch tutorials' form"),
        pytest.param("2026-01-02T03:04:05Z INFO  epoch=3;loss=0.5", {"loss": 0.5}, id="Katib's form"),
        pytest.param("2026-01-02 03:04:05,123 INFO train epoch=3 loss=0.5.", {"loss": 0.5}, id="the end of a sentence"),
        pytest.param("\x1b[32mepoch=3\x1b[0m loss=\x1b[1m0.5\x1b[0m", {"loss": 0.5}, id="colours"),
        pytest.param("epoch=3 acc=93.5%", {"acc": 93.5}, id="a percentage as it stands"),
        pytest.param("epoch=3 loss=0.9 loss=0.5", {"loss": 0.5}, id="said twice: the later word"),
        pytest.param('epoch=3 loss=0.5 \ufffd "quoted"', {"loss": 0.5}, id="other text beside"),
    ],
)
def test_a_number_is_read_in_every_usual_form(line: str, values: dict[str, float]) -> None:
    assert read(line + "\n") == [Observation(3.0, values)]


@pytest.mark.parametrize(
    ("line", "is_it"),
    [
        pytest.param('{"epoch": 3, "loss": "NaN"}', math.isnan, id="the word NaN"),
        pytest.param('{"epoch": 3, "loss": NaN}', math.isnan, id="bare NaN"),
        pytest.param("epoch=3 loss=nan", math.isnan, id="nan in a pair"),
        pytest.param("{'epoch': 3, 'loss': nan}", math.isnan, id="nan in a dict"),
        pytest.param('{"epoch": 3, "loss": "-Infinity"}', lambda v: v == -math.inf, id="the word -Infinity"),
        pytest.param("epoch=3 loss=inf", lambda v: v == math.inf, id="inf in a pair"),
        pytest.param('{"epoch": 3, "loss": 1e999}', lambda v: v == math.inf, id="a number beyond floats"),
        pytest.param('{"epoch": 3, "loss": ' + "9" * 5000 + "}", lambda v: v == math.inf, id="5,000 digits"),
    ],
)
def test_a_diverged_value_is_kept_as_it_is(line: str, is_it: Callable[[float], bool]) -> None:
    [observation] = read(line)
    assert observation.step == 3
    assert is_it(observation.values["loss"])


@pytest.mark.parametrize(
    "line",
    [
        pytest.param('{"epoch": 3, "loss": "0.5"}', id="a number as text in JSON"),
        pytest.param('{"epoch": 3, "loss": true}', id="true is no number"),
        pytest.param('{"epoch": 3, "a": {"b": {"loss": 1}}}', id="two levels deep"),
        pytest.param('{"epoch": 3, "loss": 1, "x": [' + "[], " * 3000 + "1]}", id="a dump of thousands of lists"),
        pytest.param("python train.py --loss=0.5 --epoch=3", id="flags of a command line"),
        pytest.param("loss: 12:30:45", id="a time"),
        pytest.param("loss: 2026-01-02", id="a date"),
        pytest.param("loss: 10MB", id="a unit"),
        pytest.param("loss: 1.2.3", id="a version"),
        pytest.param("loss=http://0.5/", id="an address"),
        pytest.param("loss == 0.5", id="a comparison"),
        pytest.param("train_loss=0.5 Loss=0.5 loss_=0.5", id="other names"),
        pytest.param("the loss is 0.5", id="prose"),
        pytest.param("", id="nothing"),
    ],
)
def test_what_is_no_report_is_none(line: str) -> None:
    assert read(line + "\n") == []


@pytest.mark.parametrize(
    ("name", "line"),
    [
        pytest.param("valid_1's auc", "[10] valid_1's auc: 0.5", id="LightGBM's name with a blank and a quote"),
        pytest.param("valid_1 auc", "valid_1 auc : 0.5", id="a blank"),
        pytest.param("recall@10", "recall@10=0.5", id="an at sign"),
        pytest.param("mAP@0.5", "mAP@0.5: 0.5", id="a dot and a digit"),
        pytest.param("eval/loss", "eval/loss=0.5", id="a slash"),
        pytest.param("iou[0]", "iou[0]=0.5", id="brackets"),
        pytest.param("eval.loss", '{"eval": {"loss": 0.5}}', id="one nested level of JSON"),
        pytest.param("eval.loss", "{'eval': {'loss': 0.5}}", id="one nested level of a dict"),
        pytest.param("a:b", "a:b = 0.5", id="a colon in the name"),
        pytest.param("f(x)", "f(x)=0.5", id="parentheses"),
        pytest.param("(a+)+$", "(a+)+$ = 0.5", id="a name that would be an evil pattern is only text"),
    ],
)
def test_names_with_odd_characters_are_found(name: str, line: str) -> None:
    assert read(line, wanted(name)) == [Observation(1.0, {name: 0.5})]


@pytest.mark.parametrize(
    ("text", "steps"),
    [
        pytest.param("loss=3\nloss=2\nloss=1\n", [1, 2, 3], id="without a counter each report is one further"),
        pytest.param(
            "loss=3\nacc=.1\nloss=2\nacc=.2\n", [1, 1, 2, 2], id="different metrics on two lines are one report"
        ),
        pytest.param("Epoch 1/3\nloss: 3\nacc: .1\nEpoch 2/3\nloss: 2\n", [1, 1, 2], id="the counter on a line before"),
        pytest.param(
            "epoch=1 loss=3\nloss=2\n", [1, 1], id="in a stream that counts, a line about a batch is no epoch"
        ),
        pytest.param("epoch=0.5 loss=3\nepoch=1.0 loss=2\n", [0.5, 1], id="fractions"),
        pytest.param("step=7 loss=3\n", [7], id="step stands for a counter that is not said"),
        pytest.param("epoch=1 step=900 loss=3\nstep=950 loss=2\n", [1, 1], id="step means something else beside it"),
        pytest.param("epoch=5 loss=3\nepoch=3 loss=2\n", [5, 3], id="backwards is taken as it is said"),
        pytest.param("epoch=-1 loss=3\nepoch=2 loss=2\n", [2], id="a negative step is left out"),
        pytest.param("epoch=nan loss=3\nepoch=inf loss=2\n", [], id="a step that is no number is left out"),
    ],
)
def test_the_step_of_a_report(text: str, steps: list[float]) -> None:
    assert [o.step for o in read(text)] == steps


def test_without_a_resource_step_is_the_counter() -> None:
    assert [o.step for o in read("step=4 loss=1\nloss=2\n", wanted(counter=None))] == [4, 4]


def test_a_senseless_step_is_told() -> None:
    reader = LineReader(wanted())
    reader.feed(b"epoch=-3 loss=0.5\n")
    assert "epoch must be a finite number of at least 0, got -3" in next(iter(reader.sightings.problems))


def test_of_a_progress_bar_the_last_state_counts() -> None:
    bar = "\r".join(f"{i}%|##| {i}/100 [00:0{i % 9}<00:00, 49.5it/s, loss=0.{i:02}]" for i in range(100))
    assert read(bar + "\n") == [Observation(1.0, {"loss": 0.99})]


def test_a_progress_bar_that_names_the_counter_reports_while_it_runs() -> None:
    reader = LineReader(wanted())
    found = reader.feed(b"\r10%| epoch=1, loss=0.9\r20%| epoch=2, loss=0.8\r30%| ep")
    assert [o.step for o in found] == [1, 2]
    assert [o.step for o in reader.feed(b"och=3, loss=0.7\n")] == [3]


def test_windows_line_ends_are_line_ends_even_when_torn() -> None:
    reader = LineReader(wanted())
    assert reader.feed(b"loss=1\r") == []
    assert [o.values["loss"] for o in reader.feed(b"\nloss=2\r\n")] == [1, 2]


def test_a_line_above_the_limit_is_skipped_and_the_next_is_read() -> None:
    reader = LineReader(wanted())
    found = []
    for _ in range(160):
        found += reader.feed(b"x" * LINE_BYTES)  # 10 MB without a newline
        assert len(reader._half) <= LINE_BYTES
    found += reader.feed(b" loss=1\nloss=2\n")
    assert found == [Observation(1.0, {"loss": 2.0})]
    assert list(reader.sightings.problems) == ["a line of the log above 64 KiB was skipped"]


def test_bytes_that_are_no_text_hurt_no_other_line() -> None:
    assert read(b"\xff\xfe\x00loss=\xff\n\x80 loss=0.5 \xc3\n") == [Observation(1.0, {"loss": 0.5})]


def test_outputs_and_checkpoints_come_through_the_log() -> None:
    reader = LineReader(wanted())
    reader.feed(b'{"outputs": {"model": "s3://m/3", "n": 4}}\n{"epoch": 3, "checkpoint_step": 3}\n')
    assert reader.sightings.outputs == {"model": "s3://m/3"}
    assert reader.sightings.checkpoint_step == 3
    reader.feed(
        b'{"epoch": 4, "checkpoint_step": 4}\n{"epoch": 4, "checkpoint_step": 2}\n{"epoch": 6, "checkpoint_step": 6}\n'
    )
    assert list(reader.sightings.checkpoints) == [3, 4, 6]


def test_what_went_by_is_remembered_within_bounds() -> None:
    reader = LineReader(wanted())
    for i in range(1000):
        reader.feed(f"metric_{i}={i} {'y' * 1000}\n".encode())
    assert len(reader.sightings.names) == 32
    assert len(reader.sightings.lines) == 5
    assert max(map(len, reader.sightings.lines)) <= 200
    assert reader.reports == 0


LINES = st.lists(
    st.one_of(
        st.builds(lambda e, v: f"epoch={e} loss={v}", st.integers(0, 99), st.floats(0, 9)),
        st.builds(lambda v: f"{{'loss': {v!r}}}", st.floats()),
        st.builds(lambda v: f"10%|\r20%| loss={v}\r", st.floats(0, 9)),
        st.text(max_size=30).filter(lambda t: "\n" not in t),
    ),
    max_size=20,
)


@given(lines=LINES, cuts=st.lists(st.integers(0, 400), max_size=8))
def test_where_the_chunks_end_makes_no_difference(lines: list[str], cuts: list[int]) -> None:
    body = "\n".join(lines).encode(errors="replace")
    reader = LineReader(wanted())
    found, at = [], 0
    for cut in [*sorted(cuts), len(body)]:
        found += reader.feed(body[at:cut])
        at = max(at, cut)
    found += reader.finish()
    assert repr(found) == repr(read(body))


def test_a_line_of_nothing_that_shows_is_an_effort_too() -> None:
    reader = LineReader(Wanted.of(MetricsSpec(extract=(Extract(metric="loss", line="<value>"),)), ("loss",)))
    reader.feed(b"\x0b\n" * 100)
    assert reader.effort >= 100  # it has to be cut out, decoded and stripped before that is known
