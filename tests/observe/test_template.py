"""`metrics.extract[].line`: which lines a template fits, what it reads there, and that a hostile line costs linear time."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rung.api.facts import Observation
from rung.api.study import Extract, MetricsSpec
from rung.observe.extract import Sightings, Wanted
from rung.observe.lines import LineReader
from rung.observe.template import Found, LineTemplate
from rung.observe.termination import parse_termination


def read(template: str, line: str) -> tuple[float, float | None] | None:
    return LineTemplate.of(template).read(" ".join(line.split()))


@pytest.mark.parametrize(
    ("template", "line", "want"),
    [
        pytest.param("valid_1 auc : <value>", "valid_1 auc : 0.98", (0.98, None), id="text and a number"),
        pytest.param("valid_1 auc : <value>", "[10]\tvalid_1  auc :\t0.98", (0.98, None), id="other blanks"),
        pytest.param("auc: <value>", "2026-01-02 INFO auc: 0.98 (best)", (0.98, None), id="text before and after"),
        pytest.param("auc: <value>", "auc: 0.5, auc: 0.98", (0.98, None), id="said twice: the later"),
        pytest.param("<value>% correct", "97.5% correct", (97.5, None), id="the number first"),
        pytest.param("took <value>ms.", "took 12ms.", (12, None), id="a unit that is said"),
        pytest.param("Loss is <value>.", "Loss is 5.", (5, None), id="the full stop of a sentence"),
        pytest.param("auc=<value>", "auc=-1.5e-3", (-1.5e-3, None), id="sign and exponent"),
        pytest.param("auc=<value>", "auc=.5", (0.5, None), id="no digit before the dot"),
        pytest.param("auc=<value>", "auc=Infinity", (math.inf, None), id="infinity"),
        pytest.param("Epoch <step>/<*> auc: <value>", "Epoch 3/10 [==>.] - auc: 0.98", (0.98, 3), id="every hole"),
        pytest.param("<value> at step <step>", "0.98 at step 12", (0.98, 12), id="the step last"),
        pytest.param("loss<*><value>", "loss (smoothed) is 0.5", (0.5, None), id="anything between"),
        pytest.param("<*>loss=<value><*>", "x loss=0.5MB", (0.5, None), id="anything after a number"),
        pytest.param(
            "loss <*> <value>", "loss of the last information gain 0.5", (0.5, None), id="no number in a word"
        ),
        pytest.param("<value>", "0.98", (0.98, None), id="a bare number"),
        pytest.param("<step> <value>", "3\t0.98", (0.98, 3), id="two columns"),
        pytest.param(".*+(<value>)|[", ".*+(0.5)|[", (0.5, None), id="a pattern's signs are text"),
        pytest.param("<loss>: <value>", "<loss>: 0.5", (0.5, None), id="angle brackets are text"),
        pytest.param("精度：<value>", "精度：0.98", (0.98, None), id="any script"),
    ],
)
def test_a_template_reads_the_lines_that_it_describes(
    template: str, line: str, want: tuple[float, float | None]
) -> None:
    assert read(template, line) == want


@pytest.mark.parametrize(
    ("template", "line"),
    [
        pytest.param("loss: <value>", "val_loss: 0.5", id="the end of another name"),
        pytest.param("loss: <value>", "Loss: 0.5", id="another case"),
        pytest.param("loss: <value>", "loss: 10MB", id="a number with a unit"),
        pytest.param("loss: <value>", "loss: 12:30:45", id="a time"),
        pytest.param("loss: <value>", "loss: 1.2.3", id="a version"),
        pytest.param("loss: <value>", "loss: none", id="no number"),
        pytest.param("loss: <value>", "loss: nano", id="a word that begins like nan"),
        pytest.param("loss: <value>", "loss: ", id="torn before the number"),
        pytest.param("a <*> b <value>", "b 1 a", id="the parts in another order"),
        pytest.param("<value>", "0.98 0.99", id="a bare number is the whole line"),
        pytest.param("<value>", "auc 0.98", id="a bare number is alone"),
    ],
)
def test_a_line_of_another_form_is_not_read(template: str, line: str) -> None:
    assert read(template, line) is None


def lines(*extracts: Extract, metrics: tuple[str, ...] = ("auc",), counter: str | None = "epoch") -> Wanted:
    return Wanted.of(MetricsSpec(extract=extracts), metrics, counter)


def observed(wanted: Wanted, text: str) -> list[Observation]:
    reader = LineReader(wanted)
    return [*reader.feed(text.encode()), *reader.finish()]


AUC = Extract(metric="auc", line="valid auc <value>")


@pytest.mark.parametrize(
    ("extracts", "text", "want"),
    [
        pytest.param(
            (AUC,), "epoch=2 valid auc 0.9\n", [Observation(2, {"auc": 0.9})], id="with a step in a usual form"
        ),
        pytest.param(
            (AUC,), "epoch=2\nvalid auc 0.9\n", [Observation(2, {"auc": 0.9})], id="the step on a line before"
        ),
        pytest.param(
            (AUC,), "auc=0.1\nvalid auc 0.9\n", [Observation(1, {"auc": 0.9})], id="its usual form is not read"
        ),
        pytest.param((AUC,), '{"auc": 0.1, "epoch": 3}\n', [], id="nor JSON"),
        pytest.param(
            (Extract(metric="auc", line="[<step>] auc <value>"),),
            "[1] auc .1\n[2] auc .2\n",
            [Observation(1, {"auc": 0.1}), Observation(2, {"auc": 0.2})],
            id="the step in the template",
        ),
        pytest.param(
            (AUC, Extract(metric="epoch", line="round <value>")),
            "round 4\nepoch=9 valid auc 0.9\n",
            [Observation(4, {"auc": 0.9})],
            id="a template for the counter alone",
        ),
        pytest.param(
            (AUC, Extract(metric="loss", line="valid auc <*> logloss <value>")),
            "valid auc 0.9 logloss 0.2\n",
            [Observation(1, {"auc": 0.9, "loss": 0.2})],
            id="two metrics on one line",
        ),
        pytest.param(
            (Extract(metric="auc", line="[<step>] auc <value>"),), "[-3] auc 1\n", [], id="a negative step is left out"
        ),
        pytest.param(
            (AUC,), "9%\r valid auc 0.1\r valid auc 0.9\n", [Observation(1, {"auc": 0.9})], id="a progress bar"
        ),
        pytest.param(
            (Extract(metric="other", line="x <value>"),), "x 1\nauc=2\n", [Observation(1, {"auc": 2})], id="unwanted"
        ),
    ],
)
def test_described_lines_among_others(extracts: tuple[Extract, ...], text: str, want: list[Observation]) -> None:
    metrics = ("auc", "loss") if any(e.metric == "loss" for e in extracts) else ("auc",)
    assert observed(lines(*extracts, metrics=metrics), text) == want


def test_sources_without_lines_say_the_metric_by_its_name() -> None:
    assert lines(AUC).pick({"auc": 0.9}) == {"auc": 0.9}
    assert parse_termination('{"observations": [[2, {"auc": 0.9}]]}', lines(AUC)) == [Observation(2, {"auc": 0.9})]
    assert parse_termination("valid auc 0.9", lines(AUC), step=2) == [Observation(2, {"auc": 0.9})]


def test_a_step_that_makes_no_sense_is_told() -> None:
    sightings = Sightings()
    LineReader(lines(Extract(metric="auc", line="[<step>] auc <value>")), sightings).feed(b"[-3] auc 1\n")
    assert "epoch must be a finite number of at least 0, got -3" in next(iter(sightings.problems))


PIECES = st.sampled_from(["a", "b", "ab", " ", "1", "-", ".", "e", "loss", ":", "nan", "\t", "é"])
AROUND = st.lists(PIECES | st.just("<*>"), max_size=6).map("".join)


@given(AROUND, AROUND, AROUND, st.sampled_from(["", "<step>"]), st.booleans(), st.lists(PIECES, max_size=40))
def test_whatever_the_template_and_the_line_nothing_is_raised(
    before: str, between: str, after: str, step: str, value_first: bool, line: list[str]
) -> None:
    first, second = ("<value>", step) if value_first else (step, "<value>")
    found = LineTemplate.of(before + first + between + second + after).read(" ".join("".join(line).split()))
    assert found is None or isinstance(found, Found)


@given(
    st.lists(PIECES.filter(lambda p: not p[-1].isdigit() and p != "."), max_size=4).map("".join),
    st.floats(allow_nan=False),
    st.integers(0, 10**9),
    st.text(max_size=5).filter(lambda t: not t[:1].isalnum()),
)
def test_a_line_that_was_written_from_the_template_is_read_back(text: str, value: float, step: int, after: str) -> None:
    written = f"{text} {step} : {value!r} ;{after}"
    assert read(f"{text} <step> : <value> ;", written) == (value, step)


HOSTILE = [
    pytest.param("<value>", lambda n: "1" * n, id="digits"),
    pytest.param("a <value> b", lambda n: "a " * (n // 2), id="beginnings"),
    pytest.param("a <value> b", lambda n: "a 1 " * (n // 4), id="beginnings with their number"),
    pytest.param("a<*>b<*>c<value>d", lambda n: "a" * (n // 3) + "b" * (n // 3) + "c1" * (n // 6), id="anything"),
    pytest.param("a<*><value>", lambda n: "a" * n, id="no number after anything"),
    pytest.param("<*> <value>", lambda n: ". " * (n // 2), id="dots"),
    pytest.param("a" * 100 + "<value>", lambda n: "a" * n, id="a text that overlaps itself"),
    pytest.param("ab " * 80 + "<value>", lambda n: "ab " * (n // 3), id="a long text that overlaps itself"),
    pytest.param("x<value>", lambda n: "x1e" * (n // 3), id="exponents"),
    pytest.param("<step> <value> x", lambda n: "1 " * (n // 2), id="two numbers, again and again"),
    pytest.param("-<value>", lambda n: "-" * n, id="signs"),
    pytest.param("a <value>", lambda n: "a" + " " * n, id="blanks"),
]


@pytest.mark.parametrize(("template", "make"), HOSTILE)
def test_a_hostile_line_costs_time_linear_in_its_length(template: str, make: Callable[[int], str]) -> None:
    wanted = lines(Extract(metric="auc", line=template))

    def seconds(size: int) -> float:
        line = make(size)
        compiled = wanted.lines["auc"]
        best = 9e9
        for _ in range(3):
            begin = time.process_time()
            compiled.read(" ".join(line.split()))
            best = min(best, time.process_time() - begin)
        return best

    small, large = seconds(4_000), seconds(64_000)
    assert large < 16 * 6 * max(small, 1e-4)  # 16 times as long; a quadratic one takes 256 times the time
