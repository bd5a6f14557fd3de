"""One parameter: where its values lie on the unit interval, how finely they are written, how they are read."""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rung.api.errors import InvalidStudy
from rung.api.study import Parameter, Scale
from rung.space.build import build
from rung.space.dimensions import Dimension, Unfit
from tests.space.strategies import choices, doubles, ints, parameter, searched, unit

PATH = "spec.parameters[0]"


def dimension(type_: str, **fields: Any) -> Dimension:
    return build(parameter("x", type_, **fields), PATH)


@given(searched(), unit())
def test_a_decoded_value_survives_the_round_trip(drawn: Parameter, u: float) -> None:
    there = build(drawn, PATH)
    value = there.decode(u)
    place = there.encode(value)
    assert 0 <= place <= 1
    assert there.decode(place) == value


@given(searched(), unit())
def test_a_decoded_value_survives_being_written_down(drawn: Parameter, u: float) -> None:
    there = build(drawn, PATH)
    value = there.decode(u)
    again = there.parse(there.render(value))
    assert again == value
    assert type(again) is type(value)


@given(searched(), unit())
def test_a_decoded_value_is_one_of_the_dimensions(drawn: Parameter, u: float) -> None:
    there = build(drawn, PATH)
    there.check(there.decode(u))


@given(doubles() | ints(), unit(), unit())
def test_order_is_preserved(drawn: Parameter, u: float, v: float) -> None:
    there = build(drawn, PATH)
    low, high = there.decode(min(u, v)), there.decode(max(u, v))
    assert isinstance(low, (int, float))
    assert isinstance(high, (int, float))
    assert low <= high


@given(doubles() | ints())
def test_the_ends_are_the_outermost_values(drawn: Parameter) -> None:
    there = build(drawn, PATH)
    low, high, wanted = there.decode(0.0), there.decode(1.0), (float(str(drawn.min)), float(str(drawn.max)))
    assert low == wanted[0]
    assert isinstance(high, (int, float))
    assert high == wanted[1] or (there.size is not None and high <= wanted[1])


@given(st.integers(-50, 50), st.integers(0, 200), st.integers(1, 9))
def test_on_a_linear_scale_the_kth_integer_owns_the_kth_equal_part(low: int, width: int, step: int) -> None:
    there = dimension("Int", min=low, max=low + width, step=step)
    n = width // step + 1
    assert there.size == n
    for k in range(n):
        assert there.decode((k + 0.01) / n) == there.decode((k + 0.99) / n) == low + k * step


@given(choices())
def test_all_choices_are_equally_likely(drawn: Parameter) -> None:
    there = build(drawn, PATH)
    n = len(drawn.values)
    counted = Counter(there.decode((i + 0.5) / (10 * n)) for i in range(10 * n))
    assert set(counted.values()) == {10}


@given(ints() | choices())
def test_the_values_of_a_finite_dimension_are_in_order_and_distinct(drawn: Parameter) -> None:
    there = build(drawn, PATH)
    assert there.size is not None
    some = range(0, there.size, max(1, there.size // 50))
    values = [there.at(k) for k in some]
    assert len(set(values)) == len(values)
    assert [there.encode(value) for value in values] == sorted(there.encode(value) for value in values)


@pytest.mark.parametrize(
    ("fields", "u", "want"),
    [
        pytest.param({"min": 0, "max": 1}, 0.123456, 0.1235, id="four digits of a fraction"),
        pytest.param({"min": 0, "max": 1}, 0.00123456, 0.001235, id="four digits of a small fraction"),
        pytest.param({"min": 100, "max": 200}, 0.234567, 123.5, id="four digits of hundreds"),
        pytest.param({"min": 100, "max": "100.1"}, 0.5, 100.05, id="finer where the range is narrow"),
        pytest.param({"min": "1e-5", "max": "1e-1", "scale": "Log"}, 0.5, 0.001, id="the middle of decades"),
        pytest.param({"min": "1e-5", "max": "1e-1", "scale": "Log"}, 0.3, 0.0001585, id="four digits on a log scale"),
        pytest.param(
            {"min": "1", "max": "1.001", "scale": "Log"}, 0.5, 1.0004999, id="finer on a narrow log scale too"
        ),
        pytest.param(
            {"min": "0.9", "max": "0.9999", "scale": "ReverseLog"}, 2 / 3, 0.999, id="the gap to 1 in decades"
        ),
        pytest.param(
            {"min": "0.9", "max": "0.9999", "scale": "ReverseLog"}, 0.9, 0.9998005, id="four digits of the gap"
        ),
        pytest.param({"min": "0.12344", "max": "0.9"}, 1e-6, 0.12344, id="rounding never leaves the bounds"),
        pytest.param(
            {"min": "1.8749999999999998e-06", "max": "4e-06", "scale": "Log"},
            1e-9,
            1.8749999999999998e-06,
            id="what rounds to next to a bound is the bound",
        ),
        pytest.param({"min": "0.1", "max": "0.7", "step": "0.2"}, 0.6, 0.5, id="a step is met exactly"),
        pytest.param({"min": "0.01", "max": "0.05", "step": "0.005"}, 1.0, 0.05, id="the last step is the bound"),
        pytest.param({"min": "0", "max": "1", "step": "0.4"}, 1.0, 0.8, id="or below it"),
        pytest.param({"min": "0.3", "max": "0.3"}, 0.7, 0.3, id="equal bounds"),
    ],
)
def test_a_double_is_rounded_to_what_a_person_can_read(fields: dict[str, Any], u: float, want: float) -> None:
    assert dimension("Double", **fields).decode(u) == want


def test_a_log_scale_gives_each_factor_the_same_share() -> None:
    there = dimension("Int", min=1, max=1024, scale="Log")
    counted = Counter(int(math.log2(float(there.decode((i + 0.5) / 4096)))) for i in range(4096))
    octaves = [counted[k] / 4096 for k in range(3, 10)]  # below 8 the integers are too coarse to share evenly
    assert max(octaves) < 1.1 * min(octaves)


@pytest.mark.parametrize(
    ("type_", "fields", "text", "want"),
    [
        pytest.param("Double", {"min": 0, "max": 1}, "1", 1.0, id="a Double is a float, however written"),
        pytest.param("Int", {"min": 0, "max": 9000}, "1e3", 1000, id="an Int is an int, however written"),
        pytest.param("Ordinal", {"values": [16, "32"]}, "16", 16, id="an Ordinal of numbers has numbers"),
        pytest.param("Ordinal", {"values": ["0.5", "1"]}, "1.0", 1, id="read by value"),
        pytest.param("Ordinal", {"values": ["1", "large"]}, "1", "1", id="an Ordinal with one text has texts"),
        pytest.param("Categorical", {"values": ["1", "2"]}, "1", "1", id="a Categorical always has texts"),
        pytest.param("Double", {"value": "3e-4"}, "0.0003", 0.0003, id="a fixed Double is a float"),
        pytest.param("Int", {"value": 512}, "512", 512, id="a fixed Int is an int"),
        pytest.param("Categorical", {"value": "512"}, "512", "512", id="a fixed Categorical is a text"),
    ],
)
def test_a_text_is_read_as_the_type_says(type_: str, fields: dict[str, Any], text: str, want: float | str) -> None:
    value = dimension(type_, **fields).parse(text)
    assert value == want
    assert type(value) is type(want)


@pytest.mark.parametrize(
    ("type_", "fields", "want"),
    [
        pytest.param("Ordinal", {"values": ["1e-3", "1e-2"]}, ["1e-3", "1e-2"], id="listed values"),
        pytest.param(
            "Categorical", {"values": ["", "--enforce-eager"]}, ["", "--enforce-eager"], id="an empty one too"
        ),
        pytest.param("Double", {"value": "3e-4"}, ["3e-4"], id="a fixed value"),
    ],
)
def test_programs_are_given_what_the_user_wrote(type_: str, fields: dict[str, Any], want: list[str]) -> None:
    there = dimension(type_, **fields)
    assert [there.render(there.at(k)) for k in range(len(want))] == want


@pytest.mark.parametrize(
    ("type_", "fields", "field", "message"),
    [
        pytest.param("Double", {"min": 2, "max": 1}, ".min", "must not be above max", id="bounds that cross"),
        pytest.param("Double", {"min": 2}, ".max", "is required", id="a bound that is missing"),
        pytest.param("Double", {"min": "x", "max": 1}, ".min", "must be a number", id="a bound that is no number"),
        pytest.param("Double", {"min": "nan", "max": 1}, ".min", "must be a number", id="a bound that is not finite"),
        pytest.param(
            "Double", {"min": "1e-310", "max": 1}, ".min", "between 1e-300 and", id="a bound beyond arithmetic"
        ),
        pytest.param(
            "Double", {"min": 0, "max": 1, "scale": "Log"}, ".min", "above 0 when scale is Log", id="log of 0"
        ),
        pytest.param("Double", {"min": 0, "max": 1, "scale": "ReverseLog"}, ".max", "below 1 when", id="gap of 0"),
        pytest.param(
            "Int", {"min": 1, "max": 9, "scale": "ReverseLog"}, ".scale", "numbers below 1", id="gap of an Int"
        ),
        pytest.param("Double", {"min": 0, "max": 1, "step": 0}, ".step", "must be above 0", id="a step of 0"),
        pytest.param("Double", {"min": 0, "max": 1, "step": "1e-15"}, ".step", "leave it out", id="too fine a step"),
        pytest.param("Int", {"min": "1.5", "max": 9}, ".min", "whole number", id="half an Int"),
        pytest.param("Int", {"min": 1, "max": 10**15}, ".max", "whole number of at most", id="a huge Int"),
        pytest.param("Int", {"min": 1, "max": 9, "step": "0.5"}, ".step", "whole number", id="half a step"),
        pytest.param("Ordinal", {}, ".values", "are required", id="no values"),
        pytest.param("Ordinal", {"values": ["1", "1.0"]}, ".values[1]", "stands there twice", id="a number twice"),
        pytest.param("Categorical", {"values": ["a", "a"]}, ".values[1]", "stands there twice", id="a text twice"),
        pytest.param("Int", {"value": "6.5"}, ".value", "whole number", id="a fixed value of another type"),
        pytest.param("Int", {"value": 9, "min": 1, "max": 8}, ".value", "between 1 and 8", id="fixed out of range"),
        pytest.param(
            "Categorical", {"value": "gleu", "values": ["gelu"]}, ".value", "did you mean 'gelu'", id="misspelt"
        ),
    ],
)
def test_what_does_not_fit_is_refused_with_its_field(
    type_: str, fields: dict[str, Any], field: str, message: str
) -> None:
    written: dict[str, Any] = {
        name: tuple(map(str, value)) if name == "values" else str(value) for name, value in fields.items()
    }
    if "scale" in fields:
        written["scale"] = Scale(fields["scale"])
    with pytest.raises(InvalidStudy) as caught:  # the API refuses some of these too; a space does not rely on that
        build(parameter("x", type_).model_copy(update=written), PATH)
    assert caught.value.field == PATH + field
    assert message in caught.value.message


@pytest.mark.parametrize(
    ("type_", "fields", "value"),
    [
        pytest.param("Double", {"min": 0, "max": 1}, 1.5, id="beyond a bound"),
        pytest.param("Int", {"min": 16, "max": 512, "step": 16}, 100, id="between two steps"),
        pytest.param("Ordinal", {"values": [1, 2]}, 3, id="not listed"),
        pytest.param("Double", {"value": 1}, 2.0, id="another than the fixed one"),
    ],
)
def test_a_value_of_elsewhere_is_told_and_still_has_a_place(type_: str, fields: dict[str, Any], value: float) -> None:
    there = dimension(type_, **fields)
    with pytest.raises(Unfit):
        there.check(value)
    assert 0 <= there.encode(value) <= 1
