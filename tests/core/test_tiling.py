from __future__ import annotations

import numpy as np
import pytest

from napari_hovernet.core.inference.tiles import (
    Tile,
    best_tile,
    mirror,
    overhead,
    plan,
    smallest_tile,
)
from napari_hovernet.core.networks.registry import Geometry
from napari_hovernet.errors import InputError

SAME = Geometry(divisor=16, remainder=0, margin=0, halo=96, reference_tile=448, minimum=16)
FAST = Geometry(divisor=8, remainder=0, margin=46, halo=58, reference_tile=256, minimum=96)
ORIGINAL = Geometry(divisor=8, remainder=6, margin=95, halo=60, reference_tile=270, minimum=198)
ALL = (SAME, FAST, ORIGINAL)
SHAPES = ((1, 1), (1, 700), (3, 17), (256, 320), (641, 999), (1000, 1000), (2300, 137))


def covered(tiles: tuple[Tile, ...], shape: tuple[int, int]) -> np.ndarray:
    count = np.zeros(shape, int)
    for tile in tiles:
        count[tile.kept.slices()] += 1
    return count


@pytest.mark.parametrize("geometry", ALL)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("tile", [1, 256, 333, (300, 1024), 4096])
@pytest.mark.parametrize("reference", [False, True])
def test_kept_boxes_cover_the_image_once_with_legal_tiles(
    geometry: Geometry, shape: tuple[int, int], tile: int, reference: bool
) -> None:
    tiles = plan(shape, geometry, tile, reference)
    assert (covered(tiles, shape) == 1).all()
    assert len({t.input.shape for t in tiles}) == 1
    for t in tiles:
        assert all(geometry.legal(edge) == edge for edge in t.input.shape)
        assert t.output.shape == tuple(n - 2 * geometry.margin for n in t.input.shape)
        assert t.output.r0 <= t.kept.r0 < t.kept.r1 <= t.output.r1
        assert t.output.c0 <= t.kept.c0 < t.kept.c1 <= t.output.c1


@pytest.mark.parametrize("geometry", ALL)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("tile", [1, 256, 333, 1024])
def test_tiles_share_a_grid_their_ends_and_keep_clear_of_cuts(
    geometry: Geometry, shape: tuple[int, int], tile: int
) -> None:
    whole = plan(shape, geometry, 10**6)
    assert len(whole) == 1
    outer = whole[0].input
    for t in plan(shape, geometry, tile):
        for low, high in ((0, 1), (2, 3)):
            assert (t.input[low] - outer[low]) % geometry.divisor == 0
            clear_low = t.kept[low] - t.output[low] >= geometry.halo
            clear_high = t.output[high] - t.kept[high] >= geometry.halo
            assert clear_low or t.input[low] == outer[low]
            assert clear_high or t.input[high] == outer[high]


def test_reference_repeats_the_published_plan() -> None:
    tiles = plan((170, 165), ORIGINAL, 270, reference=True)
    assert [(t.kept.r0, t.kept.c0) for t in tiles] == [
        (r, c) for r in (0, 80, 160) for c in (0, 80, 160)
    ]
    assert tiles[0].input == (-95, 175, -95, 175)
    assert tiles[-1].kept == (160, 170, 160, 165)


@pytest.mark.parametrize("start, end, length", [(-7, 9, 1), (-7, 9, 2), (-20, 35, 5), (0, 6, 6)])
def test_mirror_is_numpy_reflect(start: int, end: int, length: int) -> None:
    expected = np.pad(np.arange(length), (-start, end - length), mode="reflect")
    np.testing.assert_array_equal(mirror(start, end, length), expected)


@pytest.mark.parametrize("geometry", ALL)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("pixels", [1, 150_000, 500_000, 10**7])
def test_best_tile_fits_and_no_square_is_cheaper(
    geometry: Geometry, shape: tuple[int, int], pixels: int
) -> None:
    tile = best_tile(shape, geometry, pixels)
    smallest = tuple(smallest_tile(n, geometry) for n in shape)
    assert tile[0] * tile[1] <= pixels or tile == smallest
    square = int(pixels**0.5)
    edge = square - (square - geometry.remainder) % geometry.divisor
    if edge >= max(smallest):
        assert overhead(shape, geometry, tile) <= overhead(shape, geometry, (edge, edge))


def test_overhead_counts_what_the_plan_sends() -> None:
    tiles = plan((2000, 1500), FAST, 700)
    sent = sum(t.input.shape[0] * t.input.shape[1] for t in tiles)
    assert overhead((2000, 1500), FAST, tiles[0].input.shape) == pytest.approx(sent / 3e6)


def test_a_huge_image_is_planned_at_once() -> None:
    assert best_tile((120_000, 90_000), SAME, 2_000_000)[0] > 1000


def test_an_empty_image_and_a_tile_of_nothing_are_refused() -> None:
    with pytest.raises(InputError, match="empty"):
        plan((0, 5), SAME, 256)
    with pytest.raises(InputError, match="tile is 0"):
        plan((5, 5), SAME, 0)
