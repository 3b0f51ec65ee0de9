from pathlib import Path
from types import ModuleType

import pytest

from ..loading import load


@pytest.fixture(scope="module")
def tool(root: Path) -> ModuleType:
    return load(root / "tools" / "story_page.py")


def test_the_page_has_all_tables_filled(tool: ModuleType) -> None:
    page = tool.PAGE.read_text(encoding="utf-8")
    assert "Does not hold" not in page
    for name in ("loss", "training", "blob"):
        table = page.split(f"<!-- story:{name} -->\n")[1].split("<!-- /story")[0]
        assert table.startswith("| what was said |") and table.count("\n") >= 5
