from __future__ import annotations

import numpy as np
import pytest
from napari.layers import Image, Labels

from napari_hovernet._napari import images


def rgb(shape=(20, 30), **keywords):
    return Image(np.zeros((*shape, 3), np.uint8), rgb=True, name="slide", **keywords)


@pytest.mark.parametrize(
    ("keywords", "mpp", "words"),
    [
        ({}, None, "no scale"),
        ({"scale": (0.5, 0.5)}, 0.5, "taken for"),
        ({"scale": (250, 250), "units": ("nm", "nm")}, 0.25, "nanometer"),
        ({"scale": (0.5, 0.5), "units": ("um", "um")}, 0.5, "micrometer"),
        ({"scale": (0.5, 0.5), "units": ("s", "s")}, None, "second"),
        ({"scale": (400, 400)}, None, "400"),
        ({"metadata": {"mpp": 0.22}, "scale": (3, 3)}, 0.22, "metadata"),
        ({"metadata": {"mpp": "many"}}, None, "no scale"),
    ],
)
def test_mpp_comes_from_metadata_units_or_scale(keywords, mpp, words):
    found, source = images.layer_mpp(rgb(**keywords))
    assert (found is None) if mpp is None else found == pytest.approx(mpp)
    assert words in source


def test_description_in_words():
    assert images.describe(rgb((1000, 2000)), (0, 0)) == "2,000 x 1,000 px, RGB, uint8"
    pyramid = Image([np.zeros((64, 64), np.uint16), np.zeros((32, 32), np.uint16)], multiscale=True)
    assert images.describe(pyramid, (0, 0)) == "64 x 64 px, grey, uint16, 2 levels"


def test_a_plane_stays_lazy():
    da = pytest.importorskip("dask.array")
    layer = Image(da.zeros((4, 50, 60, 3), dtype=np.uint8, chunks=25), rgb=True)
    plane = images.plane_data(layer, (2, 0, 0))
    assert isinstance(plane, da.Array) and plane.shape == (50, 60, 3)


@pytest.mark.parametrize(
    ("data", "says"),
    [(np.zeros((0, 30), np.uint8), "empty"), (np.zeros((4, 4), np.complex64), "complex64")],
)
def test_an_empty_or_complex_image_is_refused_in_words(monkeypatch, data, says):
    # napari itself stumbles over such layers while it draws their thumbnail
    monkeypatch.setattr(images, "full_data", lambda _: data)
    assert says in images.choice(rgb(), (0, 0)).error


def test_results_land_on_the_pixels_they_came_from():
    layer = rgb(scale=(0.5, 2), translate=(10, 20), rotate=30)
    place = images.placement(layer, (0, 0))
    made = Labels(np.zeros((5, 5), np.uint8), **place.at(4, 6))
    np.testing.assert_allclose(made.data_to_world((1, 2)), layer.data_to_world((5, 8)))


def test_own_maps_are_not_images_to_segment():
    own = rgb(metadata={images.METADATA_KEY: {"run": 1, "role": "np"}})
    assert images.segmentable(rgb()) and not images.segmentable(own)
