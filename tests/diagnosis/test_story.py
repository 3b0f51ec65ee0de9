"""The story: every row holds, and the page says so."""

from __future__ import annotations

import pytest

from napari_hovernet.core.diagnosis import story
from napari_hovernet.core.diagnosis.story_blob import StoryRow, blob_rows, mean_transform


@pytest.mark.slow
def test_what_is_said_of_the_loss_and_of_the_blob_holds() -> None:
    rows = (*story.loss_rows(), mean_transform(), *blob_rows())
    assert [row.claim for row in rows if not row.holds] == []
    assert len(rows) == 20  # and two that train


@pytest.mark.slow
def test_the_whole_story_holds() -> None:
    parts = story.story_parts()
    assert list(parts) == ["loss", "training", "blob"]
    rows = [row for found in parts.values() for row in found]
    assert len(rows) == 22 and all(row.holds for row in rows)


def test_the_page_names_what_does_not_hold() -> None:
    good = StoryRow("It is so.", "1", {"it": 1.0, "none": float("nan"), "bit": 2e-5}, True, "So.")
    bad = StoryRow("It is | not.", "2", {"it": 3.0}, False, "No.")
    text = story.story_text((good, bad))
    assert "2. It is | not.   DOES NOT HOLD" in text and text.endswith("1 of 2 hold.")
    assert "NaN" in text and "2e-05" in text
    table = story.story_markdown((good, bad)).splitlines()
    assert table[2].startswith("| It is so. | 1 | it: 1<br>") and "\\|" in table[3]
    assert "**Does not hold here.** No." in table[3]
