"""Population based training, the exploring half: what a clone changes of its parent's parameters.

    number            times 0.8 or 1.2 on its scale: a value on Log, the gap to 1 on ReverseLog; on Linear too, but by no
                      less than a fifth of a tenth of the range, so that a 0 is left again. At least one step on a
                      lattice, at most up to the bounds
    ordered choice    the next one up or down
    unordered choice  changes only by being drawn anew: it has no neighbours
    drawn anew        each with `resample`, from the whole range, by its prior; and what a change makes active

What may not change is copied, derived parameters follow from the others. Where the parameter constraints forbid a change
others are drawn, and in the end the parent's own parameters are kept. Source: Jaderberg et al. 2017, section 4.1.1 (perturb)
and appendix A.1 (resample).
"""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

from rung.api.facts import Assignment, Value
from rung.space.dimensions import Choices, Dimension, Lattice, Real, as_float
from rung.space.space import Space
from rung.space.warps import Linear, Log, ReverseLog, Warp

FACTORS = (0.8, 1.2)
"""The paper's."""

LEAST = 0.1
"""Of the range: a number on a linear scale moves as one of this size at least."""

TRIES = 100
"""Changes that are drawn until one keeps to the constraints."""


def explore(
    space: Space, parent: Assignment, mutate: Collection[str], resample: float, random: np.random.Generator
) -> Assignment:
    """A clone's parameters: feasible. `mutate` names those that may change, an array's name all of its elements; empty: all."""
    changes = mutable(space, mutate)
    named = {dimension.name: dimension for dimension in space.dimensions}
    for _ in range(TRIES):
        anew, fresh, up = random.random((3, space.d))
        kept: dict[str, Value] = {}
        for axis, (name, dimension) in enumerate(named.items()):
            if name not in parent or (name in changes and anew[axis] < resample):
                continue  # filled in from `fresh`
            kept[name] = moved(dimension, parent[name], up=bool(up[axis] < 0.5)) if name in changes else parent[name]
        clone = space.complete(space.render(kept), fresh)
        if space.is_feasible(clone):
            return clone
    return parent


def mutable(space: Space, mutate: Collection[str]) -> frozenset[str]:
    """The parameters that may change."""
    return frozenset(element for name in mutate for element in space.arrays.get(name, (name,))) or frozenset(
        space.names
    )


def moved(dimension: Dimension, value: Value, *, up: bool) -> Value:
    """The value a little further up or down; the same at a bound."""
    match dimension:
        case Choices(ordered=True):
            k = dimension.index[value] + (1 if up else -1)
            return dimension.at(min(max(k, 0), len(dimension.values) - 1))
        case Lattice():
            x, low = as_float(value), as_float(dimension.at(0))
            step = as_float(dimension.at(1)) - low if dimension.count > 1 else 1.0
            k = round((x - low) / step)
            steps = round((_times(x, dimension.warp, up=up, span=step * (dimension.count - 1)) - x) / step)
            k += max(steps, 1) if up else min(steps, -1)
            return dimension.at(min(max(k, 0), dimension.count - 1))
        case Real():
            target = _times(as_float(value), dimension.warp, up=up, span=dimension.high - dimension.low)
            return dimension.decode(dimension.encode(target))
        case _:
            return value


def _times(x: float, warp: Warp | None, *, up: bool, span: float) -> float:
    """X times a factor, on its scale."""
    down, over = FACTORS
    match warp:
        case Log():
            return x * (over if up else down)
        case ReverseLog():
            return 1 - (1 - x) * (down if up else over)
        case Linear() | None:
            size = max(abs(x), LEAST * span)
            return x + size * ((over if up else down) - 1)
        case _:
            raise TypeError(f"no step is known on the scale {type(warp).__name__}")
