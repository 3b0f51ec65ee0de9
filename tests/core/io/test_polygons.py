"""Outlines of nuclei and back."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage as ndi

from napari_hovernet.core.io.geojson import (
    MAX_CONTOUR_EDGE,
    Polygons,
    close,
    contour_outlines,
    default_types,
    mask_outlines,
    rasterize,
    signed_area,
)
from napari_hovernet.core.types import Int32, Nuclei
from napari_hovernet.errors import InputError

SQUARE = np.array([[1, 1], [3, 1], [3, 3], [1, 3]], float)


@pytest.mark.parametrize("seed", range(20))
def test_outlines_give_any_mask_back_and_have_its_area(seed: int) -> None:
    rng = np.random.default_rng(seed)
    mask = rng.random((rng.integers(1, 14), rng.integers(1, 14))) < rng.random()
    rings = mask_outlines(mask)
    assert sum(signed_area(ring) for ring in rings) == mask.sum()
    if mask.any():
        assert np.array_equal(rasterize(Polygons((tuple(rings),)), mask.shape) > 0, mask)


def test_outlines_without_holes_never_touch_themselves() -> None:
    assert len(mask_outlines(np.array([[1, 0], [0, 1]], bool))) == 2
    filled = ndi.binary_fill_holes(np.random.default_rng(1).random((30, 30)) < 0.6)
    rings = mask_outlines(filled)
    assert len(rings) > 5
    for ring in rings:
        assert len(np.unique(ring, axis=0)) == len(ring)


def test_a_hole_runs_the_other_way() -> None:
    mask = np.ones((3, 3), bool)
    mask[1, 1] = False
    assert sorted(signed_area(ring) for ring in mask_outlines(mask)) == [-1.0, 9.0]


def test_boundary_pixels_are_part_of_the_nucleus(labels: Int32, nuclei: Nuclei) -> None:
    rings = tuple(tuple(contour_outlines(contour)) for contour in nuclei.contours)
    assert np.array_equal(rasterize(Polygons(rings), labels.shape), labels)


def test_a_nucleus_joined_by_a_corner_has_two_outlines(nuclei: Nuclei) -> None:
    assert [len(contour_outlines(contour)) for contour in nuclei.contours] == [1, 1, 1, 2, 1, 1]


def test_slanted_and_overhanging_polygons_are_sampled_at_pixel_centres() -> None:
    triangle = np.array([[0, 0], [4, 0], [0, 4]], float)
    assert rasterize(Polygons(((triangle - 1,),)), (4, 4)).tolist() == [
        [1, 0, 0, 0],
        [0, 0, 0, 0],
        [0, 0, 0, 0],
        [0, 0, 0, 0],
    ]


def test_later_polygons_cover_earlier_ones_and_extent_is_the_default_shape() -> None:
    drawn = rasterize(Polygons(((SQUARE,), (SQUARE + 1,))))
    assert drawn.shape == (4, 4)
    assert drawn[2, 2] == 2
    assert drawn[1, 1] == 1


def test_a_far_group_is_drawn_in_its_own_box() -> None:
    polygons = Polygons(((SQUARE + 900_000,), (SQUARE + 900_003.5,)))
    assert polygons.box == (900_001, 900_001, 900_007, 900_007)
    drawn = rasterize(polygons, origin=polygons.box[:2])
    assert drawn.shape == (6, 6)
    assert drawn[0, 0] == 1
    assert rasterize(polygons, (2, 2), origin=(900_001, 900_001)).all()


def test_nothing_to_draw() -> None:
    assert rasterize(Polygons(())).shape == (0, 0)
    assert not rasterize(Polygons(()), (3, 2)).any()
    assert not rasterize(Polygons(((SQUARE + 100,),)), (3, 3)).any()


def test_outer_is_the_largest_ring() -> None:
    polygons = Polygons(((SQUARE, 10 * SQUARE),))
    assert np.array_equal(polygons.outer()[0], 10 * SQUARE)
    assert polygons.extent == (30, 30)
    assert polygons.ids == ("1",)


def test_closing_repeats_the_first_point_and_keeps_whole_numbers_whole() -> None:
    assert close(SQUARE) == [[1, 1], [3, 1], [3, 3], [1, 3], [1, 1]]
    assert isinstance(close(SQUARE)[0][0], int)
    assert close(SQUARE + 0.5)[0] == [1.5, 1.5]


@pytest.mark.parametrize(
    ("ring", "said"),
    [
        (SQUARE[:2], "3 or more"),
        (SQUARE[:, :1], "3 or more"),
        (SQUARE * 1e7, "3e\\+07"),
        (SQUARE * np.nan, "nan"),
    ],
)
def test_bad_rings_are_refused_by_name(ring: np.ndarray, said: str) -> None:
    with pytest.raises(InputError, match=said):
        Polygons(((SQUARE,), (ring,)), ids=("a", "b"))


def test_columns_must_fit() -> None:
    with pytest.raises(InputError, match="no outline"):
        Polygons(((),))
    with pytest.raises(InputError, match="columns of"):
        Polygons(((SQUARE,),), ids=("a", "b"))


def test_absurd_sizes_are_refused_before_memory_is_taken() -> None:
    far = np.array([[0, 0], [MAX_CONTOUR_EDGE, 0]], np.int32)
    with pytest.raises(InputError, match="spans 4097 x 1"):
        contour_outlines(far)
    with pytest.raises(InputError, match="has shape"):
        contour_outlines(np.zeros((0, 2), np.int32))
    with pytest.raises(InputError, match="too large"):
        rasterize(Polygons(((SQUARE * 300_000,),)))


def test_types_without_colours_get_different_ones() -> None:
    types = default_types(["a", "b"])
    assert types[1].name == "a"
    assert types[1].color != types[2].color
