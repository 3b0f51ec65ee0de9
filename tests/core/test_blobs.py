from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage
from skimage.io import imread
from skimage.measure import label as connected
from skimage.morphology import convex_hull_image

from napari_hovernet.core.hv import hv_targets
from napari_hovernet.core.measure.blobs import BlobParams, blob_report
from napari_hovernet.core.synthetic import planted_maps
from napari_hovernet.core.types import Maps
from napari_hovernet.errors import InputError

FOUR = ndimage.generate_binary_structure(2, 1)


def discs(*places: tuple[int, int, int, int], shape: tuple[int, int] = (80, 160)) -> np.ndarray:
    """Discs of (row, column, radius, id); later ones leave earlier ones alone."""
    labels = np.zeros(shape, np.int32)
    r, c = np.indices(shape)
    for row, col, radius, number in places:
        labels[((r - row) ** 2 + (c - col) ** 2 <= radius**2) & (labels == 0)] = number
    return labels


def maps_of(labels: np.ndarray, hv: np.ndarray | None = None) -> Maps:
    """Make clean maps of labels."""
    return Maps(np=(labels > 0).astype(np.float32), hv=hv_targets(labels) if hv is None else hv)


LONE = tuple((15, 15 + 30 * i, 9, i + 1) for i in range(4))
PAIR = ((55, 30, 9, 5), (55, 47, 9, 6))


def test_what_became_of_each_component() -> None:
    truth = discs(*LONE, *PAIR)
    report = blob_report(maps_of(truth), truth)
    assert (report.n_components, report.n_instances, report.n_suspected) == (5, 6, 0)
    assert sorted(row.status for row in report.rows) == ["separated"] + ["single"] * 4
    assert [row.expected for row in report.rows if row.status == "separated"] == [2]
    merged = np.where(truth == 6, 5, truth)
    report = blob_report(maps_of(truth), merged)
    assert (report.n_components, report.n_instances, report.n_suspected) == (5, 5, 1)
    blob = report.rows[0]
    assert (blob.status, blob.worst, blob.n_instances, blob.expected) == ("blob", 5, 1, 2)
    assert blob.worst_cores == 2 and blob.worst_seam > 0.3 and blob.suspected
    assert report.suspects == (blob,) and report.largest == 2
    assert report.instance_ids[report.instance_suspected].tolist() == [5]


def test_numbers_of_a_row_equal_plain_ones(shared: Path) -> None:
    labels = np.load(shared / "golden/maps/monuseg_A7-A13F-01.npz")["labels"].astype(np.int32)
    maps = planted_maps(labels, seed=3)
    report = blob_report(maps, labels)
    parts, n = ndimage.label(labels > 0, FOUR)
    assert report.n_components == n == len(report.rows)
    assert np.array_equal(report.components > 0, labels > 0)
    outside = np.pad(labels > 0, 1, constant_values=True)
    for row in report.rows[:40]:
        inside = report.components == row.component
        r, c = np.nonzero(inside)
        assert np.unique(parts[inside]).size == 1 and (parts == parts[r[0], c[0]]).sum() == len(r)
        assert row.bbox == (r.min(), c.min(), r.max() + 1, c.max() + 1) and row.area == len(r)
        assert row.centroid == pytest.approx((c.mean(), r.mean()))
        assert row.n_instances == len(np.unique(labels[inside]))
        assert row.area_ratio == pytest.approx(row.area / report.median_area)
        if min(np.ptp(r), np.ptp(c)) > 1:
            hull = convex_hull_image(inside, offset_coordinates=False)
            assert row.solidity == pytest.approx(len(r) / hull.sum(), abs=0.01)
        rim = inside & ~ndimage.binary_erosion(outside, FOUR, border_value=1)[1:-1, 1:-1]
        if rim.any():
            assert row.rim_magnitude == pytest.approx(maps.magnitude[rim].mean(), rel=1e-4)


def test_rows_are_ranked_suspects_first() -> None:
    truth = discs(*LONE, *PAIR, (55, 90, 9, 7), (55, 106, 9, 8), (55, 122, 9, 9))
    merged = np.array([0, 1, 2, 3, 4, 5, 5, 7, 7, 7])[truth]
    report = blob_report(maps_of(truth), merged)
    assert [row.status for row in report.rows] == ["blob"] * 2 + ["single"] * 4
    assert [row.worst for row in report.suspects] == [7, 5]
    scores = [row.score for row in report.suspects]
    assert scores == sorted(scores, reverse=True) and min(scores) >= 1
    assert report.largest == 3


def test_rim_magnitude_tells_a_healthy_map_from_a_collapsed_one() -> None:
    truth = discs(*LONE, *PAIR)
    merged = np.where(truth == 6, 5, truth)
    healthy, collapsed = hv_targets(truth), hv_targets(truth) * np.float32(0.02)
    good = blob_report(maps_of(truth, healthy), merged)
    bad = blob_report(maps_of(truth, collapsed), merged)
    assert all(row.rim_magnitude > 0.85 for row in good.rows)
    assert all(row.rim_magnitude < 0.03 for row in bad.rows)
    assert good.n_suspected == bad.n_suspected == 1, "the shape alone tells"
    assert bad.rows[0].worst_seam == 0


def test_a_seam_of_hv_accuses_where_the_shape_does_not() -> None:
    labels = np.zeros((60, 200), np.int32)
    for i in range(6):
        labels[5:23, 5 + 30 * i : 23 + 30 * i] = i + 1
    truth = labels.copy()
    labels[30:48, 20:48] = 9
    truth[30:48, 20:34], truth[30:48, 34:48] = 9, 10
    assert blob_report(maps_of(labels), labels).n_suspected == 0
    assert blob_report(None, labels).n_suspected == 0
    report = blob_report(maps_of(truth), labels)
    assert [row.worst for row in report.suspects] == [9]
    assert report.rows[0].worst_seam > 0.5 and report.rows[0].worst_cores == 1


@pytest.mark.parametrize("scale", [0.02, 0.5, 3.0, 50.0])
def test_neither_weak_nor_overshooting_hv_accuses_good_labels(scale: float) -> None:
    labels = discs(*LONE, *PAIR)
    maps = planted_maps(labels)
    scaled = Maps(np=maps.np, hv=maps.hv * np.float32(scale))
    assert blob_report(scaled, labels).n_suspected == 0
    merged = np.where(labels == 6, 5, labels)
    assert [row.worst for row in blob_report(scaled, merged).suspects] == [5]


def test_one_nucleus_is_found_though_nearly_everything_is_merged() -> None:
    places, number = [], 0
    for row in (20, 60):
        for start in range(4):
            number += 1
            places += [(row, 14 + 40 * start + 17 * k, 9, number) for k in range(2)]
    labels = discs(*places)
    one = int((discs((40, 40, 9, 1)) > 0).sum())
    assert np.median(np.bincount(labels.ravel())[1:]) > 1.8 * one
    report = blob_report(None, labels)
    assert report.median_area == pytest.approx(one, rel=0.05)
    assert report.n_suspected == report.n_components
    assert sum(row.expected for row in report.rows) == len(places)
    assert blob_report(None, labels, BlobParams(nucleus_area=50.0)).median_area == 50


def test_sheets_debris_and_cut_nuclei() -> None:
    sheet = np.ones((200, 200), np.int32)
    row = blob_report(None, sheet).rows[0]
    assert row.status == "blob" and row.expected >= 4
    assert np.isnan(row.rim_magnitude)
    assert blob_report(None, sheet, BlobParams(largest_area=50_000)).n_suspected == 0
    labels = discs(*LONE)
    labels[60, 20:28] = 50
    labels[70, 3::2] = np.arange(60, 60 + len(labels[70, 3::2]))
    report = blob_report(None, labels)
    assert report.n_suspected == 0 and report.median_area == (discs(LONE[0]) > 0).sum()
    labels = discs(*LONE, (60, 60, 3, 9), (60, 66, 3, 9))
    assert blob_report(None, labels).n_suspected == 0
    eager = blob_report(None, labels, BlobParams(least_core=0.0))
    assert max(row.worst_cores for row in eager.rows) == 2
    whole = discs((30, 30, 12, 1), shape=(60, 60))
    cut = np.ascontiguousarray(whole[30:])
    report = blob_report(maps_of(cut, hv_targets(whole)[:, 30:]), cut)
    assert report.rows[0].rim_magnitude > 0.9 and report.n_suspected == 0


def test_ids_may_have_gaps_be_huge_and_lie_apart() -> None:
    truth = discs(*LONE, *PAIR)
    plain = blob_report(maps_of(truth), np.where(truth == 6, 5, truth))
    ids = np.array([0, 9, 2_000_000_000, 70, 3_000_000_000, 800_000, 800_000], np.uint32)
    sparse = blob_report(maps_of(truth), ids[truth])
    assert sparse.instance_ids.tolist() == [9, 70, 800_000, 2_000_000_000, 3_000_000_000]
    assert sparse.rows[0].worst == 800_000
    assert sparse.summary == plain.summary and sparse.median_area == plain.median_area
    assert sparse.status_of(800_000) == "blob" and sparse.status_of(3_000_000_000) == "single"
    labels = discs((15, 15, 9, 1), (15, 100, 9, 1), (60, 60, 9, 2), (60, 77, 9, 2))
    report = blob_report(None, labels)
    assert (report.n_components, report.n_instances, report.n_scattered) == (3, 2, 1)
    assert [row.n_instances for row in report.rows] == [1, 1, 1]
    assert ([row.worst for row in report.suspects], report.status_of(1)) == ([2], "single")
    labels = discs((15, 15, 9, 2), (60, 60, 9, 2), (60, 77, 9, 2), (15, 50, 9, 1))
    assert blob_report(None, labels).status_of(2) == "blob", "the worst of its components"


def test_a_mask_joins_what_the_labels_leave_apart_and_an_image_has_its_summary() -> None:
    labels = discs(*LONE, (55, 30, 9, 5), (55, 51, 9, 6))
    mask = labels > 0
    mask[55, 30:51] = True
    mask[70:78, 100:110] = True
    assert blob_report(None, labels).n_components == 6
    report = blob_report(None, labels, mask=mask)
    assert report.n_components == 6
    found = {row.status: row for row in report.rows}
    assert found["separated"].n_instances == 2
    empty = found["empty"]
    assert (empty.area, empty.worst, empty.expected, empty.n_instances) == (80, 0, 0, 0)
    assert np.isnan(empty.worst_area_ratio) and empty.score == 0
    labels = discs(*LONE)
    said = blob_report(None, labels).summary
    assert said == "4 components, 4 nuclei, no suspected blobs"
    said = blob_report(None, np.where(labels == 2, 2, 0), mask=labels).summary
    assert said == "4 components, 1 nucleus, no suspected blobs, 3 without a nucleus"
    assert blob_report(None, 0 * labels).summary == "No nuclei"
    three = ((55, column, 9, 9) for column in (30, 45, 60))
    said = blob_report(None, discs(*LONE, *three)).summary
    assert said == "5 components, 5 nuclei, 1 suspected blob, largest 3 nuclei"


@pytest.mark.parametrize("shape", [(0, 0), (0, 7), (12, 9)])
def test_no_nuclei_give_no_rows(shape: tuple[int, int]) -> None:
    report = blob_report(maps_of(np.zeros(shape, np.int32)), np.zeros(shape, np.uint8))
    assert (report.rows, report.n_components, report.n_instances) == ((), 0, 0)
    assert report.components.shape == shape and np.isnan(report.median_area)
    assert report.component_status.tolist() == [0] and report.largest == 0


@pytest.mark.parametrize(
    ("labels", "mask", "words"),
    [
        (np.zeros((3, 4), int), None, r"labels has shape \(3, 4\) and the maps \(3, 3\)"),
        (np.zeros((3, 3)), None, "float64"),
        (np.full((3, 3), -2), None, "-2"),
        (np.zeros((1, 3, 3), int), None, r"\(1, 3, 3\)"),
        (np.zeros((3, 3), int), np.zeros((2, 3), bool), r"mask has shape \(2, 3\)"),
        (np.zeros((3, 3), int), np.zeros((3, 3)), "mask has dtype float64"),
    ],
)
def test_wrong_input_is_named(labels: np.ndarray, mask: np.ndarray | None, words: str) -> None:
    with pytest.raises(InputError, match=words):
        blob_report(maps_of(np.zeros((3, 3), np.int32)), labels, mask=mask)


@pytest.mark.slow
@pytest.mark.parametrize(("length", "pairs", "more"), [(1.0, 0.88, 0.98), (0.02, 0.70, 0.95)])
def test_real_label_images(shared: Path, length: float, pairs: float, more: float) -> None:
    """The numbers in the docstring, on the images that tuned nothing."""
    plain, merged = list[bool](), {1: list[bool](), 2: list[bool](), 3: list[bool]()}
    for path in sorted((shared / "data" / "val").glob("*_lab.png")):
        truth = imread(path).astype(np.int32)
        maps = planted_maps(truth)
        maps = Maps(np=maps.np, hv=maps.hv * np.float32(length))
        plain += [row.suspected for row in blob_report(maps, truth).rows]
        report = blob_report(maps, connected(truth > 0, connectivity=1))
        for row in report.rows:
            held = len(np.unique(truth[report.components == row.component]))
            merged[min(held, 3)].append(row.suspected)
    assert np.mean(plain) < 0.03 and np.mean(merged[2]) > pairs
    assert np.mean(merged[3]) > more
