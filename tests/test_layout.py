"""`operator/` is a source root: it must not shadow the standard library's `operator`, whoever puts it or its parent on the path."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SOURCE_ROOT = ROOT / "operator"


def test_the_source_root_holds_one_package_and_no_module() -> None:
    assert sorted(path.name for path in SOURCE_ROOT.iterdir() if path.suffix == ".py") == []
    assert [path.parent.name for path in SOURCE_ROOT.glob("*/__init__.py")] == ["rung"]


@pytest.mark.parametrize("path", [ROOT, SOURCE_ROOT, ROOT / "trial_image"], ids=lambda path: path.name)
def test_nothing_of_ours_hides_a_module_of_the_standard_library(path: Path) -> None:
    ours = {entry.stem for entry in path.iterdir() if entry.suffix == ".py" or (entry / "__init__.py").exists()}
    assert not ours & sys.stdlib_module_names


@pytest.mark.parametrize("path", [ROOT, SOURCE_ROOT], ids=lambda path: path.name)
def test_operator_is_the_standard_librarys_from_anywhere(path: Path) -> None:
    script = "import sys; sys.modules.pop('operator', None); import operator; print(operator.itemgetter(1)('ab'), operator.__file__)"
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=path, capture_output=True, text=True, check=True, timeout=30
    )
    letter, file = done.stdout.split()
    assert letter == "b"
    assert ROOT not in Path(file).parents
