"""How a trial's metrics are read."""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Annotated

from pydantic import Field

from rung.api.base import ApiModel, Keywords, rule
from rung.api.scalars import PATH_PATTERN, ContainerName, Decimal, MetricName, Whole, number


class MetricSource(StrEnum):
    """Where observations come from."""

    AUTO = "Auto"
    PROMETHEUS = "Prometheus"
    HTTP = "Http"
    LOG = "Log"
    TERMINATION = "Termination"
    FILE = "File"


class FileFormat(StrEnum):
    """How a metrics file is written."""

    LINES = "Lines"
    JSON = "Json"
    TENSOR_BOARD = "TensorBoard"


class Extract(ApiModel):
    """Where a metric is found, if not under its own name."""

    metric: MetricName = Field(description="The metric's name in this study.")
    key: Annotated[str, Field(min_length=1, max_length=256)] | None = Field(
        default=None,
        description='A JSON key, a name on a log line, or a Prometheus series with its labels: loss{split="val"}.',
    )
    line: Annotated[str, Field(min_length=1, max_length=256)] | None = Field(
        default=None,
        description="A log line as literal text, with <value> for the number, <step> for the step and <*> for anything: "
        '"valid_1 auc : <value>". In a log the metric is then read from such lines alone; other sources say it by its name.',
    )
    quantile: Decimal | None = Field(
        default=None,
        description="Of the Prometheus histogram or summary that key names: above 0 and below 1. A histogram's is "
        "interpolated as histogram_quantile does it, over the whole life of the program.",
    )

    @rule(
        "has(self.key) != has(self.line)",
        "give exactly one of key and line",
        says="'extract of %s: give exactly one of key and line'.format([self.metric])",
    )
    def _one_place(self) -> str | None:
        if (self.key is None) != (self.line is None):
            return None
        return f"extract of {self.metric}: give exactly one of key and line"

    @rule(
        "!has(self.line) || (self.line.split('<value>').size() == 2 && self.line.split('<step>').size() <= 2)",
        "line must contain <value> once, and <step> at most once",
        says="'extract of %s: line must contain <value> once, where the number stands, and <step> at most once'"
        ".format([self.metric])",
        at=".line",
    )
    def _has_value(self) -> str | None:
        if self.line is None or (self.line.count("<value>") == 1 and self.line.count("<step>") <= 1):
            return None
        return f"extract of {self.metric}: line must contain <value> once, where the number stands, and <step> at most once"

    @rule(
        "!has(self.line) || !self.line.matches('([0-9.]|<value>|<step>)(<value>|<step>)')",
        "no digit, full stop or other number may stand right before <value> or <step>",
        says="'extract of %s: no digit, full stop or other number may stand right before <value> or <step>: it would be a "
        "part of that number'.format([self.metric])",
        at=".line",
    )
    def _numbers_apart(self) -> str | None:
        if self.line is None or not re.search("([0-9.]|<value>|<step>)(<value>|<step>)", self.line):
            return None
        return (
            f"extract of {self.metric}: no digit, full stop or other number may stand right before <value> or <step>: "
            "it would be a part of that number"
        )

    @rule(
        "!has(self.quantile) || (has(self.key) && double(self.quantile) > 0.0 && double(self.quantile) < 1.0)",
        "quantile needs a key and must be above 0 and below 1",
        says="'extract of %s: quantile needs a key and must be above 0 and below 1'.format([self.metric])",
        at=".quantile",
    )
    def _is_quantile(self) -> str | None:
        if self.quantile is None or (self.key is not None and 0 < number(self.quantile) < 1):
            return None
        return f"extract of {self.metric}: quantile needs a key and must be above 0 and below 1"


class FileSource(ApiModel):
    """A file that the trial writes; read by a container that is added to the pod."""

    path: Annotated[str, Field(max_length=256, pattern=PATH_PATTERN)] = Field(
        description="Absolute path in the trial's container; for TensorBoard a folder."
    )
    format: FileFormat = Field(
        default=FileFormat.LINES,
        description="Lines: as on stdout. Json: one object per line. TensorBoard: event files.",
    )


class MetricsSpec(ApiModel):
    """How the trials' metrics are read."""

    # Auto: most programs speak one language only, and the best that answers is the right one.
    source: MetricSource = Field(
        default=MetricSource.AUTO,
        description="Auto: the best that answers, in this order. Http: the SDK's /observations, every step. Prometheus: "
        "/metrics. Log: lines on stdout. Termination: the last word after exit. File: a file in the pod.",
    )
    # 9100 is in nobody's way inside a pod; with hostNetwork it is the node exporter's, so the description warns.
    port: Annotated[Whole, Field(ge=1, le=65535)] = Field(
        default=9100,
        description="Port of Http and Prometheus. With hostNetwork take another: 9100 is the node exporter's.",
    )
    path: Annotated[str, Field(max_length=256, pattern=PATH_PATTERN)] = Field(
        default="/metrics", description="Path of Prometheus."
    )
    # 5 s: a decision may come that late. Epochs of a second want 1, hours of GPU time don't care.
    interval_seconds: Annotated[Whole, Field(ge=1, le=3600)] = Field(
        default=5, description="Seconds between two looks at a running trial."
    )
    container: ContainerName | None = Field(
        default=None, description="The container that speaks, where the pod has several; the first one if absent."
    )
    extract: Annotated[
        tuple[Extract, ...],
        Field(max_length=16),
        Keywords(x_kubernetes_list_type="map", x_kubernetes_list_map_keys=["metric"]),
    ] = Field(default=(), description="Where metrics are found that have another name in the program; 16 at most.")
    record: Annotated[tuple[MetricName, ...], Field(max_length=16), Keywords(x_kubernetes_list_type="set")] = Field(
        default=(), description="Further metrics to keep with each trial, such as train_loss; 16 at most."
    )
    file: FileSource | None = Field(default=None, description="Which file, for source File.")

    @rule(
        "(self.source == 'File') == has(self.file)",
        "file is required for source File and does not apply to others",
        says="(has(self.file) ? 'file does not apply to source %s' : 'file.path is required for source %s')"
        ".format([self.source])",
    )
    def _file_applies(self) -> str | None:
        if (self.source is MetricSource.FILE) == (self.file is not None):
            return None
        if self.file is not None:
            return f"file does not apply to source {self.source}"
        return f"file.path is required for source {self.source}"
