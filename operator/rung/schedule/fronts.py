"""Who is ahead where trials have several objectives: non-dominated sorting.

    Y  (n, m)  values of n entries, smaller is better in each column

The first front are those that nobody dominates; the second, those that nobody else dominates once the first is gone; and so on.
Within a front the loneliest come first, so that trials that go on are spread along it. Sources: Deb et al. 2002, sections
III-A and III-B; Schmucker et al. 2021 (asynchronous halving with several objectives), who sort the same way.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from rung.search.pareto import crowding, ranks

Array = NDArray[np.float64]


def front_by_front(y: Array) -> NDArray[np.intp]:
    """(n,) the rows, best first; equally good ones stay in their order."""
    front = ranks(y)
    loneliness = np.empty(len(y))
    for level in range(int(front.max(initial=-1)) + 1):
        at = np.flatnonzero(front == level)
        loneliness[at] = crowding(y[at])
    return np.asarray(np.lexsort((-loneliness, front)))
