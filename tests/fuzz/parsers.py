"""Every parser under one face, `(bytes) -> None`, and the laws that it keeps on any bytes.

A parser raises nothing but BadObservation; what it gives is of the study's metrics at steps of at least 0; what it keeps
for a person is bounded and printable; where the same log is cut into chunks makes no difference. `BrokenLawError` is raised where
a law does not hold. Seeds are inputs of the right shape, to be changed.
"""

from __future__ import annotations

import contextlib
import json
import math
import struct
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial

from rung.api.errors import BadObservation
from rung.api.facts import Observation
from rung.api.study import Extract, MetricsSpec
from rung.observe.extract import Sightings, Wanted
from rung.observe.history import History
from rung.observe.lines import LINE_BYTES, LineReader
from rung.observe.logtail import LogTail
from rung.observe.probe import EFFORT_A_VISIT
from rung.observe.prometheus import PrometheusReader
from rung.observe.sdk import REPORTS, SdkReader
from rung.observe.termination import parse_termination

SPEC = MetricsSpec(
    extract=(
        Extract(metric="val", key='loss{split="val"}'),
        Extract(metric="p99", key="ttft_seconds", quantile="0.99"),
        Extract(metric="auc", line="[<step>/<*>] valid auc : <value>"),
        Extract(metric="map50", key="mAP@0.5"),
    )
)
NAMES = ("loss", "eval.loss", "valid_1's auc", "val", "p99", "auc", "map50")
WANTED = Wanted.of(SPEC, NAMES, "epoch")
GROWN = 1 << 20  # what is fetched at once, of a log as of a page
SPEAKER = b'{"trial": "t-1", "attempt": 1, "next": 3, "observations": '
KEEP = 64  # steps of a history; small, so that thinning happens


class BrokenLawError(AssertionError):
    """A law does not hold."""


def repeated(body: bytes) -> bytes:
    """An input grown to 1 MiB, as a log or a page of lines grows."""
    return body * (GROWN // len(body) + 1)


@dataclass(frozen=True, slots=True)
class Parser:
    """`read` is the parser with its laws; `ready` prepares a call of the parser alone, for its cost; `grow` makes an input
    as long as what is fetched at once.
    """

    read: Callable[[bytes], None]
    ready: Callable[[bytes], Callable[[], object]]
    seeds: tuple[bytes, ...]
    grow: Callable[[bytes], bytes] = repeated

    def cost(self, body: bytes) -> float:
        """Milliseconds of CPU for each MB; a body below that counts as one."""
        call = self.ready(body)
        begin = time.process_time()
        call()
        return 1e3 * (time.process_time() - begin) / max(1.0, len(body) / 1e6)


def _hold(found: Iterable[Observation], sightings: Sightings) -> None:
    for observation in found:
        if not (math.isfinite(observation.step) and observation.step >= 0):
            raise BrokenLawError(f"a step of {observation.step}")
        if not observation.values.keys() <= WANTED.names:
            raise BrokenLawError(f"values {observation.values} that nobody asked for")
    said = [*sightings.names, *sightings.lines, *sightings.problems, *sightings.outputs, *sightings.outputs.values()]
    if len(said) > 32 + 5 + 8 + 16 or not all(len(text) <= 300 and text.isprintable() for text in said):
        raise BrokenLawError(f"sightings out of bounds: {said!r:.500}")


def _lines(body: bytes, chunk: int) -> tuple[list[Observation], LineReader]:
    reader = LineReader(WANTED)
    found: list[Observation] = []
    for at in range(0, len(body), chunk):
        found += reader.feed(body[at : at + chunk])
        if len(reader._half) > LINE_BYTES:
            raise BrokenLawError(f"{len(reader._half)} bytes of half a line")
    return [*found, *reader.finish()], reader


def read_lines(body: bytes) -> None:
    """A log in two ways of cutting it."""
    whole, reader = _lines(body, 1 << 16)
    _hold(whole, reader.sightings)
    pieces, other = _lines(body, 1 + (body[0] if body else 0))
    if repr(pieces) != repr(whole) or reader.step != other.step:
        raise BrokenLawError(f"cut differently, read differently: {whole!r:.300} and {pieces!r:.300}")


def _template(body: bytes) -> tuple[LineReader, bytes]:
    """The first line is the template, made one that the schema lets through; the rest the log."""
    first, _, log = body.partition(b"\n")
    text = first[:200].decode(errors="replace").replace("\r", " ")
    try:
        extract = Extract(metric="loss", line=text)
    except ValueError:
        extract = Extract(metric="loss", line="<value>")
    if any(check(extract) for _, check in Extract.rules()):
        words = text.replace("<*>", "*").replace("<", "").replace(">", "").replace("*", "<*>")
        extract = Extract(metric="loss", line=f"<step> {words[:200]} : <value>")
    return LineReader(Wanted.of(MetricsSpec(extract=(extract,)), ("loss",), "epoch")), log


def read_template(body: bytes) -> None:
    """A line template and a log."""
    reader, log = _template(body)
    _hold([*reader.feed(log), *reader.finish()], reader.sightings)


def _ready_template(body: bytes) -> Callable[[], object]:
    reader, log = _template(body)
    return partial(_look, LogTail(reader._wanted, Sightings(), stamped=False), log)


def _look(tail: LogTail, body: bytes) -> None:
    """As `rung.observe.probe` does it: a look reads so many lines that may be reports, and leaves the rest for the next."""
    for _ in tail.read(body):
        if tail.effort > EFFORT_A_VISIT:
            break


def _ready_log(body: bytes, *, stamped: bool) -> Callable[[], object]:
    return partial(_look, LogTail(WANTED, Sightings(), stamped=stamped), body)


def read_prometheus(body: bytes) -> None:
    """Two pages of one program."""
    reader = PrometheusReader(WANTED)
    for page in (body, body[len(body) // 2 :]):
        found = reader.read(page)
        if len(found) > 1:
            raise BrokenLawError(f"{len(found)} observations on one page")
        _hold(found, reader.sightings)


def read_sdk(body: bytes) -> None:
    """A page as it is, and as the reports of a page that the right trial speaks."""
    for page in (body, SPEAKER + body + b"}", SPEAKER + b'[{"step": 1, "values": ' + body + b"}]}"):
        reader = SdkReader(WANTED, "t-1", 1)
        try:
            found = reader.read(page).observations
        except BadObservation as error:
            if len(str(error)) > 400:
                raise BrokenLawError("a refusal that nobody reads to its end") from error
            found = ()
        _hold(found, reader.sightings)


def _page_of(report: bytes) -> bytes:
    return SPEAKER + b"[" + b",".join([report] * (GROWN // (len(report) + 1))) + b"]}"


def _raw_sdk(body: bytes) -> None:
    with contextlib.suppress(BadObservation):
        SdkReader(WANTED, "t-1", 1).read(body)


def read_termination(body: bytes) -> None:
    """A last word, as bytes and as the text that an API object holds."""
    sightings = Sightings()
    _hold(parse_termination(body, WANTED, sightings, step=3), sightings)
    _hold(parse_termination(body.decode(errors="replace"), WANTED), Sightings())


def read_logtail(body: bytes) -> None:
    """A stamped and a plain log, read in two chunks, the second with an overlap."""
    for stamped in (True, False):
        sightings = Sightings()
        tail = LogTail(WANTED, sightings, stamped=stamped, limit=max(1, len(body)))
        middle = len(body) // 2
        for chunk in (body[:middle], body[middle // 2 :]):
            for found in tail.read(chunk):
                _hold(found, sightings)
        _hold(tail.finish(), sightings)


def _reports(body: bytes) -> list[Observation]:
    """Sixteen bytes are a step, a name and a value."""
    found = []
    for step, name, value in struct.iter_unpack("<IId", body[: len(body) // 16 * 16]):
        found.append(Observation(float(step % 1000) / 2, {NAMES[name % len(NAMES)]: value}))
    return found


def read_history(body: bytes) -> None:
    """Reports merged in three parts, the second to fill gaps only."""
    reports, history = _reports(body), History(KEEP)
    third = len(reports) // 3
    history.add(reports[:third])
    history.add(reports[third : 2 * third], fill=True)
    history.add(reports[2 * third :])
    if len(history) > KEEP:
        raise BrokenLawError(f"{len(history)} steps held, at most {KEEP} wanted")
    if history.add(history.observations):
        raise BrokenLawError("what is held already was news")
    for name, summary in history.summaries.items():
        held = [v for o in history.observations if math.isfinite(v := o.values.get(name, math.nan))]
        if held and not summary.min <= min(held) <= max(held) <= summary.max:
            raise BrokenLawError(f"{name}: {summary} does not hold {min(held)} … {max(held)}")


def _ready_history(body: bytes) -> Callable[[], object]:
    return partial(History().add, _reports(body[: 16 * REPORTS]))  # no source gives more at once


LOG = b"""{"epoch": 3, "val_loss": NaN, "loss": "Infinity", "outputs": {"model": "s3://m"}, "checkpoint_step": 3}
{'loss': 0.4, 'grad_norm': np.float64(2.0), 'eval': {'loss': tensor(0.5, device='cuda:0')}, 'epoch': 1.5}
Epoch 3/10 - 2s 12ms/step - loss: 0.5 - acc: 0.9000
[10]\tvalid_1's auc: 0.9\tmAP@0.5=.5
[rank0]: Epoch [3/10], Step [100/600], loss: 0.5
 10%|#| 1/10 [00:01<00:02, loss=0.5]\r 20%|##| epoch=2 loss=nan]\r
[3/9] valid auc : -1.5e-3
\x1b[32mepoch=3\x1b[0m loss=1e999
"""
PAGE = b"""# HELP loss l
# TYPE loss gauge
loss{split="train"} 0.5
loss{split="va\\"l"} 0.25
{"mAP@0.5"} +Inf 1700000000000
epoch_total 3
ttft_seconds_bucket{le="0.5"} 1
ttft_seconds_bucket{le="+Inf"} 2
ttft_seconds{quantile="0.99"} 2
checkpoint_step 3
"""
SDK = json.dumps(
    {"trial": "t-1", "attempt": 1, "next": 2, "done": False, "outputs": {"model": "s3://m"}}
    | {"observations": [{"n": 0, "step": 3, "time": 1.7e9, "values": {"loss": 0.5, "checkpoint_step": 3}}]}
).encode()
WORDS = (
    b'{"observations": [[27, {"loss": 0.3}], {"values": {"loss": "NaN"}}], "outputs": {"a": "b"}, "checkpoint_step": 2}'
)
STAMPED = b"".join(b"2026-01-01T00:00:0%d.%09dZ %s\n" % (i // 3, i, line) for i, line in enumerate(LOG.splitlines()))
NUMBERS = b"".join(struct.pack("<IId", i, i % 3, v) for i, v in enumerate((0.0, 1.5, math.nan, math.inf, -1e300, 5.0)))

PARSERS: dict[str, Parser] = {
    "lines": Parser(read_lines, partial(_ready_log, stamped=False), (LOG, *LOG.splitlines())),
    "template": Parser(
        read_template,
        _ready_template,
        (b"[<step>/<*>] auc : <value>\n[3/9] auc : 0.5\n", b"loss <value>%\nloss 5%\n", b"<step> <value>\n1 2\n"),
    ),
    "prometheus": Parser(read_prometheus, lambda body: partial(PrometheusReader(WANTED).read, body), (PAGE,)),
    "sdk": Parser(
        read_sdk,
        lambda body: partial(_raw_sdk, body),
        (SDK, b'{"loss": 0.5}', b'{"step": 1, "values": {"loss": "NaN"}}'),
        _page_of,
    ),
    "termination": Parser(
        read_termination,
        lambda body: partial(parse_termination, body, WANTED),
        (WORDS, b'{"loss": 1, "epoch": 2}', LOG),
    ),
    "logtail": Parser(read_logtail, partial(_ready_log, stamped=True), (STAMPED, LOG)),
    "history": Parser(read_history, _ready_history, (NUMBERS, NUMBERS * 30)),
}
