"""The property that was broken in the story: HV of a turned image is the turned HV."""

from itertools import product

import numpy as np
import pytest

from napari_hovernet.core.data.samples import TURNS, Turn, turn_hv, turn_plane, turn_tokens
from napari_hovernet.core.hv import ORDERS, PRESETS, SCALES, SIGNS, HVConvention, hv_targets
from napari_hovernet.errors import InputError

from ..data.drawn import nuclei

EXACT = [
    HVConvention(order=order, sign=sign, scale=scale, blur=blur)
    for order, sign, scale, blur in product(ORDERS, SIGNS, SCALES, (0.0, 1.0))
]
"""Conventions in which nothing prefers a corner: 24."""


@pytest.mark.parametrize("turn", TURNS, ids=str)
@pytest.mark.parametrize("convention", EXACT, ids=str)
def test_hv_of_turned_labels_is_the_turned_hv(turn: Turn, convention: HVConvention) -> None:
    labels = nuclei()
    recomputed = hv_targets(np.ascontiguousarray(turn_plane(labels, turn)), convention)
    turned = turn_hv(hv_targets(labels, convention), turn, convention.order)
    assert np.abs(recomputed - turned).max() < 2e-6


@pytest.mark.parametrize("turn", TURNS, ids=str)
@pytest.mark.parametrize("name", PRESETS)
def test_the_presets_agree_but_for_their_own_lopsidedness(turn: Turn, name: str) -> None:
    """One pixel of shift, gaps at two borders and ties of the deepest pixel do not turn."""
    convention, labels = PRESETS[name], nuclei()
    recomputed = hv_targets(np.ascontiguousarray(turn_plane(labels, turn)), convention)
    turned = turn_hv(hv_targets(labels, convention), turn, convention.order)
    lengths = np.hypot(*recomputed) * np.hypot(*turned)
    use = lengths > 0.04
    cosine = (recomputed * turned).sum(axis=0)[use] / lengths[use]
    assert cosine.mean() > 0.8, "with a wrong order it would be near 0 or below"


def test_the_bug_of_the_story_cancels_hv_out() -> None:
    """[V, H] turned by the rules of [H, V]: right in half of the draws, on average nothing."""
    labels = nuclei()
    stored = hv_targets(labels, HVConvention(order="vh"))
    cosines = []
    for turn in TURNS:
        true = hv_targets(np.ascontiguousarray(turn_plane(labels, turn)), HVConvention(order="vh"))
        wrong = turn_hv(stored, turn, "hv")
        cosines.append(float((true * wrong).sum() / (true * true).sum()))
    assert sum(c > 0.999 for c in cosines) == 4
    assert abs(np.mean(cosines)) < 1e-6


def test_all_eight_turns_differ_and_planes_and_tokens_agree_with_matrices() -> None:
    plane = np.arange(25).reshape(5, 5)
    assert len({turn_plane(plane, turn).tobytes() for turn in TURNS}) == 8
    rows, cols = np.mgrid[-2:3, -2:3]
    for turn in TURNS:
        offsets = np.stack([cols.ravel(), rows.ravel()])
        x, y = np.rint(turn.matrix @ offsets).astype(int)
        moved = np.zeros_like(plane)
        moved[y + 2, x + 2] = plane.ravel()
        assert (moved == turn_plane(plane, turn)).all()
    grid = np.arange(256).reshape(16, 16)
    features = np.concatenate((np.full(5, -1), grid.ravel())).astype(np.float16)[:, None]
    for turn in TURNS:
        turned = turn_tokens(features, turn)
        assert turned.dtype == np.float16
        assert (turned[:5] == -1).all()
        assert (turned[5:].reshape(16, 16) == turn_plane(grid, turn)).all()


def test_what_is_no_turn_is_refused() -> None:
    with pytest.raises(InputError, match="quarters is 4"):
        Turn(quarters=4)
    with pytest.raises(InputError, match="order is 'xy'"):
        turn_hv(np.zeros((2, 3, 3), np.float32), TURNS[1], "xy")
