import math
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
    direction_cosine,
    grid_step,
    hv_arrows,
    magnitude_report,
    nucleus_view,
    pixel_reading,
)
from napari_hovernet.core.separation import separate
from napari_hovernet.core.types import Maps

from ..refusals import refuses


def discs(gain: float = 1.0, noise: float = 0.0) -> tuple[Maps, np.ndarray]:
    """Nine discs of radius 9 with their exact HV times ``gain``, plus noise everywhere."""
    y, x = np.mgrid[:90, :90]
    inside = np.hypot(y % 30 - 15, x % 30 - 15) <= 9
    labels = (inside * (1 + x // 30 + 3 * (y // 30))).astype(np.int32)
    hv = gain * hv_targets(labels)
    hv += np.random.default_rng(0).normal(0, noise, hv.shape).astype(np.float32)
    return Maps(np=inside, hv=hv), labels


def test_numbers_and_histogram_equal_plain_ones() -> None:
    maps, labels = discs(noise=0.2)
    report = magnitude_report(maps, labels)
    lengths = np.hypot(maps.hv[0], maps.hv[1])
    for summary, part in ((report.inside, labels > 0), (report.outside, labels == 0)):
        values = lengths[part].astype(np.float64)
        assert (summary.n, summary.mean) == (values.size, pytest.approx(values.mean(), rel=1e-6))
        assert summary.median == pytest.approx(np.median(values), rel=1e-6)
        assert summary.p95 == pytest.approx(np.percentile(values, 95), rel=1e-6)
    assert report.whole_image_max == pytest.approx(lengths.max(), rel=1e-6)
    maps, labels = discs(gain=3.0)
    bands = MagnitudeBands(bins=13)
    report = magnitude_report(maps, labels, bands)
    lengths = np.hypot(maps.hv[0], maps.hv[1])
    low_enough = np.minimum(lengths, 1.499)
    for counts, part in ((report.counts_inside, labels > 0), (report.counts_outside, labels == 0)):
        np.testing.assert_array_equal(counts, np.histogram(low_enough[part], report.edges)[0])
    assert report.counts_inside.sum() == report.inside.n and report.counts_inside[-1] > 0
    maps, labels = discs(noise=0.3)
    target = hv_targets(labels)
    use = (labels > 0) & (np.hypot(*target) > 0)
    product = (maps.hv * target).sum(axis=0)[use]
    cosine = product / np.hypot(*maps.hv)[use] / np.hypot(*target)[use]
    assert direction_cosine(maps.hv, labels) == pytest.approx(cosine.mean(), rel=1e-5)


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
    assert report.verdict == word and says in report.explanation
    assert BLIND in report.explanation and f"{report.inside.mean:.2f}"[:4] in report.explanation


def test_direction_is_warned_of_where_it_is_wrong() -> None:
    maps, labels = discs()
    for hv, cosine, cause in (
        (-maps.hv, -1.0, "wrong sign"),
        (maps.hv[::-1], 0.0, "wrong order or sign"),
    ):
        report = magnitude_report(Maps(np=maps.np, hv=hv), labels)
        assert report.verdict == "healthy"
        assert report.direction == pytest.approx(cosine, abs=0.02) and report.misdirected
        assert "length is healthy but the direction is not" in report.explanation
        assert cause in report.explanation
    report = magnitude_report(*discs())
    assert report.direction == pytest.approx(1) and not report.misdirected
    assert "Warning" not in report.explanation
    assert magnitude_report(maps, (labels > 0).astype(int)).misdirected


def test_zeros_full_images_and_sparse_ids() -> None:
    maps, labels = discs(0.0)
    report = magnitude_report(maps, labels)
    assert (report.direction, report.inside.p95, report.verdict) == (0, 0, "collapsed")
    report = magnitude_report(Maps(np=np.ones((4, 4)), hv=np.ones((2, 4, 4))), np.ones((4, 4), int))
    assert report.outside.n == 0 and np.isnan(report.outside.mean)
    assert report.inside.mean == pytest.approx(2**0.5)
    maps, labels = discs()
    far = np.where(labels > 0, labels.astype(np.uint64) + 2**40, 0)
    report = magnitude_report(maps, far)
    assert report.inside == magnitude_report(maps, labels).inside
    assert report.direction == pytest.approx(1)


@pytest.mark.parametrize("shape", [(0, 0), (0, 4), (5, 4)])
def test_without_nuclei_there_is_nothing_to_measure(shape: tuple[int, int]) -> None:
    report = magnitude_report(
        Maps(np=np.zeros(shape), hv=np.full((2, *shape), 0.5)), np.zeros(shape, int)
    )
    assert (report.verdict, report.inside.n) == ("no nuclei", 0)
    assert np.isnan([report.inside.mean, report.direction]).all()
    assert report.outside.n == shape[0] * shape[1] and "no nuclei" in report.explanation
    assert not report.misdirected


@pytest.mark.parametrize("name", ["monuseg_49-4488-01", "dsb18_718751b439"])
def test_real_predictions_are_healthy_and_point_right(shared: Path, name: str) -> None:
    with np.load(shared / "golden" / "predicted" / f"{name}.npz") as stored:
        maps = Maps(np=stored["np_prob"].clip(0, 1), hv=stored["hv_pred"])
    labels = separate(maps).labels
    report = magnitude_report(maps, labels)
    assert report.verdict == "healthy" and report.direction > 0.85
    swapped = magnitude_report(Maps(np=maps.np, hv=maps.hv[::-1]), labels)
    assert swapped.verdict == "healthy" and swapped.misdirected


def disc(edge: int = 101) -> tuple[np.ndarray, np.ndarray]:
    y, x = np.mgrid[:edge, :edge] - edge // 2
    mask = np.hypot(y, x) <= edge // 2 - 5
    return hv_targets(mask.astype(int)), mask


def test_arrows_point_away_from_the_centre_as_long_as_the_step() -> None:
    hv, mask = disc()
    arrows = hv_arrows(hv, mask)
    outward = arrows[:, 0] - 50
    off = np.abs(outward).sum(axis=1) > 0
    product = (arrows[:, 1] * outward).sum(axis=1)[off]
    lengths = np.linalg.norm(arrows[:, 1], axis=1)[off] * np.linalg.norm(outward, axis=1)[off]
    np.testing.assert_allclose(product / lengths, 1, atol=1e-5)
    hv, mask = np.zeros((2, 90, 90), np.float32), np.ones((90, 90), bool)
    hv[1] = 1
    params = ArrowParams(limit=100, fill=0.8, longest=1.5)
    np.testing.assert_allclose(hv_arrows(hv, mask, None, params)[:, 1], [[9 * 0.8, 0]] * 100)
    long = hv_arrows(50 * hv, mask, None, params)[:, 1]
    np.testing.assert_allclose(long, [[9 * 1.5, 0]] * 100, rtol=1e-6)


@pytest.mark.parametrize("limit", [1, 300, 10**6])
def test_no_more_than_the_limit_and_all_on_the_mask(limit: int) -> None:
    hv, mask = disc()
    arrows = hv_arrows(hv, mask, None, ArrowParams(limit=limit))
    assert min(limit, mask.sum()) / 2 < len(arrows) <= min(limit, mask.sum())
    rows, cols = arrows[:, 0].astype(int).T
    assert mask[rows, cols].all()


def test_arrows_of_a_box_keep_their_places_while_the_view_moves() -> None:
    hv, mask = disc()
    params = ArrowParams(limit=60)
    here = hv_arrows(hv, mask, (20, 70, 20, 70), params)
    there = hv_arrows(hv, mask, (23, 73, 22, 72), params)
    assert grid_step(mask, Box(20, 70, 20, 70), params) == 7
    assert grid_step(mask, Box(23, 73, 22, 72), params) == 7
    starts = [{tuple(p) for p in a[:, 0].tolist()} for a in (here, there)]
    shared = {p for p in starts[0] if p[0] >= 23 and p[1] >= 22}
    assert shared and shared <= starts[1]
    hv, mask = disc()
    starts = hv_arrows(hv, mask, (30, 40, 50, 65))[:, 0]
    assert (starts.min(axis=0).tolist(), starts.max(axis=0).tolist()) == ([30, 50], [39, 64])
    for beside in ((200, 300, 0, 50), (-20, -5, 0, 50), (10, 10, 10, 20)):
        assert hv_arrows(hv, mask, beside).shape == (0, 2, 2)


def pair() -> tuple[Maps, np.ndarray]:
    """Two squares of 11 side by side, one below the first corner to corner, one far off."""
    labels = np.zeros((60, 70), np.int32)
    labels[20:31, 20:31], labels[20:31, 31:42] = 5, 9
    labels[31:40, 11:20], labels[50:55, 60:65] = 2, 7
    return Maps(np=labels > 0, hv=hv_targets(labels)), labels


def test_a_nucleus_has_its_crop_outline_numbers_and_neighbours() -> None:
    maps, labels = pair()
    view = nucleus_view(maps, labels, 5, NucleusViewParams(margin=4))
    assert view.box == (16, 35, 16, 35)
    np.testing.assert_array_equal(view.hv, maps.hv[:, 16:35, 16:35])
    np.testing.assert_array_equal(view.mask, labels[16:35, 16:35] == 5)
    np.testing.assert_array_equal(view.others, np.isin(labels[16:35, 16:35], (2, 9)))
    assert nucleus_view(maps, labels, 7, NucleusViewParams(margin=30)).box == (20, 60, 30, 70)
    outline = nucleus_view(*pair(), 9).outline
    assert outline[0].tolist() == outline[-1].tolist()
    assert (outline.min(axis=0).tolist(), outline.max(axis=0).tolist()) == ([31, 20], [41, 30])
    maps, labels = pair()
    noisy = Maps(np=maps.np, hv=np.where(labels == 9, 0.01, maps.hv))
    view = nucleus_view(noisy, labels, 5)
    values = maps.magnitude[labels == 5]
    assert view.area == view.magnitude.n == view.counts.sum() == 121
    assert view.magnitude.mean == pytest.approx(values.mean(), rel=1e-6)
    assert view.magnitude.p95 == pytest.approx(np.percentile(values, 95), rel=1e-6)
    assert (view.direction, view.centre) == (pytest.approx(1), (25, 25))
    found = {i: nucleus_view(maps, labels, i).neighbours for i in (2, 5, 7, 9)}
    assert found == {2: (5,), 5: (2, 9), 7: (), 9: (5,)}
    labels = np.zeros((5, 5), np.uint16)
    labels[0, 4] = 40000
    view = nucleus_view(Maps(np=labels > 0, hv=np.ones((2, 5, 5))), labels, 40000)
    assert (view.area, view.box) == (1, (0, 5, 0, 5)) and np.isnan(view.direction)


def test_profiles_run_through_the_centre_and_an_unknown_id_is_named() -> None:
    for wrong in (0, -1, 4, 10**12):
        refuses(f"There is no nucleus {wrong}", nucleus_view, *pair(), wrong)
    view = nucleus_view(*pair(), 5)
    across = view.across
    assert across.at == 25
    edge = int(np.flatnonzero(across.position == 30)[0])
    assert across.value[edge : edge + 2].tolist() == [1, -1]
    assert across.ids[edge : edge + 2].tolist() == [5, 9]
    inside = across.ids == 5
    np.testing.assert_allclose(np.diff(across.value[inside]), 0.2, atol=1e-6)
    maps, labels = pair()
    down = nucleus_view(maps, labels, 5).down
    assert down.at == 25
    np.testing.assert_array_equal(down.value, maps.hv[1, down.position, 25])
    assert down.value[down.ids == 5][[0, -1]].tolist() == [-1, 1]


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
