from __future__ import annotations

import pytest

from napari_hovernet.core.diagnosis.model_limits import MODEL_LIMITS, ModelLimits
from napari_hovernet.errors import InputError


def test_a_bound_has_to_be_above_zero() -> None:
    with pytest.raises(InputError, match=r"zoom_gain is 0"):
        ModelLimits(zoom_gain=0)
    with pytest.raises(InputError, match="zooms"):
        ModelLimits(zooms=(0.0, 2.0))


def test_a_strong_zoom_is_one_that_is_tried() -> None:
    tried = [max(z, 1 / z) for z in MODEL_LIMITS.zooms]
    assert any(z >= MODEL_LIMITS.strong_zoom for z in tried)
    assert any(z < MODEL_LIMITS.strong_zoom for z in tried)
