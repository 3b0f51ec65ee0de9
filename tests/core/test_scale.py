from __future__ import annotations

import pytest

from napari_hovernet.core.inference.tiles import scaled_separation, working_scale
from napari_hovernet.core.params import InferenceParams, SeparationParams
from napari_hovernet.core.types import ModelInfo
from napari_hovernet.errors import InputError

INFO = ModelInfo("compact", mpp=0.25)


@pytest.mark.parametrize(
    "image_mpp, model_mpp, scale",
    [(0.5, None, 2.0), (0.5, 0.5, 1.0), (0.27, None, 1.0), (0.28, None, 1.12), (None, None, 1.0)],
)
def test_scale_is_the_ratio_beyond_the_tolerance(
    image_mpp: float | None, model_mpp: float | None, scale: float
) -> None:
    params = InferenceParams(image_mpp=image_mpp, model_mpp=model_mpp)
    assert working_scale(INFO, params) == pytest.approx(scale)


def test_an_unknown_model_mpp_leaves_the_image() -> None:
    assert working_scale(ModelInfo("compact"), InferenceParams(image_mpp=3)) == 1.0


@pytest.mark.parametrize("mpp", [25, 0.01])
def test_mpp_that_cannot_be_meant_is_refused(mpp: float) -> None:
    with pytest.raises(InputError, match="correct the mpp"):
        working_scale(INFO, InferenceParams(image_mpp=mpp))


def test_local_sizes_follow_the_scale_and_hover_net_s_do_not() -> None:
    params = SeparationParams()
    half = scaled_separation(params, 2.0)
    assert half.min_area == params.min_area / 4
    assert half.scales == tuple(s / 2 for s in params.scales)
    assert half.magnitude_window % 2 == 1 and half.np_threshold == params.np_threshold
    assert scaled_separation(params, 1.0) is params
    published = SeparationParams.preset("hover_net")
    assert scaled_separation(published, 2.0) is published
    assert scaled_separation(params, 8.0).magnitude_window >= 1
