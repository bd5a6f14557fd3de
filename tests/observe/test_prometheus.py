"""Prometheus pages to observations: which series, which step, and pages that are too large to be parsed whole."""

from __future__ import annotations

import math
import time

import prometheus_client
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from rung.api.facts import Observation
from rung.api.study import Extract, MetricsSpec
from rung.observe.exposition import parse_series
from rung.observe.extract import Wanted
from rung.observe.prometheus import PrometheusReader
from rung.observe.quantile import histogram_quantile


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


HISTOGRAM = """# TYPE ttft_seconds histogram
ttft_seconds_bucket{le="0.1",model="a"} 10
ttft_seconds_bucket{le="0.2",model="a"} 30
ttft_seconds_bucket{le="1.0",model="a"} 40
ttft_seconds_bucket{le="+Inf",model="a"} 50
ttft_seconds_count{model="a"} 50
ttft_seconds_sum{model="a"} 9
"""
SUMMARY = 'ttft_seconds{quantile="0.5"} 0.12\nttft_seconds{quantile="0.99"} 0.7\nttft_seconds_count 50\n'


def quantile_of(text: str, q: str, key: str = "ttft_seconds") -> tuple[list[Observation], list[str]]:
    spec = MetricsSpec(extract=(Extract(metric="ttft", key=key, quantile=q),))
    r = PrometheusReader(Wanted.of(spec, ("ttft",)))
    return r.read(page(text)), list(r.sightings.problems)


@pytest.mark.parametrize(
    ("text", "q", "want"),
    [
        pytest.param(HISTOGRAM, "0.5", 0.175, id="within a bucket, in proportion"),
        pytest.param(HISTOGRAM, "0.1", 0.05, id="in the first bucket, from 0 on"),
        pytest.param(HISTOGRAM, "0.6", 0.2, id="at a bucket's end"),
        pytest.param(HISTOGRAM, "0.99", 1.0, id="in the bucket without an end: its beginning"),
        pytest.param(HISTOGRAM.replace("} 40", "} 20"), "0.59", 0.1975, id="a count that falls is lifted"),
        pytest.param(
            HISTOGRAM + 'ttft_seconds_bucket{le="0.1",model="b"} 50\nttft_seconds_bucket{le="+Inf",model="b"} 50\n',
            "0.5",
            0.1 * 50 / 60,
            id="several series together",
        ),
        pytest.param('ttft_seconds_bucket{le="0"} 5\nttft_seconds_bucket{le="+Inf"} 9\n', "0.2", 0.0, id="not above 0"),
        pytest.param(SUMMARY, "0.99", 0.7, id="a summary says it itself"),
        pytest.param(SUMMARY, "0.990", 0.7, id="the same number in other words"),
        pytest.param("ttft 0.3\n", "0.99", 0.3, id="a gauge of the metric's own name"),
    ],
)
def test_a_quantile_is_that_of_promql(text: str, q: str, want: float) -> None:
    [observation], problems = quantile_of(text, q)
    assert observation.values["ttft"] == pytest.approx(want, rel=1e-12)
    assert problems == []


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        pytest.param(HISTOGRAM.replace("+Inf", "5"), None, id="no bucket without an end"),
        pytest.param('ttft_seconds_bucket{le="+Inf"} 9\n', None, id="a single bucket"),
        pytest.param(
            'ttft_seconds_bucket{le="1"} 0\nttft_seconds_bucket{le="+Inf"} 0\n', None, id="nothing observed yet"
        ),
        pytest.param('ttft_seconds_bucket{le="x"} 3\nttft_seconds_bucket{} 0\n', None, id="bounds that are none"),
        pytest.param(
            'ttft_seconds_bucket{le="1"} NaN\nttft_seconds_bucket{le="+Inf"} NaN\n', None, id="counts that are none"
        ),
        pytest.param(SUMMARY, "neither buckets nor this quantile of ttft_seconds", id="a summary without it"),
        pytest.param("ttft_seconds 3\n", "neither buckets nor this quantile of ttft_seconds", id="a gauge"),
        pytest.param(
            'ttft_seconds{quantile="0.9",a="1"} 3\nttft_seconds{quantile="0.9",a="2"} 4\n',
            "the page has 2 summaries; name one by its labels",
            id="several summaries",
        ),
        pytest.param("ttft_second 3\n", None, id="another name"),
    ],
)
def test_a_quantile_that_is_not_there_is_not_made_up(text: str, problem: str | None) -> None:
    found, problems = quantile_of(text, "0.9")
    assert found == []
    assert (problem in problems[0]) if problem else (problems == [])


def test_labels_choose_among_histograms() -> None:
    text = HISTOGRAM + HISTOGRAM.replace('model="a"', 'model="b"').replace("} 10\n", "} 50\n")
    [observation], _ = quantile_of(text, "0.5", 'ttft_seconds{model="a"}')
    assert observation.values == {"ttft": pytest.approx(0.175)}


def test_two_quantiles_of_one_histogram_are_two_metrics() -> None:
    spec = MetricsSpec(
        extract=(
            Extract(metric="p50", key="ttft_seconds", quantile="0.5"),
            Extract(metric="p99", key="ttft_seconds", quantile="0.99"),
        )
    )
    [observation] = PrometheusReader(Wanted.of(spec, ("p50", "p99"))).read(page(HISTOGRAM))
    assert observation.values == {"p50": pytest.approx(0.175), "p99": 1.0}


def test_a_real_histogram_is_understood() -> None:
    registry = prometheus_client.CollectorRegistry()
    histogram = prometheus_client.Histogram("ttft_seconds", "t", ["model"], registry=registry, buckets=(1, 2, 4))
    for value in (0.5, 1.5, 1.5, 3.0):
        histogram.labels(model="a").observe(value)
    [observation], _ = quantile_of(prometheus_client.generate_latest(registry).decode(), "0.5")
    assert observation.values == {"ttft": pytest.approx(1.5)}


BUCKETS = st.lists(
    st.tuples(st.floats(-1e3, 1e3), st.integers(0, 9)), min_size=1, max_size=8, unique_by=lambda bucket: bucket[0]
)


@given(BUCKETS, st.integers(0, 9), st.floats(0.01, 0.98), st.floats(0.001, 0.01))
def test_a_quantile_lies_in_its_bucket_and_grows_with_q(
    inside: list[tuple[float, int]], beyond: int, q: float, more: float
) -> None:
    total, buckets = 0, {}
    for bound, count in sorted(inside):
        total += count
        buckets[bound] = float(total)
    buckets[math.inf] = float(total + beyond)
    value, later = histogram_quantile(q, buckets), histogram_quantile(q + more, buckets)
    if total + beyond == 0:
        assert math.isnan(value)
        return
    finite = sorted(buckets)[:-1]
    assert min(0.0, finite[0]) <= value <= max(finite)
    assert value <= later + 1e-9
    below = max((count for bound, count in buckets.items() if bound < value), default=0.0)
    assert below <= q * (total + beyond) * (1 + 1e-12)  # fewer lie below its bucket than the rank


def test_more_buckets_than_are_read_give_no_quantile_but_the_reason() -> None:
    text = "".join(f'ttft_seconds_bucket{{le="1",path="{i}"}} 1\n' for i in range(600))
    assert quantile_of(text, "0.5") == (
        [],
        ["ttft_seconds quantile 0.5: the page has more than 512 buckets; choose some by their labels"],
    )
    chosen = text.replace('path="7"', 'path="a"') + 'ttft_seconds_bucket{le="+Inf",path="a"} 1\n'
    [observation], problems = quantile_of(chosen, "0.5", 'ttft_seconds{path="a"}')
    assert observation.values == {"ttft": 0.5}
    assert problems == []


NAMES = st.from_regex(r"[a-zA-Z_:][a-zA-Z0-9_:]{0,5}", fullmatch=True)
LABELS = st.dictionaries(
    st.from_regex(r"[a-zA-Z][a-zA-Z0-9_]{0,3}", fullmatch=True),
    st.text(st.characters(codec="utf-8", exclude_characters="\n\r\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029"), max_size=6),
    max_size=4,
)


def one_series(line: str) -> list[tuple[str, dict[str, str], str]]:
    """As the reference reads it: the project's own parser for Python."""
    try:
        return [
            (sample.name, sample.labels, repr(float(sample.value)))
            for family in text_string_to_metric_families(line + "\n")
            for sample in family.samples
        ]
    except Exception:  # noqa: BLE001 - it raises half a dozen kinds
        return []


@given(NAMES, LABELS, st.floats(), st.none() | st.integers(0, 2**41), st.sampled_from(["", " ", ",", " ,"]))
def test_a_line_is_read_as_the_reference_reads_it(
    name: str, labels: dict[str, str], value: float, time: int | None, end: str
) -> None:
    def escaped(text: str) -> str:
        return text.replace("\\", "\\\\").replace('"', '\\"')

    inner = ",".join(f'{key}="{escaped(text)}"' for key, text in labels.items()) + (end if labels else end.strip(","))
    line = f"{name}{{{inner}}} {value!r}" + ("" if time is None else f" {time}")
    series = parse_series(line)
    assert series is not None
    raw = {key: escaped(text) for key, text in labels.items()}
    assert (series.name, series.labels, repr(series.value)) == (name, raw, repr(value))
    assert one_series(line) == [(name, labels, repr(value))]


@given(st.text(st.sampled_from('ab{}=",\\ 1.#'), max_size=24).map(lambda text: "a" + text))
def test_what_the_reference_refuses_is_refused(line: str) -> None:
    series = parse_series(line)
    if series is not None:
        assert one_series(line), series
