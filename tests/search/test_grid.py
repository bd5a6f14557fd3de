"""Grid search: what it takes, in which order, and how it lives with trials that came from elsewhere."""

from __future__ import annotations

from collections.abc import Hashable

import pytest

from rung.api.errors import InvalidStudy
from rung.api.study import Parameter
from rung.search import Request
from rung.search.grid import GridSampler
from rung.space.space import Space
from tests.search.contract import run
from tests.search.problems import LR, MOMENTUM, OPTIMIZER, WIDTH
from tests.space.strategies import parameter

NINE = Space.of([parameter("a", "Int", min=0, max=2), parameter("b", "Int", min=0, max=2)])


def visited(space: Space, most: int = 10_000) -> list[tuple[object, ...]]:
    return [tuple(p.parameters.values()) for p in run(GridSampler(space), space, most)]


def test_trials_go_through_the_grid_in_order() -> None:
    assert visited(NINE) == [(a, b) for a in range(3) for b in range(3)]


@pytest.mark.parametrize("seed", [pytest.param(seed, id=f"seed {seed}") for seed in (0, 5)])
def test_the_seed_makes_no_difference(seed: int) -> None:
    assert GridSampler(NINE).propose(Request(NINE, 4, seed)) == GridSampler(NINE).propose(Request(NINE, 4, 99))


def test_a_budget_below_the_size_takes_the_first_points() -> None:
    assert visited(NINE, 4) == [(0, 0), (0, 1), (0, 2), (1, 0)]


def taken(*points: tuple[int, int]) -> frozenset[Hashable]:
    return frozenset(NINE.key({"a": a, "b": b}) for a, b in points)


@pytest.mark.parametrize(
    ("request_", "want"),
    [
        pytest.param(Request(NINE, 2, 0, taken=taken((0, 0), (0, 1))), (0, 2), id="the next point"),
        pytest.param(Request(NINE, 2, 0, taken=taken((2, 2), (0, 0)), enqueued={0}), (0, 1), id="enqueued ones apart"),
        pytest.param(
            Request(NINE, 2, 0, taken=taken((0, 0), (0, 1), (0, 2)), enqueued={0}), (1, 0), id="taken ones too"
        ),
        pytest.param(
            Request(NINE, 5, 0, taken=taken((0, 0))), (1, 2), id="points of deleted trials are not tried again"
        ),
        pytest.param(Request(NINE, 9, 0, taken=taken((0, 0))), (0, 1), id="until nothing else is left"),
    ],
)
def test_each_number_has_its_point(request_: Request, want: tuple[int, int]) -> None:
    proposal = GridSampler(NINE).propose(request_)
    assert proposal is not None
    assert tuple(proposal.parameters.values()) == want


@pytest.mark.parametrize(
    ("parameters", "constraints", "message"),
    [
        pytest.param([LR, WIDTH], (), "give lr a step, or list values", id="a continuous parameter"),
        pytest.param([LR, WIDTH], (), "32 points by themselves, 320 with ten values", id="how many points it would take"),
        pytest.param([LR, OPTIMIZER, MOMENTUM], (), "give lr, momentum a step", id="all continuous ones are named"),
        pytest.param(
            [parameter(f"x{i}", "Int", min=1, max=100) for i in range(4)], ("x0 < x1",), "got 100,000,000",
            id="a constrained grid that is too large",
        ),
    ],
)  # fmt: skip
def test_what_is_no_grid_is_refused(parameters: list[Parameter], constraints: tuple[str, ...], message: str) -> None:
    with pytest.raises(InvalidStudy) as caught:
        GridSampler(Space.of(parameters, constraints))
    assert caught.value.field == "spec.sampler.type"
    assert message in caught.value.message
