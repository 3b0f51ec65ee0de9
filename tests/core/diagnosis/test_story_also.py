"""The smaller mistakes of the story do what is said of them."""

from __future__ import annotations

import numpy as np
import pytest

from napari_hovernet.core.diagnosis import story_also


def test_all_of_them_hold():
    assert [row.claim for row in story_also.smaller_rows() if not row.holds] == []


def test_resized_hv_is_wrong_on_rims_and_still_separates():
    measured = story_also.resized().measured
    assert measured["error of HV on rims, mean"] > 3 * measured["error of HV inside, mean"]
    assert measured["the same, resized"] < 0.6 * measured["jump of H between touching nuclei"]
    assert measured["AJI of resized HV"] > 0.9


def test_channel_0_gives_the_background():
    measured = story_also.background_channel().measured
    assert measured["AJI, channel 0"] < 0.01
    assert measured["coverage, channel 0"] > 0.5


def test_a_sigmoid_of_one_logit_finds_nothing_or_everything():
    measured = story_also.sigmoid_for_softmax().measured
    softmax = {v for k, v in measured.items() if "softmax" in k}
    sigmoid = [v for k, v in measured.items() if "sigmoid" in k]
    assert len(softmax) == 1
    assert (sigmoid[0], sigmoid[-1]) == (0, 1)


def test_int8_targets_make_the_loss_16129_times_as_large():
    assert story_also.int8_targets().measured["ratio"] == pytest.approx(127**2, rel=1e-3)


def test_the_jaccard_index_does_not_see_the_blob():
    measured = story_also.not_the_aji().measured
    assert measured["Jaccard index of the mask"] == 1
    assert measured["AJI"] == pytest.approx(0.288, abs=0.005)


def test_strict_false_loads_nothing_without_a_word():
    measured = story_also.strict_false().measured
    assert measured["loaded"] == 0
    assert measured["missing"] == measured["entries"] == 4


def test_the_jump_is_measured_where_two_nuclei_meet_in_a_row():
    hv = np.zeros((2, 1, 4), np.float32)
    hv[0] = [-1, 1, -1, 1]
    assert story_also._jump(hv, np.array([[1, 1, 2, 2]], np.int32)) == 2
