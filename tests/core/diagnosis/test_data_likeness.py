"""Nucleus likeness follows the labels, whatever the stain and the order of channels."""

import numpy as np
import pytest

from napari_hovernet.core.diagnosis.data_likeness import (
    band,
    contrast_inside,
    haematoxylin,
    likeness,
)

from .planted_data import made, real


def agreement(plane, labels):
    return np.corrcoef(plane.ravel(), band((labels > 0).astype(np.float32)).ravel())[0, 1]


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0)])
def test_it_stands_out_in_generated_tissue(order):
    given = made(2)
    for image, labels in zip(given["images"], given["labels"], strict=True):
        found = likeness(np.ascontiguousarray(image[..., order]))
        assert found.channel == order[0]
        assert agreement(found.plane, labels) > 0.7
        assert contrast_inside(found.density, labels > 0) > 1


def test_it_stands_out_in_pink_and_purple_tissue(shared):
    given = real(shared, "val", 20)
    for image, labels in zip(given["images"], given["labels"], strict=True):
        assert agreement(likeness(image).plane, labels) > 0.35
        assert contrast_inside(haematoxylin(image), labels > 0) > 0.5


def test_a_blank_image_has_no_contrast():
    assert likeness(np.full((64, 64, 3), 90, np.uint8)).contrast == 0


def test_the_filter_drops_what_is_coarse_and_what_is_fine():
    row = np.arange(256, dtype=np.float32)
    wave = lambda length: np.sin(2 * np.pi * row / length)[None].repeat(256, 0)  # noqa: E731
    kept = {n: float(band(wave(n).astype(np.float32))[64:192, 64:192].std()) for n in (3, 24, 900)}
    assert kept[24] > 0.5
    assert kept[3] < 0.01
    assert kept[900] < 0.1


def test_contrast_without_inside_is_unknown():
    plane = np.ones((4, 4), np.float32)
    assert np.isnan(contrast_inside(plane, np.zeros((4, 4), bool)))
    assert contrast_inside(plane, np.eye(4, dtype=bool)) == 0
