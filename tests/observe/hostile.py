"""What a trial may do to its reader: every kind, what is read of it all the same, and what is said about it.

`docs/hostile-trials.md` shows this table; a test holds the two against each other.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import dataclass

from aiohttp import web

from rung.api.facts import Observation
from rung.observe.history import KEEP
from tests.observe import servers
from tests.observe.servers import Handler


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind. A `page` is served at /metrics, `sdk` at /observations; `handler` answers everything.

    does, read   the two columns of the page
    want         what is read, by step; or a check of it
    said         words in a problem, or in what was looked at; none: nothing is wrong
    """

    does: str
    read: str
    want: list[Observation] | Callable[[tuple[Observation, ...]], bool]
    said: str = ""
    log: bytes = b""
    page: bytes | None = None
    sdk: bytes | None = None
    handler: Handler | None = None
    content_type: str = "text/plain"

    @property
    def serves(self) -> Handler | None:
        """What answers at its port; None: nobody."""
        if self.handler is not None:
            return self.handler
        if self.page is None and self.sdk is None:
            return None

        async def answer(request: web.BaseRequest) -> web.StreamResponse:
            body = {"/metrics": self.page, "/observations": self.sdk}.get(request.path)
            if body is None:
                return web.Response(status=404)
            return web.Response(body=body, content_type=self.content_type)

        return answer


def at(step: float, loss: float) -> Observation:
    """An observation."""
    return Observation(step, {"loss": loss})


def report(step: object, loss: object) -> dict[str, object]:
    """One of the SDK's."""
    return {"n": 0, "step": step, "time": 1.7e9, "values": {"loss": loss}}


def sdk(*reports: object, **other: object) -> bytes:
    """A page of the SDK's."""
    page = {"trial": "digits-3", "attempt": 1, "next": len(reports), "observations": list(reports)}
    return json.dumps({**page, **other}).encode()


def diverged(found: tuple[Observation, ...]) -> bool:
    """NaN, then both infinities."""
    values = [o.values["loss"] for o in found]
    return math.isnan(values[0]) and values[1:] == [math.inf, -math.inf]


GOOD = b"epoch=1 loss=0.5\n"
GOOD_PAGE = b"epoch 1\nloss 0.5\n"
SERIES = b"".join(b'other{i="%d"} 1\n' % i for i in range(45_000))  # the most that a MiB holds

KINDS = (
    # --- numbers and steps
    Kind(
        "reports NaN, Infinity, -Infinity",
        "As they are: a diverged loss is a fact, and a non-finite objective makes the trial Infeasible",
        diverged,
        log=b'{"epoch": 1, "loss": NaN}\nepoch=2 loss=inf\n{"epoch": 3, "loss": "-Infinity"}\n',
    ),
    Kind(
        "reports steps that are negative or no numbers",
        "Those reports are left out, the others count",
        [at(2, 0.5)],
        "must be a finite number of at least 0, got -1",
        log=b"epoch=nan loss=9\nepoch=2 loss=0.5\nepoch=-1 loss=9\n",
    ),
    Kind(
        "reports steps backwards",
        "Each at its step; the curve is ordered by step",
        [at(5, 0.5), at(3, 0.7)],
        log=b"epoch=5 loss=0.5\nepoch=3 loss=0.7\n",
    ),
    Kind(
        "reports a step twice",
        "The later word holds",
        [at(1, 0.5)],
        log=b"epoch=1 loss=9\nepoch=1 loss=0.5\n",
    ),
    Kind(
        "leaves steps out",
        "What is there; a rung is served by the first report at or past it",
        [at(1, 0.9), at(1000, 0.5)],
        log=b"epoch=1 loss=0.9\nepoch=1000 loss=0.5\n",
    ),
    Kind(
        "reports tens of thousands of steps",
        "All count in last, min, max and mean; of the curve a bounded number of points stays",
        lambda found: len(found) <= KEEP and found[-1].step == 19_999,
        log=b"".join(b"epoch=%d loss=1\n" % i for i in range(20_000)),
    ),
    # --- lines
    Kind(
        "prints a line of 10 MB",
        "The line is skipped, the next is read",
        [at(1, 0.5)],
        "a line of the log above 64 KiB was skipped",
        log=b"loss=" + b"9" * (10 << 20) + b"\n" + GOOD,
    ),
    Kind(
        "prints binary",
        "Nothing of it; the lines beside it are read",
        [at(1, 0.5)],
        log=bytes(range(256)) * 100 + b"\n" + GOOD + b"\x00\xff" * 1000,
    ),
    Kind(
        "prints what is no UTF-8",
        "Bad bytes become U+FFFD, the numbers beside them are read",
        [at(1, 0.5)],
        log=b"\xff\xfe epoch=1 \xc3\x28 loss=0.5 \xed\xa0\x80\n",
    ),
    Kind(
        "dies in the middle of a line",
        "The half line counts if it says a whole number, else nothing is made up",
        [at(1, 0.5)],
        log=GOOD + b'{"epoch": 2, "loss": 0.',
    ),
    Kind(
        "writes from several processes into one line",
        "Numbers that were torn apart are passed over; the whole lines count",
        [at(1, 0.5), at(2, 0.25)],
        log=b"[rank0]: epoch=1 loss=0.[rank1]: epoch=1 loss=0.5\n6\n[rank1]: epoch=2 loss=0.25\n",
    ),
    Kind(
        "prints progress bars for ever",
        "Of an overwritten line the last state, and the states that say the counter",
        [at(1, 0.5)],
        log=b"".join(b"\r%d%%|#| loss=9" % i for i in range(20_000)) + b"\repoch=1 loss=0.5\n",
    ),
    Kind(
        "prints tens of thousands of names",
        "The wanted ones; 32 of the others are kept for the person who asks",
        [at(1, 0.5)],
        log=b"".join(b"m%d=1\n" % i for i in range(20_000)) + GOOD,
    ),
    Kind(
        "nests objects without end",
        "Nothing",
        [at(1, 0.5)],
        log=b'{"loss":' * 8000 + b"\n" + b"{'loss':" * 8000 + b"\n" + GOOD,
    ),
    Kind(
        "puts terminal codes and control characters everywhere",
        "The numbers; nothing unprintable reaches a status",
        [at(1, 0.5)],
        log=b"\x1b[2J\x1b[31mepoch=1\x1b[0m\x07 loss=\x1b[1m0.5\x1b[0m\n\x00\x08\x1b]0;title\x07\n",
    ),
    # --- the port
    Kind(
        "serves a body that never ends",
        "Nothing: a reply has 1 MiB and 2 s",
        [],
        "body larger than",
        handler=servers.endless,
    ),
    Kind("serves a byte now and then", "Nothing", [], "timed out after", handler=servers.trickle),
    Kind("hangs", "Nothing; it is asked more and more seldom", [], "timed out after", handler=servers.hang),
    Kind("announces a gigabyte", "Nothing", [], "body larger than", handler=servers.announced_giant),
    Kind(
        "serves a gzip bomb",
        "Nothing: no body is ever decompressed",
        [],
        "compressed body (gzip)",
        handler=servers.gzip_bomb,
    ),
    Kind(
        "redirects",
        "Nothing: redirects are not followed",
        [],
        "status 302: redirects are not followed",
        handler=servers.redirect,
    ),
    Kind("serves binary", "Nothing", [], "not the SDK's JSON", handler=servers.garbage),
    Kind(
        "says a wrong content type",
        "What stands there: only the content counts",
        [at(1, 0.5)],
        page=GOOD_PAGE,
        content_type="image/png",
    ),
    Kind(
        "serves a web page",
        "Nothing",
        [],
        "not the SDK's JSON",
        page=b"<html>loss 0.5</html>",
        sdk=b"<html>loss 0.5</html>",
    ),
    Kind(
        "serves as many series as a MiB holds",
        "The wanted ones, at the cost of a search",
        [at(1, 0.5)],
        page=SERIES + GOOD_PAGE,
    ),
    Kind(
        "serves a million series",
        "Nothing: the page is above 1 MiB",
        [],
        "body larger than 1 MiB",
        page=SERIES * 23 + GOOD_PAGE,
    ),
    Kind(
        "serves lines that are no series",
        "The other lines",
        [at(1, 0.5)],
        page=b'loss{ 3\nloss}{ 1\nloss{a="\\\nloss nine\n# TYPE\nloss 1 ' + b"9" * 400 + b"\n" + GOOD_PAGE,
    ),
    # --- the SDK's address
    Kind(
        "answers for another trial",
        "Nothing, neither its reports nor its Prometheus page",
        [],
        "expected trial digits-3, but 'digits-99' answers",
        handler=servers.wrong_trial,
    ),
    Kind(
        "is an earlier attempt that still answers",
        "Nothing",
        [],
        "expected attempt 1 of trial digits-3, but attempt 2 answers",
        sdk=sdk(report(1, 0.5), attempt=2),
        page=GOOD_PAGE,
    ),
    Kind(
        "finds its port held by another process",
        "Nothing of that process; its own log is read instead",
        [at(1, 0.5)],
        "the log is read, because no port has the metric",
        handler=servers.node_exporter,
        log=GOOD,
    ),
    Kind(
        "speaks the SDK's JSON with senseless reports",
        "The sensible ones",
        [at(1, 0.5), at(2, 0.25)],
        "got -1",
        sdk=sdk(report(1, 0.5), report(-1, 9), report("x", 9), report(3, "many"), report(2, 0.25)),
    ),
    Kind(
        "says a cursor that never moves",
        "Each report once; one page a visit",
        [at(1, 0.5)],
        sdk=sdk(*[report(1, 0.5)] * 1000, next=0),
    ),
    Kind(
        "nests the SDK's JSON without end",
        "Nothing",
        [],
        "not the SDK's JSON",
        sdk=b'{"trial": ' + b"[" * 50_000,
    ),
    Kind(
        "fills the SDK's page with millions of parts",
        "Nothing: as objects they would take a hundred times their bytes",
        [],
        "not the SDK's JSON",
        sdk=b"[" + b"[]," * 340_000 + b"[]]",
    ),
)
