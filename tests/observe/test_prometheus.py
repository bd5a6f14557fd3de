"""Prometheus pages to observations: which series, which step, and pages that are too large to be parsed whole."""

from __future__ import annotations

import math
import time

import prometheus_client
import pytest

from rung.api.facts import Observation
from rung.api.study import Extract, MetricsSpec
from rung.observe.extract import Wanted
from rung.observe.prometheus import PrometheusReader


def reader(*metrics: str, counter: str | None = "epoch", **keys: str) -> PrometheusReader:
    spec = MetricsSpec(extract=tuple(Extract(metric=metric, key=key) for metric, key in keys.items()))
    return PrometheusReader(Wanted.of(spec, metrics or ("loss",), counter))


def page(text: str) -> bytes:
    return text.encode()


@pytest.mark.parametrize(
    ("text", "want"),
    [
        pytest.param("epoch 3\nloss 0.5\n", [Observation(3, {"loss": 0.5})], id="plain gauges"),
        pytest.param(
            "# HELP loss l\n# TYPE loss gauge\nloss 0.5\nepoch 3", [Observation(3, {"loss": 0.5})], id="comments"
        ),
        pytest.param("epoch_total 3\nloss 0.5\n", [Observation(3, {"loss": 0.5})], id="the counter as a counter"),
        pytest.param("step 3\nloss 0.5\n", [Observation(3, {"loss": 0.5})], id="step stands for the counter"),
        pytest.param("epoch 3\r\nloss 0.5\r\n", [Observation(3, {"loss": 0.5})], id="carriage returns"),
        pytest.param("epoch 3\nloss 0.5 1700000000000\n", [Observation(3, {"loss": 0.5})], id="with a timestamp"),
        pytest.param(
            'epoch{run="a"} 3\nloss{run="a"} 0.5\n', [Observation(3, {"loss": 0.5})], id="the only labelled series"
        ),
        pytest.param('epoch 3\nloss{split="t"} 9\nloss 0.5\n', [Observation(3, {"loss": 0.5})], id="unlabelled wins"),
        pytest.param("epoch 3\nloss +Inf\n", [Observation(3, {"loss": math.inf})], id="a diverged value"),
        pytest.param("epoch 3\nlosses 1\nloss_x 2\nmy_loss 3\n", [], id="names that only begin or end alike"),
        pytest.param("epoch 3\nloss abc\n", [], id="a value that is no number"),
        pytest.param("epoch 3\nloss{ 0.5\n", [], id="a torn line"),
        pytest.param("loss 0.5\n", [], id="no counter: the step is unknown"),
        pytest.param("epoch -1\nloss 0.5\n", [], id="a negative step"),
        pytest.param("epoch NaN\nloss 0.5\n", [], id="a step that is no number"),
        pytest.param("", [], id="an empty page"),
    ],
)
def test_a_page_gives_the_wanted_series_at_the_counters_step(text: str, want: list[Observation]) -> None:
    assert reader().read(page(text)) == want


def test_labels_choose_a_series() -> None:
    text = 'epoch 3\nloss{split="train",rank="0"} 9\nloss{split="val",rank="0"} 0.5\n'
    assert reader("val", val='loss{split="val"}').read(page(text)) == [Observation(3, {"val": 0.5})]


def test_several_labelled_series_are_ambiguous_and_named() -> None:
    r = reader("loss", "acc")
    text = 'epoch 3\nacc 0.9\nloss{split="train"} 9\nloss{split="val"} 0.5\n'
    assert r.read(page(text)) == [Observation(3, {"acc": 0.9})]
    [problem] = r.sightings.problems
    assert problem == (
        'loss is ambiguous: the page has loss{split="train"}, loss{split="val"}; name one in metrics.extract[].key'
    )


def test_a_missing_counter_is_told_with_what_to_do() -> None:
    r = reader()
    r.read(page("loss 0.5\n"))
    [problem] = r.sightings.problems
    assert "no series epoch, the counter in scheduler.resource.metric" in problem


def test_a_gauge_counts_from_its_first_value_other_than_zero() -> None:
    r = reader()
    assert r.read(page("epoch 1\nloss 0.0\n")) == []
    assert r.read(page("epoch 1\nloss 0.5\n")) == [Observation(1, {"loss": 0.5})]
    assert r.read(page("epoch 2\nloss 0.0\n")) == [Observation(2, {"loss": 0.0})]


def test_without_a_counter_each_changed_page_is_one_step_further() -> None:
    r = reader(counter=None)
    pages = ["loss 3\n", "loss 3\n", "loss 2\n", "loss NaN\n", "loss NaN\n"]
    assert [o.step for text in pages for o in r.read(page(text))] == [1, 1, 2, 3, 3]


def test_the_client_library_is_understood() -> None:
    registry = prometheus_client.CollectorRegistry()
    prometheus_client.Gauge("epoch", "e", registry=registry).set(4)
    prometheus_client.Gauge("loss", "l", ["split"], registry=registry).labels(split='va"l\\\n').set(0.25)
    text = prometheus_client.generate_latest(registry)
    assert reader().read(text) == [Observation(4, {"loss": 0.25})]
    assert reader("v", v='loss{split="va\\"l\\\\\\n"}').read(text) == [Observation(4, {"v": 0.25})]


def test_quoted_names_are_found() -> None:
    assert reader("recall@10").read(page('epoch 2\n{"recall@10"} 0.5\n')) == [Observation(2, {"recall@10": 0.5})]


def test_the_names_of_a_page_that_lacks_the_metric_are_kept_for_the_person() -> None:
    r = reader("val_loss")
    r.read(page("# TYPE x gauge\npython_gc 1\nprocess_cpu 2\nepoch 3\nvalidation_loss 0.5\n"))
    assert list(r.sightings.names) == ["epoch", "validation_loss"]


def test_a_huge_page_costs_what_reading_its_bytes_costs() -> None:
    body = page("\n".join(f'other_{i}{{a="b"}} {i}' for i in range(400_000)) + "\nepoch 3\nloss 0.5\n")
    begin = time.process_time()
    small = reader()
    for _ in range(20):
        small.read(page("epoch 3\nloss 0.5\n"))
    between = time.process_time()
    assert reader().read(body) == [Observation(3, {"loss": 0.5})]
    assert time.process_time() - between < 1.0 + 20 * (between - begin)  # parsing every line takes some ten seconds
