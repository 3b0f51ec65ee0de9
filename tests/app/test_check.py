"""What there is to look at, in words; corrections of single nuclei. Without Qt."""

from __future__ import annotations

import numpy as np
import pytest

from napari_hovernet.app import check
from napari_hovernet.app.jobs import drive
from napari_hovernet.app.study import Case, TruthChoice, finding_steps
from napari_hovernet.core.hv import hv_targets
from napari_hovernet.core.params import SeparationParams
from napari_hovernet.core.types import Maps, ModelInfo
from napari_hovernet.errors import InputError

LOCAL = SeparationParams.preset("local")


def discs(places, shape=(90, 120), radius=9):
    r, c = np.indices(shape)
    labels = np.zeros(shape, np.int32)
    for number, (row, col) in enumerate(places, start=1):
        labels[((r - row) ** 2 + (c - col) ** 2 <= radius**2) & (labels == 0)] = number
    return labels


def case(tissue, labels, **more):
    maps = Maps(np=(tissue > 0).astype(np.float32), hv=hv_targets(tissue))
    return Case(maps, labels, ModelInfo("compact"), LOCAL, **more)


TRUE = discs([(20, 20), (20, 36), (20, 90), (60, 30), (60, 80)])
"""Nuclei 1 and 2 touch; what was found: both as one, 4 not at all, and an extra one."""
FOUND = np.where(TRUE == 4, 0, np.where(TRUE == 2, 1, TRUE)).astype(np.int32)
FOUND[75:85, 5:15] = 9


def test_places_are_listed_by_kind_with_the_worst_first():
    found = drive(finding_steps(case(TRUE, FOUND, truth=TRUE)))
    listed = check.places_of(found)
    counts = {kind: len(places) for kind, places in listed.items()}
    assert counts["merged"] == counts["missed"] == counts["spurious"] == counts["blob"] == 1
    assert check.first_kind(listed) == "blob"
    (blob,) = listed["blob"]
    assert blob.nucleus == 1 and blob.words == "cut into 1, looks like 2" and "HV" in blob.tip
    r0, r1, c0, c1 = blob.box
    assert (FOUND[r0:r1, c0:c1] == 1).sum() == (FOUND == 1).sum()
    assert "extra" in listed["spurious"][0].words and listed["missed"][0].nucleus == 0
    assert set(check.places_of(drive(finding_steps(case(TRUE, FOUND))))) == {"blob", "uncertain"}
    assert check.places_of(None) == {}


def test_no_number_is_told_alone():
    found = drive(finding_steps(case(TRUE, FOUND, truth=TRUE)))
    said, _ = check.magnitude_words(found)
    assert all(word in said for word in ("in nuclei", "outside", "direction", "truth"))
    said, tone = check.truth_words(TruthChoice("k", "t", TRUE, ("looks like a mask",)), found)
    assert said.startswith("3 of 5 true nuclei found, 1 merged, 1 missed, 1 extra.")
    assert "without separation" in said and said.endswith("looks like a mask") and tone == "warn"
    assert [line[0] for line in check.score_rows(found)][:3] == [
        "on screen", "no separation", "perfect maps"]  # fmt: skip
    wrong = TruthChoice("k", "t.png", error="is 20 x 20 pixels")
    assert check.truth_words(wrong, found) == ("t.png: is 20 x 20 pixels", "bad")
    assert check.truth_words(None, found) == ("", "")


def test_a_pixel_is_read_with_its_nucleus_and_area():
    looked = case(TRUE, FOUND)
    found = drive(finding_steps(looked))
    said = check.pixel_words(looked.maps, FOUND, 60, 80, 0.25, found)
    assert "NP 1.00" in said and "nucleus 5" in said and "µm²" in said
    assert "nucleus" not in check.pixel_words(looked.maps, FOUND, 0, 0)


@pytest.mark.parametrize("hv", [True, False])
def test_split_cuts_where_hv_turns_back_or_by_shape(hv):
    looked = case(TRUE, FOUND)
    if not hv:
        looked = Case(Maps(np=looked.maps.np, hv=0 * looked.maps.hv), FOUND, looked.info, LOCAL)
    made = drive(check.split_steps(looked, 1, LOCAL))
    after = FOUND.copy()
    after[made.rows, made.cols] = made.ids
    assert ("HV turns back" in made.words) == hv and "split into 2" in made.words
    assert set(np.unique(after)) == {*np.unique(FOUND), 10}
    for true in (1, 2):
        inside = after[true == TRUE]
        assert np.bincount(inside).max() > 0.9 * len(inside)
    assert np.array_equal(after > 0, FOUND > 0)


def test_merge_and_delete_change_just_one_nucleus():
    made = check.merge(TRUE, 1, 2)
    assert set(made.ids) == {1} and len(made.rows) == (TRUE == 2).sum()
    made = check.delete(TRUE, 3)
    assert set(made.ids) == {0} and len(made.rows) == (TRUE == 3).sum()
    with pytest.raises(InputError, match="Click a nucleus"):
        check.delete(TRUE, 0)
    with pytest.raises(InputError, match="itself"):
        check.merge(TRUE, 1, 1)
