"""The table of bad and good Studies, by the Python face: what `rung run` and the operator say."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import pytest
from pydantic import ValidationError

from rung.api.base import ApiModel, Rule
from rung.api.errors import InvalidStudy
from rung.api.study import Study, parse_study
from rung.controller.acceptance import check
from tests.api.studies import GOOD, REFUSED, UNACCEPTED, Case, by_name, scenarios


@pytest.mark.parametrize("case", REFUSED, ids=by_name)
def test_what_an_api_server_refuses_is_refused_without_one_too(case: Case) -> None:
    with pytest.raises(InvalidStudy) as caught:
        parse_study(case.document, strict=True)
    assert (caught.value.field, caught.value.reason) == (case.field, case.reason)
    for word in case.words:
        assert word in str(caught.value)


@pytest.mark.parametrize("case", UNACCEPTED, ids=by_name)
def test_what_only_rung_can_see_is_refused_by_the_path_of_its_field(case: Case) -> None:
    study = parse_study(case.document, strict=True)
    with pytest.raises(InvalidStudy) as caught:
        check(study)
    assert (caught.value.field, caught.value.reason) == (case.field, case.reason)
    for word in case.words:
        assert word in str(caught.value)


@pytest.mark.parametrize("case", GOOD, ids=by_name)
def test_what_people_might_fear_is_accepted(case: Case) -> None:
    check(parse_study(case.document, strict=True))


def test_the_table_is_as_large_as_promised_and_names_each_case_once() -> None:
    bad = [*REFUSED, *UNACCEPTED]
    names = [case.name for case in (*bad, *GOOD)]
    assert len(set(names)) == len(names)
    assert len(bad) >= 60
    assert len(GOOD) >= 20
    assert len(scenarios()) == 43


def test_every_rule_is_broken_by_a_study_of_the_table() -> None:
    """Only then does the test on a real API server see that its two faces agree."""
    broken: set[Rule] = set()
    for case in REFUSED:
        try:
            study = Study.model_validate(case.document)
        except ValidationError:
            continue
        broken |= {rule for model in _models(study) for rule, check in model.rules() if check(model)}
    known = {rule for kind in _all_models() for rule, _ in kind.rules()}
    assert known - broken == set()


def _models(value: object) -> Iterator[ApiModel]:
    if isinstance(value, ApiModel):
        yield value
        for name in type(value).model_fields:
            yield from _models(getattr(value, name))
    elif isinstance(value, tuple):
        for item in value:
            yield from _models(item)
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _models(item)


def _all_models() -> Iterator[type[ApiModel]]:
    waiting: list[type[ApiModel]] = [ApiModel]
    while waiting:
        kind = waiting.pop()
        yield kind
        waiting.extend(kind.__subclasses__())
