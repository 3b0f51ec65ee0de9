from __future__ import annotations

import numpy as np
import pytest

from napari_hovernet.core.hv import hv_targets
from napari_hovernet.core.inference.tiles import Box
from napari_hovernet.core.measure.magnitude import (
    ArrowParams,
    arrow_lines,
    cut_box,
    grid_step,
    hv_arrows,
)
from napari_hovernet.errors import InputError


def disc(edge: int = 101) -> tuple[np.ndarray, np.ndarray]:
    y, x = np.mgrid[:edge, :edge] - edge // 2
    mask = np.hypot(y, x) <= edge // 2 - 5
    return hv_targets(mask.astype(int)), mask


def test_arrows_point_away_from_the_centre_in_rows_and_columns() -> None:
    hv, mask = disc()
    arrows = hv_arrows(hv, mask)
    outward = arrows[:, 0] - 50
    off = np.abs(outward).sum(axis=1) > 0
    product = (arrows[:, 1] * outward).sum(axis=1)[off]
    lengths = np.linalg.norm(arrows[:, 1], axis=1)[off] * np.linalg.norm(outward, axis=1)[off]
    np.testing.assert_allclose(product / lengths, 1, atol=1e-5)


@pytest.mark.parametrize("limit", [1, 7, 300, 3000, 10**6])
def test_no_more_than_the_limit_and_all_on_the_mask(limit: int) -> None:
    hv, mask = disc()
    arrows = hv_arrows(hv, mask, None, ArrowParams(limit=limit))
    assert len(arrows) <= limit
    rows, cols = arrows[:, 0].astype(int).T
    assert mask[rows, cols].all()
    if limit >= mask.sum():
        assert len(arrows) == mask.sum()
    elif limit > 100:
        assert len(arrows) > limit / 2


def test_length_grows_with_the_step_and_is_cut() -> None:
    hv, mask = np.zeros((2, 90, 90), np.float32), np.ones((90, 90), bool)
    hv[1] = 1
    params = ArrowParams(limit=100, fill=0.8, longest=1.5)
    np.testing.assert_allclose(hv_arrows(hv, mask, None, params)[:, 1], [[9 * 0.8, 0]] * 100)
    long = hv_arrows(50 * hv, mask, None, params)[:, 1]
    np.testing.assert_allclose(long, [[9 * 1.5, 0]] * 100, rtol=1e-6)


def test_arrows_keep_their_places_while_the_view_moves() -> None:
    hv, mask = disc()
    params = ArrowParams(limit=60)
    here = hv_arrows(hv, mask, (20, 70, 20, 70), params)
    there = hv_arrows(hv, mask, (23, 73, 22, 72), params)
    assert grid_step(mask, Box(20, 70, 20, 70), params) == 7
    assert grid_step(mask, Box(23, 73, 22, 72), params) == 7
    starts = [{tuple(p) for p in a[:, 0].tolist()} for a in (here, there)]
    shared = {p for p in starts[0] if p[0] >= 23 and p[1] >= 22}
    assert shared
    assert shared <= starts[1]


def test_arrows_keep_the_least_distance() -> None:
    hv, mask = disc()
    rows, cols = hv_arrows(hv, mask, None, ArrowParams(least_step=7))[:, 0].T
    assert set(np.diff(np.unique(rows))) == set(np.diff(np.unique(cols))) == {7}


def test_only_the_box_is_drawn() -> None:
    hv, mask = disc()
    starts = hv_arrows(hv, mask, (30, 40, 50, 65))[:, 0]
    assert starts.min(axis=0).tolist() == [30, 50]
    assert starts.max(axis=0).tolist() == [39, 64]


@pytest.mark.parametrize("box", [(200, 300, 0, 50), (-20, -5, 0, 50), (10, 10, 10, 20)])
def test_a_box_beside_the_array_gives_no_arrows(box: tuple[int, int, int, int]) -> None:
    hv, mask = disc()
    assert hv_arrows(hv, mask, box).shape == (0, 2, 2)


def test_labels_will_do_for_a_mask() -> None:
    hv, mask = disc()
    np.testing.assert_array_equal(hv_arrows(hv, mask * 7), hv_arrows(hv, mask))


def test_drawn_arrows_have_a_shaft_and_two_barbs_that_point_back() -> None:
    arrows = np.array([[[10, 20], [3, 4]], [[0, 0], [-2, 0]]], np.float32)
    lines = arrow_lines(arrows).reshape(2, 3, 2, 2)
    assert lines[0, 0].tolist() == [[20, 10], [24, 13]]
    for arrow, (shaft, *barbs) in zip(arrows, lines, strict=True):
        along = arrow[1, ::-1]
        for barb in barbs:
            np.testing.assert_array_equal(barb[0], shaft[1])
            assert (barb[1] - barb[0]) @ along < 0
        across = np.cross(np.append(along, 0), np.append(barbs[0][1] - barbs[1][1], 0))
        assert np.abs(across).max() > 0
        np.testing.assert_allclose(along @ (barbs[0][1] - barbs[1][1]), 0, atol=1e-5)
    assert arrow_lines(np.zeros((0, 2, 2), np.float32)).shape == (0, 2)


def test_nothing_to_draw() -> None:
    assert hv_arrows(np.zeros((2, 0, 0)), np.zeros((0, 0), bool)).shape == (0, 2, 2)
    assert hv_arrows(np.zeros((2, 5, 5)), np.zeros((5, 5), bool)).shape == (0, 2, 2)


def test_boxes_are_cut() -> None:
    assert cut_box(None, (3, 4)) == (0, 3, 0, 4)
    assert cut_box((9, 20, -4, 2), (3, 4)) == (3, 3, 0, 2)


@pytest.mark.parametrize(
    "change", [{"limit": 0}, {"least_step": 0}, {"fill": 0.0}, {"longest": float("inf")}]
)
def test_numbers_out_of_range_are_named(change: dict[str, float]) -> None:
    with pytest.raises(InputError, match=next(iter(change))):
        ArrowParams(**change)  # type: ignore[arg-type]


def test_shapes_that_do_not_fit_are_named() -> None:
    with pytest.raises(InputError, match=r"\(2, 3, 4\)"):
        hv_arrows(np.zeros((2, 3, 4)), np.zeros((3, 3), bool))
