from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from napari_hovernet.core.hv import hv_targets
from napari_hovernet.core.measure.magnitude import NucleusViewParams, nucleus_view
from napari_hovernet.core.types import Maps
from napari_hovernet.errors import InputError


def pair() -> tuple[Maps, np.ndarray]:
    """Two squares of 11 side by side, one below the first corner to corner, one far off."""
    labels = np.zeros((60, 70), np.int32)
    labels[20:31, 20:31], labels[20:31, 31:42] = 5, 9
    labels[31:40, 11:20], labels[50:55, 60:65] = 2, 7
    return Maps(np=labels > 0, hv=hv_targets(labels)), labels


def test_h_jumps_from_plus_to_minus_where_the_next_nucleus_begins() -> None:
    view = nucleus_view(*pair(), 5)
    across = view.across
    assert across.at == 25
    edge = int(np.flatnonzero(across.position == 30)[0])
    assert across.value[edge : edge + 2].tolist() == [1, -1]
    assert across.ids[edge : edge + 2].tolist() == [5, 9]
    inside = across.ids == 5
    np.testing.assert_allclose(np.diff(across.value[inside]), 0.2, atol=1e-6)


def test_v_runs_down_the_column_through_the_centre() -> None:
    maps, labels = pair()
    down = nucleus_view(maps, labels, 5).down
    assert down.at == 25
    np.testing.assert_array_equal(down.value, maps.hv[1, down.position, 25])
    assert down.value[down.ids == 5][[0, -1]].tolist() == [-1, 1]


def test_crop_is_the_box_and_its_margin_within_the_image() -> None:
    maps, labels = pair()
    view = nucleus_view(maps, labels, 5, NucleusViewParams(margin=4))
    assert view.box == (16, 35, 16, 35)
    np.testing.assert_array_equal(view.hv, maps.hv[:, 16:35, 16:35])
    np.testing.assert_array_equal(view.mask, labels[16:35, 16:35] == 5)
    np.testing.assert_array_equal(view.others, np.isin(labels[16:35, 16:35], (2, 9)))
    assert nucleus_view(maps, labels, 7, NucleusViewParams(margin=30)).box == (20, 60, 30, 70)


def test_the_outline_is_closed_and_in_pixels_of_the_maps() -> None:
    outline = nucleus_view(*pair(), 9).outline
    assert outline[0].tolist() == outline[-1].tolist()
    assert outline.min(axis=0).tolist() == [31, 20]
    assert outline.max(axis=0).tolist() == [41, 30]


def test_own_numbers_leave_the_neighbours_out() -> None:
    maps, labels = pair()
    noisy = Maps(np=maps.np, hv=np.where(labels == 9, 0.01, maps.hv))
    view = nucleus_view(noisy, labels, 5)
    values = maps.magnitude[labels == 5]
    assert view.area == view.magnitude.n == view.counts.sum() == 121
    assert view.magnitude.mean == pytest.approx(values.mean(), rel=1e-6)
    assert view.magnitude.p95 == pytest.approx(np.percentile(values, 95), rel=1e-6)
    assert view.direction == pytest.approx(1)
    assert view.centre == (25, 25)


def test_neighbours_touch_by_sides_and_corners() -> None:
    maps, labels = pair()
    found = {i: nucleus_view(maps, labels, i).neighbours for i in (2, 5, 7, 9)}
    assert found == {2: (5,), 5: (2, 9), 7: (), 9: (5,)}


def test_arrows_lie_in_the_crop_in_pixels_of_the_maps() -> None:
    view = nucleus_view(*pair(), 9)
    starts = view.arrows[:, 0]
    r0, r1, c0, c1 = view.box
    assert 0 < len(starts) <= 400
    assert (starts >= [r0, c0]).all()
    assert (starts < [r1, c1]).all()


def test_arrows_are_thinned_to_what_can_be_read() -> None:
    rows = nucleus_view(*pair(), 9, NucleusViewParams(margin=13, arrows_along=10)).arrows[:, 0, 0]
    assert set(np.diff(np.unique(rows))) == {4}
    with pytest.raises(InputError, match="arrows_along is 0"):
        NucleusViewParams(arrows_along=0)


def test_a_single_pixel_has_no_direction() -> None:
    labels = np.zeros((5, 5), np.uint16)
    labels[0, 4] = 40000
    view = nucleus_view(Maps(np=labels > 0, hv=np.ones((2, 5, 5))), labels, 40000)
    assert (view.area, view.box) == (1, (0, 5, 0, 5))
    assert np.isnan(view.direction)


@pytest.mark.parametrize("wrong", [0, -1, 4, 10**12])
def test_an_unknown_id_is_named(wrong: int) -> None:
    with pytest.raises(InputError, match=f"There is no nucleus {wrong}"):
        nucleus_view(*pair(), wrong)


def test_wrong_sizes_are_named() -> None:
    maps, labels = pair()
    with pytest.raises(InputError, match=r"\(60, 69\) and the maps \(60, 70\)"):
        nucleus_view(maps, labels[:, 1:], 5)
    with pytest.raises(InputError, match="margin is -1"):
        NucleusViewParams(margin=-1)


def test_a_real_pair_shows_the_jump(shared: Path) -> None:
    """Where two true nuclei touch in a row, predicted h falls from plus to minus."""
    with np.load(shared / "golden" / "maps" / "monuseg_49-4488-01.npz") as stored:
        labels = stored["labels"].astype(np.int32)
        maps = Maps(np=stored["np_prob"].clip(0, 1), hv=stored["hv_pred"])
    before, after = [], []
    for nucleus in np.unique(labels)[1:]:
        view = nucleus_view(maps, labels, int(nucleus))
        ids, value = view.across.ids, view.across.value
        touch = np.flatnonzero((ids[:-1] == nucleus) & (ids[1:] > 0) & (ids[1:] != nucleus))
        before += value[touch - 2].tolist()
        after += value[touch + 3].tolist()
    assert len(before) > 10
    assert np.median(before) > 0.3
    assert np.median(after) < -0.3
