from __future__ import annotations

import numpy as np
import pytest

from napari_hovernet.core.measure.nuclei import measure
from napari_hovernet.core.synthetic import TissueParams, tissue
from napari_hovernet.errors import InputError


def test_the_same_seed_gives_the_same_tissue_and_another_another() -> None:
    first, again, other = (tissue((160, 200), seed=s) for s in (4, 4, 5))
    np.testing.assert_array_equal(first.image, again.image)
    np.testing.assert_array_equal(first.labels, again.labels)
    assert (first.image != other.image).mean() > 0.5


def test_labels_types_and_picture_fit() -> None:
    made = tissue((256, 320), seed=3)
    assert made.image.shape == (256, 320, 3)
    assert made.image.dtype == np.uint8
    assert made.labels.dtype == made.types.dtype == np.int32
    np.testing.assert_array_equal(np.unique(made.labels), np.arange(len(made.types) + 1))
    assert set(made.types.tolist()) <= set(made.type_names) - {0}
    assert len(set(made.types.tolist())) >= 3


def test_nuclei_have_the_size_real_ones_have() -> None:
    areas = measure(tissue((400, 400), seed=3).labels).area * 0.25**2
    assert 20 < np.median(areas) < 60


def test_mpp_scales_the_nuclei() -> None:
    coarse = tissue((200, 200), seed=3, params=TissueParams(mpp=0.5))
    areas = measure(coarse.labels).area * 0.5**2
    assert coarse.mpp == 0.5
    assert 15 < np.median(areas) < 60


@pytest.mark.parametrize("shape", [(1, 1), (1, 90), (70, 3)])
def test_tiny_pictures_are_made_too(shape: tuple[int, int]) -> None:
    made = tissue(shape, seed=0)
    assert made.labels.shape == shape
    assert made.image.shape == (*shape, 3)


@pytest.mark.parametrize("shape", [(0, 5), (5, -1)])
def test_an_empty_picture_is_refused(shape: tuple[int, int]) -> None:
    with pytest.raises(InputError, match="1 or more pixels"):
        tissue(shape)
