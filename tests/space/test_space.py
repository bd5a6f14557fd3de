"""The whole space: cube to assignment and back, conditions, derived parameters, constraints, texts."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rung.api.errors import InvalidStudy
from rung.api.study import Parameter
from rung.space.space import Space
from tests.space.strategies import parameter, points, spaces

LR = parameter("lr", "Double", min="1e-5", max="1e-1", scale="Log")
WIDTH = parameter("width", "Int", min=16, max=512, step=16)
BATCH = parameter("batch", "Ordinal", values=[16, 32, 64, 128])
OPTIMIZER = parameter("optimizer", "Categorical", values=["sgd", "adam"])
MOMENTUM = parameter("momentum", "Double", min="0.5", max="0.99", when=[{"parameter": "optimizer", "in": ["sgd"]}])
NESTEROV = parameter("nesterov", "Categorical", values=["no", "yes"], when=[{"parameter": "momentum", "min": "0.8"}])
PHI = parameter("phi", "Int", value=2)


def space(*parameters: Parameter, constraints: tuple[str, ...] = ()) -> Space:
    return Space.of(parameters, constraints)


def derived(name: str, expression: str, **fields: Any) -> Parameter:
    return parameter(name, "Derived", expression=expression, **fields)


class TestLaws:
    @given(spaces(), st.data())
    def test_an_assignment_survives_the_way_through_the_cube(self, drawn: Space, data: st.DataObject) -> None:
        assignment = drawn.decode(data.draw(points(drawn.d)))
        u = drawn.encode(assignment)
        assert u.shape == (drawn.d,)
        assert np.all((u >= 0) & (u <= 1))
        assert drawn.decode(u) == assignment

    @given(spaces(), st.data())
    def test_an_assignment_survives_being_written_down(self, drawn: Space, data: st.DataObject) -> None:
        assignment = drawn.decode(data.draw(points(drawn.d)))
        again = drawn.parse(drawn.render(assignment))
        assert again == assignment
        assert [type(v) for v in again.values()] == [type(v) for v in assignment.values()]

    @given(spaces(), st.data())
    def test_exactly_the_active_parameters_have_values_in_the_order_of_the_spec(
        self, drawn: Space, data: st.DataObject
    ) -> None:
        assignment = drawn.decode(data.draw(points(drawn.d)))
        assert list(assignment) == [name for name in drawn.names if name in assignment]
        for variable in drawn.variables:
            if variable.expression is None:
                assert (variable.name in assignment) is variable.is_active(assignment)

    @given(spaces(), st.data())
    def test_inactive_coordinates_make_no_difference(self, drawn: Space, data: st.DataObject) -> None:
        u = data.draw(points(drawn.d))
        assignment = drawn.decode(u)
        moved = u.copy()
        for axis, dimension in enumerate(drawn.dimensions):
            if dimension.name not in assignment:
                moved[axis] = data.draw(st.floats(0, 1))
        assert drawn.decode(moved) == assignment
        assert drawn.key(drawn.decode(moved)) == drawn.key(assignment)

    @given(spaces(), st.data())
    def test_a_whole_assignment_is_completed_to_itself(self, drawn: Space, data: st.DataObject) -> None:
        assignment = drawn.decode(data.draw(points(drawn.d)))
        elsewhere = data.draw(points(drawn.d))
        assert drawn.complete(drawn.render(assignment), elsewhere) == assignment
        assert drawn.known(drawn.render(assignment)) == assignment


def test_a_point_of_the_cube_is_an_assignment() -> None:
    there = space(LR, WIDTH, BATCH, OPTIMIZER, MOMENTUM, derived("rows", "batch * width"), PHI)
    assert there.d == 5
    assert there.decode(np.array([0.5, 0.5, 0.3, 0.1, 0.5])) == {
        "lr": 0.001, "width": 272, "batch": 32, "optimizer": "sgd", "momentum": 0.745, "rows": 8704, "phi": 2,
    }  # fmt: skip
    assert "momentum" not in there.decode(np.array([0.5, 0.5, 0.3, 0.9, 0.5]))


@pytest.mark.parametrize(
    "parameters",
    [
        pytest.param([PHI], id="a fixed value"),
        pytest.param([parameter("x", "Double", min=1, max=1)], id="equal bounds"),
        pytest.param([parameter("x", "Ordinal", values=["3"])], id="one listed value"),
        pytest.param([parameter("x", "Int", min=1, max=8, step=10)], id="a step beyond the range"),
        pytest.param([PHI, derived("y", "phi + 1")], id="with a derived one"),
    ],
)
def test_a_space_of_one_point_is_legal(parameters: list[Parameter]) -> None:
    there = space(*parameters)
    assert there.d == 0
    assert there.grid_size() == 1
    assert there.decode(np.array([])) == there.witness
    assert there.encode(there.witness).shape == (0,)


class TestConditions:
    @pytest.mark.parametrize(
        ("u", "want"),
        [
            pytest.param([0.1, 0.9, 0.9], {"optimizer": "sgd", "momentum": 0.941, "nesterov": "yes"}, id="all active"),
            pytest.param([0.1, 0.1, 0.9], {"optimizer": "sgd", "momentum": 0.549}, id="the parent's value is too low"),
            pytest.param([0.9, 0.9, 0.9], {"optimizer": "adam"}, id="a child of an inactive one is inactive"),
        ],
    )
    def test_they_are_transitive(self, u: list[float], want: dict[str, Any]) -> None:
        assert space(OPTIMIZER, MOMENTUM, NESTEROV).decode(u) == want

    def test_children_may_stand_before_their_parents(self) -> None:
        there = space(NESTEROV, MOMENTUM, OPTIMIZER)
        assert there.decode([0.9, 0.9, 0.1]) == {"nesterov": "yes", "momentum": 0.941, "optimizer": "sgd"}
        assert list(there.decode([0.9, 0.9, 0.1])) == ["nesterov", "momentum", "optimizer"]

    @pytest.mark.parametrize(
        ("parent", "when", "active"),
        [
            pytest.param(parameter("p", "Int", value=16), {"in": ["16"]}, True, id="a fixed parent"),
            pytest.param(parameter("p", "Int", value=16), {"in": ["16.0", "32"]}, True, id="numbers by value"),
            pytest.param(parameter("p", "Ordinal", values=["1e3"]), {"in": [1000]}, True, id="listed numbers by value"),
            pytest.param(parameter("p", "Categorical", values=["16"]), {"in": ["16"]}, True, id="texts as they stand"),
            pytest.param(
                parameter("p", "Double", value="0.5"), {"min": "0.5", "max": "0.5"}, True, id="bounds included"
            ),
            pytest.param(parameter("p", "Double", value="0.5"), {"min": "0.6"}, False, id="below the minimum"),
            pytest.param(
                parameter("p", "Double", value="0.5"), {"in": ["0.5"], "max": "0.4"}, False, id="all must hold"
            ),
            pytest.param(parameter("p", "Double", value="0.5"), {}, True, id="a parent that is active"),
            pytest.param(derived("p", "2 * 8"), {"in": ["16"]}, True, id="a derived parent"),
            pytest.param(derived("p", "2 / 8"), {"max": "0.25"}, True, id="a derived parent below a bound"),
            pytest.param(derived("p", "'16'"), {"min": 1}, False, id="a derived text is beyond any bound"),
        ],
    )
    def test_an_entry_looks_at_the_parents_value(
        self, parent: Parameter, when: dict[str, Any], *, active: bool
    ) -> None:
        there = space(parent, parameter("x", "Int", value=1, when=[{"parameter": "p", **when}]))
        assert ("x" in there.decode([])) is active

    def test_all_entries_must_hold(self) -> None:
        both = [{"parameter": "optimizer", "in": ["sgd"]}, {"parameter": "batch", "min": 64}]
        there = space(OPTIMIZER, BATCH, parameter("x", "Int", min=1, max=9, when=both))
        active = {(o, b) for o in (0.1, 0.9) for b in (0.1, 0.4, 0.6, 0.9) if "x" in there.decode([o, b, 0.5])}
        assert active == {(0.1, 0.6), (0.1, 0.9)}

    @pytest.mark.parametrize(
        ("parameters", "field", "message"),
        [
            pytest.param(
                [OPTIMIZER, parameter("x", "Int", value=1, when=[{"parameter": "optimiser", "in": ["sgd"]}])],
                "spec.parameters[1].when[0].parameter", "did you mean 'optimizer'?", id="an unknown parent",
            ),
            pytest.param(
                [OPTIMIZER, parameter("x", "Int", value=1, when=[{"parameter": "optimizer", "in": ["sdg"]}])],
                "spec.parameters[1].when[0].in[0]", "did you mean 'sgd'?", id="a value that the parent never has",
            ),
            pytest.param(
                [OPTIMIZER, parameter("x", "Int", value=1, when=[{"parameter": "optimizer", "min": 3}])],
                "spec.parameters[1].when[0].min", "use in", id="a bound on texts",
            ),
            pytest.param(
                [BATCH, parameter("x", "Int", value=1, when=[{"parameter": "batch", "min": 3, "max": 2}])],
                "spec.parameters[1].when[0].min", "must not be above max", id="bounds that cross",
            ),
            pytest.param(
                [
                    parameter("a", "Int", min=0, max=1, when=[{"parameter": "c", "in": [1]}]),
                    derived("b", "a + 1"),
                    parameter("c", "Int", min=0, max=1, when=[{"parameter": "b", "min": 1}]),
                ],
                "spec.parameters[0]", "a -> c -> b -> a", id="a circle through conditions and expressions",
            ),
            pytest.param([derived("a", "a + 1")], "spec.parameters[0]", "a -> a", id="a parameter of itself"),
            pytest.param([PHI, PHI], "spec.parameters[1].name", "parameters[0]", id="a name twice"),
        ],
    )  # fmt: skip
    def test_what_cannot_hold_is_refused(self, parameters: list[Parameter], field: str, message: str) -> None:
        with pytest.raises(InvalidStudy) as caught:
            space(*parameters)
        assert caught.value.field == field
        assert message in caught.value.message

    def test_a_chain_of_hundreds_is_no_problem(self) -> None:
        chain = [derived(f"x{i}", f"x{i + 1} + 1") for i in range(800)]
        assert space(*chain, parameter("x800", "Int", value=0)).decode([])["x0"] == 800


class TestDerived:
    def test_it_follows_the_active_ones(self) -> None:
        low = parameter("low", "Double", min="0.001", max="0.01", when=[{"parameter": "optimizer", "in": ["adam"]}])
        high = parameter("high", "Double", min="0.1", max="1", when=[{"parameter": "optimizer", "in": ["sgd"]}])
        there = space(OPTIMIZER, low, high, derived("lr", "coalesce(low, high)"), derived("half", "low / 2"))
        assert there.decode([0.1, 0.5, 0.5]) == {"optimizer": "sgd", "high": 0.55, "lr": 0.55}
        assert there.decode([0.9, 0.5, 0.5]) == {"optimizer": "adam", "low": 0.0055, "lr": 0.0055, "half": 0.00275}

    def test_it_has_the_type_of_its_expression(self) -> None:
        there = space(PHI, derived("depth", "ceil(1.2 ** phi)"), derived("rate", "1 / phi"), derived("name", "'x'"))
        assert there.render(there.decode([])) == {"phi": "2", "depth": "2", "rate": "0.5", "name": "x"}

    def test_a_text_that_looks_like_a_number_stays_a_text(self) -> None:
        kernel = parameter("kernel", "Categorical", values=["3", "5"])
        there = space(kernel, derived("copy", "coalesce(kernel, 'none')"))
        assert there.parse({"kernel": "3", "copy": "3"}) == {"kernel": "3", "copy": "3"}

    def test_where_it_has_no_value_nothing_is_feasible(self) -> None:
        there = space(parameter("x", "Int", min=-3, max=3), derived("root", "sqrt(x)"))
        assert [there.is_feasible(there.decode([(k + 0.5) / 7])) for k in range(7)] == [False] * 3 + [True] * 4

    @pytest.mark.parametrize(
        ("expression", "message"),
        [
            pytest.param("phj + 1", "did you mean 'phi'?", id="an unknown name"),
            pytest.param("phi > 1", "write 1 if … else 0", id="a condition"),
            pytest.param("1 / (phi - 2)", "division by zero", id="one that never has a value"),
        ],
    )
    def test_what_cannot_be_derived_is_refused(self, expression: str, message: str) -> None:
        with pytest.raises(InvalidStudy, match=r"^spec\.parameters") as caught:
            space(PHI, derived("y", expression))
        assert message in caught.value.message


class TestConstraints:
    def test_they_forbid(self) -> None:
        there = space(BATCH, WIDTH, constraints=("batch * width <= 8192",))
        assert there.is_feasible({"batch": 16, "width": 512})
        assert not there.is_feasible({"batch": 32, "width": 272})
        assert there.violation({"batch": 128, "width": 512}) == (
            "violates parameterConstraints[0]: batch * width <= 8192"
        )

    def test_one_on_an_inactive_parameter_holds(self) -> None:
        there = space(OPTIMIZER, MOMENTUM, constraints=("momentum < 0.6",))
        assert there.is_feasible({"optimizer": "adam"})
        assert not there.is_feasible({"optimizer": "sgd", "momentum": 0.9})

    def test_one_may_use_a_derived_parameter(self) -> None:
        alpha = parameter("alpha", "Double", min=1, max="1.4", step="0.05")
        there = space(alpha, derived("gamma", "sqrt(2 / alpha)"), constraints=("gamma >= 1.3",))
        feasible = [there.grid_point(k) for k in range(9)]
        assert [None if p is None else p["alpha"] for p in feasible] == [1.0, 1.05, 1.1, 1.15] + [None] * 5

    @pytest.mark.parametrize(
        ("constraints", "field", "message"),
        [
            pytest.param(
                ("batch > 1", "wdith > 1"), "spec.parameterConstraints[1]", "did you mean 'width'?", id="a name"
            ),
            pytest.param(("batch * width",), "spec.parameterConstraints[0]", "is no condition", id="a value"),
            pytest.param(("batch > 500",), "spec.parameterConstraints", "all 128 assignments were tried", id="nothing"),
            pytest.param(
                ("batch > 'a'",), "spec.parameterConstraints", "'>' needs a number", id="types that do not fit"
            ),
        ],
    )
    def test_what_leaves_nothing_is_refused(self, constraints: tuple[str, ...], field: str, message: str) -> None:
        with pytest.raises(InvalidStudy) as caught:
            space(BATCH, WIDTH, constraints=constraints)
        assert caught.value.field == field
        assert message in caught.value.message

    def test_a_continuous_space_is_probed(self) -> None:
        with pytest.raises(InvalidStudy, match="2000 assignments from all over the space"):
            space(LR, constraints=("lr > 1",))
        assert space(LR, constraints=("lr > 0.09",)).witness["lr"] > 0.09  # type: ignore[operator]


class TestPointsOfTheUser:
    there = space(LR, BATCH, OPTIMIZER, MOMENTUM, PHI, derived("rows", "2 * batch"))
    u = (0.5, 0.0, 0.9, 0.5)

    @pytest.mark.parametrize(
        ("partial", "want"),
        [
            pytest.param({}, {"lr": 0.001, "batch": 16, "optimizer": "adam", "phi": 2, "rows": 32}, id="nothing said"),
            pytest.param(
                {"batch": "64"}, {"lr": 0.001, "batch": 64, "optimizer": "adam", "phi": 2, "rows": 128},
                id="the rest comes from u",
            ),
            pytest.param(
                {"lr": "0.0123456", "optimizer": "sgd"},
                {"lr": 0.0123456, "batch": 16, "optimizer": "sgd", "momentum": 0.745, "phi": 2, "rows": 32},
                id="what is said is not rounded, and its children wake up",
            ),
            pytest.param(
                {"optimizer": "adam", "momentum": "0.9", "rows": "5", "phi": "2"},
                {"lr": 0.001, "batch": 16, "optimizer": "adam", "phi": 2, "rows": 32},
                id="inactive and derived ones may be named, and are ignored",
            ),
        ],
    )  # fmt: skip
    def test_a_partial_point_is_completed(self, partial: dict[str, str], want: dict[str, Any]) -> None:
        assert self.there.complete(partial, self.u) == want

    @pytest.mark.parametrize(
        ("partial", "field", "message"),
        [
            pytest.param({"lr": "1"}, "parameters.lr", "between 1e-05 and 0.1", id="out of range"),
            pytest.param({"batch": "48"}, "parameters.batch", "none of its values", id="not listed"),
            pytest.param({"phi": "3"}, "parameters.phi", "fixed to '2'", id="another than the fixed value"),
            pytest.param({"lr": "fast"}, "parameters.lr", "must be a finite number", id="another type"),
            pytest.param({"btach": "16"}, "parameters.btach", "did you mean 'batch'?", id="misspelt"),
        ],
    )
    def test_what_does_not_belong_here_is_refused(self, partial: dict[str, str], field: str, message: str) -> None:
        with pytest.raises(InvalidStudy) as caught:
            self.there.complete(partial, self.u)
        assert caught.value.field == field
        assert message in caught.value.message

    def test_a_known_point_keeps_to_what_it_says_and_to_no_range(self) -> None:
        known = self.there.known({"batch": "48", "lr": "7"})
        assert known == {"lr": 7.0, "batch": 48, "rows": 96}
        assert list(known) == ["lr", "batch", "rows"]
        assert self.there.encode(known).tolist() == [1.0, 0.375, 0.5, 0.5]


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        pytest.param({"batch": 16, "rows": 32}, {"batch": 16}, True, id="derived values do not count"),
        pytest.param({"batch": 16}, {"batch": 16.0}, True, id="numbers by value"),
        pytest.param({"batch": 16}, {"batch": 32}, False, id="another value"),
        pytest.param({"batch": 16, "lr": 0.1}, {"batch": 16}, False, id="another parameter that is active"),
    ],
)
def test_keys_tell_assignments_apart(one: dict[str, Any], other: dict[str, Any], *, same: bool) -> None:
    there = space(LR, BATCH, derived("rows", "2 * batch"))
    assert (there.key(one) == there.key(other)) is same
