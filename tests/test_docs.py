"""What the documents point at exists, and no page promises what its neighbour does not have."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_relative_link_leads_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\(([^)#\s]+)", page.read_text(encoding="utf-8"))
    missing = [name for name in targets if "://" not in name and not (page.parent / name).exists()]
    assert not missing


def test_the_readme_names_every_command() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    for command in ("live", "replay", "watch", "config", "schema", "twins", "train"):
        assert f"frailedge {command}" in readme


def test_readme_and_card_say_what_this_is_not() -> None:
    for page in ("README.md", "edge/bundles/default/MODEL_CARD.md"):
        text = (ROOT / page).read_text(encoding="utf-8")
        assert "no medical device" in text
        assert "not valid for people" in text
