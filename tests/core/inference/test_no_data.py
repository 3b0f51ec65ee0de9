"""Black areas that a scanner left give no nuclei."""

import numpy as np
import torch

from napari_hovernet.core.inference import predict
from napari_hovernet.core.inference.lane import BLACK_EDGE, no_data
from napari_hovernet.core.networks.registry import build
from napari_hovernet.core.types import Model, ModelInfo


def test_large_black_areas_alone_are_no_data() -> None:
    pixels = np.full((100, 120, 3), 200, np.uint8)
    pixels[10 : 10 + BLACK_EDGE - 1, 5:60] = 0
    assert no_data(pixels[:20, :20]) is None
    assert not no_data(pixels).any()  # type: ignore[union-attr]
    pixels[50:, 40:] = 0
    found = no_data(pixels)
    assert found is not None
    assert found[50:, 40:].all() and not found[:50].any()


def test_maps_have_no_nucleus_there() -> None:
    torch.manual_seed(0)
    model = Model(build("compact", {"widths": [4, 8]}).eval(), ModelInfo("compact"),
                  torch.device("cpu"))  # fmt: skip
    image = np.random.default_rng(0).integers(1, 255, (90, 150, 3), np.uint8)
    image[:, 80:] = 0
    maps = predict(model, image)
    assert not maps.np[:, 80:].any()
    assert (maps.np[:, :80] > 0).all()
