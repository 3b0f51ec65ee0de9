"""Coverage, empty images, and background taken for nuclei."""

import numpy as np
import pytest
from scipy import ndimage

from napari_hovernet.core.diagnosis.data_cover import background, cover_of, coverage, empty
from napari_hovernet.core.diagnosis.report import FAULT, NOT_TESTED, OK, WARN

from .planted_data import made

LABELS = made(1)["labels"][0]


def cover(labels, density=None):
    return cover_of(0, "a", labels > 0, labels, density)


def block(share):
    labels = np.zeros((10, 100), np.int32)
    labels[:, : round(100 * share)] = 1
    return labels


@pytest.mark.parametrize(
    ("share", "verdict"), [(0.3, OK), (0.5, OK), (0.55, WARN), (0.86, FAULT), (0, NOT_TESTED)]
)
def test_more_than_half_is_flagged(share, verdict):
    found = coverage([cover(block(share))])
    assert found.verdict == verdict
    if share:
        assert found.numbers["Dice of all-foreground"] == pytest.approx(2 * share / (1 + share))


def test_the_dice_of_86_percent_is_that_of_the_story():
    assert "0.925" in coverage([cover(block(0.86))]).evidence


def test_dense_tissue_whose_nuclei_are_dark_is_in_order():
    labels = block(0.6)
    assert coverage([cover(labels, (labels > 0).astype(np.float32))]).verdict == OK


def test_background_is_lighter():
    labels, inverted = block(0.3), 1 - block(0.3)
    dark = (labels > 0).astype(np.float32)
    assert background([cover(labels, dark)]).verdict == OK
    assert background([cover(inverted, dark)]).verdict == FAULT
    assert background([cover(labels * 0)]).verdict == NOT_TESTED


def test_a_dark_ground_is_no_bright_field():
    labels = block(0.3)
    night = 3 - (labels > 0).astype(np.float32)
    assert background([cover(labels, night)]).verdict == NOT_TESTED


def test_without_an_image_one_area_around_many_holes_is_background():
    assert cover(LABELS).flood is False
    flood = ndimage.label(LABELS == 0)[0].astype(np.int32)
    assert cover(flood).flood is True
    assert background([cover(flood)]).verdict == FAULT
    assert background([cover(LABELS)]).verdict == OK


def test_one_label_that_is_the_background_is_found_beside_real_ones():
    dark = (LABELS > 0).astype(np.float32)
    labels = np.where(LABELS == 0, LABELS.max() + 1, LABELS)
    found = cover(labels, dark)
    assert found.giant > 0.5
    assert found.giant_contrast < -1
    assert background([found]).verdict == FAULT


@pytest.mark.parametrize(("n", "verdict"), [(0, OK), (1, OK), (3, WARN), (6, FAULT), (10, FAULT)])
def test_empty_images_are_counted(n, verdict):
    covers = [cover(block(0.0 if i < n else 0.2)) for i in range(10)]
    assert empty(covers).verdict == verdict
