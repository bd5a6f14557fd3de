"""The page of all fields is what the models say."""

from __future__ import annotations

from pathlib import Path

import pytest

from rung.api import reference
from rung.api.study import StudySpec

PAGE = Path(__file__).parents[2] / "docs" / "study-reference.md"


def test_the_page_is_up_to_date() -> None:
    assert PAGE.read_text(encoding="utf-8") == reference.render_reference()


def test_every_field_of_the_spec_has_a_row() -> None:
    page = reference.render_reference()
    for name in StudySpec.model_fields:
        assert f"| `{StudySpec.outside_name(name)}`" in page


def test_a_table_keeps_its_columns() -> None:
    for line in reference.render_reference().splitlines():
        if line.startswith("|"):
            assert line.replace("\\|", "").count("|") in {3, 4}, line


def test_a_stale_page_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = tmp_path / "page.md"
    page.write_text("old")
    assert reference.main(["--check", str(page)]) == 1
    assert "run `make docs`" in capsys.readouterr().err
    assert reference.main(["--write", str(page)]) == 0
    assert reference.main(["--check", str(page)]) == 0
