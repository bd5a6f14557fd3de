"""The Parzen estimator: it is a density on every kind of space, and its samples follow it."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from rung.search.axes import Axis, Bools, axes_of
from rung.search.observed import Encoder
from rung.search.parzen import Parzen
from rung.search.protocol import Told
from rung.space.space import Array, Space
from tests.search.contract import told
from tests.search.problems import BATCH, LR, MOMENTUM, OPTIMIZER, WIDTH, branching, conditional
from tests.space.strategies import parameter

LAYERS = parameter("layers", "Int", min=1, max=200, scale="Log")


def estimate(space: Space, n: int) -> Parzen:
    """Of the first n points that `told` makes up."""
    seen = Encoder(space).observed(told(space, n))
    return Parzen.of(axes_of(space), seen.u, seen.active, np.linspace(0.2, 1.0, n))


def cells(axis: Axis, steps: int = 400) -> tuple[Array, Array]:
    """The middles of small pieces of an axis, or of its cells where it has some, and their lengths."""
    edges = np.linspace(0, 1, steps + 1) if axis.edges is None else axis.edges
    return (edges[1:] + edges[:-1]) / 2, np.diff(edges)


def everywhere(space: Space, axes: tuple[Axis, ...]) -> tuple[Array, Bools, Array]:
    """Points all over the space, each with its active axes and the volume it stands for."""
    pieces = [cells(axis) for axis in axes]
    x = np.array(list(itertools.product(*(middles for middles, _ in pieces))))
    volume = np.prod(list(itertools.product(*(lengths for _, lengths in pieces))), axis=1)
    names = [dimension.name for dimension in space.dimensions]
    shown = np.array([[name in assignment for name in names] for assignment in map(space.decode, x)])
    return x, shown, volume


@pytest.mark.parametrize("n", [0, 1, 2, 30])
@pytest.mark.parametrize(
    "space",
    [
        pytest.param(Space.of([LR]), id="continuous"),
        pytest.param(Space.of([WIDTH]), id="steps"),
        pytest.param(Space.of([LAYERS]), id="integers on a log scale"),
        pytest.param(Space.of([BATCH]), id="ordered choices"),
        pytest.param(Space.of([OPTIMIZER]), id="unordered choices"),
        pytest.param(Space.of([LR, BATCH, OPTIMIZER]), id="three axes"),
        pytest.param(Space.of([OPTIMIZER, MOMENTUM]), id="a parameter of one branch"),
        pytest.param(branching, id="branches of branches"),
    ],
)
def test_the_density_integrates_to_one(space: Space, n: int) -> None:
    density = estimate(space, n)
    x, shown, volume = everywhere(space, density.axes)
    assert volume.sum() == pytest.approx(1)
    assert np.exp(density.log_density(x, shown)) @ volume == pytest.approx(1, abs=1e-4)


def test_samples_follow_the_density() -> None:
    space = Space.of([LAYERS, LR, OPTIMIZER, MOMENTUM])
    density = estimate(space, 9)
    m = 20_000
    drawn = density.sample(np.random.default_rng(0), m)
    x, shown, volume = everywhere(Space.of([LAYERS, OPTIMIZER]), (density.axes[0], density.axes[2]))
    marginal = Parzen(
        (density.axes[0], density.axes[2]),
        density.centres[:, [0, 2]], density.active[:, [0, 2]], density.weights, density.widths[:, [0, 2]],
    )  # fmt: skip
    share = np.exp(marginal.log_density(x, shown)) * volume
    found = density.axes[0].cell(drawn[:, 0]) * 3 + density.axes[2].cell(drawn[:, 2])
    frequency = np.bincount(found, minlength=len(share)) / m
    assert (np.abs(frequency - share) < 5 * np.sqrt(share / m) + 5 / m).all()


def test_the_prior_alone_is_flat() -> None:
    x = np.random.default_rng(0).random((20, conditional.d))
    density = estimate(conditional, 0)
    assert density.log_density(x, np.ones_like(x, dtype=bool)) == pytest.approx(np.zeros(20))


def test_it_is_larger_near_what_was_seen() -> None:
    space = Space.of([LR, WIDTH, OPTIMIZER])
    seen = Encoder(space).observed(told(space, 1))
    density = Parzen.of(axes_of(space), seen.u, seen.active, np.ones(1))
    near, shown = seen.u, np.ones((1, 3), dtype=bool)
    for axis in range(3):
        far = near.copy()
        far[0, axis] = (near[0, axis] + 0.5) % 1.0
        assert density.log_density(far, shown) < density.log_density(near, shown)


def test_where_a_trial_has_no_value_it_says_nothing() -> None:
    space = Space.of([OPTIMIZER, MOMENTUM])
    adam = Encoder(space).observed([Told(0, {"optimizer": "adam"}, told(space, 1)[0].state, (1.0,))])
    density = Parzen.of(axes_of(space), adam.u, adam.active, np.ones(1))
    sgd = np.array([[1 / 6, place] for place in (0.0, 0.3, 0.9)])
    values = density.log_density(sgd, np.ones_like(sgd, dtype=bool))
    assert values == pytest.approx(np.full(3, values[0]))


def test_far_tails_stay_finite() -> None:
    """With a hundred points in one spot kernels are narrow, and the other end of the axis is a hundred widths away."""
    axes = axes_of(Space.of([LR, LAYERS]))
    density = Parzen.of(axes, np.full((100, 2), 0.003), np.ones((100, 2), dtype=bool), np.ones(100))
    logs = density.log_density(np.array([[1.0, 1.0], [0.0, 0.0]]), np.ones((2, 2), dtype=bool))
    assert np.isfinite(logs).all()
    assert logs[1] > logs[0] > -10
