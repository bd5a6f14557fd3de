"""The pod templates of docs/troubleshooting.md are accepted as they stand."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from rung.api.names import STUDY_LABEL
from rung.api.study import parse_study
from rung.controller.acceptance import check

DOCS = Path(__file__).parents[1] / "docs"
PAGE = (DOCS / "troubleshooting.md").read_text(encoding="utf-8")
BLOCKS: list[dict[str, Any]] = [yaml.safe_load(text) for text in re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)]
TEMPLATES = [block for block in BLOCKS if "kind" not in block]


@pytest.mark.parametrize("template", TEMPLATES)
def test_a_template_of_the_page_is_accepted(template: dict[str, Any]) -> None:
    spec = {
        "objectives": [{"metric": "loss", "direction": "Minimize"}],
        "parameters": [{"name": "lr", "type": "Double", "min": "1e-4", "max": "1e-1", "scale": "Log"}],
        "scheduler": {"type": "ASHA", "resource": {"metric": "epoch", "max": 9}},
        "trial": {"podTemplate": template},
    }
    document = {"apiVersion": "rung.dev/v1alpha1", "kind": "Study", "metadata": {"name": "s"}, "spec": spec}
    check(parse_study(document, strict=True))


def test_the_policy_selects_the_pods_of_trials() -> None:
    [policy] = [block for block in BLOCKS if block.get("kind") == "NetworkPolicy"]
    assert policy["spec"]["podSelector"]["matchExpressions"][0]["key"] == STUDY_LABEL


def test_links_lead_somewhere() -> None:
    for page in DOCS.glob("*.md"):
        for target, anchor in re.findall(r"\]\(([\w./-]*\.md)?(#[\w-]+)?\)", page.read_text(encoding="utf-8")):
            there = page if not target else page.parent / target
            assert there.exists(), f"{page.name}: {target}"
            headings = re.findall(r"^#+ (.+)$", there.read_text(encoding="utf-8"), re.MULTILINE)
            anchors = {"#" + re.sub(r"[^\w -]", "", h.lower()).strip().replace(" ", "-") for h in headings}
            assert not anchor or anchor in anchors, f"{page.name}: {target}{anchor}"
