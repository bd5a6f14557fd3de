"""What samplers that replay share: order of trials, states from the facts alone, cells of discrete axes."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rung.api.facts import TrialState
from rung.search.cells import edges
from rung.search.protocol import Told
from rung.search.replay import Replay
from rung.search.standing import concluded
from rung.space.build import build
from rung.space.space import Space
from tests.space.strategies import parameter


def done(number: int, *objectives: float, source: str = "") -> Told:
    return Told(number, {}, TrialState.SUCCEEDED, objectives, source=source)


def test_only_what_teaches_counts_and_other_studies_come_first() -> None:
    running, silent = Told(1, {}, TrialState.RUNNING), Told(2, {}, TrialState.STOPPED)
    old, new, failed = done(7, 1.0, source="old"), done(0, 1.0), Told(3, {}, TrialState.FAILED)
    assert concluded([failed, running, new, silent, old]) == [old, new, failed]


def replay() -> Replay[tuple[int, ...]]:
    """Remembers the numbers in a way that tells every order and every grouping apart."""

    def step(state: tuple[int, ...], trials: Sequence[Told]) -> tuple[int, ...]:
        return (*state, hash((state, *(t.number for t in trials))))

    return Replay(lambda seed: (seed,), lambda state: 1 + len(state) % 3, step)


@given(
    histories=st.lists(st.tuples(st.integers(0, 1), st.sets(st.integers(0, 60))), min_size=1, max_size=6),
)
def test_a_replay_is_what_it_would_be_from_the_beginning(histories: list[tuple[int, set[int]]]) -> None:
    used = replay()
    for seed, numbers in histories:
        trials = [done(number, 1.0) for number in sorted(numbers)]
        assert used.state(seed, trials) == replay().state(seed, trials)


def test_a_replay_goes_on_from_what_it_knows() -> None:
    steps = 0

    def step(state: int, trials: Sequence[Told]) -> int:
        nonlocal steps
        steps += 1
        return state + len(trials)

    counting = Replay(lambda _: 0, lambda _: 10, step)
    trials = [done(number, 1.0) for number in range(1_000)]
    counting.state(0, trials)
    assert steps == 100
    counting.state(0, [*trials, *(done(number, 1.0) for number in range(1_000, 1_010))])
    assert steps == 101
    counting.state(0, [t for t in trials if t.number != 700])  # 30 steps behind 70: from the 64th on
    assert steps == 101 + 99 - 64


@pytest.mark.parametrize(
    "spec",
    [
        pytest.param(parameter("x", "Int", min=0, max=9), id="integers"),
        pytest.param(parameter("x", "Int", min=1, max=512, scale="Log"), id="on a log scale"),
        pytest.param(parameter("x", "Ordinal", values=[16, 32, 64]), id="an ordinal"),
        pytest.param(parameter("x", "Categorical", values=["a", "b"]), id="choices"),
        pytest.param(
            parameter("x", "Int", min=1, max=40, scale="Log", prior={"mean": "4", "deviation": "1"}), id="with a prior"
        ),
    ],
)
def test_each_cell_holds_its_value(spec: object) -> None:
    space = Space.of([spec])  # type: ignore[list-item]
    (dimension,) = space.dimensions
    cells = edges(dimension, 1_000)
    assert cells is not None
    assert (cells[0], cells[-1]) == (0.0, 1.0)
    for k, (low, high) in enumerate(pairwise(cells)):
        inside = low + (high - low) * np.array([1e-6, 0.5, 1 - 1e-6])
        assert {dimension.decode(u) for u in inside.tolist()} == {dimension.at(k)}


def test_a_dimension_of_many_values_has_no_cells() -> None:
    assert edges(build(parameter("x", "Double", min=0, max=1), "x"), 1_000) is None
    assert edges(build(parameter("x", "Int", min=0, max=1_000), "x"), 1_000) is None
