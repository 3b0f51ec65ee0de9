from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from napari_hovernet.core.hv import hv_targets
from napari_hovernet.core.inference.tiles import Box
from napari_hovernet.core.measure.magnitude import (
    BLIND,
    ArrowParams,
    MagnitudeBands,
    NucleusViewParams,
    arrow_lines,
    cut_box,
    direction_cosine,
    grid_step,
    hv_arrows,
    magnitude_report,
    nucleus_view,
    pixel_reading,
    split_magnitudes,
    summarise,
)
from napari_hovernet.core.separation import separate
from napari_hovernet.core.types import Maps
from napari_hovernet.errors import InputError


def discs(gain: float = 1.0, noise: float = 0.0) -> tuple[Maps, np.ndarray]:
    """Nine discs of radius 9 with their exact HV times ``gain``, plus noise everywhere."""
    y, x = np.mgrid[:90, :90]
    inside = np.hypot(y % 30 - 15, x % 30 - 15) <= 9
    labels = (inside * (1 + x // 30 + 3 * (y // 30))).astype(np.int32)
    hv = gain * hv_targets(labels)
    hv += np.random.default_rng(0).normal(0, noise, hv.shape).astype(np.float32)
    return Maps(np=inside, hv=hv), labels


def test_numbers_equal_plain_ones() -> None:
    maps, labels = discs(noise=0.2)
    report = magnitude_report(maps, labels)
    lengths = np.hypot(maps.hv[0], maps.hv[1])
    for summary, part in ((report.inside, labels > 0), (report.outside, labels == 0)):
        values = lengths[part].astype(np.float64)
        assert summary.n == values.size
        assert summary.mean == pytest.approx(values.mean(), rel=1e-6)
        assert summary.median == pytest.approx(np.median(values), rel=1e-6)
        assert summary.p95 == pytest.approx(np.percentile(values, 95), rel=1e-6)
    assert report.whole_image_max == pytest.approx(lengths.max(), rel=1e-6)


def test_histogram_equals_that_of_numpy_and_keeps_what_lies_above() -> None:
    maps, labels = discs(gain=3.0)
    bands = MagnitudeBands(bins=13)
    report = magnitude_report(maps, labels, bands)
    lengths = np.hypot(maps.hv[0], maps.hv[1])
    low_enough = np.minimum(lengths, 1.499)
    for counts, part in ((report.counts_inside, labels > 0), (report.counts_outside, labels == 0)):
        np.testing.assert_array_equal(counts, np.histogram(low_enough[part], report.edges)[0])
    assert report.counts_inside.sum() == report.inside.n
    assert report.counts_inside[-1] > 0


@pytest.mark.parametrize(
    ("gain", "word", "says"),
    [
        (0.05, "collapsed", "zero map. Investigate"),
        (0.30, "weak", "below 0.25, the bound to go on"),
        (0.50, "weak", "above 0.25, the bound to go on"),
        (1.00, "healthy", "exact maps have 0.67 to 0.69"),
    ],
)
def test_mean_inside_gives_the_word(gain: float, word: str, says: str) -> None:
    report = magnitude_report(*discs(gain))
    assert report.verdict == word
    assert says in report.explanation
    assert BLIND in report.explanation
    assert f"{report.inside.mean:.2f}"[:4] in report.explanation


def test_exact_discs_lie_in_the_target_band_or_just_above() -> None:
    mean = magnitude_report(*discs()).inside.mean
    assert mean == pytest.approx(MagnitudeBands().target_low, abs=0.03)


def test_full_length_the_wrong_way_is_healthy_and_warned_of() -> None:
    maps, labels = discs()
    for hv, cosine, cause in (
        (-maps.hv, -1.0, "wrong sign"),
        (maps.hv[::-1], 0.0, "wrong order or sign"),
    ):
        report = magnitude_report(Maps(np=maps.np, hv=hv), labels)
        assert report.verdict == "healthy"
        assert report.direction == pytest.approx(cosine, abs=0.02)
        assert report.misdirected
        assert "length is healthy but the direction is not" in report.explanation
        assert cause in report.explanation


def test_right_maps_are_not_warned_of() -> None:
    report = magnitude_report(*discs())
    assert report.direction == pytest.approx(1)
    assert not report.misdirected
    assert "Warning" not in report.explanation


def test_several_nuclei_under_one_id_show_in_the_direction() -> None:
    maps, labels = discs()
    assert magnitude_report(maps, (labels > 0).astype(int)).misdirected


def test_direction_equals_a_plain_one() -> None:
    maps, labels = discs(noise=0.3)
    target = hv_targets(labels)
    use = (labels > 0) & (np.hypot(*target) > 0)
    product = (maps.hv * target).sum(axis=0)[use]
    cosine = product / np.hypot(*maps.hv)[use] / np.hypot(*target)[use]
    assert direction_cosine(maps.hv, labels) == pytest.approx(cosine.mean(), rel=1e-5)


def test_the_zero_map_has_no_direction() -> None:
    maps, labels = discs(0.0)
    report = magnitude_report(maps, labels)
    assert (report.direction, report.inside.p95, report.verdict) == (0, 0, "collapsed")


@pytest.mark.parametrize("shape", [(0, 0), (0, 4), (5, 4)])
def test_without_nuclei_there_is_nothing_to_measure(shape: tuple[int, int]) -> None:
    report = magnitude_report(
        Maps(np=np.zeros(shape), hv=np.full((2, *shape), 0.5)), np.zeros(shape, int)
    )
    assert report.verdict == "no nuclei"
    assert report.inside.n == 0
    assert np.isnan([report.inside.mean, report.direction]).all()
    assert report.outside.n == shape[0] * shape[1]
    assert "no nuclei" in report.explanation
    assert not report.misdirected


def test_nothing_but_nuclei() -> None:
    report = magnitude_report(Maps(np=np.ones((4, 4)), hv=np.ones((2, 4, 4))), np.ones((4, 4), int))
    assert report.outside.n == 0
    assert np.isnan(report.outside.mean)
    assert report.inside.mean == pytest.approx(2**0.5)


def test_sparse_ids_of_any_kind() -> None:
    maps, labels = discs()
    far = np.where(labels > 0, labels.astype(np.uint64) + 2**40, 0)
    report = magnitude_report(maps, far)
    assert report.inside == magnitude_report(maps, labels).inside
    assert report.direction == pytest.approx(1)


def test_own_bounds_count() -> None:
    maps, labels = discs()
    strict = replace(MagnitudeBands(), healthy=0.9)
    assert magnitude_report(maps, labels, strict).verdict == "weak"


def test_summary_of_nothing() -> None:
    assert summarise(np.empty(0, np.float32)).n == 0


def test_magnitudes_are_split_completely() -> None:
    maps, labels = discs(noise=0.1)
    inside, outside = split_magnitudes(maps.hv, labels)
    both = np.sort(np.concatenate((inside, outside)))
    np.testing.assert_allclose(both, np.sort(maps.magnitude.ravel()), rtol=1e-6)
    assert inside.size == np.count_nonzero(labels)


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        (np.zeros((3, 4), int), r"labels has shape \(3, 4\) and the maps \(3, 3\)"),
        (np.zeros((3, 3)), "float64"),
        (np.full((3, 3), -1), "-1"),
    ],
)
def test_wrong_labels_are_named(labels: np.ndarray, words: str) -> None:
    with pytest.raises(InputError, match=words):
        magnitude_report(Maps(np=np.zeros((3, 3)), hv=np.zeros((2, 3, 3))), labels)


@pytest.mark.parametrize("name", ["monuseg_49-4488-01", "dsb18_718751b439"])
def test_real_predictions_are_healthy_and_point_right(shared: Path, name: str) -> None:
    with np.load(shared / "golden" / "predicted" / f"{name}.npz") as stored:
        maps = Maps(np=stored["np_prob"].clip(0, 1), hv=stored["hv_pred"])
    labels = separate(maps).labels
    report = magnitude_report(maps, labels)
    assert report.verdict == "healthy"
    assert report.direction > 0.85
    swapped = magnitude_report(Maps(np=maps.np, hv=maps.hv[::-1]), labels)
    assert swapped.verdict == "healthy"
    assert swapped.misdirected


NAN = float("nan")


@pytest.mark.parametrize(
    ("mean", "word"),
    [
        (0.0, "collapsed"),
        (0.0999, "collapsed"),
        (0.10, "weak"),
        (0.4999, "weak"),
        (0.50, "healthy"),
        (1.3, "healthy"),
        (NAN, "no nuclei"),
    ],
)
def test_words(mean: float, word: str) -> None:
    assert MagnitudeBands().word(mean) == word


def test_edges_start_at_0_and_end_at_the_upper_bound() -> None:
    edges = MagnitudeBands(bins=3, upper=1.2).edges
    np.testing.assert_allclose(edges, [0, 0.4, 0.8, 1.2])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"collapsed": 0.3}, "collapsed 0.3, weak 0.25 and healthy 0.5"),
        ({"collapsed": -0.1}, "collapsed is -0.1"),
        ({"healthy": float("inf")}, "healthy is inf"),
        ({"weak": NAN}, "weak is nan"),
        ({"target_low": 0.7}, "target_low is 0.7 and target_high 0.69"),
        ({"direction": 1.5}, "direction is 1.5"),
        ({"bins": 0}, "bins is 0"),
        ({"upper": 0.0}, "upper is 0"),
    ],
)
def test_bands_out_of_order_are_refused(change: dict[str, float], words: str) -> None:
    with pytest.raises(InputError, match=words):
        replace(MagnitudeBands(), **change)


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


LABELS = np.array([[0, 3]], np.int32)


def maps_of(h: float, v: float) -> Maps:
    hv = np.zeros((2, 1, 2))
    hv[:, 0, 1] = h, v
    return Maps(np=np.array([[0.1, 0.9]]), hv=hv)


@pytest.mark.parametrize(
    ("h", "v", "degrees"),
    [(1, 0, 0), (1, 1, 45), (0, 1, 90), (-1, 0, 180), (0, -0.2, 270), (1, -1, 315)],
)
def test_direction_runs_clockwise_on_the_screen(h: float, v: float, degrees: float) -> None:
    reading = pixel_reading(maps_of(h, v), LABELS, 0, 1)
    assert reading.direction == pytest.approx(degrees)
    assert reading.magnitude == pytest.approx(math.hypot(h, v))
    assert (reading.nucleus, round(reading.np, 3)) == (3, 0.9)
    assert f"direction {degrees:.0f}°" in reading.text


def test_words_for_background_without_a_direction() -> None:
    text = pixel_reading(maps_of(0, 0), LABELS, 0, 0).text
    assert text == "NP 0.10  h +0.00  v +0.00  magnitude 0.00  direction -  background"


def test_a_direction_just_short_of_a_full_turn_reads_0() -> None:
    assert "direction 0°" in pixel_reading(maps_of(1, -1e-4), LABELS, 0, 1).text


@pytest.mark.parametrize("place", [(0, 2), (1, 0), (-1, 0), (0, -1)])
def test_outside_is_refused(place: tuple[int, int]) -> None:
    with pytest.raises(InputError, match=f"Row {place[0]}, column {place[1]} lies outside"):
        pixel_reading(maps_of(0, 0), LABELS, *place)


def test_labels_of_another_size_are_refused() -> None:
    with pytest.raises(InputError, match=r"\(1, 3\)"):
        pixel_reading(maps_of(0, 0), np.zeros((1, 3), np.int32), 0, 0)
