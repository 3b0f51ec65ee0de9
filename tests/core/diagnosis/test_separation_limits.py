from __future__ import annotations

import pytest

from napari_hovernet.core.diagnosis.separation_limits import SeparationLimits
from napari_hovernet.errors import InputError


def test_bounds_are_above_zero():
    assert SeparationLimits(good_aji=0.7).good_aji == 0.7
    for wrong in (0.0, -1.0, float("nan"), float("inf")):
        with pytest.raises(InputError, match="drop is"):
            SeparationLimits(drop=wrong)
