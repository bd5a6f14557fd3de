"""The operator's own metrics: `rung_` prefix, base units, no label per trial. Series of a study appear only where the operator
runs with `--study-metrics`, and vanish with the study: gauges come from a snapshot at each scrape, not from a registry of old labels.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

RECONCILE_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
KILL_BUCKETS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)


@dataclass(frozen=True, slots=True)
class StudyFigures:
    """What a scrape wants to know of a study."""

    namespace: str
    name: str
    state: str
    trials: Mapping[str, int]  # by state
    active: int
    gpu_seconds: Mapping[str, float]  # used, saved, wasted
    best: float | None


class Telemetry:
    """Counters that the controller feeds, and gauges over its snapshot."""

    def __init__(self, snapshot: Callable[[], Iterable[StudyFigures]], *, per_study: bool = False) -> None:
        self.registry = CollectorRegistry()
        self.reconciles = Counter(
            "rung_reconciles", "Reconciles of studies, by result.", ["result"], registry=self.registry
        )
        self.reconcile_seconds = Histogram(
            "rung_reconcile_duration_seconds",
            "Time of one reconcile, from the first LIST to the last write.",
            buckets=RECONCILE_BUCKETS,
            registry=self.registry,
        )
        self.decisions = Counter("rung_decisions", "Decisions applied, by kind.", ["kind"], registry=self.registry)
        self.kill_seconds = Histogram(
            "rung_metric_to_kill_seconds",
            "From the scrape that brought the metric to the deletion of the stopped trial's Job.",
            buckets=KILL_BUCKETS,
            registry=self.registry,
        )
        self.requests = Counter(
            "rung_api_requests", "Requests to the API server.", ["verb", "resource", "code"], registry=self.registry
        )
        self.registry.register(_Snapshot(snapshot, per_study=per_study))


class _Snapshot(Collector):
    """Gauges over all studies, computed when they are asked for."""

    def __init__(self, snapshot: Callable[[], Iterable[StudyFigures]], *, per_study: bool) -> None:
        self._snapshot = snapshot
        self._per_study = per_study

    def describe(self) -> Iterable[Metric]:
        """Nothing in advance: the registry must not call `collect` before the first study is known."""
        return ()

    def collect(self) -> Iterator[Metric]:
        studies = list(self._snapshot())
        by_state = GaugeMetricFamily("rung_studies", "Studies, by state.", labels=["state"])
        for state in sorted({s.state for s in studies}):
            by_state.add_metric([state], sum(s.state == state for s in studies))
        yield by_state
        yield GaugeMetricFamily(
            "rung_active_trials", "Trials that take a slot now.", value=sum(s.active for s in studies)
        )
        gpu = GaugeMetricFamily(
            "rung_gpu_seconds",
            "GPU time of the studies that exist: used, saved by stopping, wasted.",
            labels=["account"],
        )
        for account in ("used", "saved", "wasted"):
            gpu.add_metric([account], sum(s.gpu_seconds.get(account, 0.0) for s in studies))
        yield gpu
        if self._per_study:
            yield from _per_study(studies)


def _per_study(studies: Iterable[StudyFigures]) -> Iterator[Metric]:
    labels = ["namespace", "study"]
    trials = GaugeMetricFamily("rung_study_trials", "Trials of a study, by state.", labels=[*labels, "state"])
    best = GaugeMetricFamily("rung_study_best_objective", "The best value of a study's first objective.", labels=labels)
    gpu = GaugeMetricFamily("rung_study_gpu_seconds", "GPU time of a study.", labels=[*labels, "account"])
    for study in studies:
        where = [study.namespace, study.name]
        for state, count in study.trials.items():
            trials.add_metric([*where, state], count)
        if study.best is not None:
            best.add_metric(where, study.best)
        for account, seconds in study.gpu_seconds.items():
            gpu.add_metric([*where, account], seconds)
    yield from (trials, best, gpu)
