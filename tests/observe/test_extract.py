"""Which keys feed which metrics, what counts as a number, and what a person is told about a missing metric."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rung.api.facts import MetricSummary
from rung.api.study import Extract, MetricsSpec
from rung.observe.extract import Sightings, Wanted, did_you_mean, number_of
from rung.observe.target import Seen, TargetKey, explain_missing


def test_keys_feed_metrics_and_recorded_ones_are_wanted_too() -> None:
    spec = MetricsSpec(
        record=("train_loss",),
        extract=(Extract(metric="map50", key="mAP@0.5"), Extract(metric="epoch", key="train/epoch")),
    )
    wanted = Wanted.of(spec, ("map50", "val_loss"), "epoch")
    assert wanted.names == {"map50", "val_loss", "train_loss"}
    assert wanted.pick({"mAP@0.5": 1.0, "map50": 2.0, "train_loss": 3.0, "other": 4.0}) == {
        "map50": 1.0,
        "train_loss": 3.0,
    }
    assert wanted.steps == ("train/epoch", "step")


def test_one_key_may_feed_two_metrics() -> None:
    spec = MetricsSpec(extract=(Extract(metric="a", key="x"), Extract(metric="b", key="x")))
    assert Wanted.of(spec, ("a", "b")).pick({"x": 1.0}) == {"a": 1.0, "b": 1.0}


def test_where_there_are_no_labels_a_labelled_metric_has_its_own_name() -> None:
    spec = MetricsSpec(extract=(Extract(metric="val", key='loss{split="val"}'),))
    assert Wanted.of(spec, ("val",)).pick({"val": 1.0, "loss": 2.0}) == {"val": 1.0}


@pytest.mark.parametrize(
    ("value", "want"),
    [
        pytest.param(3, 3.0, id="an int"),
        pytest.param(0.5, 0.5, id="a float"),
        pytest.param("Infinity", math.inf, id="Infinity"),
        pytest.param("-inf", -math.inf, id="-inf"),
        pytest.param(10**400, math.inf, id="an int beyond floats"),
        pytest.param("3", None, id="digits as text"),
        pytest.param("--inf", None, id="two signs"),
        pytest.param(True, None, id="True"),
        pytest.param(None, None, id="null"),
        pytest.param([1], None, id="a list"),
    ],
)
def test_what_counts_as_a_number(value: object, want: float | None) -> None:
    assert number_of(value) == want


@pytest.mark.parametrize(
    ("name", "seen", "want"),
    [
        pytest.param("val_loss", ["epoch", "Val-Loss"], "Val-Loss", id="case and signs"),
        pytest.param("loss", ["epoch", "metrics.loss"], "metrics.loss", id="a prefix"),
        pytest.param("val_loss", ["vall_loss"], "vall_loss", id="a slip of the finger"),
        pytest.param("val_loss", ["epoch", "lr"], None, id="nothing alike"),
        pytest.param("@", ["lr"], None, id="a name of signs"),
    ],
)
def test_did_you_mean(name: str, seen: list[str], want: str | None) -> None:
    assert did_you_mean(name, seen) == want


def test_a_missing_metric_is_explained_in_one_line() -> None:
    seen = Seen(
        TargetKey("default", "digits", 3, 1),
        looked=("http://10.0.0.3:9100/metrics (connection refused)", "the log (read)"),
        names=("epoch", "Loss"),
        last_lines=("Epoch 3", "Loss: 0.5"),
        summaries={"acc": MetricSummary.of(1, 1)},
    )
    assert explain_missing(seen, ("loss", "acc")) == (
        "loss was never reported; looked at http://10.0.0.3:9100/metrics (connection refused); the log (read). "
        "numbers seen: epoch, Loss. for loss, was Loss meant? Then say metrics.extract: [{metric: loss, key: 'Loss'}]. "
        "last lines: Epoch 3 ⏎ Loss: 0.5"
    )
    assert explain_missing(seen, ("acc",)) == ""


@given(st.lists(st.text()), st.lists(st.text()), st.dictionaries(st.text(), st.text()))
def test_sightings_stay_bounded_and_printable(names: list[str], texts: list[str], outputs: dict[str, str]) -> None:
    sightings = Sightings()
    for _ in range(3):
        sightings.saw(names)
        for text in texts:
            sightings.line(text)
            sightings.problem(text)
        sightings.output(outputs)
    said = [*sightings.names, *sightings.lines, *sightings.problems, *sightings.outputs, *sightings.outputs.values()]
    assert all(text.isprintable() and len(text) <= 300 for text in said)
    assert len(sightings.names) <= 32
    assert len(sightings.problems) <= 8
    assert len(sightings.outputs) <= 8
