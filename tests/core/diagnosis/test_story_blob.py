"""The numbers of the story come out again, on generated nuclei."""

from __future__ import annotations

import numpy as np
import pytest

from napari_hovernet.core.diagnosis import story_blob
from napari_hovernet.core.diagnosis.story_blob import blob_rows
from napari_hovernet.core.diagnosis.story_row import StoryRow


@pytest.fixture(scope="module")
def rows() -> dict[str, StoryRow]:
    return {row.claim: row for row in blob_rows()}


def row(rows: dict[str, StoryRow], start: str) -> StoryRow:
    (found,) = [r for claim, r in rows.items() if claim.startswith(start)]
    return found


def test_every_row_holds_and_says_what_was_expected(rows):
    assert len(rows) == 13
    assert [claim for claim, r in rows.items() if not r.holds] == []
    for r in rows.values():
        assert r.expected and r.words and r.measured
        assert np.isfinite(list(r.measured.values())).all()


def test_labelling_anew_makes_an_aji_of_0_287_of_perfect_maps(rows):
    measured = row(rows, "The network makes").measured
    assert measured["nuclei"] == 60
    assert measured["AJI after labelling anew"] == pytest.approx(0.287, abs=0.005)
    assert measured["AJI of connected components"] == pytest.approx(0.288, abs=0.005)
    for name, value in measured.items():
        if "without" in name:
            assert 0.94 <= value <= 1


def test_the_length_of_hv_changes_no_instance(rows):
    measured = row(rows, "HV of length 0.022").measured
    for method in story_blob.METHODS:
        numbers = {v for k, v in measured.items() if k.endswith(method)}
        assert len(numbers) == 1
    assert measured["least AJI to the instances with HV x 1"] > 0.999


def test_the_background_channel_covers_86_percent(rows):
    measured = row(rows, "A Dice of 0.92").measured
    coverage = measured["coverage, channel 5"]
    assert coverage == pytest.approx(0.86, abs=0.005)
    assert measured["Dice of all-foreground, channel 5"] == pytest.approx(0.925, abs=0.002)
    assert measured["Dice of all-foreground, channel 5"] == pytest.approx(
        2 * coverage / (1 + coverage)
    )
    assert pytest.approx(0.925, abs=0.0005) == 2 * 0.86 / 1.86


def test_the_token_slice_moves_everything_by_56_px(rows):
    measured = row(rows, "Tokens 1 to 256").measured
    assert measured["columns to the right"] == 4
    assert measured["pixels to the right"] == 56
    assert measured["best shift of the picture, px"] == 56
    assert measured["IoU with the picture moved so"] > 3 * measured["IoU with the picture"]


def test_seeds_of_the_magnitude_lie_on_the_rim(rows):
    measured = row(rows, "Peaks of |HV|").measured
    assert measured["|HV| in the centres"] < 0.1
    assert measured["|HV| at the seeds, median"] > 0.9
    assert measured["seeds per nucleus"] > 2
    assert measured["AJI"] < 0.3


def test_the_largest_hv_is_0_88_to_0_99_whatever_is_broken(rows):
    measured = row(rows, "The magnitude is 0.9").measured
    for name, value in measured.items():
        if "largest" in name:
            assert 0.88 <= value <= 0.99
    assert measured["all collapsed but one nucleus: mean inside nuclei"] < 0.05


def test_the_zero_map_has_an_mse_of_a_quarter_on_discs(rows):
    measured = row(rows, "An HV loss of 0.25").measured
    assert measured["HV MSE of the zero map"] == pytest.approx(0.25, abs=0.005)
