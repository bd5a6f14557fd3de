"""Array parameters: elements are parameters like any other, the array's own name stands for those that are active."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rung.api.errors import InvalidStudy
from rung.api.study import Parameter, parse_study
from rung.kube.placeholders import check_template
from rung.kube.told import parameters_json, substitution_of
from rung.space.arrays import MAX_EXPANDED, expanded
from rung.space.space import Space
from tests.api.builders import parameters as a_study
from tests.kube.builders import a_trial
from tests.space.strategies import parameter, points

DEPTH = parameter("depth", "Int", min=2, max=5)
OP = parameter("op", "Categorical", values=["conv", "pool", "skip"], count="depth")
WIDTH = parameter("width", "Int", min=8, max=64, scale="Log", count=3)
SPACE = Space.of([DEPTH, OP, WIDTH])


def names(*given_: Parameter) -> list[str]:
    return [element.name for element in expanded(given_).parameters]


@pytest.mark.parametrize(
    ("given_", "want"),
    [
        pytest.param([WIDTH], ["width_0", "width_1", "width_2"], id="a whole number"),
        pytest.param([DEPTH, OP], ["depth", "op_0", "op_1", "op_2", "op_3", "op_4"], id="an Int's highest value"),
        pytest.param([OP, parameter("depth", "Int", value=2)], ["op_0", "op_1", "depth"], id="an Int's fixed value"),
        pytest.param(
            [parameter("depth", "Int", min=1, max=5, step=3), OP],
            ["depth", "op_0", "op_1", "op_2", "op_3"],
            id="the last step",
        ),
    ],
)
def test_an_array_has_as_many_elements_as_may_ever_be_active(given_: list[Parameter], want: list[str]) -> None:
    assert names(*given_) == want


@given(st.data())
def test_an_element_is_active_while_its_index_is_below_the_count(data: st.DataObject) -> None:
    assignment = SPACE.decode(data.draw(points(SPACE.d)))
    active = [name for name in assignment if name.startswith("op_")]
    assert active == [f"op_{i}" for i in range(int(assignment["depth"]))]
    assert [name for name in assignment if name.startswith("width_")] == ["width_0", "width_1", "width_2"]
    assert SPACE.decode(SPACE.encode(assignment)) == assignment
    assert SPACE.parse(SPACE.render(assignment)) == assignment


def test_elements_are_searched_one_by_one() -> None:
    assert SPACE.d == 1 + 5 + 3
    assert SPACE.arrays["op"] == ("op_0", "op_1", "op_2", "op_3", "op_4")


def test_elements_keep_the_conditions_of_their_array_and_of_its_count() -> None:
    kind = parameter("kind", "Categorical", values=["mlp", "cnn"])
    deep = parameter("depth", "Int", min=1, max=2, when=[{"parameter": "kind", "in": ["cnn"]}])
    units = parameter("units", "Int", min=1, max=9, count=2, when=[{"parameter": "kind", "in": ["mlp"]}])
    space = Space.of([kind, deep, OP, units])
    assert set(space.decode(np.full(space.d, 0.01))) == {"kind", "units_0", "units_1"}
    assert set(space.decode(np.full(space.d, 0.99))) == {"kind", "depth", "op_0", "op_1"}


def test_conditions_expressions_and_constraints_name_elements() -> None:
    last = parameter("last", "Derived", expression="coalesce(op_4, op_3, op_2, op_1)")
    rate = parameter("rate", "Double", min=0, max=1, when=[{"parameter": "op_1", "in": ["pool"]}])
    space = Space.of([DEPTH, OP, last, rate], ['op_0 != "skip"'])
    found = [space.decode(u) for u in np.random.default_rng(1).random((300, space.d))]
    assert any(space.is_feasible(a) for a in found)
    for assignment in found:
        assert assignment["last"] == assignment[f"op_{int(assignment['depth']) - 1}"]
        assert ("rate" in assignment) is (assignment["op_1"] == "pool")
        assert space.is_feasible(assignment) is (assignment["op_0"] != "skip")


def test_as_many_parameters_as_a_record_holds() -> None:
    most = Space.of([parameter("x", "Double", min=0, max=1, count=MAX_EXPANDED - 1), DEPTH])
    assert len(most.names) == MAX_EXPANDED


def test_a_point_names_elements_and_leaves_the_others_open() -> None:
    partial = {"depth": "3", "op_1": "skip"}
    completed = SPACE.complete(partial, np.full(SPACE.d, 0.01))
    assert completed["op_1"] == "skip"
    assert {name for name in completed if name.startswith("op_")} == {"op_0", "op_1", "op_2"}


def test_people_read_an_array_as_one_text() -> None:
    assignment = SPACE.parse(
        {"depth": "2", "op_0": "conv", "op_1": "skip", "width_0": "8", "width_1": "9", "width_2": "64"}
    )
    assert SPACE.shown(assignment) == {"depth": "2", "op": "conv,skip", "width": "8,9,64"}


def texts(**given_: str) -> dict[str, str]:
    return {"depth": "2", "op_0": "conv", "op_1": "skip", "width_0": "8", "width_1": "9", "width_2": "64", **given_}


def test_programs_are_told_the_elements_and_the_list() -> None:
    assert json.loads(parameters_json([DEPTH, OP, WIDTH], texts())) == {
        "depth": 2,
        "op_0": "conv",
        "op_1": "skip",
        "width_0": 8,
        "width_1": 9,
        "width_2": 64,
        "op": ["conv", "skip"],
        "width": [8, 9, 64],
    }


def test_placeholders_name_the_array_and_its_elements() -> None:
    study = parse_study(a_study(*({k: v for k, v in p.items() if v} for p in map(_written, (DEPTH, OP, WIDTH)))))
    values = substitution_of(study, a_trial(parameters=texts()), target=None).values
    assert values["params.op"] == "conv,skip"
    assert values["params.width"] == "8,9,64"
    assert values["params.width_1"] == "9"
    assert values["params.op_2"] is None


def _written(given_: Parameter) -> dict[str, Any]:
    document: dict[str, Any] = given_.model_dump(mode="json", by_alias=True, exclude_unset=True)
    return document


@pytest.mark.parametrize(
    ("depth", "fits"),
    [
        pytest.param({"min": 1, "max": 3}, True, id="always one element"),
        pytest.param({"min": 0, "max": 3}, False, id="sometimes none"),
        pytest.param({"min": 1, "max": 3, "when": [{"parameter": "width_0", "min": 9}]}, False, id="a count with when"),
    ],
)
def test_an_array_needs_a_fallback_only_where_it_may_be_empty(depth: dict[str, Any], fits: bool) -> None:
    given_ = [parameter("depth", "Int", **depth), OP, WIDTH]
    template = {"env": [{"name": "OPS", "value": "$(params.op)"}]}
    if fits:
        check_template(template, given_)
        return
    with pytest.raises(InvalidStudy, match="give a fallback"):
        check_template(template, given_)
    check_template({"env": [{"name": "OPS", "value": "$(params.op:-none)"}]}, given_)
