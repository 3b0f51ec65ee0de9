from __future__ import annotations

import dataclasses

import pytest

from napari_hovernet.core.diagnosis.story_row import StoryRow


def test_a_row_keeps_what_it_says_and_does_not_change():
    row = StoryRow("claim", "0.5", {"share": 0.5}, holds=True, words="as expected")
    assert (row.measured["share"], row.holds, row.words) == (0.5, True, "as expected")
    with pytest.raises(dataclasses.FrozenInstanceError):
        row.holds = False
