from pathlib import Path

from ..loading import load


def test_the_page_has_all_tables_filled(root: Path) -> None:
    page = load(root / "tools" / "story_page.py").PAGE.read_text(encoding="utf-8")
    assert "Does not hold" not in page
    for name in ("loss", "training", "blob"):
        table = page.split(f"<!-- story:{name} -->\n")[1].split("<!-- /story")[0]
        assert table.startswith("| what was said |") and table.count("\n") >= 5
