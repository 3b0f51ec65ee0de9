"""Tiles cover an image once and keep clear of cuts; loads follow memory and the user."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch

from napari_hovernet.core.inference import devices
from napari_hovernet.core.inference import tiles as module
from napari_hovernet.core.networks.registry import Geometry, Network, build
from napari_hovernet.core.params import InferenceParams, SeparationParams
from napari_hovernet.core.types import ModelInfo
from napari_hovernet.errors import InputError

SAME = Geometry(divisor=16, remainder=0, margin=0, halo=96, reference_tile=448, minimum=16)
FAST = Geometry(divisor=8, remainder=0, margin=46, halo=58, reference_tile=256, minimum=96)
ORIGINAL = Geometry(divisor=8, remainder=6, margin=95, halo=60, reference_tile=270, minimum=198)
every_geometry = pytest.mark.parametrize("geometry", (SAME, FAST, ORIGINAL))
every_shape = pytest.mark.parametrize(
    "shape", [(1, 1), (1, 700), (3, 17), (256, 320), (641, 999), (1000, 1000), (2300, 137)]
)


@every_geometry
@every_shape
@pytest.mark.parametrize("tile", [1, 256, 333, (300, 1024), 4096])
@pytest.mark.parametrize("reference", [False, True])
def test_kept_boxes_cover_the_image_once_with_legal_tiles(geometry, shape, tile, reference) -> None:
    tiles = module.plan(shape, geometry, tile, reference)
    count = np.zeros(shape, int)
    for t in tiles:
        count[t.kept.slices()] += 1
        assert all(geometry.legal(edge) == edge for edge in t.input.shape)
        assert t.output.shape == tuple(n - 2 * geometry.margin for n in t.input.shape)
        assert t.output.r0 <= t.kept.r0 < t.kept.r1 <= t.output.r1
        assert t.output.c0 <= t.kept.c0 < t.kept.c1 <= t.output.c1
    assert (count == 1).all() and len({t.input.shape for t in tiles}) == 1


@every_geometry
@every_shape
@pytest.mark.parametrize("tile", [1, 256, 333, 1024])
def test_tiles_share_a_grid_their_ends_and_keep_clear_of_cuts(geometry, shape, tile) -> None:
    (whole,) = module.plan(shape, geometry, 10**6)
    outer = whole.input
    for t in module.plan(shape, geometry, tile):
        for low, high in ((0, 1), (2, 3)):
            assert (t.input[low] - outer[low]) % geometry.divisor == 0
            clear_low = t.kept[low] - t.output[low] >= geometry.halo
            clear_high = t.output[high] - t.kept[high] >= geometry.halo
            assert clear_low or t.input[low] == outer[low]
            assert clear_high or t.input[high] == outer[high]


@pytest.mark.parametrize("start, end, length", [(-7, 9, 1), (-7, 9, 2), (-20, 35, 5), (0, 6, 6)])
def test_mirror_is_numpy_reflect(start: int, end: int, length: int) -> None:
    expected = np.pad(np.arange(length), (-start, end - length), mode="reflect")
    np.testing.assert_array_equal(module.mirror(start, end, length), expected)


@every_geometry
@every_shape
@pytest.mark.parametrize("pixels", [1, 150_000, 500_000, 10**7])
def test_best_tile_fits_and_no_square_is_cheaper(geometry, shape, pixels) -> None:
    tile = module.best_tile(shape, geometry, pixels)
    smallest = tuple(module.smallest_tile(n, geometry) for n in shape)
    assert tile[0] * tile[1] <= pixels or tile == smallest
    square = int(pixels**0.5)
    edge = square - (square - geometry.remainder) % geometry.divisor
    if edge >= max(smallest):
        assert module.overhead(shape, geometry, tile) <= module.overhead(
            shape, geometry, (edge, edge)
        )
    sent = sum(t.input.shape[0] * t.input.shape[1] for t in module.plan(shape, geometry, tile))
    assert module.overhead(shape, geometry, tile) == pytest.approx(sent / (shape[0] * shape[1]))


class TestLoad:
    @pytest.fixture(autouse=True)
    def memory(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
        monkeypatch.setattr(devices, "free_bytes", lambda device: self.free)
        self.free = 16 * 2**30
        yield

    def choose(
        self, shape: tuple[int, int], network: Network | None = None, **p: Any
    ) -> module.Load:
        network = network or build("compact", {"widths": [4, 6, 8]})
        params, cpu = InferenceParams(**p), torch.device("cpu")
        return module.choose_load(network, network.geometry, shape, params, cpu, half=False)

    def test_a_small_image_is_one_tile(self) -> None:
        assert self.choose((97, 130)) == module.Load((100, 132), 1)

    def test_tiles_shrink_with_the_memory(self) -> None:
        sizes = []
        for self.free in (2**34, 2**28, 2**24, 2**10):
            load = self.choose((8000, 8000))
            sizes.append(load.tile[0] * load.tile[1])
        assert sizes == sorted(sizes, reverse=True) and len(set(sizes)) > 2

    def test_a_large_image_takes_less_than_4_gb(self) -> None:
        network = build("compact", {})
        tile = self.choose((10_000, 10_000), network).tile
        taken = tile[0] * tile[1] * network.bytes_per_pixel * module.WORKSPACE
        maps, program = 12 * 10_000**2, 0.6e9
        assert taken + maps + program < 4e9

    def test_what_the_user_says_counts(self) -> None:
        assert self.choose((500, 500), tile=130, batch=7) == module.Load((132, 132), 7)
        edge = build("compact", {"widths": [4, 6, 8]}).geometry.reference_tile
        assert self.choose((500, 500), tiling="reference").tile == (edge, edge)


INFO = ModelInfo("compact", mpp=0.25)


@pytest.mark.parametrize("mpp", [25, 0.01])
def test_mpp_that_cannot_be_meant_is_refused(mpp: float) -> None:
    with pytest.raises(InputError, match=r"too far apart .* correct the mpp"):
        module.working_scale(INFO, InferenceParams(image_mpp=mpp))


def test_local_sizes_follow_the_scale_and_hover_net_s_do_not() -> None:
    params = SeparationParams()
    half = module.scaled_separation(params, 2.0)
    assert half.min_area == params.min_area / 4
    assert half.scales == tuple(s / 2 for s in params.scales)
    assert half.magnitude_window % 2 == 1 and half.np_threshold == params.np_threshold
    assert module.scaled_separation(params, 1.0) is params
    published = SeparationParams.preset("hover_net")
    assert module.scaled_separation(published, 2.0) is published
    assert module.scaled_separation(params, 8.0).magnitude_window >= 1
