import json
from dataclasses import replace

import cv2
import numpy as np
import pytest
from scipy import ndimage
from skimage.segmentation import watershed as skimage_watershed

from napari_hovernet.core import masks, types
from napari_hovernet.core.hv import hv_targets
from napari_hovernet.core.masks import fill_holes, label_parts
from napari_hovernet.core.measure.metrics import evaluate
from napari_hovernet.core.params import SeparationParams
from napari_hovernet.core.separation import filters, separate
from napari_hovernet.core.separation import kernels as flood
from napari_hovernet.core.separation.local import separate_local, squeeze_energy
from napari_hovernet.core.separation.published import merged
from napari_hovernet.core.types import Maps

WORKING = ("local", "hover_net")
"""Presets that are meant to be right."""


def golden(shared, kind):
    """Name, true labels, maps and the reference result of every file of one kind."""
    for path in sorted((shared / "golden" / kind).glob("*.npz")):
        with np.load(path) as data:
            probability = np.clip(data["np_prob"].astype(np.float32), 0, 1)
            maps = Maps(np=probability, hv=data["hv_pred"].astype(np.float32))
            yield path.stem, data["labels"].astype(np.int32), maps, data["separated"]


def different_pixels(a: np.ndarray, b: np.ndarray) -> int:
    """Pixels of ``b`` outside the best partner of their region of ``a``."""
    columns = int(b.max()) + 1
    pairs = a.ravel().astype(np.int64) * columns + b.ravel()
    table = np.bincount(pairs, minlength=(int(a.max()) + 1) * columns).reshape(-1, columns)
    return a.size - int(table.max(axis=1).sum())


@pytest.mark.parametrize("kind", ["maps", "predicted"])
def test_hover_net_equals_the_reference(shared, kind):
    params = SeparationParams.preset("hover_net")
    for name, _, maps, reference in golden(shared, kind):
        labels = separate(maps, params).labels
        assert labels.max() == reference.max(), name
        assert different_pixels(reference, labels) <= labels.size / 10_000, name


@pytest.mark.parametrize(("kind", "aji", "pq"), [("maps", 0.93, 0.93), ("predicted", 0.64, 0.625)])
def test_local_scores_better_than_hover_net(shared, kind, aji, pq):
    scores = [
        evaluate(labels, separate(maps).labels) for _, labels, maps, _ in golden(shared, kind)
    ]
    assert np.mean([s.aji for s in scores]) > aji and np.mean([s.pq for s in scores]) > pq
    published = json.loads((shared / "golden" / kind / "metrics.json").read_text())
    assert np.mean([s.aji for s in scores]) > np.mean([s["aji"] for s in published.values()])


@pytest.mark.parametrize("method", WORKING)
@pytest.mark.parametrize("shape", [(0, 0), (0, 7), (1, 1), (1, 50), (50, 1), (3, 3), (40, 30)])
@pytest.mark.parametrize("fill", [0.0, 1.0])
def test_plain_maps_of_any_shape(method, shape, fill):
    maps = Maps(np=np.full(shape, fill), hv=np.zeros((2, *shape)))
    result = separate(maps, SeparationParams.preset(method))
    assert result.labels.shape == result.energy.shape == result.markers.shape == shape
    assert result.mask.dtype == bool and result.labels.dtype == result.markers.dtype == np.int32
    assert result.energy.dtype == np.float32 and np.isfinite(result.energy).all()
    assert result.n <= 1
    if fill == 0:
        assert not result.labels.any()


@pytest.mark.parametrize("method", WORKING)
def test_touching_nuclei_stay_apart(method):
    labels = np.zeros((40, 70), np.int32)
    y, x = np.mgrid[:40, :70]
    labels[((y - 20) / 14) ** 2 + ((x - 22) / 13) ** 2 <= 1] = 1
    labels[(((y - 20) / 14) ** 2 + ((x - 47) / 13) ** 2 <= 1) & (labels == 0)] = 2
    found = separate(Maps(np=labels > 0, hv=hv_targets(labels)), SeparationParams.preset(method))
    assert found.n == 2 and found.mask[20, 34]
    assert evaluate(labels, found.labels).aji > 0.97


@pytest.mark.parametrize("method", WORKING)
def test_stages_agree(method):
    rng = np.random.default_rng(0)
    probability = cv2.GaussianBlur(rng.random((90, 110)).astype(np.float32), (0, 0), 3)
    probability = np.clip((probability - 0.5) * 8 + 0.5, 0, 1)
    hv = cv2.GaussianBlur(rng.standard_normal((90, 110, 2)).astype(np.float32), (0, 0), 3) * 5
    maps = Maps(np=probability, hv=np.moveaxis(hv, 2, 0))
    result = separate(maps, SeparationParams.preset(method))
    assert result.n > 1 and not result.labels[~result.mask].any()
    marked = result.markers > 0
    np.testing.assert_array_equal(result.labels[marked], result.markers[marked])
    assert set(np.unique(result.markers)) == set(range(result.n + 1))
    again = separate(maps, SeparationParams.preset(method))
    np.testing.assert_array_equal(result.labels, again.labels)


LOCAL = SeparationParams()


def crowd(height: int = 160, width: int = 200, step: int = 20) -> np.ndarray:
    """Touching ellipses on a grid, every other one turned."""
    y, x = np.mgrid[:height, :width]
    labels = np.zeros((height, width), np.int32)
    for i, cy in enumerate(range(step, height - step // 2, step)):
        for j, cx in enumerate(range(step, width - step // 2, step)):
            a, b = (0.62, 0.5) if (i + j) % 2 else (0.5, 0.62)
            inside = ((y - cy) / (a * step)) ** 2 + ((x - cx) / (b * step)) ** 2 <= 1
            labels[inside & (labels == 0)] = labels.max() + 1
    return labels


def exact(labels: np.ndarray, factor: float = 1.0) -> Maps:
    """Maps without a fault, HV times ``factor``."""
    return Maps(np=labels > 0, hv=hv_targets(labels) * np.float32(factor))


@pytest.mark.parametrize("step", [12, 20, 40, 60])
def test_sizes_from_half_to_triple(step):
    labels = crowd(step * 6, step * 7, step)
    assert separate_local(exact(labels), LOCAL).n == labels.max()


@pytest.mark.parametrize("factor", [0.02, 0.3, 3, 50])
def test_weak_and_overshooting_hv(factor):
    labels = crowd()
    found = separate_local(exact(labels, factor), LOCAL)
    assert found.n == labels.max()


def test_noise_background_and_zeros_cut_nothing():
    labels = crowd()
    maps = exact(labels)
    noise = np.random.default_rng(0).standard_normal(maps.hv.shape).astype(np.float32)
    found = separate_local(Maps(np=maps.np, hv=maps.hv + 0.2 * noise), LOCAL)
    assert found.n == labels.max()
    found = separate_local(Maps(np=labels > 0, hv=np.zeros((2, *labels.shape))), LOCAL)
    assert found.n == 1
    hv = maps.hv.copy()
    outside = np.broadcast_to(labels == 0, hv.shape)
    hv[outside] = np.random.default_rng(0).standard_normal(int(outside.sum()))
    found = separate_local(Maps(np=maps.np, hv=hv), LOCAL)
    np.testing.assert_array_equal(found.labels, separate_local(maps, LOCAL).labels)


@pytest.mark.parametrize("method", WORKING)
@pytest.mark.parametrize("shape", [(64, 301), (200, 37), (1, 50), (50, 1)])
@pytest.mark.parametrize("opening", [1, 5])
def test_pieces_do_not_change_the_result(method, shape, opening, monkeypatch):
    rng = np.random.default_rng(0)
    maps = Maps(np=rng.integers(0, 5, shape) / 4, hv=rng.integers(-1, 2, (2, *shape)) / 1)
    if opening > 1:  # smooth, so that something is left of the markers
        smooth = [cv2.GaussianBlur(plane, (7, 7), 0) for plane in (maps.np, *maps.hv)]
        maps = Maps(np=smooth[0], hv=np.stack(smooth[1:]))
    params = SeparationParams(method=method, min_area=2, min_marker_area=1, opening_size=opening)
    whole = separate(maps, params)
    monkeypatch.setattr(types, "BAND", 40)
    for module in (flood, masks):
        monkeypatch.setattr(module, "RUNS_AT_ONCE", 9)
    cut = separate(maps, params)
    for stage in ("mask", "energy", "markers", "labels"):
        np.testing.assert_array_equal(getattr(cut, stage), getattr(whole, stage))


def test_unsure_instances_are_dropped_holes_filled_and_gaps_left():
    labels = np.zeros((40, 60), np.int32)
    labels[5:20, 5:20], labels[5:20, 30:45] = 1, 2
    probability = np.where(labels == 1, 0.9, np.where(labels == 2, 0.5, 0))
    found = separate_local(Maps(np=probability, hv=hv_targets(labels)), LOCAL)
    assert (found.n, found.labels[10, 10]) == (1, 1) and not found.markers[10, 35]
    labels = np.zeros((60, 60), np.int32)
    labels[10:30, 10:30], labels[10:30, 30:50] = 1, 2
    labels[30:50, 10:30], labels[30:50, 30:50] = 3, 4
    hv = hv_targets(labels)
    probability = (labels > 0).astype(np.float32)
    probability[18:21, 17:20] = 0.1
    probability[27:33, 27:33] = 0.1
    found = separate_local(Maps(np=probability, hv=hv), LOCAL)
    assert found.n == 4 and found.mask[18:21, 17:20].all()
    assert len(np.unique(found.labels[10:25, 10:25])) == 1
    assert not found.mask[27:33, 27:33].any() and not found.labels[27:33, 27:33].any()


def test_a_crop_gives_what_the_whole_gives(shared):
    """Away from the cut by the reach of the filters, on real maps."""
    reach = LOCAL.magnitude_window // 2 + 12
    checked = 0
    for name, _, maps, _ in golden(shared, "predicted"):
        if not name.startswith("monuseg"):
            continue
        whole = separate_local(maps, LOCAL)
        at = np.s_[101:590, 75:600]
        part = separate_local(Maps(np=maps.np[at], hv=maps.hv[(slice(None), *at)]), LOCAL)
        inner = np.s_[reach:-reach, reach:-reach]
        np.testing.assert_allclose(part.energy[inner], whole.energy[at][inner], atol=1e-5)
        mine, theirs = part.labels[inner].ravel(), whole.labels[at][inner].ravel()
        columns = whole.n + 1
        pairs = np.unique(mine.astype(np.int64) * columns + theirs)
        mine, theirs = pairs // columns, pairs % columns
        assert len(np.unique(mine)) == len(np.unique(theirs)) == len(pairs), name
        assert pairs[0] == 0
        checked += len(pairs) - 1
    assert checked > 100


PEAKS = SeparationParams.preset("magnitude_peaks")
MERGING = SeparationParams.preset("merging_relabel")


def two_discs() -> np.ndarray:
    labels = np.zeros((40, 70), np.int32)
    y, x = np.mgrid[:40, :70]
    labels[(y - 20) ** 2 + (x - 22) ** 2 <= 13**2] = 1
    labels[((y - 20) ** 2 + (x - 47) ** 2 <= 13**2) & (labels == 0)] = 2
    return labels


def test_seeds_of_the_magnitude_lie_on_the_rim_and_break_nuclei_up():
    labels = two_discs()
    maps = exact(labels)
    found = separate(maps, PEAKS)
    assert found.n > 4
    depth = ndimage.distance_transform_edt(labels > 0)
    assert np.median(depth[found.markers > 0]) < 2 < np.median(depth[labels > 0])
    assert ((found.labels > 0) == found.mask).all()


def test_merging_makes_one_of_what_touches():
    maps = exact(two_discs())
    assert separate(maps, MERGING).n == 1
    assert separate(maps, replace(MERGING, merge_touching=False)).n == 2
    before = separate(maps, SeparationParams())
    after = merged(before)
    assert after.n == 1
    assert after.energy is before.energy and after.markers is before.markers


@pytest.mark.parametrize("kind", ["maps", "predicted"])
def test_merging_gives_the_aji_of_connected_components(shared, kind):
    reference = json.loads((shared / "golden" / kind / "metrics.json").read_text())
    wanted = {name: pytest.approx(scores["cc_aji"], abs=1e-6) for name, scores in reference.items()}
    found = {
        name: evaluate(truth, separate(maps, MERGING).labels).aji
        for name, truth, maps, _ in golden(shared, kind)
    }
    assert found == wanted and len(found) >= 6


def landscape(seed: int = 0, shape: tuple[int, int] = (60, 70)) -> np.ndarray:
    """Smooth noise in about -1..1."""
    noise = ndimage.gaussian_filter(np.random.default_rng(seed).standard_normal(shape), 3)
    return (noise / np.abs(noise).max()).astype(np.float32)


@pytest.mark.parametrize("seed", range(3))
def test_watershed_equals_scikit_image(seed):
    energy = landscape(seed)
    mask = landscape(seed + 10) > -0.1
    markers = ndimage.label((energy < -0.3) & mask)[0].astype(np.int32)
    labels = flood.flood_from_markers(energy, mask, markers)
    np.testing.assert_array_equal(labels, skimage_watershed(energy, markers, mask=mask))


@pytest.mark.parametrize("shape", [(1, 1), (1, 50), (50, 1), (3, 3), (131, 200)])
@pytest.mark.parametrize(("scales", "error"), [((1.5, 3.0), 2e-5), ((11.0, 20.0), 1e-2)])
def test_energy_is_that_of_plain_filters(shape, scales, error):
    """Gaussians, quotients and differences of the whole image by other means.

    Large scales are made of two Gaussians, which are cut off further out.
    """
    params = replace(LOCAL, scales=scales)
    rng = np.random.default_rng(0)
    maps = Maps(np=rng.random(shape), hv=rng.standard_normal((2, *shape)))
    mask = (maps.np >= LOCAL.np_threshold) | (rng.random(shape) < 0.3)
    weight = ((maps.np >= LOCAL.np_threshold) & mask).astype(np.float64)

    def summed(values: np.ndarray) -> np.ndarray:
        size = LOCAL.magnitude_window
        return ndimage.uniform_filter(values, size, mode="constant") * size**2

    mean = summed(maps.magnitude * weight) / np.maximum(summed(weight), 1)
    mean = np.maximum(mean, 1e-6)
    hv = maps.hv * weight * np.clip(mean, LOCAL.magnitude_low, LOCAL.magnitude_high) / mean
    energy = np.zeros(shape)
    for sigma in scales:
        share, h, v = (
            ndimage.gaussian_filter(f, sigma, mode="constant", truncate=3.0 if sigma < 8 else 4.0)
            for f in (weight, *hv)
        )
        (hy, hx), (vy, vx) = (
            [np.gradient(f / (share + 1e-6), axis=k) if shape[k] > 1 else np.zeros(shape)
             for k in (0, 1)] for f in (h, v)
        )  # fmt: skip
        spread = np.hypot(hx - vy, hy + vx)
        energy -= sigma / len(scales) * (hx + vy - LOCAL.oblique * spread)
    found = squeeze_energy(maps, (mask, weight > 0), params)
    np.testing.assert_allclose(found, energy * mask, atol=error)


@pytest.mark.parametrize("scale", [3.0, 14.0])
def test_a_part_computed_alone_is_the_part_of_the_whole_to_the_last_bit(scale):
    rng = np.random.default_rng(0)
    hv = rng.standard_normal((2, 200, 300)).astype(np.float32)
    seen, gain = rng.random((200, 300)) < 0.7, np.ones((200, 300), np.float32)
    whole, part = np.zeros((2, 200, 300), np.float32)
    every = filters.chosen_blocks(np.ones_like(seen))
    filters.squeeze_terms(hv, seen, gain, every, [(scale, 1, whole)], 0.25)
    for row, column in np.argwhere(every):
        alone = np.zeros_like(every)
        alone[row, column] = True
        filters.squeeze_terms(hv, seen, gain, alone, [(scale, 1, part)], 0.25)
    np.testing.assert_array_equal(part, whole)


@pytest.mark.parametrize("seed", range(8))
def test_masks_are_cleaned_as_others_do(seed):
    rng = np.random.default_rng(seed)
    shape = rng.integers(1, 60, 2)
    mask = ndimage.gaussian_filter(rng.random(shape), seed % 3) > 0.5
    for connectivity in (4, 8):
        corners = ndimage.generate_binary_structure(2, connectivity // 4)
        parts, n = label_parts(mask, connectivity=connectivity)
        expected, m = ndimage.label(mask, corners)
        assert n == m
        assert len(np.unique(np.stack([parts, expected]).reshape(2, -1), axis=1).T) == n + (
            not mask.all()
        )
        first = np.unique(parts, return_index=True)[1][np.unique(parts) > 0]
        assert (np.diff(first) > 0).all()
        filled = mask.copy()
        fill_holes(filled, connectivity=connectivity)
        around = ndimage.generate_binary_structure(2, 2 if connectivity == 8 else 1)
        np.testing.assert_array_equal(filled, ndimage.binary_fill_holes(mask, around))
