"""Inputs changed at random: bytes flipped, pieces cut out, doubled, swapped, and words put in that parsers trip over.

Seeded, so that a run can be repeated. Its corpus grows by inputs that gave a new outcome (`novel`).
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence

WORDS = (
    *(b"epoch", b"loss", b"step", b"eval", b"mAP@0.5", b"valid_1's auc", b"checkpoint_step", b"outputs", b"values"),
    *(b"=", b":", b"{", b"}", b"[", b"]", b"(", b")", b"'", b'"', b",", b"\\", b"\n", b"\r", b"\r\n", b" ", b"\t"),
    *(b"nan", b"-inf", b"Infinity", b"1e999", b"-1", b"0", b"9" * 400, b".5", b"1.", b"1e", b"0x1", b"1_0"),
    *(b"\x00", b"\xff", b"\xed\xa0\x80", b"\xe2\x80\xa8", b"\xf0\x9f\x98\x80", b"\x1b[31m", b"\x1b[", b"\\ud800"),
    *(b"# TYPE ", b"_total", b"_bucket", b'{le="+Inf"}', b'quantile="0.99"', b"np.float64(", b"tensor("),
    *(b"<value>", b"<step>", b"<*>", b"2026-01-01T00:00:00.000000001Z ", b'{"observations": [[', b"null", b"true"),
)
LONGEST = 8 * 1024


def inputs(seeds: Sequence[bytes], seed: int) -> Iterator[bytes]:
    """Endlessly: the seeds as they are, then changed ones."""
    yield from seeds
    chance = random.Random(seed)
    while True:
        body = bytearray(chance.choice(seeds))
        for _ in range(chance.randint(1, 8)):
            _change(body, chance, seeds)
        yield bytes(body[:LONGEST])


def _change(body: bytearray, chance: random.Random, seeds: Sequence[bytes]) -> None:
    at = chance.randint(0, len(body))
    end = min(len(body), at + chance.randint(1, 40))
    match chance.randrange(7):
        case 0:
            body[at:at] = chance.choice(WORDS)
        case 1:
            body[at:end] = chance.choice(WORDS)
        case 2:
            del body[at:end]
        case 3:
            body[at:at] = body[at:end] * chance.randint(1, 20)
        case 4:
            other = chance.choice(seeds)
            begin = chance.randint(0, len(other))
            body[at:end] = other[begin : begin + chance.randint(1, 60)]
        case 5:
            body[at:at] = chance.randbytes(chance.randint(1, 8))
        case _:
            if at < len(body):
                body[at] ^= 1 << chance.randrange(8)
