from __future__ import annotations

import numpy as np
import pytest
from napari.layers import Layer

from napari_hovernet._napari import sample_data
from napari_hovernet._napari.images import layer_mpp
from napari_hovernet.errors import InputError


def test_tissue_comes_with_its_hidden_truth(monkeypatch):
    monkeypatch.setattr(sample_data, "TISSUE_EDGE_PX", 128)
    image, truth = (Layer.create(*item) for item in sample_data.tissue_sample())
    assert image.rgb and image.data.shape == (128, 128, 3)
    assert not truth.visible and truth.data.max() == len(truth.features)
    assert image.scale[0] == truth.scale[0] == layer_mpp(image)[0]


def test_ihc_knows_its_resolution():
    (item,) = sample_data.ihc_sample()
    assert item[0].shape == (512, 512, 3) and item[1]["metadata"]["mpp"] == sample_data.IHC_MPP


def test_skin_without_a_network_says_so(monkeypatch):
    from skimage import data  # noqa: PLC0415

    def fail():
        raise ConnectionError("no route to host")

    monkeypatch.setattr(data, "skin", fail)
    with pytest.raises(InputError, match=r"no route to host.*generated sample"):
        sample_data.skin_sample()
    monkeypatch.setattr(data, "skin", lambda: np.zeros((9, 9, 3), np.uint8))
    assert sample_data.skin_sample()[0][2] == "image"
