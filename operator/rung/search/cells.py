"""Cells: which part of a coordinate stands for which value, where there are few values.

    K      values                      edges   (K + 1,)  ascending from 0 to 1; value k owns edges[k] … edges[k + 1]

All parts are equally long unless the parameter has a scale or a prior.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np

from rung.space.dimensions import Choices, Dimension, Lattice
from rung.space.space import Array


def edges(dimension: Dimension, most: int) -> Array | None:
    """The cells of a dimension; None: it has more than `most` values."""
    size = dimension.size
    if size is None or size > most:
        return None
    if isinstance(dimension, Choices) or not isinstance(dimension, Lattice):
        return np.linspace(0.0, 1.0, size + 1)
    straight = replace(dimension, bend=None)
    places = [straight.encode(straight.at(k)) for k in range(size)]
    inner = [(low + high) / 2 for low, high in pairwise(places)]
    bend = dimension.bend
    return np.array([0.0, *(inner if bend is None else map(bend.share, inner)), 1.0])


def even(count: int) -> Array:
    """The edges of so many parts of the same length."""
    return np.linspace(0.0, 1.0, count + 1)
