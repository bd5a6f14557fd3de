"""What the dearest megabyte costs each parser: bodies made to be as dear as their makers could think of.

    ms/MB   milliseconds of CPU for each MB of what is read at once (a log's chunk, a page: up to 1 MiB; a last word: 12 KiB); a
            body below one MB counts as one. The least of 5 readings: whatever else the machine does can only add.

Where a parser stops by itself (a log after so much effort, a page of too many parts) the rest costs nothing, as in the operator.
`python -m tests.fuzz` looks for further ones. Run: `python -m bench.parsers`
"""

from __future__ import annotations

import itertools
import math
import string
import struct
from collections.abc import Iterator, Mapping

from bench.report import finish, quick, table
from tests.fuzz.parsers import GROWN, PARSERS, SPEAKER, repeated
from tests.observe.hostile import KINDS

READINGS = 5
LIMIT = 50.0  # ms/MB that no body may take
LABELS = ["".join(two) for two in itertools.product(string.ascii_lowercase, repeat=2)]
SERIES = (b"loss", b"val", b"p99", b"auc", b"map50", b"epoch", b"epoch_total", b"step", b"checkpoint_step")
TEMPLATE = b"[<step>/<*>] auc : <value>"


def joined(form: bytes, count: int) -> bytes:
    """A list of so many numbered things."""
    return b",".join(form % i for i in range(count))


def lines(form: bytes) -> bytes:
    """1 MiB of numbered lines."""
    return b"".join(form % i for i in range(GROWN // (len(form) - 2) + 1))[:GROWN]


LOG_LINES: Mapping[str, bytes] = {
    "nothing": b"\n",
    "carriage returns": b"\r",
    "Windows' empty lines": b"\r\n",
    "a letter a line": b"a\n",
    "a letter a state": b"a\r",
    "other pairs": b"a=1\n",
    "beginnings of wanted names": b"los epoc ste au va \n",
    "a wanted name": b"p99\n",
    "a wanted name a state": b"p99\r",
    "the shortest report": b"loss=1\n",
    "the shortest step": b"step=1\r",
    "a step a state": b"epoch=1\r",
    "senseless steps": b"epoch=-1 loss=1\n",
    "words for numbers": b"loss=inf\n",
    "every wanted name": b"map50=1 val=1 p99=1 loss=1 auc=1 epoch=1\n",
    "every form": b"epoch=1 valid_1's auc=1 mAP@0.5=1 [1/2] valid auc : 1 loss=1 p99=1 a=1 b=2 c=3\n",
    "many pairs": b"a=1 b=1 c=1 d=1 e=1 f=1 g=1 h=1 i=1 j=1 k=1 l=1 m=1 n=1 epoch=1 p=1\n",
    "many counters": b"epoch=1 epoch=2 epoch=3 epoch=4 epoch=5 epoch=6 valid_1's auc=1 mAP@0.5=1\n",
    "odd names": b"valid_1's auc=1 " * 10 + b"\n",
    "a described line": b"[1/2] valid auc : 1\n",
    "described lines in one": b"[1/2] valid auc : 1" * 3000 + b"\n",
    "half of a described line": b"[1/ " * 10_000 + b"valid auc : \n",
    "long pairs": b"loss=1 " * 9000 + b"\n",
    "signs without numbers": b"loss: " * 10_000 + b"\n",
    "many signs": b"loss" + b"=" * 60_000 + b"\n",
    "blanks": b"loss" + b" " * 60_000 + b"=\n",
    "digits": b"loss=" + b"9" * 60_000 + b"\n",
    "JSON": b'{"loss":1}\n',
    "JSON of ten names": b'{"loss":1,' + joined(b'"%d":1', 9) + b"}\n",
    "JSON that is torn": b'a=1 b=1 {"loss":1,"a":1,"b":1,"c":1,"d":1,"e":1,"f":1,"g":1\n',
    "JSON of 5,000 names": b'{"loss":1,' + joined(b'"%d":1', 5000) + b"}\n",
    "JSON of lists": b'{"loss":[' + b",".join([b"[]"] * 15_000) + b"]}\n",
    "JSON of 2,000 lists": b'{"loss":[' + b",".join([b"[]"] * 2000) + b"]}\n",
    "JSON nested": b'{"loss":' + b"[" * 900 + b"]" * 900 + b"}\n",
    "JSON nested too deeply": b'{"loss":' + b"[" * 20_000 + b"\n",
    "JSON of escapes": b'{"loss":"' + b"\\u0041" * 10_000 + b'"}\n',
    "JSON of outputs": b'{"outputs":{' + joined(b'"%d":"b"', 4000) + b"}}\n",
    "dict": b"{'loss':1}\n",
    "dict of ten names": b"{'loss':1," + joined(b"'%d':1", 9) + b"}\n",
    "dict of 1,500 names": b"{'loss':1," + joined(b"'%d':1", 1500) + b"}\n",
    "dict of NumPy's numbers": b"{'loss':1," + joined(b"'%d':np.float64(1)", 600) + b"}\n",
    "dict of commas": b"{'loss':1," + b"," * 4000 + b"}\n",
    "dict of escapes": b"{'loss':'" + b"\\n" * 7000 + b"'}\n",
    "dicts that open": b"{'':{'':{'':1 epoch=1\n",
    "braces and quotes": b"loss{'" * 10_000 + b"\n",
    "colours": b"\x1b[1m" * 10_000 + b"loss\n",
    "no UTF-8": b"loss" + b"\xff" * 60_000 + b"\n",
    "lines too long": b"loss" + b"x" * 66_000 + b"\n",
}


def logs() -> Iterator[tuple[str, bytes]]:
    """Those, repeated, and what the trials of `tests.observe.hostile` print."""
    for name, line in LOG_LINES.items():
        yield name, repeated(line)
    for kind in KINDS:
        if kind.log:
            yield f"a trial that {kind.does}", repeated(kind.log)[: 2 * GROWN]


def stamped() -> Iterator[tuple[str, bytes]]:
    """The same from Kubernetes, and stamps that are none."""
    stamp = b"2026-01-01T00:00:00.%09dZ"
    for name, log in logs():
        yield (
            name,
            b"".join(stamp % i + b" %s\n" % line for i, line in enumerate(log[:GROWN].split(b"\n")[:40_000]))[:GROWN],
        )
    yield "stamps alone", lines(stamp + b"\n")
    yield "one stamp", repeated(stamp % 1 + b" \n")
    yield "stamps of no time", lines(b"9999-99-99T99:99:99.%dZ loss=1\n")


def templates() -> Iterator[tuple[str, bytes]]:
    """A described line, and a log."""
    for template, line in (
        (TEMPLATE, b"[1/2] auc : 1\n"),
        (TEMPLATE, b"[1/ " * 10_000 + b"auc : \n"),
        (b"<value>", b"1\n"),
        (b"<value>", b"\n"),
        (b"<value>", b"\x0b\n"),
        (b"<value>", b"1 " * 30_000 + b"\n"),
        (b"<step> <value>", b"1 2\n"),
        (b"<step> a <value>", b"1 a 2 " * 10_000 + b"\n"),
        (b"<step>a<value>", b"1a2\n"),
        (b"a <value>", b"a a a a a 1\n"),
        (b"a <value>", b"a" + b" " * 60_000 + b"1\n"),
        (b"a <value>", b"a " + b"1" * 60_000 + b"\n"),
        (b"aaaa <value>", b"a" * 60_000 + b"\n"),
        (b"a<*>b<*>c<*><value>", b"abc" * 20_000 + b"\n"),
        (b"x <*> y <*> z <value>", b"x y z 1 " * 8000 + b"\n"),
    ):
        yield f"{template.decode()} on {line[:12]!r}", template + b"\n" + repeated(line)


def pages() -> Iterator[tuple[str, bytes]]:
    """Prometheus pages."""
    for name, unit in {
        "an honest page": PARSERS["prometheus"].seeds[0],
        "nothing": b"\n",
        "Windows' empty lines": b"\r\n",
        "a letter a line": b"a\n",
        "the shortest series": b"a 1\n",
        "a wanted series": b"loss 1\n",
        "names that begin alike": b"loss_\n",
        "beginnings of wanted names": b"los\n",
        "quoted names": b'{"loss\n',
        "quotes that open": b'\n{"',
        "comments": b"# TYPE loss gauge\n",
        "long numbers": b'ttft_seconds_bucket{le="1"} ' + b"9" * 2000 + b"\n",
        "signs": b"ttft_seconds_bucket{" + b"=" * 2000 + b"} 1\n",
        "quotes": b"ttft_seconds_bucket{" + b'"' * 2000 + b"} 1\n",
        "one line": b"ttft_seconds_bucket{",
    }.items():
        yield name, repeated(unit)
    for name, form in {
        "many of one name": b'loss{a="%d"} 1\n',
        "many with the wanted label": b'loss{split="val",a="%d"} 1\n',
        "many buckets": b'ttft_seconds_bucket{le="%d"} 1\n',
        "many summaries": b'ttft_seconds{quantile="0.%d"} 1\n',
        "other series": b'other_%d{a="b"} 1\n',
    }.items():
        yield name, lines(form)
    for name, inner in {
        "every wanted name, 30 labels": ",".join(f'{label}=""' for label in LABELS[:30]),
        "every wanted name, 30 labels with escapes": ",".join(f'{label}="\\n\\n\\n\\n"' for label in LABELS[:30]),
        "every wanted name, 64 labels": ",".join(f'{label}=""' for label in LABELS[:64]),
        "every wanted name, one long label of escapes": 'a="' + "\\n" * 200 + '"',
    }.items():
        yield name, _every_series(inner.encode())[:GROWN]


def _every_series(labels: bytes) -> bytes:
    """As many lines of each as are parsed, and more."""
    page = b"".join(b'ttft_seconds_bucket{%s,le="x"} 1\n' % labels for _ in range(512))
    page += b"".join(b'ttft_seconds{%s,quantile="0.%d"} 1\n' % (labels, i) for i in range(512))
    for i in range(32):
        page += b"".join(b'%s{%s,z="%d"} 1\n' % (name, labels, i) for name in SERIES)
        page += b'loss{split="val",%s,z="%d"} 1\n' % (labels, i)
    return page.ljust(GROWN, b"\n")


def replies() -> Iterator[tuple[str, bytes]]:
    """The SDK's pages, as large as they are read."""
    for name, reports in {
        "an honest page": b",".join([b'{"n": 0, "step": 3, "time": 1.7e9, "values": {"loss": 0.5, "lr": 3}}'] * 1000),
        "5,000 reports": b",".join([b'{"n": 0, "step": 3, "time": 1.7e9, "values": {"loss": 0.5, "lr": 3}}'] * 5000),
        "empty reports": b",".join([b'{"values":{}}'] * 5000),
        "senseless values": joined(b'{"values":{"a":"%d"}}', 5000),
        "many senseless values": b",".join([b'{"values":{%s}}' % joined(b'"%d":""', 250)] * 230),
        "many values": b",".join([b'{"values":{%s}}' % joined(b'"%d":1', 250)] * 230),
        "negative steps": joined(b'{"step":-%d,"values":{"loss":1}}', 5000),
        "steps in words": joined(b'{"step":"%d","values":{"loss":1}}', 5000),
        "lists": b",".join([b"[]"] * 29_500),
        "numbers": b",".join([b"1"] * 59_000),
        "nested lists": b",".join([b"[" * 900 + b"]" * 900] * 64),
        "nested too deeply": b"[" * 50_000,
        "objects": b",".join([b'{"a":1}'] * 29_000),
        "names": b"{" + joined(b'"%d":1', 59_000) + b"}",
        "long whole numbers": b",".join([b"9" * 4000] * 260),
        "long fractions": b",".join([b"0." + b"9" * 700] * 1490),
        "fractions that are hard to round": b",".join([b"2.2250738585072011e-308"] * 43_000),
        "escapes": b'"' + b"\\u0041" * (GROWN // 6) + b'"',
        "surrogates": b'"' + b"\\ud83d\\ude00" * (GROWN // 12) + b'"',
        "letters of four bytes": b'"' + "😀".encode() * (GROWN // 4) + b'"',
        "blanks": b" " * GROWN,
        "too many parts": b",".join([b"[]"] * (GROWN // 3)),
    }.items():
        yield name, SPEAKER + b"[" + reports + b"]}"


def last_words() -> Iterator[tuple[str, bytes]]:
    """Termination messages: of a log's lines, and of the SDK's reports."""
    for name, log in logs():
        yield name, log[: 12 * 1024]
    for name, report in {"pairs": b'[1,{"loss":1}]', "senseless steps": b'[-1,{"loss":1}]', "numbers": b"1"}.items():
        yield f"the SDK's: {name}", b'{"observations":[%s]}' % b",".join([report] * (12_000 // (len(report) + 1)))


def merges() -> Iterator[tuple[str, bytes]]:
    """Reports for a history, as `tests.fuzz.parsers` packs them."""
    for name, reports in {
        "new steps": ((i % 2000, 0, i) for i in range(5000)),
        "one step": ((2, 0, i) for i in range(5000)),
        "one step, falling": ((2, 0, -i) for i in range(5000)),
        "1,000 steps, seven metrics, each word an extreme": ((i % 1000, i % 7, -i) for i in range(5000)),
        "the extremes replaced in turn": (
            (i % 1000 if i < 1000 else i % 2 * 999, 0, (-1) ** i * i) for i in range(5000)
        ),
    }.items():
        yield name, b"".join(struct.pack("<IId", *report) for report in reports)


BODIES = {
    "lines": logs,
    "logtail": stamped,
    "template": templates,
    "prometheus": pages,
    "sdk": replies,
    "termination": last_words,
    "history": merges,
}


def main() -> None:
    """Measure, print, write."""
    small = quick(__doc__)
    result: dict[str, dict[str, float]] = {}
    for parser, bodies in BODIES.items():
        costs: dict[str, float] = {}
        made = list(bodies())
        for _ in range(1 if small else READINGS):  # in turns: what disturbs one reading is over by the next
            for name, body in made:
                costs[name] = min(costs.get(name, math.inf), round(PARSERS[parser].cost(body), 1))
        result[parser] = dict(sorted(costs.items(), key=lambda row: -row[1]))
        print(
            table(f"{parser}: {len(costs)} bodies", list(result[parser].items())[:5], ("the dearest", "ms/MB")),
            flush=True,
        )
    dearest = {parser: max(costs.values()) for parser, costs in result.items()}
    print(table(f"limit: {LIMIT:g} ms/MB", list(dearest.items()), ("parser", "ms/MB")))
    finish("parsers", {"limit_ms_per_mb": LIMIT, "dearest_ms_per_mb": dearest, "ms_per_mb": result}, small=small)


if __name__ == "__main__":
    main()
