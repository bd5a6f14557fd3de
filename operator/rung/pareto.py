"""Several objectives at once: who dominates whom, and how much of the objective space a front has won.

All objectives are minimised. A point dominates another if it is nowhere worse and somewhere better.

    Y   (n, m)  points: n of them, m objectives       r   (m,)  the reference point
    volume      of {z ≤ r: some point of Y is ≤ z}; points that are not below r everywhere add nothing
    free boxes  the rest of {z ≤ r}, as disjoint boxes (l, u]: where a new point would add volume

Volume and boxes are exact, by slices along the last objective: between two neighbouring values of it, what is won is
the volume (are the boxes) of the points up to there in one objective less. That takes n log n steps for two objectives
and a factor of n more for each further one. Sources: Deb et al. 2002, sections III-A and III-B (ranks, crowding);
Jensen 2003, section III-A (ranks of two objectives in one sweep); Guerreiro, Fonseca & Paquete 2021, section 4.1
(hypervolume by dimension sweep); Schmucker et al. 2021 (asynchronous halving sorted by fronts).
"""

from __future__ import annotations

from bisect import bisect_right

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

BEHIND = 1.1
"""The reference point, where there is none, in ranges of the points. With 1.01 or 1.3 TPE's fronts were no better."""


def non_dominated(points: Array) -> NDArray[np.bool_]:
    """(n,) True for each point that no other dominates. Equal points stand or fall together."""
    n, m = points.shape
    if m == 1:
        return np.asarray(points[:, 0] == points[:, 0].min(initial=np.inf))
    order = np.lexsort(points.T[::-1])  # a point is dominated by earlier ones only
    y = points[order]
    keep = np.ones(n, dtype=bool)
    if m == 2:
        best = np.minimum.accumulate(y[:, 1])
        first = np.r_[True, (y[1:] != y[:-1]).any(axis=1)]
        group = np.cumsum(first) - 1
        better = np.r_[True, y[1:, 1] < best[:-1]]
        keep = better[first][group]
    else:
        for i in range(n):
            if keep[i]:
                beaten = (y[i] <= y[i + 1 :]).all(axis=1) & (y[i] < y[i + 1 :]).any(axis=1)
                keep[i + 1 :] &= ~beaten
    mask = np.empty(n, dtype=bool)
    mask[order] = keep
    return mask


def ranks(points: Array) -> NDArray[np.int64]:
    """(n,) 0 for the front, 1 for the front of what is left without it, and so on."""
    n, m = points.shape
    if m == 1:
        return np.asarray(np.unique(points[:, 0], return_inverse=True)[1], dtype=np.int64)
    if m == 2:
        return _ranks_of_two(points)
    rank = np.zeros(n, dtype=np.int64)
    left = np.arange(n)
    level = 0
    while len(left):
        front = non_dominated(points[left])
        rank[left[front]] = level
        left = left[~front]
        level += 1
    return rank


def _ranks_of_two(points: Array) -> NDArray[np.int64]:
    """By ascending first objective a point is dominated by a front if the front's least second one is no larger, and those
    ascend from front to front.
    """
    rank = np.zeros(len(points), dtype=np.int64)
    least: list[float] = []  # of each front
    before, its_rank = None, 0
    for i in np.lexsort(points.T[::-1]).tolist():
        point = (points[i, 0], points[i, 1])
        if point != before:
            before, its_rank = point, bisect_right(least, point[1])
            least[its_rank : its_rank + 1] = [point[1]]
        rank[i] = its_rank
    return rank


def front_by_front(points: Array) -> NDArray[np.intp]:
    """(n,) the indices of the points, the first front first; within a front the loneliest, so that who comes first is spread
    along it. Equally good ones stay in their order.
    """
    front = ranks(points)
    loneliness = np.empty(len(points))
    for level in range(int(front.max(initial=-1)) + 1):
        at = np.flatnonzero(front == level)
        loneliness[at] = crowding(points[at])
    return np.asarray(np.lexsort((-loneliness, front)))


def crowding(points: Array) -> Array:
    """(n,) how lonely each point of a front is: the sum, over objectives, of the gap between its two neighbours as a
    share of the range. Points at an end are infinitely lonely.
    """
    n = len(points)
    distance = np.zeros(n)
    for y in points.T:
        order = np.argsort(y, kind="stable")
        low, high = y[order[0]], y[order[-1]]
        distance[order[[0, -1]]] = np.inf
        if high > low and n > 2:
            distance[order[1:-1]] += y[order[2:]] / (high - low) - y[order[:-2]] / (high - low)
    return distance


def hypervolume(points: Array, reference: Array) -> float:
    """The volume that the points win below the reference point; 0 if there are none below it."""
    inside = points[(points < reference).all(axis=1)]
    return _volume(inside, reference) if len(inside) else 0.0


def contributions(points: Array, reference: Array) -> Array:
    """(n,) the volume that would be lost without each point. 0 for a dominated one, and for both of two equal ones."""
    whole = hypervolume(points, reference)
    loss = np.zeros(len(points))
    for i in np.flatnonzero(non_dominated(points)):
        loss[i] = max(0.0, whole - hypervolume(np.delete(points, i, axis=0), reference))
    return loss


def in_ranges(points: Array) -> Array:
    """(n, m) the points in units of their ranges: 0 is the best of each objective, 1 the worst."""
    low, high = points.min(axis=0), points.max(axis=0)
    return np.asarray((points - low) / np.where(high > low, high - low, 1.0))


def volume_first(points: Array, enough: int) -> NDArray[np.intp]:
    """(n,) the indices of the points, of which each adds the most volume to those before it; from `enough` on the
    lonely ones first.

    The volume is that below a point a tenth of the range behind the worst values, so ends of the front are good for
    something, but come late. Greedy subsets hold at least 1 - 1/e of the volume of the best ones (Guerreiro, Fonseca & Paquete
    2021, section 5.3).
    """
    y = in_ranges(points)
    picked: list[int] = []
    left = np.ones(len(y), dtype=bool)
    while left.any() and len(picked) < enough:
        lower, upper = free_boxes(y[picked], np.full(y.shape[1], BEHIND))
        added = (upper - np.clip(y[:, None, :], lower, upper)).prod(axis=2).sum(axis=1)
        picked.append(int(np.argmax(np.where(left, added, -1.0))))
        left[picked[-1]] = False
    rest = np.flatnonzero(left)
    return np.concatenate([np.array(picked, dtype=np.intp), rest[lonely_first(points[rest])]])


def lonely_first(points: Array) -> NDArray[np.intp]:
    """(n,) the indices of a front's points by `crowding`."""
    return np.argsort(-crowding(points), kind="stable") if len(points) else np.empty(0, dtype=np.intp)


def free_boxes(points: Array, reference: Array) -> tuple[Array, Array]:
    """What the points have not won: lower and upper corners, both (b, m), of disjoint boxes. Lower ones may be -inf."""
    inside = points[(points < reference).all(axis=1)]
    inside = inside[non_dominated(inside)] if len(inside) else inside
    boxes = _free(np.unique(inside, axis=0), reference)
    return boxes[:, 0], boxes[:, 1]


def _volume(y: Array, r: Array) -> float:
    """Of points below r."""
    m = y.shape[1]
    if m == 1:
        return float(r[0] - y.min())
    order = np.argsort(y[:, -1], kind="stable")
    y = y[order]
    thickness = np.diff(np.append(y[:, -1], r[-1]))
    if m == 2:
        return float(thickness @ (r[0] - np.minimum.accumulate(y[:, 0])))
    total = 0.0
    front = y[:0, :-1]
    for i, thick in enumerate(thickness):
        new = y[i, :-1]
        if not (front <= new).all(axis=1).any():
            front = np.vstack([front[~(new <= front).all(axis=1)], new])
            area = _volume(front, r[:-1])
        total += thick * area
    return total


def _free(y: Array, r: Array) -> Array:
    """(b, 2, m) boxes that the points, all below r, leave free."""
    m = y.shape[1]
    if m == 1:
        return np.array([[[-np.inf], [y.min(initial=r[0])]]])
    order = np.argsort(y[:, -1], kind="stable")
    y = y[order]
    edges = np.concatenate([[-np.inf], y[:, -1], [r[-1]]])
    if m == 2:
        right = np.concatenate([[r[0]], np.minimum.accumulate(y[:, 0])])
        boxes = np.empty((len(right), 2, 2))
        boxes[:, 0, 0], boxes[:, 1, 0] = -np.inf, right
        boxes[:, 0, 1], boxes[:, 1, 1] = edges[:-1], edges[1:]
        return boxes[boxes[:, 0, 1] < boxes[:, 1, 1]]
    slabs = []
    for i in range(len(edges) - 1):
        if edges[i] == edges[i + 1]:
            continue
        front = y[:i, :-1]
        flat = _free(front[non_dominated(front)] if i else front, r[:-1])
        ends = np.broadcast_to(np.array(edges[i : i + 2])[None, :, None], (len(flat), 2, 1))
        slabs.append(np.concatenate([flat, ends], axis=2))
    return np.concatenate(slabs)
