"""Compiled loops of the blob check against plain ways of doing it."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage
from skimage.morphology import convex_hull_image

from napari_hovernet.core.measure.blobs import (
    find_cores,
    hull_pixels,
    on_rim,
    rim_mean,
    seam_lengths,
)

RULES = (0.75, 0.4)


def ragged(seed: int) -> np.ndarray:
    """Parts of every form, several of them touching."""
    rng = np.random.default_rng(seed)
    smooth = ndimage.gaussian_filter(rng.random((60, 70)), 1 + 2 * rng.random())
    parts = np.zeros(smooth.shape, np.int32)
    for level in np.quantile(smooth, [0.35, 0.8]):
        fresh = ndimage.label((smooth > level) if level > smooth.mean() else (smooth < level))[0]
        parts[fresh > 0] = fresh[fresh > 0] + parts.max()
    return np.unique(parts, return_inverse=True)[1].reshape(parts.shape).astype(np.int32)


def boxes(parts: np.ndarray) -> np.ndarray:
    found = ndimage.find_objects(parts)
    return np.array([[r.start, c.start, r.stop, c.stop] for r, c in found], np.int64)


@pytest.mark.parametrize("seed", range(4))
def test_hulls_have_the_pixels_that_skimage_counts(seed: int) -> None:
    rng = np.random.default_rng(seed)
    clouds = [rng.integers(0, 25, (n, 2)) for n in (1, 2, 3, 7, 40)]
    clouds.append(np.column_stack((np.arange(9), np.full(9, 4))))
    starts = np.cumsum([0] + [len(x) for x in clouds])
    found = hull_pixels(np.concatenate(clouds).astype(np.int32), starts)
    for cloud, pixels in zip(clouds, found, strict=True):
        mask = np.zeros((25, 25), bool)
        mask[cloud[:, 1], cloud[:, 0]] = True
        if np.linalg.matrix_rank(cloud - cloud[0]) == 2:
            assert pixels == convex_hull_image(mask, offset_coordinates=False).sum()
        else:
            step = np.gcd(*np.abs(np.ptp(cloud, axis=0)))
            assert pixels == step + 1


@pytest.mark.parametrize("seed", range(4))
def test_rim_and_its_mean_equal_plain_ones(seed: int) -> None:
    parts = ragged(seed)
    hv = np.random.default_rng(seed).normal(size=(2, *parts.shape)).astype(np.float32)
    rim = np.ones(parts.shape, np.uint8)
    on_rim(parts, rim)
    n = int(parts.max())
    mean = rim_mean(parts, rim, hv, n)
    for part in range(1, n + 1):
        inside = parts == part
        plain = inside & ~ndimage.binary_erosion(inside, border_value=1)
        assert np.array_equal(inside & (rim == 0), plain)
        if plain.any():
            assert mean[part] == pytest.approx(np.hypot(*hv)[plain].mean(), rel=1e-5)
    assert np.isnan(mean[0])


def discs(*places: tuple[int, int, int]) -> tuple[np.ndarray, np.ndarray]:
    """One part made of discs of (row, column, radius), and the distance from its outside."""
    parts = np.zeros((60, 120), np.int32)
    r, c = np.indices(parts.shape)
    for row, col, radius in places:
        parts[(r - row) ** 2 + (c - col) ** 2 <= radius**2] = 1
    return parts, ndimage.distance_transform_edt(parts).astype(np.float32)


def cores(parts: np.ndarray, depth: np.ndarray) -> np.ndarray:
    room = int(np.bincount(parts.ravel())[1:].max())
    owner, area = find_cores(parts, depth, boxes(parts), room, RULES)
    assert np.array_equal(
        np.bincount(owner, weights=area, minlength=parts.max() + 1)[1:],
        np.bincount(parts.ravel())[1:],
    ), "every pixel lies in one core"
    return np.sort(area)


def test_a_narrow_neck_cuts_and_a_wide_one_does_not() -> None:
    assert len(cores(*discs((30, 30, 12)))) == 1
    two = cores(*discs((30, 30, 12), (30, 52, 12)))
    assert len(two) == 2 and two[0] == pytest.approx(two[1], rel=0.06)
    assert len(cores(*discs((30, 30, 12), (30, 40, 12)))) == 1
    assert len(cores(*discs((30, 20, 12), (30, 42, 12), (30, 64, 12), (30, 86, 12)))) == 4


def test_a_bump_is_no_core() -> None:
    assert len(cores(*discs((30, 30, 14), (30, 46, 4)))) == 1


@pytest.mark.parametrize("seed", range(4))
def test_cores_of_touching_parts_are_those_of_each_part_alone(seed: int) -> None:
    parts = ragged(seed)
    depth = np.zeros(parts.shape, np.float32)
    alone = []
    for part in range(1, parts.max() + 1):
        inside = parts == part
        depth[inside] = ndimage.distance_transform_edt(inside)[inside]
        alone.append(cores(inside.astype(np.int32), np.where(inside, depth, 0)))
    assert np.array_equal(cores(parts, depth), np.sort(np.concatenate(alone)))


def test_many_bumps_need_more_room_than_usual() -> None:
    parts = np.zeros((200, 200), np.int32)
    parts[::2, ::2] = np.arange(1, 100 * 100 + 1).reshape(100, 100)
    owner, area = find_cores(parts, np.ones(parts.shape, np.float32), boxes(parts), 1, RULES)
    assert owner.tolist() == list(range(1, 10_001)) and set(area.tolist()) == {1}


def test_seams_are_as_long_as_the_border_between_two() -> None:
    parts = np.ones((20, 40), np.int32)
    h = np.tile(np.concatenate((np.linspace(-1, 1, 20), np.linspace(-1, 1, 20))), (20, 1))
    hv = np.stack((h, np.zeros_like(h))).astype(np.float32)
    assert seam_lengths(parts, hv, 4, 0.8, 1)[1].tolist() == [20, 0]
    turned = np.ascontiguousarray(hv[::-1].transpose(0, 2, 1))
    upright = np.ones((40, 20), np.int32)
    assert seam_lengths(upright, turned, 4, 0.8, 1)[1].tolist() == [0, 20]
    cut = parts.copy()
    cut[:, 20:] = 2
    assert not seam_lengths(cut, hv, 4, 0.8, 2).any(), "a border is no seam"
    assert not seam_lengths(parts, hv * np.float32(0.1), 4, 0.8, 1).any()


def test_two_seams_in_a_row_count_twice() -> None:
    parts = np.ones((1, 60), np.int32)
    h = np.tile(np.linspace(-1, 1, 20), 3)[None]
    hv = np.stack((h, np.zeros_like(h))).astype(np.float32)
    assert seam_lengths(parts, hv, 4, 0.8, 1)[1].tolist() == [2, 0]
    assert not seam_lengths(parts, hv, 64, 0.8, 1).any(), "a reach beyond the image"
