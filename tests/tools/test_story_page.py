from pathlib import Path
from types import ModuleType

import pytest

from ..loading import load


@pytest.fixture(scope="module")
def tool(root: Path) -> ModuleType:
    return load(root / "tools" / "story_page.py")


def test_tables_are_put_between_their_markers(tool: ModuleType) -> None:
    page = "a\n<!-- story:x -->\nold\n<!-- /story:x -->\nb\n"
    once = tool.filled(page, {"x": "| \\1 |"})
    assert once == "a\n<!-- story:x -->\n| \\1 |\n<!-- /story:x -->\nb\n"
    assert tool.filled(once, {"x": "| \\1 |"}) == once
    with pytest.raises(ValueError, match="story:y"):
        tool.filled(page, {"y": ""})


def test_the_page_has_all_tables_filled(tool: ModuleType) -> None:
    page = tool.PAGE.read_text(encoding="utf-8")
    assert "Does not hold" not in page
    for name in ("loss", "training", "blob"):
        table = page.split(f"<!-- story:{name} -->\n")[1].split("<!-- /story")[0]
        assert table.startswith("| what was said |")
        assert table.count("\n") >= 5
