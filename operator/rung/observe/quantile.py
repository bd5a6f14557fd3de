"""A quantile from the buckets of a Prometheus histogram, as PromQL's `histogram_quantile` computes it.

    buckets   upper bound (le) -> how many observations were at most that: cumulative counts c_1 ≤ … ≤ c_n, bounds b_1 < … < b_n = +Inf
    rank      q·c_n; bucket i is the first with c_i ≥ rank
    value     b_{i-1} + (b_i - b_{i-1}) · (rank - c_{i-1}) / (c_i - c_{i-1}), with b_0 = 0 and c_0 = 0

The observations of a bucket are taken to lie evenly in it. In the last bucket, which has no end, the answer is its
beginning; in a first bucket whose bound is not above 0, that bound. Counts that fall (a page that was torn between two
increments) are lifted to the largest before them. NaN where there is nothing to say: no +Inf bucket, fewer than two
buckets, or no observation.

Source: https://prometheus.io/docs/prometheus/latest/querying/functions/#histogram_quantile.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Mapping
from itertools import accumulate


def histogram_quantile(q: float, buckets: Mapping[float, float]) -> float:
    """The q-quantile, 0 < q < 1."""
    bounds = sorted(buckets)
    counts = list(accumulate((buckets[bound] for bound in bounds), max))
    if len(bounds) < 2 or bounds[-1] != math.inf or not 0 < counts[-1] < math.inf:
        return math.nan
    rank = q * counts[-1]
    i = bisect_left(counts, rank)
    if i == len(bounds) - 1:
        return bounds[-2]
    if i == 0 and bounds[0] <= 0:
        return bounds[0]
    start, before = (bounds[i - 1], counts[i - 1]) if i else (0.0, 0.0)
    return start + (bounds[i] - start) * (rank - before) / (counts[i] - before)
