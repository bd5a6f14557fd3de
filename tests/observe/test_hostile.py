"""Whatever the bytes: no exception but BadObservation leaves a parser, and what stays in memory is bounded."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rung.api.errors import BadObservation
from rung.observe.extract import Sightings, Wanted
from rung.observe.forms import dict_numbers
from rung.observe.lines import LineReader
from rung.observe.logtail import LogTail
from rung.observe.prometheus import PrometheusReader
from rung.observe.sdk import SdkReader
from rung.observe.termination import parse_termination

WANTED = Wanted.of(None, ("loss", "valid_1's auc", "mAP@0.5"), "epoch")

PIECES = st.sampled_from(
    [
        *(
            "epoch",
            "loss",
            "=",
            ":",
            " ",
            "1",
            "-",
            "0.5",
            "nan",
            "1e999",
            "{",
            "}",
            "[",
            "]",
            "'",
            '"',
            ",",
            "\\",
            "\r",
        ),
        *("\n", "{'loss': ", '{"loss": ', "np.float64(", ")", "\x1b[3", "\0", "\ud800", "# TYPE ", "_total", "  "),
        *("2026-01-01T00:00:00.000000001Z ", "step", "\u2028", "9" * 400, "valid_1's auc", "observations", 'a="b"'),
    ]
)
TEXT = st.lists(PIECES | st.text(max_size=4), max_size=40).map("".join)
BYTES = st.binary(max_size=300) | TEXT.map(lambda text: text.encode(errors="surrogatepass"))

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["trial", "attempt", "next", "observations", "values", "step", "loss", "outputs", "x"]),
            inner,
            max_size=6,
        )
    ),
    max_leaves=20,
)


def bounded(sightings: Sightings) -> bool:
    said = [*sightings.names, *sightings.lines, *sightings.problems, *sightings.outputs, *sightings.outputs.values()]
    return len(said) <= 32 + 5 + 8 + 16 and all(len(text) <= 300 and text.isprintable() for text in said)


@given(st.lists(BYTES, max_size=5))
def test_lines(chunks: list[bytes]) -> None:
    reader = LineReader(WANTED)
    found = [o for chunk in chunks for o in reader.feed(chunk)] + reader.finish()
    assert all(o.step >= 0 and o.values.keys() <= WANTED.names for o in found)
    assert bounded(reader.sightings)


@given(st.lists(BYTES, max_size=5), st.booleans())
def test_log_tails(chunks: list[bytes], stamped: bool) -> None:
    sightings = Sightings()
    tail = LogTail(WANTED, sightings, stamped=stamped, limit=50)
    for chunk in chunks:
        for found in tail.read(chunk):
            assert all(o.values.keys() <= WANTED.names for o in found)
    tail.finish()
    assert bounded(sightings)


@given(BYTES)
def test_prometheus_pages(body: bytes) -> None:
    for page in (body, b"loss" + body, b"epoch 3\nloss{" + body, b"loss 1\nepoch " + body):
        reader = PrometheusReader(WANTED)
        assert len(reader.read(page)) <= 1
        assert bounded(reader.sightings)


@given(BYTES | JSON.map(lambda document: json.dumps(document).encode()), JSON)
def test_sdk_pages(body: bytes, reports: object) -> None:
    page = {"trial": "t-1", "attempt": 1, "next": 0, "observations": [{"step": 1, "values": {}}, reports]}
    for raw in (body, json.dumps(page).encode(), json.dumps({**page, "observations": reports}).encode()):
        reader = SdkReader(WANTED, "t-1", 1)
        with contextlib.suppress(BadObservation):
            reader.read(raw)
        assert bounded(reader.sightings)


@given(BYTES | JSON.map(lambda document: json.dumps(document).encode()))
def test_termination_messages(body: bytes) -> None:
    sightings = Sightings()
    for observation in parse_termination(body, WANTED, sightings):
        assert observation.step >= 0
    assert bounded(sightings)


@given(
    st.dictionaries(st.text(max_size=8), st.floats() | st.dictionaries(st.text(max_size=4), st.floats(), max_size=3))
)
def test_a_dict_as_python_prints_it_is_read_back(document: dict[str, float | dict[str, float]]) -> None:
    flat: dict[str, float] = {}
    for name, value in document.items():
        inner = {f"{name}.{k}": v for k, v in value.items()} if isinstance(value, dict) else {name: value}
        flat |= inner
    plain = {k: v for k, v in flat.items() if "\\" not in repr(k)}  # escapes stay as they were printed
    read = dict_numbers(repr(document))
    assert repr({k: read.get(k) for k in plain}) == repr(plain)


HOSTILE_LINES = [
    pytest.param(lambda n: "a" * n, id="one word"),
    pytest.param(lambda n: "a=" * (n // 2), id="pairs without numbers"),
    pytest.param(lambda n: "a" + " " * n + "b", id="blanks"),
    pytest.param(lambda n: "a= " + " " * n, id="blanks after a sign"),
    pytest.param(lambda n: "=" * n, id="signs"),
    pytest.param(lambda n: "a=" + "1" * n + "x", id="digits that end as a word"),
    pytest.param(lambda n: "{" * n, id="open braces"),
    pytest.param(lambda n: "{'" * (n // 2), id="open dicts"),
    pytest.param(lambda n: "{" + "\\'" * (n // 2), id="quotes that escape"),
    pytest.param(lambda n: '{"a":' * (n // 5), id="nested objects"),
    pytest.param(lambda n: "epoch " * (n // 6), id="counters without a number"),
    pytest.param(lambda n: "epoch" + " " * n, id="a counter before blanks"),
    pytest.param(lambda n: "epoch=1 " * (n // 8), id="many counters"),
    pytest.param(lambda n: "\x1b[" + "1;" * (n // 2), id="an endless colour"),
    pytest.param(lambda n: "{'a': " + "float64(" * (n // 8), id="nested calls"),
    pytest.param(lambda n: "{'a': " + "x." * (n // 2), id="nested attributes"),
    pytest.param(lambda n: "valid_1's auc" + " " * n, id="an odd name before blanks"),
    pytest.param(lambda n: "\r" * n, id="carriage returns"),
    pytest.param(lambda n: "1e" * (n // 2), id="exponents"),
]


@pytest.mark.parametrize("make", HOSTILE_LINES)
def test_a_hostile_line_costs_time_linear_in_its_length(make: Callable[[int], str]) -> None:
    def seconds(size: int) -> float:
        body = make(size).encode() + b"\n"
        best = 9e9
        for _ in range(3):
            begin = time.process_time()
            LineReader(WANTED).feed(body)
            best = min(best, time.process_time() - begin)
        return best

    small, large = seconds(4_000), seconds(64_000)
    assert large < 16 * 6 * max(small, 1e-4)  # 16 times as long; a quadratic one takes 256 times the time
    assert large < 0.25


MB = 1_000_000
NOISE = [
    pytest.param(b"the quick brown fox jumps over it\n", id="prose"),
    pytest.param(b"a\n", id="lines of one letter"),
    pytest.param(b"=\n", id="lines of one sign"),
    pytest.param(b"\n", id="empty lines"),
    pytest.param(b"9", id="digits"),
    pytest.param(b"{", id="braces"),
    pytest.param(b"a=1 b=2 {'c': 3}\n", id="other names"),
    pytest.param(b"10%|#### | 1/10\r", id="a progress bar"),
    pytest.param(b"\r\n", id="Windows' empty lines"),
    pytest.param(bytes(range(256)), id="binary"),
]


@pytest.mark.parametrize("noise", NOISE)
def test_what_says_nothing_wanted_costs_less_than_50_ms_per_megabyte(noise: bytes) -> None:
    body = noise * (MB // len(noise))
    stamped = b"".join(b"2026-01-01T00:00:00.%09dZ %s\n" % (i, noise.strip()) for i in range(MB // (32 + len(noise))))
    for text, is_stamped in ((body, False), (stamped, True)):
        best = 9e9
        for _ in range(3):
            begin = time.process_time()
            for _ in LogTail(WANTED, Sightings(), stamped=is_stamped).read(text):
                pass
            best = min(best, time.process_time() - begin)
        assert best < 0.05 * len(text) / MB + 0.02  # the names on the first lines are looked at, once


def test_ten_megabytes_in_one_line_and_ten_thousand_lines_are_quick() -> None:
    begin = time.process_time()
    reader = LineReader(WANTED)
    reader.feed(b"y" * (10 << 20) + b"\n")
    reader.feed(b"epoch=3 loss=0.5 lr=0.001\n" * 10_000)
    assert reader.step == 3
    assert time.process_time() - begin < 3
