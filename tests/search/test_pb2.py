"""What a population's bandit proposes: laws on spaces of every kind, and what it has learned from a few intervals."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rung.api.facts import Assignment
from rung.search.pb2 import ENOUGH, Bandit, Beginning, Interval
from rung.search.randomness import generator
from rung.space.space import Space
from tests.search.problems import conditional, constrained, fenced, mixed, narrow, one_axis
from tests.space.strategies import parameter, spaces

PAIR = Space.of([parameter(name, "Double", min=0, max=1) for name in ("x", "y")])
CHOICE = Space.of(
    [parameter("kind", "Categorical", values=["a", "b", "c", "d"]), *[parameter("x", "Double", min=0, max=1)]]
)


def watched(
    space: Space,
    change: Callable[[Assignment, int, float], float],
    *,
    turns: int = 4,
    members: int = 6,
    seed: int = 0,
) -> list[Interval]:
    """A population whose members change their parameters in every turn."""
    random = np.random.default_rng(seed)
    found = []
    for turn in range(turns):
        for _ in range(members):
            parameters = space.witness
            for u in random.random((50, space.d)):
                if space.is_feasible(space.decode(u)):
                    parameters = space.decode(u)
                    break
            before = float(random.random())
            found.append(Interval(parameters, turn, before, change(parameters, turn, before)))
    return found


def asked(
    space: Space,
    intervals: Sequence[Interval],
    *,
    turn: int = 4,
    before: float = 0.5,
    mutate: tuple[str, ...] = (),
    k: int = 0,
    parent: Assignment | None = None,
) -> Assignment | None:
    beginning = Beginning(parent or space.witness, turn, before)
    return Bandit(space, mutate).propose(intervals, beginning, generator(7, k, "bandit"))


def proposed(space: Space, intervals: Sequence[Interval], **more: object) -> Assignment:
    found = asked(space, intervals, **more)  # type: ignore[arg-type]
    assert found is not None
    return found


changes = st.one_of(
    st.none(), st.just(math.inf), st.floats(allow_nan=False, allow_infinity=False), st.floats(-1.0, 1.0)
)


@given(space=spaces(), data=st.data())
@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_a_clone_is_feasible_in_bounds_and_changes_what_it_may(space: Space, data: st.DataObject) -> None:
    """Whatever was seen: also changes so large that nothing can be said of them."""
    names = [dimension.name for dimension in space.dimensions]
    mutate = tuple(data.draw(st.lists(st.sampled_from(names), unique=True))) if names else ()
    seen = [
        Interval(one.parameters, one.turn, data.draw(st.floats(allow_nan=False, allow_infinity=False)), change)
        for one, change in zip(
            watched(space, lambda *_: 0.0, turns=2, members=4),
            data.draw(st.lists(changes, min_size=8, max_size=8)),
            strict=True,
        )
    ]
    parent = space.witness
    clone = asked(space, seen, turn=2, mutate=mutate)
    if clone is None:
        return
    assert space.violation(clone) is None
    assert space.complete(space.render(clone), [0.5] * space.d) == clone, "a value that the space does not have"
    if mutate:
        for name in set(names) - set(mutate):
            assert name not in clone or name not in parent or clone[name] == parent[name]
    assert asked(space, seen, turn=2, mutate=mutate) == clone, "the same facts, another proposal"


@pytest.mark.parametrize("best", [0.1, 0.5, 0.8])
def test_what_brought_most_is_done_again(best: float) -> None:
    seen = watched(one_axis, lambda p, _turn, _before: (float(p["x"]) - best) ** 2)
    assert abs(float(proposed(one_axis, seen)["x"]) - best) < 0.1


def test_what_is_best_in_one_turn_is_compared_within_it_however_much_all_have_changed() -> None:
    """Changes fall to a thousandth with every turn, as those of a loss do that nears its least value."""
    seen = watched(one_axis, lambda p, turn, _before: 1e-3**turn * ((float(p["x"]) - 0.7) ** 2 - 1))
    assert abs(float(proposed(one_axis, seen)["x"]) - 0.7) < 0.1


def test_what_was_right_long_ago_counts_for_less() -> None:
    """The best rate falls from 0.9 to 0.1 over eight turns, so all that were seen have an optimum at 0.5 on average."""
    seen = watched(one_axis, lambda p, turn, _before: (float(p["x"]) - (0.9 - 0.1 * turn)) ** 2, turns=9)
    assert float(proposed(one_axis, seen, turn=9)["x"]) < 0.3


def test_what_is_best_may_depend_on_the_value_that_a_clone_begins_with() -> None:
    seen = watched(one_axis, lambda p, _turn, before: (float(p["x"]) - before) ** 2, turns=8, members=8)
    low, high = (float(proposed(one_axis, seen, turn=7, before=before)["x"]) for before in (0.1, 0.9))
    assert low < 0.35
    assert high > 0.65


def test_a_choice_is_learned_like_a_number() -> None:
    offset = {"a": 0.5, "b": 0.0, "c": 0.7, "d": 0.6}
    seen = watched(CHOICE, lambda p, _turn, _before: offset[str(p["kind"])] + (float(p["x"]) - 0.3) ** 2)
    found = proposed(CHOICE, seen)
    assert found["kind"] == "b"
    assert abs(float(found["x"]) - 0.3) < 0.2


def test_where_members_diverged_no_clone_is_sent() -> None:
    """Their intervals have no change that could be compared; without them the best would lie at 1."""
    seen = watched(one_axis, lambda p, _turn, _before: math.inf if float(p["x"]) > 0.6 else -float(p["x"]))
    assert float(proposed(one_axis, seen)["x"]) < 0.75


def test_changes_beyond_all_measure_leave_the_others_comparable() -> None:
    seen = watched(
        one_axis, lambda p, _turn, _before: 1e300 if float(p["x"]) > 0.8 else (float(p["x"]) - 0.3) ** 2, members=10
    )
    assert abs(float(proposed(one_axis, seen)["x"]) - 0.3) < 0.15


def test_clones_that_begin_together_do_not_try_the_same() -> None:
    seen = watched(
        PAIR, lambda p, _turn, _before: float(np.sin(9 * float(p["x"])) * np.cos(7 * float(p["y"]))), turns=2
    )
    together: list[Interval] = []
    for k in range(6):
        clone = proposed(PAIR, [*seen, *together], turn=2, k=k)
        together.append(Interval(clone, 2, 0.5, None))
    alone = [proposed(PAIR, seen, turn=2, k=k) for k in range(6)]

    def nearest(points: list[Assignment]) -> float:
        at = np.array([[float(p["x"]), float(p["y"])] for p in points])
        return float(min(np.linalg.norm(at[i] - at[j]) for i in range(6) for j in range(i)))

    assert nearest([i.parameters for i in together]) > nearest(alone)


@pytest.mark.parametrize(
    ("intervals", "mutate"),
    [
        pytest.param([], (), id="nothing was seen"),
        pytest.param(
            [Interval({"x": 0.1 * k, "y": 0.5}, 1, 0.0, 0.1 * k) for k in range(ENOUGH - 1)], (), id="hardly anything"
        ),
        pytest.param(
            [Interval({"x": 0.1 * k, "y": 0.5}, k, 0.0, 0.1 * k) for k in range(9)], (), id="nobody to compare with"
        ),
        pytest.param([Interval({"x": 0.1 * k, "y": 0.5}, 1, 0.0, None) for k in range(9)], (), id="nothing is over"),
        pytest.param(
            [Interval({"x": 0.1 * k, "y": 0.5}, 1, 0.0, math.inf) for k in range(9)], (), id="all have diverged"
        ),
    ],
)
def test_where_too_little_is_known_nothing_is_proposed(intervals: list[Interval], mutate: tuple[str, ...]) -> None:
    assert asked(PAIR, intervals, mutate=mutate) is None


def test_where_nothing_can_change_nothing_is_proposed() -> None:
    space = Space.of([parameter("x", "Double", min=0, max=1), parameter("k", "Int", value=3)])
    assert asked(space, watched(space, lambda p, _turn, _before: float(p["x"])), mutate=("k",)) is None


@pytest.mark.parametrize("space", [constrained, narrow, fenced], ids=["two conditions", "one in 500", "8 of 81"])
def test_constraints_are_kept(space: Space) -> None:
    seen = watched(space, lambda p, _turn, _before: float(np.sum([float(v) for v in p.values()])))
    for k in range(5):
        clone = asked(space, seen, k=k)
        assert clone is None or space.violation(clone) is None


def test_what_a_change_makes_active_gets_a_value_and_what_it_makes_inactive_is_left_out() -> None:
    def change(p: Assignment, turn: int, before: float) -> float:
        return 0.0 if p["optimizer"] == "sgd" else 1.0

    parent = conditional.complete({"lr": "0.01", "optimizer": "adam"}, [0.5] * 3)
    to_sgd = proposed(conditional, watched(conditional, change), mutate=("optimizer",), parent=parent)
    assert (to_sgd["optimizer"], to_sgd["lr"]) == ("sgd", 0.01)
    assert 0.5 <= float(to_sgd["momentum"]) <= 0.99
    parent = conditional.complete({"lr": "0.01", "optimizer": "sgd"}, [0.5] * 3)
    away = watched(conditional, lambda p, turn, before: 1 - change(p, turn, before))
    to_other = proposed(conditional, away, mutate=("optimizer",), parent=parent)
    assert to_other["optimizer"] != "sgd"
    assert "momentum" not in to_other


def test_what_may_not_change_stays_however_good_another_value_was() -> None:
    seen = watched(mixed, lambda p, _turn, _before: -float(p["width"]))
    parent = mixed.complete({"width": "32", "optimizer": "adam"}, [0.5] * mixed.d)
    for k in range(5):
        clone = proposed(mixed, seen, mutate=("lr", "batch"), parent=parent, k=k)
        assert (clone["width"], clone["optimizer"]) == (32, "adam")
