"""Random numbers by key: the generator of a purpose depends on what it is for, never on what was drawn before.

So trial 7 gets the same numbers after a restart, in any order, in any executor.
"""

from __future__ import annotations

import zlib

import numpy as np

_WORD = 0xFFFF_FFFF


def generator(seed: int, number: int, purpose: str) -> np.random.Generator:
    """The generator of trial (or block, or whatever is counted) `number` for a purpose. Any seed is allowed, negative
    ones too.
    """
    key = [seed & _WORD, seed >> 32 & _WORD, number & _WORD, number >> 32 & _WORD, zlib.crc32(purpose.encode())]
    return np.random.default_rng(key)
