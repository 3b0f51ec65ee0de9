"""Tiles put together: every pixel once, at its place, at the image's own size."""

from __future__ import annotations

import numpy as np
import pytest

from napari_hovernet.core.inference.lane import PlainCanvas, ResizedCanvas, back_reach, bytes_needed
from napari_hovernet.core.inference.tiles import Box, Tile, plan, scaled_length
from napari_hovernet.core.networks.registry import Geometry

HALO = 8


def outputs(tile: Tile, truth: np.ndarray) -> np.ndarray:
    """What a network gives for a tile: the truth in what is kept, garbage around it."""
    values = np.full((len(truth), *tile.output.shape), 9.0, np.float32)
    origin = (tile.output.r0, tile.output.c0)
    wide = Box(
        max(tile.kept.r0 - HALO, 0, tile.output.r0),
        min(tile.kept.r1 + HALO, truth.shape[1], tile.output.r1),
        max(tile.kept.c0 - HALO, 0, tile.output.c0),
        min(tile.kept.c1 + HALO, truth.shape[2], tile.output.c1),
    )
    values[(slice(None), *wide.slices(origin))] = truth[(slice(None), *wide.slices())]
    return values


def tiles(shape: tuple[int, int], edge: int) -> tuple[Tile, ...]:
    geometry = Geometry(divisor=4, remainder=0, margin=0, halo=HALO, reference_tile=edge, minimum=4)
    return plan(shape, geometry, edge)


@pytest.mark.parametrize("n_types", [0, 3])
def test_tiles_come_back_whole(n_types: int) -> None:
    truth = np.random.default_rng(0).random((3 + n_types, 50, 71), dtype=np.float32)
    canvas = PlainCanvas((50, 71), n_types)
    pieces = tiles((50, 71), 36)
    assert len(pieces) > 4
    for tile in pieces:
        canvas.put(tile, outputs(tile, truth))
    maps = canvas.maps()
    assert np.array_equal(maps.np, truth[0])
    assert np.array_equal(maps.hv, truth[1:3])
    if n_types:
        assert maps.types is not None
        assert np.array_equal(maps.types, truth[3:])
    else:
        assert maps.types is None
    assert np.shares_memory(maps.np, canvas.np)


@pytest.mark.parametrize("scale", [0.5, 0.8, 1.7, 2.0])
def test_resized_maps_do_not_show_where_tiles_met(scale: float) -> None:
    shape = (61, 47)
    inner = (scaled_length(61, scale), scaled_length(47, scale))
    truth = np.random.default_rng(1).random((3, *inner), dtype=np.float32)
    whole = ResizedCanvas(shape, 0, scale, inner)
    whole.put(Tile(Box(0, inner[0], 0, inner[1]), Box(0, inner[0], 0, inner[1]),
                   Box(0, inner[0], 0, inner[1])), truth)  # fmt: skip
    pieced = ResizedCanvas(shape, 0, scale, inner)
    assert back_reach(scale) <= HALO
    for tile in tiles(inner, 32):
        pieced.put(tile, outputs(tile, truth))
    assert pieced.maps().shape == shape
    np.testing.assert_allclose(pieced.maps().np, whole.maps().np, atol=1e-6)
    np.testing.assert_allclose(pieced.maps().hv, whole.maps().hv, atol=1e-6)


def test_hv_is_not_blended_across_its_jump() -> None:
    inner = np.zeros((3, 8, 16), np.float32)
    inner[1, :, :8], inner[1, :, 8:] = 1, -1
    canvas = ResizedCanvas((13, 25), 0, 16 / 25, (8, 16))
    box = Box(0, 8, 0, 16)
    canvas.put(Tile(box, box, box), inner)
    assert set(np.unique(canvas.maps().hv[0])) == {-1.0, 1.0}


def test_the_bytes_named_are_those_taken() -> None:
    canvas = PlainCanvas((30, 40), 2)
    assert canvas.types is not None
    taken = canvas.np.nbytes + canvas.hv.nbytes + canvas.types.nbytes
    assert bytes_needed((30, 40), 2) == taken
