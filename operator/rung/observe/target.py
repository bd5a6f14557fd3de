"""Whom to scrape, and what was seen of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from yarl import URL

from rung.api.facts import MetricSummary, Observation
from rung.api.study import MetricSource, MetricsSpec
from rung.observe import sdk
from rung.observe.extract import Wanted, did_you_mean

DEFAULT_PROMETHEUS_PATH = "/metrics"


class TargetKey(NamedTuple):
    """One attempt of one trial. Also what the parts of a name in logs are."""

    namespace: str
    study: str
    trial: int
    attempt: int

    def __str__(self) -> str:
        return f"{self.namespace}/{self.study}-{self.trial}-{self.attempt}"


@dataclass(frozen=True, slots=True)
class Target:
    """One attempt, and where it speaks.

    trial      the trial's name, which the SDK must answer with
    host       an address; empty: there is none, only the log and the termination message are read
    port       None: as in `spec`; processes on one machine have a port each
    """

    key: TargetKey
    trial: str
    host: str
    spec: MetricsSpec
    wanted: Wanted
    port: int | None = None

    @property
    def interval(self) -> float:
        """Seconds between two scrapes."""
        return float(self.spec.interval_seconds)

    @property
    def sdk_url(self) -> URL:
        """Of the SDK's observations; `metrics.path` where source is Http and the path is not the Prometheus default."""
        own = self.spec.source is MetricSource.HTTP and self.spec.path != DEFAULT_PROMETHEUS_PATH
        return self._url(self.spec.path if own else sdk.PATH)

    @property
    def metrics_url(self) -> URL:
        """Of the Prometheus page."""
        return self._url(self.spec.path)

    def _url(self, path: str) -> URL:
        return URL.build(scheme="http", host=self.host or "0.0.0.0", port=self.port or self.spec.port, path=path)  # noqa: S104


@dataclass(frozen=True, slots=True)
class Seen:
    """Everything that is known of one attempt at one moment. Immutable; later snapshots don't change it.

    observations           ordered by the arrival of their steps; wanted metrics only
    summaries              running figures over every value, also those thinned away
    source                 where they come from; None while Auto has not found out
    looked                 every place that was tried and what it said, in words
    problems               what was wrong with what came, the latest last; why the log is read, where it is a fallback
    names, last_lines      numeric names that went by, wanted or not; the last lines of the log
    last_observation_at    by the scraper's clock; a report without a wanted value counts: who speaks is not silent
    done                   the program has said (by the SDK) that it said its last word
    """

    key: TargetKey
    observations: tuple[Observation, ...] = ()
    summaries: Mapping[str, MetricSummary] | None = None
    source: MetricSource | None = None
    looked: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    last_lines: tuple[str, ...] = ()
    outputs: Mapping[str, str] | None = None
    checkpoint_step: float | None = None
    checkpoints: tuple[float, ...] = ()
    last_observation_at: float | None = None
    done: bool = False

    @property
    def step(self) -> float | None:
        """The furthest step that has a wanted value."""
        return max((o.step for o in self.observations), default=None)

    def missing(self, metrics: Iterable[str]) -> tuple[str, ...]:
        """Those of `metrics` that were never reported, sorted."""
        return tuple(sorted(set(metrics) - set(self.summaries or ())))


def explain_missing(seen: Seen, metrics: Iterable[str]) -> str:
    """One line for the reason MetricMissing: what was looked for, where, and what was seen instead. Empty if none is
    missing.
    """
    missing = seen.missing(metrics)
    if not missing:
        return ""
    parts = [f"{', '.join(missing)} was never reported; looked at {'; '.join(seen.looked) or 'nothing'}"]
    parts.append(f"numbers seen: {', '.join(seen.names)}" if seen.names else "no numbers were seen")
    for name in missing:
        meant = did_you_mean(name, seen.names)
        if meant:
            parts.append(
                f"for {name}, was {meant} meant? Then say metrics.extract: [{{metric: {name}, key: {meant!r}}}]"
            )
    if seen.problems:
        parts.append(f"problems: {'; '.join(seen.problems)}")
    if seen.last_lines:
        parts.append(f"last lines: {' ⏎ '.join(seen.last_lines)}")
    return ". ".join(parts)
