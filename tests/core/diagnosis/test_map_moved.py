"""What a shift or a turn of the maps is called, and what is said of it."""

from __future__ import annotations

from dataclasses import replace

from napari_hovernet.core.data.samples import TURNS
from napari_hovernet.core.diagnosis.map_lie import Consensus, Moved
from napari_hovernet.core.diagnosis.map_moved import model_orientation, model_shift, turn_words

STILL = Consensus(
    shift=(0, 0), agree=5, n=5, here=0.8, there=0.8, sure=float("nan"), turn=0, turned=0.8,
    turns=(0.8, *[0.1] * 7), pixels=10**6,
)  # fmt: skip
TOKENS = replace(STILL, shift=(0, 56), here=0.1, there=0.6, sure=30.0, turned=0.1)
MIRRORED = replace(STILL, here=0.1, there=0.2, turn=4, turned=0.8, turns=(0.1,) * 4 + (0.8,) * 4)


def test_maps_in_place_are_ok() -> None:
    for judge in (model_shift, model_orientation):
        finding = judge(Moved(truth=STILL, image=STILL))
        assert (finding.verdict, finding.certainty) == ("ok", 0.0)


def test_a_token_decoder_is_told_of_its_prefix() -> None:
    finding = model_shift(Moved(truth=TOKENS), tokens=True)
    assert finding.verdict == "fault"
    assert "token_prefix" in finding.remedy.text
    assert "0, 4" in finding.evidence
    assert (finding.remedy.action, finding.remedy.value) == ("maps_shift", (0, -56))


def test_too_few_images_that_agree_are_no_shift() -> None:
    assert model_shift(Moved(truth=replace(TOKENS, agree=2))).verdict == "ok"


def test_few_pixels_ask_for_more() -> None:
    alone = replace(TOKENS, n=1, agree=1, here=0.5, there=0.6, pixels=64 * 64)
    assert model_shift(Moved(truth=alone)).verdict == "ok"
    assert model_shift(Moved(truth=replace(alone, pixels=10**6))).verdict == "fault"


def test_labels_are_turned_onto_maps_only_if_there_is_no_image() -> None:
    by_truth = model_orientation(Moved(truth=MIRRORED))
    assert (by_truth.remedy.action, by_truth.remedy.value) == ("labels_turn", (True, 0))
    by_image = model_orientation(Moved(truth=MIRRORED, image=MIRRORED))
    assert (by_image.verdict, by_image.remedy.action) == ("fault", "")
    assert model_shift(Moved(truth=MIRRORED)).verdict == "ok"


def test_labels_turned_against_both_are_left_to_the_checks_of_data() -> None:
    finding = model_orientation(Moved(truth=MIRRORED, image=STILL))
    assert finding.verdict == "ok"
    assert "labels are turned" in finding.evidence


def test_turns_have_names_of_their_own() -> None:
    assert len({turn_words(turn) for turn in TURNS}) == 8
    assert turn_words(TURNS[5]) == "transposed"


def test_strangers_need_most_images() -> None:
    lost = replace(STILL, here=0.0, there=0.1, turned=0.1)
    assert model_shift(Moved(truth=lost, strangers=4)).verdict == "fault"
    assert model_shift(Moved(truth=lost, strangers=2)).verdict == "not tested"
