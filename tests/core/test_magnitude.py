from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from napari_hovernet.core.hv import hv_targets
from napari_hovernet.core.measure.magnitude import (
    BLIND,
    MagnitudeBands,
    direction_cosine,
    magnitude_report,
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
