"""Infinite sequences of points in the unit cube, by index: the n-th point costs the same whether or not others were
asked for.

    d   coordinates      n   index of a point, from 0      r   number of a try: 0, or a further one where the earlier
    did not fit

Points are made in blocks, which are kept for a while: neighbouring indices are asked for one after the other. A further
try at the same index (r > 0) is the point itself, shifted by a vector that belongs to (seed, r) and wrapped around: the
points of each try form a sequence that fills the cube as evenly as the first (Cranley & Patterson 1976). Sources: Owen
1998 (scrambling Sobol' points), Owen 2017 (scrambled Halton). scipy.stats has both, for 0.7 s and 64 MB at its import.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from rung.api.errors import InvalidStudy
from rung.search.direction_numbers import BITS, DIMENSIONS, points, scrambled
from rung.search.randomness import generator
from rung.space.space import Array

SOBOL_DIMENSIONS = DIMENSIONS
SOBOL_POINTS = 2**BITS

_BLOCK_NUMBERS = 2**16  # in one block, so that it has at most half a megabyte whatever d is
_MOST_ROWS = 1024  # an engine needs about a millisecond to start: a thousand rows share it
_SHIFTS = 64  # tries whose shifts are drawn together

Points = Callable[[int, int, int], Iterator[Sequence[float]]]
"""(seed, d, n) -> the n-th point, then without end the further tries."""


def uniform(seed: int, d: int, n: int) -> Iterator[Sequence[float]]:
    """Independent uniform points; the further tries are independent too."""
    yield _row(_uniform_block, seed, d, n)
    tries = generator(seed, n, "uniform tries")
    while True:
        yield from tries.random((_SHIFTS, d)).tolist()


def sobol(seed: int, d: int, n: int) -> Iterator[Sequence[float]]:
    """Sobol' points under Owen's scrambling by linear matrices and a digital shift. Raises InvalidStudy beyond 256
    dimensions.
    """
    if d > SOBOL_DIMENSIONS:
        raise InvalidStudy(
            "spec.sampler.type", f"Sobol takes at most {SOBOL_DIMENSIONS} searched parameters, got {d}; use Random"
        )
    return _shifted(_sobol_block, seed, d, n % SOBOL_POINTS)


def halton(seed: int, d: int, n: int) -> Iterator[Sequence[float]]:
    """Halton points with randomly permuted digits, in bases 2, 3, 5, 7, …"""
    return _shifted(_halton_block, seed, d, n)


def latin_hypercube(seed: int, d: int, n: int, strata: int) -> Iterator[Sequence[float]]:
    """Points of a Latin hypercube of so many strata, behind it of a further one: of points that belong together, each
    stratum of each axis has one. There are fewer strata where a hypercube would have more than 131,072 numbers.
    """
    strata = max(1, min(strata, 2 * _BLOCK_NUMBERS // max(d, 1)))
    return _shifted(lambda seed, d, k: _latin_block(seed, d, k, strata), seed, d, n, strata)


def _shifted(
    block: Callable[[int, int, int], Array], seed: int, d: int, n: int, rows: int | None = None
) -> Iterator[Sequence[float]]:
    first = _row(block, seed, d, n, rows)
    yield first
    k = 0
    while True:
        yield from ((np.asarray(first) + _shifts(seed, d, k)) % 1.0).tolist()
        k += 1


def _row(block: Callable[[int, int, int], Array], seed: int, d: int, n: int, rows: int | None = None) -> list[float]:
    if d == 0:
        return []  # a space of one point
    rows = _rows(d) if rows is None else rows
    row: list[float] = block(seed, d, n // rows)[n % rows].tolist()
    return row


def _rows(d: int) -> int:
    """Points in a block: a power of two, as Sobol' blocks should be."""
    return min(_MOST_ROWS, max(1, 1 << (_BLOCK_NUMBERS // d).bit_length() - 1))


# 16 blocks are at most 8 MiB, and enough for as many studies at once; one that was dropped is made again, the same.
@lru_cache(maxsize=16)
def _uniform_block(seed: int, d: int, k: int) -> Array:
    return generator(seed, k, "uniform").random((_rows(d), d))


@lru_cache(maxsize=16)
def _sobol_block(seed: int, d: int, k: int) -> Array:
    return points(*_scrambled(seed, d), k * _rows(d), _rows(d))


@lru_cache(maxsize=16)
def _scrambled(seed: int, d: int) -> tuple[NDArray[np.uint32], NDArray[np.uint32]]:
    return scrambled(d, generator(seed, 0, "sobol").spawn(1)[0])  # as scipy does: the same points


@lru_cache(maxsize=16)
def _halton_block(seed: int, d: int, k: int) -> Array:
    rows = _rows(d)
    indices = np.arange(k * rows, (k + 1) * rows)
    return np.stack([_radical_inverse(indices, base, generator(seed, base, "halton")) for base in _primes(d)], axis=1)


@lru_cache(maxsize=16)
def _latin_block(seed: int, d: int, k: int, strata: int) -> Array:
    random = generator(seed, k, "latin hypercube")
    stratum = random.permuted(np.tile(np.arange(strata), (d, 1)), axis=1).T
    return np.minimum((stratum + random.random((strata, d))) / strata, np.nextafter(1.0, 0.0))


@lru_cache(maxsize=16)
def _shifts(seed: int, d: int, k: int) -> Array:
    return generator(seed, k, "shifts").random((_SHIFTS, d))


def _radical_inverse(indices: NDArray[np.int64], base: int, random: np.random.Generator) -> Array:
    """The digits of the indices mirrored at the point, each position under a permutation of its own. Source: Owen 2017.

    Goes to as many digits as a double holds: the zeros in front of an index are permuted too, which makes points uniform.
    """
    digits = math.ceil(53 / math.log2(base))
    permutations = random.permuted(np.tile(np.arange(base), (digits, 1)), axis=1)
    places = [indices // base**k % base for k in range(digits)]
    x = np.zeros(len(indices))
    for k in reversed(range(digits)):
        x = (x + permutations[k][places[k]]) / base
    return np.minimum(x, np.nextafter(1.0, 0.0))


@lru_cache(maxsize=16)
def _primes(count: int) -> tuple[int, ...]:
    """The first primes."""
    below = 16 if count < 6 else int(count * (math.log(count) + math.log(math.log(count)))) + 1  # Rosser 1941
    is_prime = np.ones(below, dtype=bool)
    is_prime[:2] = False
    for n in range(2, math.isqrt(below) + 1):
        if is_prime[n]:
            is_prime[n * n :: n] = False
    return tuple(np.flatnonzero(is_prime)[:count].tolist())
