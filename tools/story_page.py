"""Write the measured tables into the page "What really made the blob".

Usage: python tools/story_page.py [PAGE]

Fills what stands between ``<!-- story:NAME -->`` and ``<!-- /story:NAME -->``; ends with an
error, and writes nothing, if a row does not hold.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from pathlib import Path

from napari_hovernet.core.diagnosis.story import story_markdown, story_parts

PAGE = Path(__file__).resolve().parents[1] / "docs" / "what-really-made-the-blob.md"


def filled(page: str, tables: Mapping[str, str]) -> str:
    """Put tables between their markers.

    Raises
    ------
    ValueError
        If a marker is missing.
    """
    for name, table in tables.items():
        place = re.compile(rf"(<!-- story:{name} -->\n).*?(<!-- /story:{name} -->)", re.DOTALL)
        if not place.search(page):
            raise ValueError(f"the page has no <!-- story:{name} --> ... <!-- /story:{name} -->")
        page = place.sub(lambda m, table=table: f"{m[1]}{table}\n{m[2]}", page)
    return page


def main(arguments: list[str]) -> int:
    """Measure and write; 1 if a row does not hold."""
    page = Path(arguments[0]) if arguments else PAGE
    parts = story_parts()
    failed = [row.claim for rows in parts.values() for row in rows if not row.holds]
    if failed:
        print(f"Does not hold here: {'; '.join(failed)}", file=sys.stderr)
        return 1
    tables = {name: story_markdown(rows) for name, rows in parts.items()}
    page.write_text(filled(page.read_text(encoding="utf-8"), tables), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
